package mor_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// post is a sender of ann@a.test, and servers that peel what she makes. No router is in
// between: this is the inner tier alone.
type post struct {
	*mor.Sender
	cfg     mor.SenderConfig
	servers []*server
	saved   []mor.Outgoing
	doubts  map[pki.Domain]mor.Doubt
	made    int      // copies, as deliver counts them
	young   []string // servers that no other has stood by for long
}

func newPost(names ...string) *post {
	p := &post{doubts: make(map[pki.Domain]mor.Doubt)}
	for _, name := range names {
		p.servers = append(p.servers, newServer(name, 1, nil))
	}
	p.cfg = mor.SenderConfig{Rand: stream("ann"), Entry: p.domain("a"), Home: p.domain("a")}
	p.restart()
	return p
}

func (p *post) restart() {
	p.cfg.Outbox, p.cfg.Doubts = p.saved, slices.Collect(maps.Values(p.doubts))
	p.Sender = mor.NewSender(p.cfg)
	var servers []mor.Server
	for _, s := range p.servers {
		young := slices.ContainsFunc(p.young, func(name string) bool { return p.domain(name) == s.cfg.Domain })
		servers = append(servers, mor.Server{Domain: s.cfg.Domain, Key: s.key.Public(), Young: young})
	}
	p.SetServers(servers)
}

func (p *post) domain(name string) pki.Domain { return must(pki.ParseDomain(name + ".test")) }

func (p *post) bob(spools ...string) mor.Address {
	to := mor.Address{Secret: [32]byte{0xb0}, Identity: pki.Fingerprint{0xb0}}
	for _, s := range spools {
		to.Spools = append(to.Spools, p.domain(s))
	}
	return to
}

func letterTo(to mor.Address) mor.Outgoing {
	return mor.Outgoing{ID: mor.MessageID{7}, To: to, Sealed: make([]byte, mor.SealedSize), Hops: 2, Reply: onion.Mailbox{0xa}}
}

// did keeps what is to be saved.
func (p *post) did(out mor.SenderOutput) mor.SenderOutput {
	for _, d := range out.Doubts {
		if p.doubts[d.Relay] = d; d.Copies == 0 {
			delete(p.doubts, d.Relay)
		}
	}
	for _, o := range out.Save {
		o.Waiting = slices.Clone(o.Waiting)
		i := slices.IndexFunc(p.saved, func(old mor.Outgoing) bool { return old.ID == o.ID })
		if i < 0 {
			p.saved = append(p.saved, o)
		} else {
			p.saved[i] = o
		}
	}
	return out
}

// walk peels in through the servers, and returns what comes out at the end and the names
// of those who peeled.
func (p *post) walk(t *testing.T, first onion.ServerID, in onion.Inner) (end onion.InnerPeel, route []string) {
	t.Helper()
	for {
		i := slices.IndexFunc(p.servers, func(s *server) bool { return s.key.Public().ID() == first })
		if i < 0 {
			t.Fatal("a layer for nobody")
		}
		peel, err := onion.PeelInner(p.servers[i].key, in)
		if err != nil {
			t.Fatal(err)
		}
		route = append(route, p.servers[i].name)
		if peel.Command != onion.Forward {
			return peel, route
		}
		first, in = peel.Next, peel.Inner
	}
}

// receipt has the spool answer a copy.
func (p *post) receipt(t *testing.T, s mor.Submission, status mor.ReceiptStatus) (onion.SURBID, []byte) {
	t.Helper()
	end, _ := p.walk(t, s.Entry.First, s.Entry.Inner)
	l := must(mor.ParseLetter(end.Payload))
	reply := must(l.SURB.Use(mor.Receipt{ID: l.ID, Status: status}.Marshal()))
	back, _ := p.walk(t, l.SURB.First(), reply)
	return back.SURB, back.Body
}

func TestRoutes(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e")
	twin := newServer("c", 1, nil) // a second server of c.test
	p.servers = append(p.servers, twin)
	p.restart()
	for _, c := range []struct {
		name  string
		hops  int
		via   string
		to    string
		wrong string // a part of the error
	}{
		{name: "two relays", hops: 2, to: "b"},
		{name: "three relays", hops: 3, to: "b"},
		{name: "at home", hops: 3, to: "a"},
		{name: "one relay", hops: 1, to: "b", wrong: "2 or 3"},
		{name: "none", hops: 0, to: "b", wrong: "2 or 3"},
		{name: "four", hops: 4, to: "b", wrong: "2 or 3"},
		{name: "to nowhere", hops: 2, wrong: "no server"},
		{name: "to an unknown server", hops: 2, to: "z", wrong: "no server of z.test"},
		{name: "as given", hops: 2, via: "d c", to: "b"},
		{name: "three as given", hops: 2, via: "e d c", to: "b"},
		{name: "one given", hops: 2, via: "d", to: "b", wrong: "1 relays"},
		{name: "four given", hops: 2, via: "c d e c", to: "b", wrong: "4 relays"},
		{name: "one twice", hops: 2, via: "d d", to: "b", wrong: "twice"},
		{name: "the entry", hops: 2, via: "d a", to: "b", wrong: "at an end"},
		{name: "the mailbox server", hops: 2, via: "b d", to: "b", wrong: "at an end"},
		{name: "one that is not known", hops: 2, via: "d x", to: "b", wrong: "no server of x.test"},
	} {
		o := letterTo(p.bob(strings.Fields(c.to)...))
		o.Hops = c.hops
		for _, name := range strings.Fields(c.via) {
			o.Via = append(o.Via, p.domain(name))
		}
		p.restart()
		out, route, err := p.Send(start, o)
		var wrong *mor.RouteError
		switch {
		case c.wrong != "":
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.wrong) || len(out.Save)+len(out.Submit) != 0 {
				t.Errorf("%s: %v", c.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		default:
			_, peeled := p.walk(t, out.Submit[0].Entry.First, out.Submit[0].Entry.Inner)
			p.wantRoute(t, c.name, route, peeled, c.to, c.hops, c.via)
		}
	}
}

// wantRoute compares a route, and who really peeled, with the rules.
func (p *post) wantRoute(t *testing.T, name string, route mor.Route, peeled []string, to string, hops int, via string) {
	t.Helper()
	if want := "a.test -> " + strings.Join(peeled, ".test -> ") + ".test"; route.String() != want {
		t.Errorf("%s: said %s, took %s", name, route, want)
	}
	relays := peeled[:len(peeled)-1]
	if via != "" {
		if strings.Join(relays, " ") != via {
			t.Errorf("%s: went by %s", name, relays)
		}
		return
	}
	slices.Sort(relays)
	if len(relays) != hops || len(slices.Compact(relays)) != hops || slices.Contains(relays, "a") || slices.Contains(relays, to) {
		t.Errorf("%s: %s", name, route)
	}
}

// Too few candidates is an error, never a shorter route; not even when the way there is
// given and only the way back is too short.
func TestTooFewRelays(t *testing.T) {
	p := newPost("a", "b", "c")
	var wrong *mor.RouteError
	if _, err := p.Plan(start, p.bob("b"), 2, nil); !errors.As(err, &wrong) {
		t.Error(err)
	}
	if out, _, err := p.Send(start, letterTo(p.bob("b"))); !errors.As(err, &wrong) || len(out.Submit) != 0 || !p.Tick(start).Wake.IsZero() {
		t.Error(err, "or something is kept")
	}
	p = newPost("a", "b", "c", "d")
	if route, err := p.Plan(start, p.bob("b"), 2, nil); err != nil || len(route) != 4 {
		t.Error(route, err)
	}
	if _, err := p.Plan(start, p.bob("b"), 3, nil); !errors.As(err, &wrong) {
		t.Error(err)
	}
}

// All routes are drawn, none is preferred.
func TestStates(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e")
	out, _, err := p.Send(start, letterTo(p.bob("b")))
	if err != nil || out.Save[0].State != mor.Queued || len(out.Save[0].Waiting) != 1 {
		t.Fatal(err, out.Save)
	}
	copied, made := out.Submit[0], out.Save[0].Made
	if len(made) != 1 || made[0].Inner != copied.Entry.Inner.ID() || !slices.Equal(made[0].There, copied.Route) || len(made[0].Back) != 2 || !made[0].Receipt.IsZero() {
		t.Errorf("%+v", made)
	}
	if out := p.Submitted(start, copied.Message, nil); out.Save[0].State != mor.Sent {
		t.Error(out.Save[0].State)
	}
	id, body := p.receipt(t, copied, mor.Stored)
	p.refuseReceipts(t, id, body)
	out, receipt, ok := p.TakeReceipt(start, id, body)
	if !ok || receipt.Status != mor.Stored || out.Save[0].State != mor.StoredThere || len(out.Save[0].Waiting) != 0 {
		t.Fatal(ok, receipt, out.Save)
	}
	if came := out.Save[0].Made[0].Receipt; !came.Equal(start) || !made[0].Receipt.IsZero() {
		t.Error(came, made)
	}
	if _, _, again := p.TakeReceipt(start, id, body); again {
		t.Error("took a receipt twice")
	}
	if _, ok := p.TakeAcknowledgement(pki.Fingerprint{0xbb}, copied.Message); ok {
		t.Error("took an acknowledgement of somebody else")
	}
	if _, ok := p.TakeAcknowledgement(pki.Fingerprint{0xb0}, mor.MessageID{8}); ok {
		t.Error("took an acknowledgement of nothing")
	}
	out, ok = p.TakeAcknowledgement(pki.Fingerprint{0xb0}, copied.Message)
	if !ok || out.Save[0].State != mor.Acknowledged || !out.Wake.IsZero() {
		t.Error(ok, out.Save, out.Wake)
	}
	if _, again := p.TakeAcknowledgement(pki.Fingerprint{0xb0}, copied.Message); again {
		t.Error("took an acknowledgement twice")
	}
}

// That an invitation was used ends the message that takes it, and no other: a spool cannot end what
// was sent elsewhere. Such a letter wants no work.
func TestUsedUp(t *testing.T) {
	for once, want := range map[bool]mor.State{true: mor.UsedUp, false: mor.Sent} {
		p := newPost("a", "b", "c", "d", "e")
		to := p.bob("b")
		if once {
			to = mor.Address{Mailbox: onion.Mailbox{5}, Identity: to.Identity, Spools: to.Spools, Once: true}
		}
		out, _, err := p.Send(start, letterTo(to))
		if err != nil {
			t.Fatal(err)
		}
		copied := out.Submit[0]
		p.Submitted(start, copied.Message, nil)
		id, body := p.receipt(t, copied, mor.Used)
		out, receipt, ok := p.TakeReceipt(start, id, body)
		if !ok || receipt.Status != mor.Used || out.Save[0].State != want || out.Wake.IsZero() != once {
			t.Errorf("%t: %t, %+v, %s", once, ok, receipt, out.Save[0].State)
		}
	}
}

// refuseReceipts shows that a forged receipt is refused and does not use up the true one.
func (p *post) refuseReceipts(t *testing.T, id onion.SURBID, body []byte) {
	t.Helper()
	forged := slices.Clone(body)
	forged[100] ^= 1
	for _, b := range [][]byte{forged, body[1:], nil, make([]byte, onion.BodySize)} {
		if _, _, ok := p.TakeReceipt(start, id, b); ok {
			t.Error("took a forged receipt")
		}
	}
	if _, _, ok := p.TakeReceipt(start, onion.SURBID{1}, body); ok {
		t.Error("took a receipt for another reply block")
	}
}

// A receipt of another message over our own reply block is refused.
func TestReceiptOfAnotherMessage(t *testing.T) {
	p := newPost("a", "b", "c", "d")
	out, _, _ := p.Send(start, letterTo(p.bob("b")))
	end, _ := p.walk(t, out.Submit[0].Entry.First, out.Submit[0].Entry.Inner)
	l := must(mor.ParseLetter(end.Payload))
	reply := must(l.SURB.Use(mor.Receipt{ID: mor.MessageID{8}, Status: mor.Stored}.Marshal()))
	back, _ := p.walk(t, l.SURB.First(), reply)
	if _, _, ok := p.TakeReceipt(start, back.SURB, back.Body); ok {
		t.Error("took it")
	}
}

// pace is the mean time to wait after copy number i, counted from 0: it doubles with every
// second copy, up to the longest.
func pace(first, longest time.Duration, i int) time.Duration {
	for ; i >= 2 && first < longest; i -= 2 {
		first *= 2
	}
	return min(first, longest)
}

// Copies go by other routes, with fresh reply blocks and the same id, at times that nobody
// can tell beforehand.
func TestRetransmission(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	out, _, err := p.Send(start, letterTo(p.bob("b")))
	if err != nil {
		t.Fatal(err)
	}
	now := start
	waits, surbs := map[float64]bool{}, map[onion.SURBID]bool{}
	for i := range 30 {
		s, mean := out.Submit[0], pace(5*time.Second, 10*time.Minute, i)
		p.Submitted(now, s.Message, nil)
		end, _ := p.walk(t, s.Entry.First, s.Entry.Inner)
		if l := must(mor.ParseLetter(end.Payload)); l.ID != (mor.MessageID{7}) {
			t.Fatal("a copy with another id")
		}
		waiting := out.Save[0].Waiting
		surbs[waiting[len(waiting)-1].ID] = true
		wait := out.Wake.Sub(now)
		if wait < mean/2 || wait > mean*3/2 || len(waiting) > 16 {
			t.Fatalf("waits %s about %s, for %d receipts", wait, mean, len(waiting))
		}
		waits[float64(wait)/float64(mean)] = true
		if early := p.Tick(out.Wake.Add(-1)); len(early.Submit) != 0 {
			t.Fatal("a copy too early")
		}
		now = out.Wake
		last := s.Route
		if out = p.Tick(now); len(out.Submit) != 1 || slices.Equal(out.Submit[0].Route, last) {
			t.Fatalf("after %s: %v", last, out.Submit)
		}
	}
	if len(waits) != 30 || len(surbs) != 30 {
		t.Errorf("%d different waits, %d different reply blocks", len(waits), len(surbs))
	}
}

// With as many relays as hops there is still another order.
func TestAnotherOrderOfTheSameRelays(t *testing.T) {
	p := newPost("a", "b", "c", "d")
	out, _, _ := p.Send(start, letterTo(p.bob("b")))
	for range 10 {
		last := out.Submit[0].Route
		if out = p.Tick(out.Wake); slices.Equal(last, out.Submit[0].Route) {
			t.Fatal("the same route twice")
		}
	}
}

// Stored, but not acknowledged: copies become rare, and go to the second spool first.
func TestSecondSpool(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e")
	out, _, _ := p.Send(start, letterTo(p.bob("b", "c")))
	id, body := p.receipt(t, out.Submit[0], mor.Stored)
	out, _, _ = p.TakeReceipt(start, id, body)
	now, ends := start, ""
	for i := range 16 {
		mean := pace(5*time.Minute, 6*time.Hour, i)
		if wait := out.Wake.Sub(now); wait < mean/2 || wait > mean*3/2 {
			t.Errorf("waits %s about %s", wait, mean)
		}
		now = out.Wake
		out = p.Tick(now)
		_, peeled := p.walk(t, out.Submit[0].Entry.First, out.Submit[0].Entry.Inner)
		ends += peeled[len(peeled)-1]
	}
	if n := out.Save[0].Copies; n != 17 {
		t.Errorf("%d copies counted", n)
	}
	if ends != "cbcbcbcbcbcbcbcb" {
		t.Errorf("copies went to %s", ends)
	}
}

// Other answers of a spool do not end the fast retransmission.
func TestFullSpool(t *testing.T) {
	for _, status := range []mor.ReceiptStatus{mor.Full, mor.Unknown, mor.Refused} {
		p := newPost("a", "b", "c", "d")
		out, _, _ := p.Send(start, letterTo(p.bob("b")))
		id, body := p.receipt(t, out.Submit[0], status)
		after, receipt, ok := p.TakeReceipt(start, id, body)
		if !ok || receipt.Status != status || after.Save[0].State == mor.StoredThere || !after.Wake.Equal(out.Wake) {
			t.Errorf("status %d: %v %v", status, ok, after)
		}
	}
}

// After a crash the Sender goes on with what was saved, receipts included.
func TestOutboxIsRestored(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e")
	out, _, _ := p.Send(start, letterTo(p.bob("b")))
	p.did(out)
	id, body := p.receipt(t, out.Submit[0], mor.Stored)
	p.restart()
	if again := p.Tick(out.Wake); len(again.Submit) != 1 || again.Submit[0].Message != (mor.MessageID{7}) {
		t.Errorf("%v", again)
	}
	p.restart()
	if after, _, ok := p.TakeReceipt(start, id, body); !ok || p.did(after).Save[0].State != mor.StoredThere {
		t.Error("a receipt was lost in the crash")
	}
	p.restart()
	if after, ok := p.TakeAcknowledgement(pki.Fingerprint{0xb0}, mor.MessageID{7}); !ok || p.did(after).Save[0].State != mor.Acknowledged {
		t.Error("an acknowledgement was lost in the crash")
	}
	p.restart()
	if !p.Tick(start).Wake.IsZero() {
		t.Error("went on with what was finished")
	}
	p.saved[0].State, p.saved[0].Sealed = mor.Sent, nil // a damaged outbox
	p.restart()
	if out := p.Tick(start.Add(time.Hour)); len(out.Submit) != 0 {
		t.Error("sent a damaged message")
	}
}

// What our node does not take is tried again, soon and then less so.
func TestNotTaken(t *testing.T) {
	p := newPost("a", "b", "c", "d")
	out, _, _ := p.Send(start, letterTo(p.bob("b")))
	now := start
	for i := range 6 {
		mean := pace(time.Second, 10*time.Minute, i)
		out = p.Submitted(now, out.Submit[0].Message, errors.New("no way"))
		if wait := out.Wake.Sub(now); out.Save[0].State != mor.Queued || wait < mean/2 || wait > mean*3/2 {
			t.Fatalf("%s, waits %s about %s", out.Save[0].State, wait, mean)
		}
		now = out.Wake
		out = p.Tick(now)
	}
}

// A stranger shows work for the requests address.
func TestStranger(t *testing.T) {
	p := newPost("a", "b", "c", "d")
	to := mor.Address{Mailbox: onion.Mailbox{0xbe}, Spools: []pki.Domain{p.domain("b")}}
	out, _, err := p.Send(start, letterTo(to))
	if err != nil {
		t.Fatal(err)
	}
	end, _ := p.walk(t, out.Submit[0].Entry.First, out.Submit[0].Entry.Inner)
	if l := must(mor.ParseLetter(end.Payload)); end.Mailbox != to.Mailbox || !l.Worked(to.Mailbox) {
		t.Error("no work, or another mailbox")
	}
}

func TestSendRefuses(t *testing.T) {
	p := newPost("a", "b", "c", "d")
	o := letterTo(p.bob("b"))
	o.Sealed = o.Sealed[1:]
	if _, _, err := p.Send(start, o); err == nil {
		t.Error("sent a sealed part that is too short")
	}
	if _, _, err := p.Send(start, letterTo(p.bob("b"))); err != nil {
		t.Error(err)
	}
	if _, _, err := p.Send(start, letterTo(p.bob("b"))); err == nil {
		t.Error("sent one message twice")
	}
	for i := range mor.MaxOutbox {
		o := letterTo(p.bob("b"))
		o.ID, o.State = mor.MessageID{1, byte(i), byte(i >> 8)}, mor.Sent
		p.saved = append(p.saved, o)
	}
	p.restart()
	if _, _, err := p.Send(start, letterTo(p.bob("b"))); !errors.Is(err, mor.ErrOutboxFull) {
		t.Error(err)
	}
}
