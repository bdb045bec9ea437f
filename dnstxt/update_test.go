package dnstxt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/internal/dnsserver"
)

const (
	tsigSecret  = "3CJPEY3nIWfLgCv+wTe1fWMm37JIhROUO+EsIKQh35U="
	otherSecret = "KHzlkVYssB5asDOV74aUGsVFYaF4cgY+aZktdaX+i8I="
)

func tsigKey(t testing.TB, name, algorithm, secret string) TSIGKey {
	t.Helper()
	key, err := ParseTSIGKey("key \"" + name + "\" {\n\talgorithm " + algorithm + ";\n\tsecret \"" + secret + "\";\n};\n")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// primaries are the two servers that take updates, as Debian has them.
var primaries = map[string]func(dnsserver.Test, dnsserver.Config) *dnsserver.Server{"knot": dnsserver.Knot, "bind": dnsserver.BIND}

// zones are two, and keys that may change one name in the first, or nothing there.
func zones(signed bool, records ...string) dnsserver.Config {
	return dnsserver.Config{
		Zones: []dnsserver.Zone{{Name: "a.test", Signed: signed, Records: records}, {Name: "b.test"}},
		Keys: []dnsserver.Key{
			{Name: "p3do", Secret: tsigSecret, Owner: "_p3do.a.test"},
			{Name: "long", Algorithm: "hmac-sha512", Secret: tsigSecret, Owner: "_p3do.a.test"},
			{Name: "other", Secret: tsigSecret, Owner: "_p3do.b.test"},
			{Name: "alias", Secret: tsigSecret, Owner: "_p3do.alias.a.test"},
		},
	}
}

func TestPublish(t *testing.T) {
	for name, run := range primaries {
		for _, signed := range []bool{false, true} {
			for _, algorithm := range []string{"hmac-sha256", "hmac-sha512"} {
				t.Run(name+" "+algorithm, func(t *testing.T) {
					key := map[string]string{"hmac-sha256": "p3do", "hmac-sha512": "long"}[algorithm]
					s := run(t, zones(signed))
					u := Updater{Server: s.Addr, Key: tsigKey(t, key, algorithm, tsigSecret), Dial: dial}
					for _, step := range []struct {
						record Record
						ttl    uint32
						want   Published
					}{
						{leastRecord(), 60, Published{Zone: "a.test", Changed: true, TTL: 60}},
						{leastRecord(), 60, Published{Zone: "a.test", TTL: 60}},
						{leastRecord(), 90, Published{Zone: "a.test", Changed: true, Removed: 1, TTL: 90}},
						{largeRecord(), 90, Published{Zone: "a.test", Changed: true, Removed: 1, TTL: 90}},
						{largeRecord(), 90, Published{Zone: "a.test", TTL: 90}},
					} {
						done, err := u.Publish(t.Context(), domain(t, "a.test"), step.record, step.ttl)
						if err != nil || done != step.want {
							t.Fatalf("%+v, %v; want %+v", done, err, step.want)
						}
						if got := s.Texts(t, "_p3do.a.test"); !slices.Equal(got, []string{step.record.String()}) {
							t.Fatalf("the zone has %q", got)
						}
					}
				})
			}
		}
	}
}

// Old records of ours go, also broken ones and several; what others have there stays.
func TestPublishKeepsOthers(t *testing.T) {
	others := []string{"v=P3DO2; something new", "v=spf1 -all", `with a " quote`}
	records := []string{
		`_p3do 77 TXT "v=spf1 -all"`, `_p3do 77 TXT "v=P3DO2; something new"`, `_p3do 77 TXT "with a \" quote"`,
		`_p3do 77 TXT "v=P3DO1; k=rsa"`, `_p3do 77 TXT "v=P3DO1"`, `* TXT "wild"`,
	}
	for name, run := range primaries {
		t.Run(name, func(t *testing.T) {
			s := run(t, zones(false, records...))
			u := Updater{Server: s.Addr, Key: tsigKey(t, "p3do", "hmac-sha256", tsigSecret), Dial: dial}
			done, err := u.Publish(t.Context(), domain(t, "a.test"), leastRecord(), 3600)
			if want := (Published{Zone: "a.test", Changed: true, Removed: 2, Kept: 3, TTL: 77}); err != nil || done != want {
				t.Fatalf("%+v, %v; want %+v", done, err, want)
			}
			want := append([]string{leastRecord().String()}, others...)
			slices.Sort(want)
			got := s.Texts(t, "_p3do.a.test")
			for i, text := range got {
				got[i] = strings.ReplaceAll(text, `\"`, `"`) // as the library hands it out
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the zone has %q, want %q", got, want)
			}
			if done, err := u.Publish(t.Context(), domain(t, "a.test"), leastRecord(), 3600); err != nil || done.Changed {
				t.Errorf("again: %+v, %v", done, err)
			}
		})
	}
}

// What a wildcard says at the name is not there: it keeps nobody from publishing, and stays.
func TestPublishUnderWildcard(t *testing.T) {
	for name, run := range primaries {
		for _, wild := range []string{`* 77 TXT "v=spf1 -all"`, `* 77 TXT "v=P3DO1; k=rsa"`, "* CNAME ns"} {
			for _, signed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s %v", name, wild, signed), func(t *testing.T) {
					s := run(t, zones(signed, wild))
					u := Updater{Server: s.Addr, Key: tsigKey(t, "p3do", "hmac-sha256", tsigSecret), Dial: dial}
					there := s.Texts(t, "other.a.test")
					done, err := u.Publish(t.Context(), domain(t, "a.test"), leastRecord(), 60)
					if want := (Published{Zone: "a.test", Changed: true, TTL: 60}); err != nil || done != want {
						t.Fatalf("%+v, %v; want %+v", done, err, want)
					}
					if got := s.Texts(t, "_p3do.a.test"); !slices.Equal(got, []string{leastRecord().String()}) {
						t.Errorf("the zone has %q", got)
					}
					if got := s.Texts(t, "other.a.test"); !slices.Equal(got, there) {
						t.Errorf("the wildcard is %q, and was %q", got, there)
					}
				})
			}
		}
	}
}

// Each reason why a server does not do it has a name, and the zone stays as it is.
func TestPublishRefused(t *testing.T) {
	for name, run := range primaries {
		s := run(t, zones(false, `_p3do TXT "v=P3DO1; k=rsa"`, "_p3do.alias CNAME _p3do"))
		p3do, other := tsigKey(t, "p3do", "hmac-sha256", tsigSecret), tsigKey(t, "other", "hmac-sha256", tsigSecret)
		for _, tt := range []struct {
			what, domain string
			u            Updater
			want         error
		}{
			{"a key that is not known", "a.test", Updater{Key: tsigKey(t, "stranger", "hmac-sha256", tsigSecret)}, ErrBadKey},
			{"another secret", "a.test", Updater{Key: tsigKey(t, "p3do", "hmac-sha256", otherSecret)}, ErrBadSecret},
			{"a key for another owner", "a.test", Updater{Key: other}, ErrRefused},
			{"a name that the key is not for", "sub.a.test", Updater{Key: p3do}, ErrRefused},
			{"a clock that is an hour ahead", "a.test", Updater{Key: p3do, skew: time.Hour}, ErrBadTime},
			{"a zone that is not there", "c.example", Updater{Key: p3do}, ErrRefused},
			{"another zone that is there", "a.test", Updater{Key: p3do, Zone: "b.test"}, ErrNotInZone},
			{"a zone above, which it has not", "a.test", Updater{Key: p3do, Zone: "test"}, ErrNotAuthoritative},
			{"an alias", "alias.a.test", Updater{Key: tsigKey(t, "alias", "hmac-sha256", tsigSecret)}, ErrOccupied},
		} {
			tt.u.Server, tt.u.Dial = s.Addr, dial
			_, err := tt.u.Publish(t.Context(), domain(t, tt.domain), leastRecord(), 60)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: %v, want %v", name, tt.what, err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), tsigSecret) || strings.Contains(err.Error(), otherSecret)) {
				t.Errorf("%s, %s: the error holds the secret", name, tt.what)
			}
		}
		// Without a signature.
		m := change("a.test.", "_p3do.a.test.", held{}, leastRecord(), 60)
		m.Answer = nil
		if a, err := unsigned(t, s.Addr, m); err != nil || a.Rcode != dns.RcodeRefused && a.Rcode != dns.RcodeNotAuth {
			t.Errorf("%s, unsigned: %v, %v", name, a, err)
		}
		if got := s.Texts(t, "_p3do.a.test"); !slices.Equal(got, []string{"v=P3DO1; k=rsa"}) {
			t.Errorf("%s: the zone has %q", name, got)
		}
	}
}

func unsigned(t *testing.T, address string, m *dns.Msg) (*dns.Msg, error) {
	conn, err := dial(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	if err := c.WriteMsg(m); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}

// A change is made only if the zone is as it was seen.
func TestPublishRaced(t *testing.T) {
	for name, run := range primaries {
		s := run(t, zones(false))
		u := Updater{Server: s.Addr, Key: tsigKey(t, "p3do", "hmac-sha256", tsigSecret), Dial: dial}
		if _, err := u.Publish(t.Context(), domain(t, "a.test"), leastRecord(), 60); err != nil {
			t.Fatal(err)
		}
		a, err := u.exchange(t.Context(), change("a.test.", "_p3do.a.test.", held{}, fullRecord(), 60))
		if err != nil || !errors.Is(fault(a), ErrRaced) {
			t.Errorf("%s: nothing was seen, and there is something: %v, %v", name, a, err)
		}
		seen := held{ours: []dns.RR{txt("_p3do.a.test.", "v=P3DO1; k=rsa")}}
		a, err = u.exchange(t.Context(), change("a.test.", "_p3do.a.test.", seen, fullRecord(), 60))
		if err != nil || !errors.Is(fault(a), ErrRaced) {
			t.Errorf("%s: something else was seen: %v, %v", name, a, err)
		}
		if got := s.Texts(t, "_p3do.a.test"); !slices.Equal(got, []string{leastRecord().String()}) {
			t.Errorf("%s: the zone has %q", name, got)
		}
	}
}

// What a server without the secret, or somebody on the way, answers is no success.
func TestUpdateAnswers(t *testing.T) {
	key := tsigKey(t, "p3do", "hmac-sha256", tsigSecret)
	u := Updater{Key: key}
	m := new(dns.Msg).SetQuestion("_p3do.a.test.", dns.TypeSOA)
	m.SetTsig(key.name, key.algorithm, fudge, time.Now().Unix())
	_, mac, err := dns.TsigGenerate(m, key.secret, "", false)
	if err != nil {
		t.Fatal(err)
	}
	m.SetTsig(key.name, key.algorithm, fudge, time.Now().Unix())
	answer := func(secret, mac string, edit func(*dns.Msg)) []byte {
		a := new(dns.Msg).SetReply(m)
		a.SetTsig(key.name, key.algorithm, fudge, time.Now().Unix())
		edit(a)
		raw, err := a.Pack()
		if a.IsTsig() != nil {
			raw, _, err = dns.TsigGenerate(a, secret, mac, false)
		}
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tsig := func(edit func(*dns.TSIG)) func(*dns.Msg) { return func(a *dns.Msg) { edit(a.IsTsig()) } }
	good := answer(tsigSecret, mac, same)
	if _, err := u.open(m, mac, good); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"no signature":           answer(tsigSecret, mac, func(a *dns.Msg) { a.Extra = nil }),
		"another secret":         answer(otherSecret, mac, same),
		"to another question":    answer(tsigSecret, strings.Repeat("00", 32), same),
		"another name":           answer(tsigSecret, mac, tsig(func(s *dns.TSIG) { s.Hdr.Name = "x." })),
		"a weaker algorithm":     answer(tsigSecret, mac, tsig(func(s *dns.TSIG) { s.Algorithm = dns.HmacSHA1 })),
		"an old answer":          answer(tsigSecret, mac, tsig(func(s *dns.TSIG) { s.TimeSigned -= 3600 })),
		"one bit":                flipped(good, len(good)-20),
		"another id":             flipped(good, 1),
		"a question":             answer(tsigSecret, mac, func(a *dns.Msg) { a.Response = false }),
		"an answer to something": answer(tsigSecret, mac, func(a *dns.Msg) { a.Opcode = dns.OpcodeNotify }),
		"cut":                    good[:len(good)-1],
		"nothing":                nil,
	} {
		if _, err := u.open(m, mac, raw); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func flipped(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

// A server that says nothing is waited for no longer than it says.
func TestPublishSilence(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	u := Updater{Server: listener.Addr().String(), Key: tsigKey(t, "p3do", "hmac-sha256", tsigSecret), Dial: dial, Timeout: 50 * time.Millisecond}
	if _, err := u.Publish(t.Context(), domain(t, "a.test"), leastRecord(), 60); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestParseTSIGKey(t *testing.T) {
	for name, text := range map[string]string{
		"tsig-keygen": "key \"p3do\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + tsigSecret + "\";\n};\n",
		"keymgr":      "# hmac-sha256:p3do:" + tsigSecret + "\nkey:\n  - id: p3do\n    algorithm: hmac-sha256\n    secret: " + tsigSecret + "\n",
		"by hand":     "// ours\nkey P3DO. { /* first\nthe */ secret " + tsigSecret + " ; # and\n algorithm HMAC-SHA256; };",
	} {
		key, err := ParseTSIGKey(text)
		if err != nil || key.Name() != "p3do" || key.secret != tsigSecret || key.algorithm != dns.HmacSHA256 {
			t.Errorf("%s: %q, %v", name, key.Name(), err)
		}
	}
	bind := func(name, algorithm, secret string) string {
		return "key \"" + name + "\" { algorithm " + algorithm + "; secret \"" + secret + "\"; };"
	}
	whole := bind("p3do", "hmac-sha256", tsigSecret)
	for name, text := range map[string]string{
		"nothing": "", "two keys": whole + whole, "sha1": bind("a", "hmac-sha1", tsigSecret), "md5": bind("a", "hmac-md5", tsigSecret),
		"no name": bind("", "hmac-sha256", tsigSecret), "the root": bind(".", "hmac-sha256", tsigSecret), "two dots": bind("a..b", "hmac-sha256", tsigSecret),
		"short": bind("a", "hmac-sha256", "AAAA"), "no base64": bind("a", "hmac-sha256", tsigSecret[:43]), "long": whole + strings.Repeat(" ", MaxKeyFile),
		"secret twice": "key a { secret " + tsigSecret + "; secret " + tsigSecret + "; };", "no secret": "key a { algorithm hmac-sha256; };",
	} {
		if _, err := ParseTSIGKey(text); !errors.Is(err, ErrKeyFile) || strings.Contains(err.Error(), tsigSecret[:20]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The secret is shown nowhere.
func TestTSIGKeyIsSecret(t *testing.T) {
	shownSecret(t, tsigKey(t, "p3do", "hmac-sha256", tsigSecret))
}

func FuzzParseTSIGKey(f *testing.F) {
	f.Add("key \"p3do\" {\n\talgorithm hmac-sha256;\n\tsecret \"" + tsigSecret + "\";\n};\n")
	f.Add("key:\n  - id: p3do\n    algorithm: hmac-sha256\n    secret: " + tsigSecret + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseTSIGKey(text)
		if err != nil {
			return
		}
		u, m := Updater{Key: key}, new(dns.Msg).SetQuestion("a.test.", dns.TypeSOA)
		m.SetTsig(u.Key.name, u.Key.algorithm, fudge, 1)
		if _, _, err := dns.TsigGenerate(m, u.Key.secret, "", false); err != nil {
			t.Errorf("a key that does not sign: %v", err)
		}
	})
}

// An update's answer comes from a server that may be anybody.
func FuzzUpdateAnswer(f *testing.F) {
	key := tsigKey(f, "p3do", "hmac-sha256", tsigSecret)
	m := new(dns.Msg).SetQuestion("_p3do.a.test.", dns.TypeTXT)
	m.Id = 7
	a := new(dns.Msg).SetReply(m)
	a.SetTsig(key.name, key.algorithm, fudge, 1)
	raw, mac, err := dns.TsigGenerate(a, key.secret, "", false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := (Updater{Key: key}).open(m, mac, raw); err == nil {
			t.Error("forged")
		}
	})
}

func shownSecret(t *testing.T, key TSIGKey) {
	t.Helper()
	asJSON, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s", key, key, key, key), string(asJSON), key.LogValue().String()} {
		if strings.Contains(shown, tsigSecret) || !strings.Contains(shown, "secret") {
			t.Errorf("shown: %s", shown)
		}
	}
}

// What is in the zone already is asked for, and never put there again: no update leaves.
func TestPublishOnce(t *testing.T) {
	for name, run := range primaries {
		t.Run(name, func(t *testing.T) {
			s := run(t, zones(false, `_p3do TXT "v=spf1 -all"`))
			sent := &recorder{}
			u := Updater{Server: s.Addr, Key: tsigKey(t, "p3do", "hmac-sha256", tsigSecret), Dial: sent.dial}
			for i, want := range []int{1, 0, 0} {
				sent.updates, sent.messages = 0, 0
				done, err := u.Publish(t.Context(), domain(t, "a.test"), largeRecord(), 60)
				if err != nil || done.Changed != (i == 0) || sent.updates != want || sent.messages < 2 {
					t.Errorf("%d: %+v, %v: %d updates in %d messages", i, done, err, sent.updates, sent.messages)
				}
			}
		})
	}
}

// A recorder counts the messages that are sent, each in one write, and which of them are updates.
type recorder struct{ messages, updates int }

func (r *recorder) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := dial(ctx, network, address)
	return recorded{c, r}, err
}

type recorded struct {
	net.Conn
	by *recorder
}

// Write takes a message with its length of 2 before it: its opcode is in octet 4.
func (c recorded) Write(b []byte) (int, error) {
	if c.by.messages++; len(b) > 4 && int(b[4]>>3&0xf) == dns.OpcodeUpdate {
		c.by.updates++
	}
	return c.Conn.Write(b)
}
