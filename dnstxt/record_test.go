package dnstxt

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/p3do/p3do/pki"
)

const (
	fpA   = "fp=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
	fpB   = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"
	zero  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	onion = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion" // a public one with a right checksum
	least = "v=P3DO1; k=ed25519; " + fpA + "; ks=keys.a.test:8443"
)

func domain(t testing.TB, text string) pki.Domain {
	t.Helper()
	d, err := pki.ParseDomain(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func leastRecord() Record {
	return Record{Fingerprint: fingerprint(1), KeyServers: []string{"keys.a.test:8443"}}
}

func fullRecord() Record {
	return Record{
		Fingerprint: fingerprint(1),
		Next:        fingerprint(2),
		KeyServers:  []string{"keys.a.test:8443", "192.0.2.1:1", "[2001:db8::1]:65535", onion + ":443"},
		Onion:       onion,
		Time:        time.Unix(1795000000, 0).UTC(),
	}
}

// fingerprint returns 32 times the byte b.
func fingerprint(b byte) pki.Fingerprint {
	var f pki.Fingerprint
	for i := range f {
		f[i] = b
	}
	return f
}

// largeRecord does not fit into a UDP answer of 512 octets.
func largeRecord() Record {
	r := fullRecord()
	for i := range r.KeyServers {
		r.KeyServers[i] = strings.Repeat("k", 60) + "." + strings.Repeat("l", 60) + fmt.Sprintf("%d.test:1", i)
	}
	return r
}

func TestString(t *testing.T) {
	if got := leastRecord().String(); got != least {
		t.Errorf("got  %s\nwant %s", got, least)
	}
	want := "v=P3DO1; k=ed25519; " + fpA + "; fp2=" + fpB +
		"; ks=keys.a.test:8443,192.0.2.1:1,[2001:db8::1]:65535," + onion + ":443; o=" + onion + "; t=1795000000"
	if got := fullRecord().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseAccepts(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Record
	}{
		{"least", least, leastRecord()},
		{"full", fullRecord().String(), fullRecord()},
		{"no spaces", strings.ReplaceAll(least, " ", ""), leastRecord()},
		{"many spaces", strings.ReplaceAll(least, "; ", "  ;   ") + "  ", leastRecord()},
		{"semicolon at the end", least + ";", leastRecord()},
		{"semicolon and space at the end", least + "; ", leastRecord()},
		{"another order", "v=P3DO1;ks=keys.a.test:8443;" + fpA + ";k=ed25519", leastRecord()},
		{"unknown tag", least + "; zz9=any thing = at all", leastRecord()},
		{"unknown tag twice, empty", least + "; x=; x=", leastRecord()},
		{"time zero", least + "; t=0", Record{leastRecord().Fingerprint, pki.Fingerprint{}, leastRecord().KeyServers, "", time.Unix(0, 0).UTC()}},
	} {
		got, err := Parse(tt.text)
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("%s: got %v, error %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// refusals are texts that no parser may accept, and the tag at fault.
var refusals = []struct{ name, text, tag string }{
	{"empty", "", "v"},
	{"v not first", "k=ed25519; v=P3DO1; " + fpA + "; ks=a.test:1", "v"},
	{"space before v", " " + least, "v"},
	{"v in upper case", strings.Replace(least, "v=", "V=", 1), "v"},
	{"version 2", strings.Replace(least, "P3DO1", "P3DO2", 1), "v"},
	{"version 10", strings.Replace(least, "P3DO1", "P3DO10", 1), "v"},
	{"v twice", least + "; v=P3DO1", "v"},
	{"k missing", "v=P3DO1; " + fpA + "; ks=a.test:1", "k"},
	{"k unknown", strings.Replace(least, "ed25519", "rsa", 1), "k"},
	{"k empty", strings.Replace(least, "ed25519", "", 1), "k"},
	{"k twice", least + "; k=ed25519", "k"},
	{"fp missing", "v=P3DO1; k=ed25519; ks=a.test:1", "fp"},
	{"fp short", strings.Replace(least, fpA, fpA[:len(fpA)-1], 1), "fp"},
	{"fp long", strings.Replace(least, fpA, fpA+"A", 1), "fp"},
	{"fp padded", strings.Replace(least, fpA, fpA+"=", 1), "fp"},
	{"fp in base64", strings.Replace(least, fpA, "fp="+strings.Repeat("+", 42)+"8", 1), "fp"},
	{"fp not canonical", strings.Replace(least, fpA, fpA[:len(fpA)-1]+"F", 1), "fp"},
	{"fp zero", strings.Replace(least, fpA, "fp="+zero, 1), "fp"},
	{"fp twice", least + "; " + fpA, "fp"},
	{"fp with a name of the hash", strings.Replace(least, "fp=", "fp=sha256:", 1), "fp"},
	{"fp2 empty", least + "; fp2=", "fp2"},
	{"fp2 zero", least + "; fp2=" + zero, "fp2"},
	{"fp2 same as fp", least + "; fp2=" + fpA[3:], "fp2"},
	{"fp2 twice", least + "; fp2=" + fpB + "; fp2=" + fpB, "fp2"},
	{"ks missing", "v=P3DO1; k=ed25519; " + fpA, "ks"},
	{"ks empty", servers(""), "ks"},
	{"ks five", servers("a.test:1,b.test:1,c.test:1,d.test:1,e.test:1"), "ks"},
	{"ks with an empty one", servers("a.test:1,"), "ks"},
	{"ks with a space", servers("a.test:1, b.test:1"), "ks"},
	{"ks the same twice", servers("a.test:1,a.test:1"), "ks"},
	{"ks twice", least + "; ks=b.test:1", "ks"},
	{"ks without port", servers("a.test"), "ks"},
	{"ks without host", servers(":1"), "ks"},
	{"ks port 0", servers("a.test:0"), "ks"},
	{"ks port 65536", servers("a.test:65536"), "ks"},
	{"ks port 01", servers("a.test:01"), "ks"},
	{"ks port +1", servers("a.test:+1"), "ks"},
	{"ks port by name", servers("a.test:https"), "ks"},
	{"ks one label", servers("localhost:1"), "ks"},
	{"ks upper case", servers("A.test:1"), "ks"},
	{"ks final dot", servers("a.test.:1"), "ks"},
	{"ks underscore", servers("_a.test:1"), "ks"},
	{"ks URL", servers("https://a.test:1"), "ks"},
	{"ks user", servers("me@a.test:1"), "ks"},
	{"ks IPv4 with zeros", servers("192.0.2.01:1"), "ks"},
	{"ks IPv4 short", servers("127.1:1"), "ks"},
	{"ks IPv6 bare", servers("2001:db8::1:1"), "ks"},
	{"ks IPv6 not canonical", servers("[2001:DB8::1]:1"), "ks"},
	{"ks IPv6 zone", servers("[fe80::1%eth0]:1"), "ks"},
	{"ks IPv4 in IPv6", servers("[::ffff:192.0.2.1]:1"), "ks"},
	{"ks IPv4 in brackets", servers("[192.0.2.1]:1"), "ks"},
	{"ks bracket open", servers("[::1:1"), "ks"},
	{"o empty", least + "; o=", "o"},
	{"o short", least + "; o=expyuzz4wqqyqhjn.onion", "o"},
	{"o wrong checksum", least + "; o=a" + onion[1:], "o"},
	{"o upper case", least + "; o=" + strings.ToUpper(onion[:56]) + ".onion", "o"},
	{"o without .onion", least + "; o=" + onion[:56], "o"},
	{"o with port", least + "; o=" + onion + ":443", "o"},
	{"o twice", least + "; o=" + onion + "; o=" + onion, "o"},
	{"t empty", least + "; t=", "t"},
	{"t negative", least + "; t=-1", "t"},
	{"t with a zero", least + "; t=01", "t"},
	{"t with a plus", least + "; t=+1", "t"},
	{"t fraction", least + "; t=1.5", "t"},
	{"t year 10000", least + "; t=253402300800", "t"},
	{"t huge", least + "; t=99999999999999999999", "t"},
	{"t twice", least + "; t=1; t=1", "t"},
	{"no equals sign", least + "; nonsense", ""},
	{"empty tag", least + ";; t=1", ""},
	{"two semicolons at the end", least + ";;", ""},
	{"tag without name", least + "; =1", ""},
	{"tag in upper case", least + "; T=1", ""},
	{"space in a tag's name", least + "; t =1", ""},
	{"tag name too long", least + "; " + strings.Repeat("x", maxTagName+1) + "=1", ""},
	{"quote", least + `; x="`, ""},
	{"backslash", least + `; x=\`, ""},
	{"line break", least + "; x=\n", ""},
	{"tab", strings.Replace(least, "; ", ";\t", 1), ""},
	{"not ASCII", least + "; x=\u00e4", ""},
	{"NUL", least + "; x=\x00", ""},
	{"too many tags", least + strings.Repeat("; x=1", maxTags), ""},
	{"too long", least + "; x=" + strings.Repeat("x", MaxSize), ""},
}

func servers(value string) string { return "v=P3DO1; k=ed25519; " + fpA + "; ks=" + value }

func TestParseRefuses(t *testing.T) {
	for _, tt := range refusals {
		got, err := Parse(tt.text)
		var bad *ParseError
		if !errors.As(err, &bad) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, error %v, want a ParseError", tt.name, got, err)
			continue
		}
		if bad.Tag != tt.tag || bad.Want == "" || !strings.Contains(err.Error(), bad.Want) {
			t.Errorf("%s: got %v, want it to name the tag %q", tt.name, err, tt.tag)
		}
	}
}

func TestCheckRefusesWhatParseWould(t *testing.T) {
	for tag, spoil := range map[string]func(*Record){
		"fp":  func(r *Record) { r.Fingerprint = pki.Fingerprint{} },
		"fp2": func(r *Record) { r.Next = r.Fingerprint },
		"ks":  func(r *Record) { r.KeyServers = nil },
		"o":   func(r *Record) { r.Onion = "x.onion" },
		"t":   func(r *Record) { r.Time = r.Time.Add(time.Nanosecond) },
	} {
		r := fullRecord()
		spoil(&r)
		var bad *ParseError
		if err := r.Check(); !errors.As(err, &bad) || bad.Tag != tag {
			t.Errorf("%s: got %v", tag, err)
		}
		if _, err := r.ZoneLine(domain(t, "a.test"), 60); err == nil {
			t.Errorf("%s: a zone line of an invalid record", tag)
		}
	}
}

func TestOwner(t *testing.T) {
	if got, err := Owner(domain(t, "a.test")); got != "_p3do.a.test" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Owner(pki.Domain{}); err == nil {
		t.Error("the zero domain has an owner")
	}
	label := strings.Repeat("a", 61) + "."
	if _, err := Owner(domain(t, strings.Repeat(label, 3)+strings.Repeat("a", 61))); err != nil {
		t.Error("247 bytes:", err)
	}
	if _, err := Owner(domain(t, strings.Repeat(label, 3)+strings.Repeat("a", 62))); err == nil {
		t.Error("248 bytes: accepted")
	}
}

// TestZoneLine reads the line back with a parser of zone files.
func TestZoneLine(t *testing.T) {
	for _, r := range []Record{leastRecord(), fullRecord(), largeRecord()} {
		line, err := r.ZoneLine(domain(t, "a.test"), 3600)
		if err != nil {
			t.Fatal(err)
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		txt := rr.(*dns.TXT)
		if txt.Hdr.Name != "_p3do.a.test." || txt.Hdr.Ttl != 3600 {
			t.Errorf("header %v", txt.Hdr)
		}
		for _, part := range txt.Txt {
			if len(part) > maxString {
				t.Errorf("a string of %d bytes", len(part))
			}
		}
		if got, err := Parse(strings.Join(txt.Txt, "")); err != nil || !got.Equal(r) {
			t.Errorf("got %v, error %v", got, err)
		}
	}
}

func records() *rapid.Generator[Record] {
	return rapid.Custom(func(t *rapid.T) Record {
		fp := rapid.Byte().Filter(func(b byte) bool { return b != 0 })
		r := Record{Fingerprint: fingerprint(fp.Draw(t, "fp"))}
		if next := fingerprint(rapid.Byte().Draw(t, "fp2")); next != r.Fingerprint {
			r.Next = next
		}
		server := rapid.StringMatching(`[a-z0-9]{1,20}\.[a-z]{1,9}:[1-9][0-9]{0,3}`)
		r.KeyServers = rapid.SliceOfNDistinct(server, 1, MaxKeyServers, rapid.ID).Draw(t, "ks")
		if rapid.Bool().Draw(t, "onion") {
			r.Onion = onion
		}
		if s := rapid.Int64Range(-1, 1<<36).Draw(t, "time"); s >= 0 {
			r.Time = time.Unix(s, 0).UTC()
		}
		return r
	})
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := records().Draw(t, "record")
		got, err := Parse(r.String())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(r) || !got.Time.Equal(r.Time) {
			t.Fatalf("%v came back as %v, error %v", r, got, err)
		}
	})
}

// FuzzParse: what is accepted has one canonical text, which parses to the same.
func FuzzParse(f *testing.F) {
	f.Add(least)
	f.Add(fullRecord().String())
	for _, tt := range refusals {
		if len(tt.text) < 400 {
			f.Add(tt.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			var bad *ParseError
			if !errors.As(err, &bad) {
				t.Fatalf("%q: %v is no ParseError", text, err)
			}
			return
		}
		canonical := r.String()
		again, err := Parse(canonical)
		if err != nil || again.String() != canonical {
			t.Fatalf("%q: canonical %q came back as %q, error %v", text, canonical, again, err)
		}
	})
}
