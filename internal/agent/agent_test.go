package agent

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// A first message to somebody whose program is off is stored; when it is read, it is
// acknowledged; the reply goes to the mailbox that the first message gave.
func TestConversation(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, bobs := m.user(t, "b.test")

	first := send(t, ann, bob.self.name, "hello", mor.StoredThere)
	if n := len(first.Route); n != 4 || first.Route[0].String() != "a.test" || first.Route[3].String() != "b.test" {
		t.Errorf("route %v", first.Route)
	}
	bob = open(t, bobs) // another program in the same folder
	must(t, bob.Fetch(t.Context()))
	got := shown(t, bob)
	if len(got) != 1 || got[0].From != ann.self.name || got[0].Text != "hello" || got[0].Standing.Trust != Unconfirmed || got[0].ID != first.ID {
		t.Fatalf("read %+v", got)
	}
	wait(t, ann, first, mor.Acknowledged)
	if more := read(t, bob); len(more) > 0 {
		t.Errorf("read again: %q", more)
	}
	send(t, bob, ann.self.name, "and to you", mor.StoredThere)
	if texts := read(t, ann); !slices.Equal(texts, []string{"and to you"}) {
		t.Errorf("ann read %q", texts)
	}
	send(t, ann, bob.self.name, "by the mailbox you gave me", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	if got := shown(t, bob); len(got) != 1 || got[0].Standing.Trust != Vouched { // he has looked her up to write
		t.Errorf("bob read %+v", got)
	}
}

// What is over leaves nothing in the outbox, acknowledgements included.
func TestOutboxEmpties(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	s := send(t, ann, bob.self.name, "hello", mor.StoredThere)
	read(t, bob)
	wait(t, ann, s, mor.Acknowledged)
	eventually(t, bob, func() bool { return len(keysOf(t, bob, prefixOutbox)) == 0 })
	for _, a := range []*Agent{ann, bob} {
		for _, prefix := range []string{prefixOutbox, prefixSealed, prefixSURB} {
			if left := keysOf(t, a, prefix); len(left) > 0 {
				t.Errorf("%s: left %q", a.self.name, left)
			}
		}
	}
	summary, err := ann.Summary()
	must(t, err)
	if len(summary.Outbox) != 0 || summary.Sent != 1 {
		t.Errorf("summary %+v", summary)
	}
}

// A copy that is due again speaks against the relays of the one before, for every program on
// the folder and all messages, and a receipt takes it back.
func TestDoubtsAreKept(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, cfg := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	s, err := ann.Send(t.Context(), bob.self.name, "hello", Way{})
	must(t, err)
	due(t, ann, s)
	again := open(t, cfg)
	must(t, again.Connect(t.Context()))
	copies, _, err := again.tick()
	must(t, err)
	must(t, again.submit(t.Context(), copies))
	want := []string{prefixRelay + "c.test", prefixRelay + "d.test"} // there are no others
	if doubts := keysOf(t, ann, prefixRelay); !slices.Equal(doubts, want) {
		t.Errorf("doubts about %q", doubts)
	}
	wait(t, ann, s, mor.StoredThere)
	if doubts := keysOf(t, ann, prefixRelay); len(doubts) > 0 {
		t.Errorf("doubts about %q, which work", doubts)
	}
}

// eventually lets an agent work until a condition holds.
func eventually(t *testing.T, a *Agent, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := errors.New("it holds")
	err := a.Follow(ctx, func() error {
		if holds() {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("waited in vain: %v", err)
	}
}

func keysOf(t *testing.T, a *Agent, prefix string) (keys []string) {
	t.Helper()
	must(t, a.vault.View(func(tx *vault.Tx) error {
		return tx.Range(prefix, func(key string, _ []byte) error { keys = append(keys, key); return nil })
	}))
	return keys
}

// Two programs in one folder send at the same time, and each message is shown by one.
func TestTwoProgramsOneFolder(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, anns := m.user(t, "a.test")
	bob, bobs := m.user(t, "b.test")
	bob2 := open(t, bobs)
	errs := make(chan error)
	for _, a := range []*Agent{ann, open(t, anns)} {
		go func() {
			for range 3 {
				if _, err := a.Send(t.Context(), bob.self.name, "hello", Way{}); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	must(t, errors.Join(<-errs, <-errs))
	eventually(t, ann, func() bool {
		summary, err := ann.Summary()
		must(t, err)
		return !slices.ContainsFunc(summary.Outbox, func(s Status) bool { return s.State != mor.StoredThere })
	})
	must(t, errors.Join(bob.Fetch(t.Context()), bob2.Fetch(t.Context())))
	seen := make(map[string]bool)
	for _, a := range []*Agent{bob, bob2, bob} {
		for _, got := range shown(t, a) {
			if seen[got.ID] {
				t.Errorf("%s shown twice", got.ID)
			}
			seen[got.ID] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d messages, want 6", len(seen))
	}
}

// An item that comes again is shown once, and acknowledged again once the first
// acknowledgement is out of the outbox.
func TestComesAgain(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	send(t, ann, bob.self.name, "hello", mor.StoredThere)
	items, err := bob.items(t.Context(), pollSlice)
	must(t, err)
	if len(items) != 1 {
		t.Fatalf("%d items", len(items))
	}
	for range 3 {
		done, err := bob.take(t.Context(), items[0])
		must(t, err)
		if !done {
			t.Error("not done with it")
		}
	}
	if acks := keysOf(t, bob, prefixOutbox); len(acks) != 1 {
		t.Errorf("%d acknowledgements on their way", len(acks))
	}
	if texts := read(t, bob); len(texts) != 1 {
		t.Errorf("read %q", texts)
	}
	eventually(t, bob, func() bool { return len(keysOf(t, bob, prefixOutbox)) == 0 })
	_, err = bob.take(t.Context(), items[0])
	must(t, err)
	if acks := keysOf(t, bob, prefixOutbox); len(acks) != 1 {
		t.Errorf("%d acknowledgements of a late copy", len(acks))
	}
	if texts := read(t, bob); len(texts) != 0 {
		t.Errorf("read again: %q", texts)
	}
}

// A text that needs the place of the seal key is answered all the same: by a look-up.
func TestLongText(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	long := strings.Repeat("x", 4200)
	s := send(t, ann, bob.self.name, long, mor.StoredThere)
	if texts := read(t, bob); !slices.Equal(texts, []string{long}) {
		t.Errorf("read %d texts", len(texts))
	}
	wait(t, ann, s, mor.Acknowledged)

	var tooLong *message.TooLongError
	_, err := ann.Send(t.Context(), bob.self.name, strings.Repeat("x", 5000), Way{})
	if !errors.As(err, &tooLong) || tooLong.Max < 4200 {
		t.Errorf("5000 bytes: %v", err)
	}
}

// What cannot be sent is not, and leaves nothing behind.
func TestRefusals(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	var nobody *NoUserError
	for _, text := range []string{"nobody@b.test", "nobody@a.test", "bob@nowhere.test"} {
		name, err := pki.ParseName(text)
		must(t, err)
		if _, err := ann.Send(t.Context(), name, "hello", Way{}); !errors.As(err, &nobody) {
			t.Errorf("to %s: %v", text, err)
		}
	}
	var route *mor.RouteError
	for name, way := range map[string]Way{
		"one hop": {Hops: 1}, "too many": {Hops: 4}, "too few servers": {Hops: 3},
		"an end as relay": {Via: domains(t, "c.test", "b.test")}, "unknown relay": {Via: domains(t, "c.test", "z.test")},
	} {
		if _, err := ann.Send(t.Context(), bob.self.name, "hello", way); !errors.As(err, &route) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ann.Plan(t.Context(), bob.self.name, way); !errors.As(err, &route) {
			t.Errorf("%s, planned: %v", name, err)
		}
	}
	if left := append(keysOf(t, ann, prefixOutbox), keysOf(t, ann, prefixSent)...); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	if _, err := ann.Status(mor.MessageID{1}); !errors.Is(err, ErrNoMessage) {
		t.Errorf("status of nothing: %v", err)
	}
	route2, err := ann.Plan(t.Context(), bob.self.name, Way{Via: domains(t, "d.test", "c.test")})
	must(t, err)
	if route2.String() != "a.test -> d.test -> c.test -> b.test" {
		t.Errorf("planned %s", route2)
	}
}

func domains(t *testing.T, texts ...string) (all []pki.Domain) {
	t.Helper()
	for _, text := range texts {
		d, err := pki.ParseDomain(text)
		must(t, err)
		all = append(all, d)
	}
	return all
}

// A failure in the midst of registration loses no name.
func TestNewGoesOn(t *testing.T) {
	t.Parallel()
	m := here(t)
	cfg := m.config(t)
	running, err := node.ReadRunning(filepath.Join(m.dir, "a.test"))
	must(t, err)
	door := &cut{off: true, pass: func(address string) bool { return address != running.Link }}
	cfg.Dial = door.dial
	name, other := m.name(t, "a.test"), m.name(t, "a.test")

	var down *HomeError
	if _, err := New(t.Context(), cfg, name); !errors.As(err, &down) || down.Domain != name.Domain() {
		t.Fatalf("cut off: %v", err)
	}
	var taken *TakenError
	if _, err := Open(t.Context(), cfg); !errors.As(err, &taken) || !taken.Begun {
		t.Errorf("opened what was only begun: %v", err)
	}
	if _, err := New(t.Context(), cfg, other); !errors.As(err, &taken) || taken.Name != name {
		t.Errorf("another name in a folder that was begun: %v", err)
	}
	begun, err := openFolder(cfg)
	must(t, err)
	id, _, err := begun.identity()
	must(t, errors.Join(err, begun.Close()))

	door.set(false)
	a, err := New(t.Context(), cfg, name)
	must(t, err)
	self, err := a.Self()
	must(t, errors.Join(err, a.Close()))
	before, err := id.self()
	must(t, err)
	if self.Fingerprint != before.key.Fingerprint() || self.Name != name || self.Home != name.Domain() {
		t.Errorf("self %+v", self)
	}
	if _, err := New(t.Context(), cfg, name); !errors.As(err, &taken) || taken.Begun {
		t.Errorf("made twice: %v", err)
	}
}

// A name that is taken is refused, and the folder is free for another.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	cfg := m.config(t)
	var refused *session.Error
	if _, err := New(t.Context(), cfg, ann.self.name); !errors.As(err, &refused) || refused.Code != session.Refused {
		t.Fatalf("taken: %v", err)
	}
	a, err := New(t.Context(), cfg, m.name(t, "a.test"))
	must(t, err)
	must(t, a.Close())
}

func TestNoHome(t *testing.T) {
	t.Parallel()
	m := here(t)
	name, err := pki.ParseName("ann@nowhere.test")
	must(t, err)
	var nowhere *NoServerError
	if _, err := New(t.Context(), m.config(t), name); !errors.As(err, &nowhere) {
		t.Errorf("no such home: %v", err)
	}
	cfg := m.config(t)
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("no folder: %v", err)
	}
	cfg.DNS = ""
	if _, err := New(t.Context(), cfg, name); !errors.Is(err, ErrNoDNS) {
		t.Errorf("no DNS: %v", err)
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("opened nothing")
	}
}

// The DNS server that is asked for the home is not taken for the home.
func TestNobodySaysWhereHomeIs(t *testing.T) {
	t.Parallel()
	m := here(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes questions
	must(t, err)
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), firstBackoff)
	defer cancel()
	var away *HomeError
	var lost *DNSError
	for server, ctx := range map[string]context.Context{"127.0.0.1:1": t.Context(), silent.Addr().String(): ctx} {
		cfg := m.config(t)
		cfg.DNS = server
		_, err := New(ctx, cfg, m.name(t, "a.test"))
		if !errors.As(err, &away) || !errors.As(err, &lost) || lost.Server != server || lost.Moved || lost.Answered() {
			t.Errorf("%s: %v", server, err)
		}
	}
	_, anns := m.user(t, "a.test")
	for server, moved := range map[string]bool{"127.0.0.1:1": true, m.dns: false} {
		door := &cut{off: true, pass: func(address string) bool { return address == server }}
		cfg := anns
		cfg.DNS, cfg.Dial, lost = server, door.dial, nil
		ann := open(t, cfg)
		err := ann.Connect(t.Context())
		if !errors.As(err, &away) || errors.As(err, &lost) != moved || moved && !lost.Moved {
			t.Errorf("the home is away, asked %s: %v", server, err)
		}
	}
}

// While the home cannot be reached sending fails at once; a message that waits goes on when
// it can be reached again.
func TestHomeAway(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	_, anns := m.user(t, "a.test")
	door := &cut{}
	anns.Dial = door.dial
	ann := open(t, anns)
	s, err := ann.Send(t.Context(), bob.self.name, "hello", Way{})
	must(t, err)

	door.set(true)
	ann.disconnect()
	var down *HomeError
	if _, err := ann.Send(t.Context(), bob.self.name, "hello?", Way{}); !errors.As(err, &down) {
		t.Errorf("sent: %v", err)
	}
	id, err := mor.ParseMessageID(s.ID)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), firstBackoff)
	defer cancel()
	var unfinished *UnfinishedError
	if _, err := ann.Wait(ctx, id, mor.Acknowledged, func(Status) {}); !errors.As(err, &unfinished) || unfinished.Status.ID != s.ID {
		t.Errorf("waited: %v", err)
	}
	door.set(false)
	wait(t, ann, s, mor.StoredThere)
}

// A certificate that is good no more is renewed, and the card with it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, anns := m.user(t, "a.test")
	before, err := ann.Self()
	must(t, err)
	must(t, ann.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		id.Certificate = []byte("no more")
		return errors.Join(err, save(tx, keyIdentity, id))
	}))
	again := open(t, anns)
	must(t, again.Connect(t.Context()))
	after, err := again.Self()
	must(t, err)
	renewed, _, err := again.identity()
	must(t, err)
	if after.Fingerprint != before.Fingerprint || string(renewed.Carded) != string(renewed.Certificate) {
		t.Error("not renewed")
	}
}

func TestMailboxes(t *testing.T) {
	t.Parallel()
	c := contact{Mine: make([]byte, 32)}
	today := mor.DayAt(time.Unix(1_795_000_000, 0))
	all := mailboxes(c, today)
	if len(all) != daysBack+1+daysAhead {
		t.Errorf("%d mailboxes", len(all))
	}
	for i, m := range all {
		day := today - daysBack + mor.Day(i)
		if m.Address != mor.DayMailbox(c.Mine.array(), day) || m.Until != uint32(day)+daysKept || m.Kind != session.Contact {
			t.Errorf("day %d: %+v", day, m)
		}
	}
}
