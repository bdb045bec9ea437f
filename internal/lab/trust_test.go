package lab

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	spelling "github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// Keys are attacked in a mesh of real processes, and what people and operators then see is
// what is promised (rows K1, K7, T3).
func TestTrust(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes most of a minute")
	}
	w := newStage(t)
	for _, name := range []string{"ann@a.test", "bob@b.test", "cid@c.test"} {
		who, _, _ := strings.Cut(name, "@")
		w.p3do(who, "new", name).exits(0)
	}
	w.p3do("ann", "send", "bob@b.test", "hello", "--wait", "60s").exits(0)
	for _, story := range []struct {
		name string
		play func(*stage)
	}{
		{"DNS alone", (*stage).dnsAlone},
		{"unknown contact", (*stage).unknownContact},
		{"another domain's signature", (*stage).anothersSignature},
		{"second certificate", (*stage).secondCertificate},
		{"home rotated meanwhile", (*stage).rotatedMeanwhile},
		{"home compromised", (*stage).homeCompromised},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.play(w.on(t)) }) {
			break // what follows is played on the same stage
		}
	}
}

// Only the record of b.test in DNS is swapped: who asks is told, who writes is warned and goes
// on, and each operator hears of it once.
func (w *stage) dnsAlone() {
	known, shown := w.record("b.test").Fingerprint, w.swap("b.test")
	w.told("b.test", node.EventDNS, 1)
	changed := fmt.Sprintf(`b.test changed its key in DNS \(%s\); ([2-4]) of ([2-4]) peers still vouch for the old one \(%s\)\.?$`, first(shown, 2), first(known, 1))
	w.p3do("ann", "check", "bob@b.test").exits(4).says("^p3do: error: "+changed, `^p3do: hint: p3do check bob@b.test --why`, "DNS names another key")
	w.p3do("ann", "check", "bob@b.test", "--why").exits(4).says("^  DNS, plain +"+spelling.Of(shown), "^  c.test +"+spelling.Of(known))
	w.p3do("ann", "check", "b.test").exits(4).says("^p3do: error: " + changed)
	sent := w.p3do("ann", "send", "bob@b.test", "all the same", "--wait", "60s").exits(0).says("stored")
	if !strings.HasPrefix(sent.err, "p3do: warning: b.test changed its key in DNS") {
		w.t.Errorf("no warning: %s", sent.err)
	}
	w.p3do("bob", "read", "--requests").exits(0).says("all the same")
	w.p3dod("c.test", "peer", "verify", "b.test").exits(4).says("DNS names another key; peers confirm the known one")

	// By the time at which all have seen another change, they have looked at b.test again.
	w.swap("e.test")
	w.told("e.test", node.EventDNS, 1)
	w.told("b.test", node.EventDNS, 1)
	w.heal("b.test")
	w.heal("e.test")
	w.told("e.test", node.EventDNS, 2)
	w.told("b.test", node.EventDNS, 2)
	for _, at := range []string{"a.test", "c.test", "d.test", "e.test"} {
		if n := w.logged(at, "b.test", node.EventDNS); n != 2 {
			w.t.Errorf("the log of %s has %d lines about it", at, n)
		}
		if all := w.journal(at, "b.test", node.EventHome); len(all) > 0 {
			w.t.Errorf("%s has been told of the servers of b.test: %q", at, all)
		}
	}
	w.await("views by which all is well", func() bool { return w.p3do("ann", "check", "bob@b.test").status == 0 })
	w.p3do("ann", "check", "bob@b.test").says("DNS agrees")
}

// A server that nobody countersigns has a record and users of its own. Nothing is sent to them,
// and nothing over it.
func (w *stage) unknownContact() {
	f := w.lonely()
	w.p3do("fay", "new", "fay@f.test").exits(0)
	before := w.sent("ann")
	for _, asked := range [][]string{{"send", "fay@f.test", "a secret"}, {"send", "fay@f.test", "a secret", "--dry-run"}, {"check", "fay@f.test"}} {
		w.p3do("ann", asked...).exits(1).says("^p3do: error: there is no fay@f.test: no server of f.test is known", "^p3do: hint: p3do check fay@f.test --direct")
		w.p3do("ann", append(asked, "--direct")...).exits(4).says("^p3do: error: f.test is unconfirmed: ", "^p3do: hint: p3do check fay@f.test --why")
	}
	var report struct{ Trust string }
	checked := w.p3do("ann", "check", "fay@f.test", "--json", "--direct").exits(4)
	checked.reads(&report)
	if report.Trust != "unconfirmed" {
		w.t.Errorf("fay is %q", report.Trust)
	}
	if after := w.sent("ann"); after != before {
		w.t.Errorf("before %+v, then %+v", before, after)
	}
	w.p3do("fay", "read", "--requests").exits(0).silent("secret")
	w.p3do("ann", "send", "bob@b.test", "over f", "--via", "f.test,d.test").exits(1).says("f.test")
	w.p3do("ann", "send", "nobody@g.test", "hello").exits(1).says("there is no nobody@g.test")

	// Nor is it let in if it wants to be a peer.
	w.exec("p3dod", "peer", "add", "a.test", "--dir", f.dir).exits(0)
	w.p3do("fay", "send", "ann@a.test", "hello").exits(4).says("a.test is unconfirmed") // she has nobody's word but that of her home
	w.p3dod("a.test", "peer", "list").exits(0).silent("f.test")
	w.p3do("ann", "read").exits(0).silent("fay|requests")
	w.p3do("ann", "read", "--requests").exits(0).silent("fay")
}

// A home certifies another key for the name of a user: contacts stop, and keep her key; she is
// told.
func (w *stage) secondCertificate() {
	w.p3do("ann", "send", "cid@c.test", "hello", "--wait", "60s").exits(0)
	w.p3do("cid", "read").exits(0).silent("hello")
	w.p3do("cid", "read", "--requests").exits(0).says("hello")
	w.p3do("cid", "send", "ann@a.test", "hello yourself", "--wait", "60s").exits(0)
	w.p3do("bob", "check", "ann@a.test").exits(0)
	var ann struct{ Words string }
	w.p3do("ann", "whoami", "--json").exits(0).reads(&ann)

	w.sql("a.test", "DELETE FROM pins WHERE kind = 'user' AND subject = 'ann@a.test'")
	w.sql("a.test", "DELETE FROM users WHERE name = 'ann@a.test'")
	w.p3do("evil", "new", "ann@a.test").exits(0)

	before := w.sent("bob")
	w.p3do("bob", "send", "ann@a.test", "a secret").exits(4).says(
		"^p3do: error: ann@a.test now shows a different key .* than the known one .*. Nothing was sent.$", "^p3do: hint: p3do check ann@a.test --why")
	w.p3do("cid", "check", "ann@a.test").exits(4).says("CHANGED: a.test shows another key")
	w.p3do("cid", "send", "ann@a.test", "a secret").exits(4).says("Nothing was sent.")
	w.p3do("bob", "check", "ann@a.test", "--why").exits(4).says("^  " + ann.Words) // the pin stays
	if after := w.sent("bob"); after != before {
		w.t.Errorf("before %+v, then %+v", before, after)
	}
	w.p3do("evil", "read", "--requests").exits(0).silent("secret")

	told := `your home shows another key \(.*\) than yours \(.*\) under your name ann@a.test`
	w.p3do("ann", "read").exits(0).says("^p3do: warning: " + told)
	w.p3do("ann", "status").exits(0).says("^p3do: warning: " + told)
	w.p3do("ann", "status", "--json").exits(0).says(`"own":"` + told)
	w.p3do("ann", "whoami").exits(0).says("^p3do: warning: " + told)
}

// A home goes over to its next key while a user is away. She finds out from the home itself,
// before she logs in, and is alarmed by nothing.
func (w *stage) rotatedMeanwhile() {
	was := w.record("c.test").Fingerprint
	fatal(w.t, w.rotate(w.ctx, act{w.of("c.test"), node.RoleCA}))
	is := w.record("c.test").Fingerprint
	if is == was {
		w.t.Fatal("the key of c.test is the same")
	}
	w.p3do("cid", "read").exits(0).silent("warning")
	w.p3do("cid", "check", "c.test", "--why").exits(0).says("^  you, so far +" + spelling.Of(is))
	w.p3do("cid", "send", "bob@b.test", "under the new key", "--wait", "60s").exits(0).silent("warning")
	w.p3do("bob", "read", "--requests").exits(0).says("under the new key").silent("warning")
}

// Another authority takes the addresses of b.test, its record and its key server: nothing is
// sent there, and all else goes on.
func (w *stage) homeCompromised() {
	known := w.record("b.test").Fingerprint
	w.p3do("bob", "login", "--via", "d.test").exits(0)
	shown := w.usurp("b.test")
	w.told("b.test", node.EventHome, 1)
	w.told("b.test", node.EventDNS, 3)

	before := w.sent("ann")
	refused := w.p3do("ann", "send", "bob@b.test", "a secret").exits(4).says(
		fmt.Sprintf(`^p3do: error: b\.test now shows a different key \(%s\), but %s still vouch for the old one \(%s\)\. Nothing was sent\.$`, first(shown, 2), vouching, first(known, 1)),
		fmt.Sprintf(`^p3do: hint: p3do check bob@b\.test --why   # if bob told you in person: p3do check bob@b\.test --accept %s$`, dashed(shown)))
	if refused.out != "" {
		w.t.Errorf("it says %q", refused.out)
	}
	if after := w.sent("ann"); after != before {
		w.t.Errorf("before %+v, then %+v", before, after)
	}
	w.p3do("ann", "check", "bob@b.test", "--why").exits(4).says("^  b.test itself +"+spelling.Of(shown), "^  c.test +"+spelling.Of(known))
	w.p3do("ann", "read").exits(0)
	w.p3do("ann", "send", "cid@c.test", "all is well here", "--wait", "60s").exits(0)

	// bob comes in elsewhere, and writes; who reads him is told that something is odd.
	w.p3do("bob", "read").exits(4)
	w.p3do("bob", "login", "bob@b.test", "--via", "d.test").exits(0).says("Connected through d.test")

	// Who has heard the words from bob himself takes the new key.
	w.p3do("ann", "check", "bob@b.test", "--accept", "otter-piano").exits(1)
	w.p3do("ann", "check", "bob@b.test", "--accept", dashed(shown)).exits(0).says("b.test verified by you, and confirmed by nobody else")
	w.p3do("ann", "check", "b.test", "--why").exits(4).says("^  you, so far +"+spelling.Of(shown), "^  c.test +"+spelling.Of(known))
	w.p3do("ann", "send", "bob@b.test", "a secret").exits(4) // her server has not taken it
	w.p3do("ann", "check", "bob@b.test", "--accept", dashed(known)).exits(0)
	w.p3do("ann", "check", "b.test", "--why").exits(4).says("^  you, so far +" + spelling.Of(known))
	if after := w.sent("ann"); after.Sent != before.Sent+1 { // to cid
		w.t.Errorf("before %+v, then %+v", before, after)
	}
}

// dashed are the words of a key as one argument.
func dashed(key pki.Fingerprint) string { return strings.ReplaceAll(spelling.Of(key), " ", "-") }

// A tally of what somebody has sent.
type outbox struct {
	Sent, Copies, Owed int
}

func (w *stage) sent(who string) (o outbox) {
	w.t.Helper()
	w.p3do(who, "status", "--json").reads(&o)
	return o
}

// lonely is the node of f.test, which has no peer.
func (w *stage) lonely() *process {
	w.t.Helper()
	p, err := w.newProcess(5)
	fatal(w.t, err)
	w.ends(p)
	fatal(w.t, w.publish(w.ctx, p))
	return p
}

// ends has a node end with the stage.
func (w *stage) ends(p *process) {
	w.stage.Cleanup(func() {
		if err := p.kill(); err != nil {
			w.t.Error(err)
		}
	})
}

// usurp ends the node of a domain, and has one of another authority serve where it did.
func (w *stage) usurp(domain string) pki.Fingerprint {
	w.t.Helper()
	victim := w.of(domain)
	fatal(w.t, victim.kill())
	p := &process{domain: victim.domain, dir: filepath.Join(w.home, "usurper"), ended: make(chan struct{})}
	c := w.nodeConfig(p.domain, MaxNodes)
	c.Listen = node.Listen{Link: victim.running.Link, KeyServer: victim.running.KeyServer}
	_, err := node.Init(p.dir, c, time.Now(), nil)
	fatal(w.t, err)
	fatal(w.t, p.start(w.cfg.Program))
	w.ends(p)
	fatal(w.t, w.publish(w.ctx, p))
	return p.fingerprint
}
