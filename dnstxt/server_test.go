package dnstxt

import (
	"strings"
	"testing"
)

const (
	pinA = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	pinB = "+/////////////////////////////////////////8="
)

func TestParseServer(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1:53", "[::1]:53", "192.0.2.1:65535",
		"tls://192.0.2.1:853?pin=" + pinA,
		"tls://[2001:db8::1]:853?pin=" + pinA + "&pin=" + pinB + "&name=dns.example",
		"https://192.0.2.1:443/dns-query?pin=" + pinB + "&name=dns.example",
		"https://192.0.2.1:443/a/b~c.d_e-f?pin=" + pinA,
	} {
		s, err := ParseServer(text)
		if err != nil || s.String() != text || s.IsZero() {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for text, canonical := range map[string]string{
		"tcp://127.0.0.1:53": "127.0.0.1:53",
		"tls://192.0.2.1:853?name=dns.example&pin=" + pinA: "tls://192.0.2.1:853?pin=" + pinA + "&name=dns.example",
	} {
		if s, err := ParseServer(text); err != nil || s.String() != canonical {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	if s := (Server{}); s.String() != "" || !s.IsZero() {
		t.Errorf("no server is %q", s)
	}
}

func TestParseServerRefuses(t *testing.T) {
	tls, web := "tls://192.0.2.1:853?", "https://192.0.2.1:443/dns-query?"
	for text, want := range map[string]string{
		"":                                  "IP address and a port",
		"127.0.0.1":                         "such as 127.0.0.1:53",
		"localhost:53":                      "a name would have to be looked up",
		"dns.example:53":                    "a name would have to be looked up",
		"127.0.0.1:0":                       "a port from 1",
		"127.0.0.1:65536":                   "IP address and a port",
		"127.0.0.1:053":                     "short spelling",
		"[::0]:53":                          "short spelling",
		"[fe80::1%eth0]:53":                 "without a zone",
		"udp://127.0.0.1:53":                "tls://IP:PORT?pin=PIN",
		"127.0.0.1:53?pin=" + pinA:          "for tls:// and https:// only",
		"tls://192.0.2.1:853":               "no authority is trusted without",
		"tls://dns.example:853?pin=" + pinA: "a name would have to be looked up",
		tls:                                 "want pin=PIN",
		tls + "name=dns.example":            "want pin=PIN",
		tls + "pin=":                        "44 characters",
		tls + "pin=" + pinA[:43]:            "44 characters",
		tls + "pin=" + pinA[:42] + "F=":     "44 characters", // spare bits set
		tls + "pin=" + pinA + "\n":          "44 characters",
		tls + "pin=" + pinA + "&name=":      "name: ",
		tls + "pin=" + pinA + "&name=DNS.x": "name: ",
		tls + "pin=" + pinA + "&ca=/etc/x":  `"ca=/etc/x" is not`,
		tls + "pin=" + pinA + "&name=a.test&name=b.test": "once",
		tls + strings.Repeat("&pin="+pinA, 5)[1:]:        "at most 4 pins",
		"https://192.0.2.1:443?pin=" + pinA:              "want a path",
		"https://192.0.2.1:443/?pin=" + pinA:             "want a path",
		"https://192.0.2.1:443//x?pin=" + pinA:           "want a path",
		"https://192.0.2.1:443/a/../b?pin=" + pinA:       "want a path",
		"https://192.0.2.1:443/%2e?pin=" + pinA:          "want a path",
		"https://u@192.0.2.1:443/x?pin=" + pinA:          "IP address and a port",
		web + "pin=" + pinA + "#x":                       "44 characters",
		"127.0.0.1:53" + strings.Repeat("0", 512):        "at most 512",
	} {
		if s, err := ParseServer(text); err == nil || !strings.Contains(err.Error(), want) || !s.IsZero() {
			t.Errorf("%q: %v, %v, want %q", text, s, err, want)
		}
	}
}

// What is read is written so that it is read alike.
func FuzzParseServer(f *testing.F) {
	for _, text := range []string{
		"127.0.0.1:53", "tcp://[::1]:53", "tls://192.0.2.1:853?pin=" + pinA + "&name=a.test", "https://192.0.2.1:443/dns-query?pin=" + pinA, "tls://x?y", "https:///?",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text)
		if err != nil {
			return
		}
		again, err := ParseServer(s.String())
		if err != nil || again.String() != s.String() || s.encrypted() != (len(s.pins) > 0) || !s.at.IsValid() {
			t.Fatalf("%q is %q, and that %q, %v", text, s, again, err)
		}
	})
}

func TestParseAnchors(t *testing.T) {
	root := RootAnchors()
	if len(root.zones) != 1 || len(root.of(".")) != 2 || !root.enclose("a.test.") {
		t.Errorf("the root's: %v", root)
	}
	k := newKit("Test.", 1)
	both, err := ParseAnchors("; of two kinds\n" + k.key.String() + "\n" + newKit("b.example.", 2).ds().String())
	if err != nil || len(both.zones) != 2 || !names(both.of("test.")[0], k.key) || both.enclose("x.example.") || !both.enclose("x.test.") {
		t.Errorf("%v, %v", both, err)
	}
	sha1 := ". IN DS 1 8 1 " + strings.Repeat("00", 20)
	for text, want := range map[string]string{
		"":            "no DS or DNSKEY",
		"; nothing\n": "no DS or DNSKEY",
		sha1:          "want a DS record with digest 2 or 4",
		". IN DS 1 5 2 " + strings.Repeat("00", 32):                                  "of algorithm 8, 13, 14 or 15",
		". CH DS 1 8 2 " + strings.Repeat("00", 32):                                  "want a DS",
		". IN A 192.0.2.1":                                                           "the A record",
		". IN DS 1 8 2 x":                                                            "trust anchors",
		"$GENERATE 1-60000 $ IN DS 1 8 2 " + strings.Repeat("00", 32):                "begins with $",
		"  $INCLUDE /etc/passwd":                                                     "begins with $",
		strings.Repeat(". IN DS 1 8 2 "+strings.Repeat("00", 32)+"\n", maxAnchors+1): "more than 64",
		strings.Repeat(";", maxAnchorsText+1):                                        "more than 65536",
	} {
		if got, err := ParseAnchors(text); err == nil || !strings.Contains(err.Error(), want) || len(got.zones) != 0 {
			t.Errorf("%.40q: %v, %v, want %q", text, got, err, want)
		}
	}
}

// Any text gives anchors that can be compared with a key, or an error.
func FuzzParseAnchors(f *testing.F) {
	f.Add(rootAnchors)
	f.Add(newKit("test.", 1).key.String())
	f.Add("$ORIGIN x\n")
	f.Add("(\n. IN DS 1 8 2 00")
	f.Fuzz(func(t *testing.T, text string) {
		anchors, err := ParseAnchors(text)
		if err == nil && len(anchors.zones) == 0 {
			t.Fatal("no anchors")
		}
		for zone, all := range anchors.zones {
			for _, ds := range all {
				if !canEntrust(ds) || !anchors.enclose("x."+strings.TrimPrefix(zone, ".")) {
					t.Fatalf("%q: %v", text, ds)
				}
			}
		}
	})
}
