package main

import "strings"

// names are what ParseDomain, ParseName, ParseFingerprint and CheckEndpoint
// accept and refuse.
func names() []vector {
	var out []vector
	add := func(kind, expect string, texts ...string) {
		for _, text := range texts {
			out = append(out, vector{
				Kind: kind, Comment: expect + " this spelling", Expect: expect, In: map[string]string{"text": text},
			})
		}
	}
	label := strings.Repeat("a", 63)
	longest := strings.Repeat(label+".", 3) + strings.Repeat("b", 61)
	add("domain", "accept", "a.test", "a-b.c1.test", "xn--mnchen-3ya.example", "1.2.3.a4", label+".test", longest)
	add("domain", "refuse", "", "test", ".test", "a.test.", "a..test", "A.test", "a_b.test", "-a.test", "a-.test", "127.0.0.1",
		"a.test:80", "m\u00fcnchen.example", "*.a.test", label+"a.test", longest+"b")
	add("name", "accept", "ann@a.test", "a.b_c-d@a.test", strings.Repeat("x", 64)+"@a.test")
	add("name", "refuse", "", "ann", "@a.test", "ann@test", "Ann@a.test", "ann@A.test", ".ann@a.test", "ann.@a.test", "a..b@a.test",
		"\"a@b\"@a.test", "ann@b@a.test", "ann @a.test", "ann+x@a.test", strings.Repeat("x", 65)+"@a.test")
	zeros := strings.Repeat("A", 43)
	add("fingerprint", "accept", zeros, "-_8"+zeros[3:])
	add("fingerprint", "refuse", "", zeros[1:], zeros+"=", zeros[1:]+"B", "+"+zeros[1:], "\n"+zeros[1:])
	add("endpoint", "accept", "127.0.0.1:7001", "[2001:db8::1]:7001", "node.a.test:65535", "localhost:1")
	add("endpoint", "refuse", "", "a.test", ":80", "a.test:0", "a.test:080", "a.test:65536", "A.test:80", "1.2.3:80", "[127.0.0.1]:80",
		"[2001:DB8::1]:80", "[::1]")
	return out
}
