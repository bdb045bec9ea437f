package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/internal/dnsserver"
)

// A scriptTest lets other people's name servers end with a script.
type scriptTest struct{ *testscript.TestScript }

func (t scriptTest) Helper()                          {}
func (t scriptTest) Cleanup(f func())                 { t.Defer(f) }
func (t scriptTest) Skipf(format string, args ...any) { t.Fatalf(format, args...) }

// hasPrograms is the condition [programs:NAME,NAME]: they are on this machine. It is an error
// if one is not, and P3DO_REQUIRE names it.
func hasPrograms(cond string) (bool, error) {
	names, ok := strings.CutPrefix(cond, "programs:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	required := strings.Split(os.Getenv("P3DO_REQUIRE"), ",")
	for name := range strings.SplitSeq(names, ",") {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if _, err := exec.LookPath("/usr/sbin/" + name); err == nil {
			continue
		}
		if slices.Contains(required, name) {
			return false, fmt.Errorf("%s is required and not installed", name)
		}
		return false, nil
	}
	return true, nil
}

// tsigFile is what tsig-keygen and keymgr -t write, as far as a server must be told of it.
var tsigFile = regexp.MustCompile(`(?s)(?:key "|id: )([^"\s]+).*?(hmac-sha[0-9]+).*?([A-Za-z0-9+/]{43,}=*)`)

// nameServer KIND ZONE OWNER KEYFILE [LINE...] starts knot or bind with a zone of these lines
// and a key that may change TXT at OWNER. Its address is in $NS,
// and, if it signs, what a resolver must be told to trust in the file "anchors".
func nameServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: nameserver knot|knot-signed|bind|bind-signed ZONE OWNER KEYFILE [LINE...]")
	}
	kind, signed := strings.CutSuffix(args[0], "-signed")
	key := tsigFile.FindStringSubmatch(strings.TrimLeft(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(ts.ReadFile(args[3]), ""), "\n"))
	if key == nil {
		ts.Fatalf("no key in %s", args[3])
	}
	run := map[string]func(dnsserver.Test, dnsserver.Config) *dnsserver.Server{"knot": dnsserver.Knot, "bind": dnsserver.BIND}[kind]
	s := run(scriptTest{ts}, dnsserver.Config{
		Zones: []dnsserver.Zone{{Name: args[1], Signed: signed, Records: args[4:]}},
		Keys:  []dnsserver.Key{{Name: key[1], Algorithm: key[2], Secret: key[3], Owner: args[2]}},
	})
	ts.Setenv("NS", s.Addr)
	if signed {
		ts.Check(os.WriteFile(ts.MkAbs("anchors"), []byte(strings.Join(s.Anchors(scriptTest{ts}, args[1]), "\n")+"\n"), 0o600))
	}
}

// stub ZONE [ANCHORS] starts unbound, which asks $NS for a zone, and verifies it from the anchors
// in a file. Its address is in $P3DO_DNS.
func stub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: stub ZONE [ANCHORS]")
	}
	r := dnsserver.Resolver{Stubs: map[string]string{args[0]: ts.Getenv("NS")}}
	if len(args) == 2 {
		r.Anchors = strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n")
	}
	ts.Setenv("P3DO_DNS", dnsserver.Unbound(scriptTest{ts}, r).Addr)
}

// zoneTexts NAME writes the TXT records at a name, as $NS has them, into the file "texts".
func zoneTexts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: zonetexts NAME")
	}
	s := dnsserver.Server{Addr: ts.Getenv("NS")}
	ts.Check(os.WriteFile(ts.MkAbs("texts"), []byte(strings.Join(s.Texts(scriptTest{ts}, args[0]), "\n")+"\n"), 0o600))
}

// responder starts a name server that answers what "say" tells it to. Its address is in $P3DO_DNS.
func responder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: responder")
	}
	file := ts.MkAbs("answers")
	ts.Check(os.WriteFile(file, nil, 0o600))
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		raw, err := os.ReadFile(file)
		for line := range strings.Lines(string(raw)) {
			var rr dns.RR
			if rr, err = dns.NewRR(line); err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
		if err != nil || w.WriteMsg(m) != nil {
			dns.HandleFailed(w, q)
		}
	})
	udp, tcp, err := dnsserver.Listen()
	ts.Check(err)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		ended := make(chan error, 1)
		go func() { ended <- s.ActivateAndServe() }()
		ts.Defer(func() { _ = s.Shutdown(); <-ended })
	}
	ts.Setenv("P3DO_DNS", tcp.Addr().String())
}

// say [LINE...] tells the responder what to answer to everything: lines of a zone file.
func say(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: say [LINE...]")
	}
	ts.Check(os.WriteFile(ts.MkAbs("answers"), []byte(strings.Join(args, "\n")), 0o600))
}
