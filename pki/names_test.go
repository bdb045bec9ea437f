package pki

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDomain(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	domain253 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	good := []string{
		"a.test", "a-b.test", "xn--mnchen-3ya.example", "1.2.3.a4", "sub.a.test", domain253,
		label63 + ".test", "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion",
	}
	for _, text := range good {
		d, err := ParseDomain(text)
		if err != nil || d.String() != text {
			t.Errorf("ParseDomain(%q) = %q, %v", text, d, err)
		}
	}
	bad := []string{
		"", "test", ".test", "a.", "a.test.", "a..test", "A.test", "a.TEST", "münchen.example", "a_b.test",
		"-a.test", "a-.test", "a.test\n", " a.test", "a test.x", "127.0.0.1", "[::1]", "a.test:80", "a@b.test",
		"*.a.test", "a\x00.test", label63 + "a.test", domain253 + "b", "\u212a.test",
	}
	for _, text := range bad {
		if d, err := ParseDomain(text); err == nil {
			t.Errorf("ParseDomain(%q) = %q, want an error", text, d)
		}
	}
}

func TestParseName(t *testing.T) {
	good := []string{"ann@a.test", "a.b_c-d@a.test", "1@a.test", "-@a.test", strings.Repeat("x", 64) + "@a.test"}
	for _, text := range good {
		n, err := ParseName(text)
		if err != nil || n.String() != text {
			t.Errorf("ParseName(%q) = %q, %v", text, n, err)
		}
	}
	bad := []string{
		"", "@", "ann", "ann@", "@a.test", "ann@test", "Ann@a.test", "ann@A.test", ".ann@a.test", "ann.@a.test",
		"a..b@a.test", `"a@b"@a.test`, "ann@b@a.test", "an n@a.test", "ann @a.test", "ann@ a.test", "änn@a.test",
		"ann+x@a.test", "ann\x00@a.test", "ann@a.test ", strings.Repeat("x", 65) + "@a.test", "ann@127.0.0.1",
	}
	for _, text := range bad {
		if n, err := ParseName(text); err == nil {
			t.Errorf("ParseName(%q) = %q, want an error", text, n)
		}
	}
}

func TestParseErrorsQuoteAndTeach(t *testing.T) {
	_, err := ParseName("Ann@a.test")
	for _, want := range []string{`"Ann@a.test"`, "a-z"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not hold %q", err, want)
		}
	}
	_, err = ParseDomain(strings.Repeat("\x1b", 10_000))
	if err == nil || len(err.Error()) > 600 || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("an error of %d bytes for a long hostile text, or one with raw control bytes", len(err.Error()))
	}
}

func TestNamesSurviveJSON(t *testing.T) {
	type record struct {
		Name   Name
		Domain Domain
		Key    Fingerprint
	}
	in := record{mustName(t, "ann@a.test"), mustDomain(t, "b.test"), Fingerprint{1, 2, 3}}
	text := must[[]byte](t)(json.Marshal(in))
	var out record
	if err := json.Unmarshal(text, &out); err != nil || in != out {
		t.Fatalf("%s came back as %v, %v", text, out, err)
	}
	for _, bad := range []string{`{"Name":""}`, `{"Domain":"test"}`, `{"Key":"x"}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if _, err := json.Marshal(record{}); err == nil {
		t.Error("the zero Name was written")
	}
}

func TestFingerprintText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Fingerprint(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "bytes"))
		text := f.String()
		if back, err := ParseFingerprint(text); err != nil || back != f || len(text) != FingerprintTextSize {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestParseFingerprintRefuses(t *testing.T) {
	good := Fingerprint{}.String()
	bad := []string{
		"", good[1:], good + "A", good + "=", good[:42] + "B" /* stray bits */, "+" + good[1:], "/" + good[1:],
		"\n" + good[1:], good[:42] + "\n", good[:40] + "\r\n" + good[:1], " " + good[1:],
	}
	for _, text := range bad {
		if _, err := ParseFingerprint(text); err == nil {
			t.Errorf("ParseFingerprint(%q) was accepted", text)
		}
	}
}

func TestCheckPin(t *testing.T) {
	pin := Pin{Subject: "a.test", Key: Fingerprint{1}}
	if err := pin.Check(Fingerprint{1}); err != nil {
		t.Fatal(err)
	}
	err := pin.Check(Fingerprint{2})
	var changed *KeyChangedError
	if !errors.As(err, &changed) || changed.Subject != "a.test" || changed.Pinned != pin.Key || changed.Shown != (Fingerprint{2}) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"a.test", pin.Key.String(), changed.Shown.String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		now  time.Time
		want Period
	}{
		{time.Unix(-1, 0), 0}, {time.Unix(0, 0), 0}, {time.Unix(604799, 0), 0}, {time.Unix(604800, 0), 1},
		{testNow, 2968},
	} {
		if got := PeriodAt(c.now); got != c.want {
			t.Errorf("PeriodAt(%v) = %d, want %d", c.now, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(0, lastSecond).Draw(t, "now"), 0)
		p := PeriodAt(now)
		if now.Before(p.Start()) || !now.Before(p.End()) || p.End() != (p+1).Start() {
			t.Fatalf("%v is not in period %d: %v to %v", now, p, p.Start(), p.End())
		}
	})
}

func TestCheckEndpoint(t *testing.T) {
	good := []string{"127.0.0.1:1", "a.test:65535", "localhost:7001", "[::1]:80", "[2001:db8::1]:7001", "x.onion:1"}
	for _, text := range good {
		if err := CheckEndpoint(text); err != nil {
			t.Error(err)
		}
	}
	bad := []string{
		"", ":", "a.test", "a.test:", ":80", "a.test:0", "a.test:080", "a.test:65536", "a.test:+1", "a.test:http",
		"A.test:80", "a..test:80", "1.2.3:80", "1.2.3.04:80", "256.1.1.1:80", "::1:80", "[::1:80", "::1]:80", "[1.2.3.4]:80",
		"[fe80::1%eth0]:80", "[0:0::1]:80", "[2001:DB8::1]:80", "a.test:80\n", "a/b:80", "u@a.test:80",
		strings.Repeat("a.", 126) + "ab:80", "[::ffff:1.2.3.4%x]:1",
	}
	for _, text := range bad {
		if err := CheckEndpoint(text); err == nil {
			t.Errorf("CheckEndpoint(%q) accepts it", text)
		}
	}
}

func TestJoinDomains(t *testing.T) {
	var all []Domain
	for i, want := range []string{"", "a.test", "a.test and b.test", "a.test, b.test and c.test"} {
		if got := JoinDomains(all, " and "); got != want {
			t.Errorf("of %d: %q, want %q", i, got, want)
		}
		all = append(all, mustDomain(t, string(rune('a'+i))+".test"))
	}
	if got := JoinDomains(all[:3], ", "); got != "a.test, b.test, c.test" {
		t.Errorf("with commas: %q", got)
	}
}
