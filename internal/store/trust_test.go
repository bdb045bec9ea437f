package store

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

func statement(kind uint8, issuer string, id byte, serial uint64) Statement {
	return Statement{Kind: kind, Issuer: issuer, ID: [32]byte{id}, Serial: serial, Raw: fmt.Appendf(nil, "%d %s %d %d", kind, issuer, id, serial)}
}

// add keeps a statement and reports whether it was new.
func add(t *testing.T, s *Store, v Statement, most int) bool {
	t.Helper()
	fresh, err := s.AddStatement(t.Context(), v, Room{Each: most})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// All issuers of a kind have so many bytes together, but for those for whom that does not count;
// what goes leaves its room to others, and what is known already costs no write.
func TestStatementsOfAll(t *testing.T) {
	var writes atomic.Uint64
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Config{Path: path, Durable: func(n uint64) { writes.Store(n) }}.Open(t.Context())
	must(t, err)
	v := func(issuer string, id byte, serial uint64, size int) Statement {
		return Statement{Kind: 2, Issuer: issuer, ID: [32]byte{id}, Serial: serial, Raw: make([]byte, size)}
	}
	room := Room{Each: 10, All: 100}
	want := func(v Statement, fresh bool, full error) {
		t.Helper()
		got, err := s.AddStatement(t.Context(), v, room)
		if got != fresh || !errors.Is(err, full) {
			t.Errorf("%s %d of %d bytes: %v, %v", v.Issuer, v.ID[0], len(v.Raw), got, err)
		}
	}
	want(v("a.test", 1, 1, 60), true, nil)
	want(v("b.test", 1, 1, 40), true, nil)
	want(v("c.test", 1, 1, 1), false, ErrFull)
	before := writes.Load()
	want(v("b.test", 1, 1, 40), false, nil)
	want(v("a.test", 1, 0, 40), false, nil)
	if after := writes.Load(); after != before || before == 0 {
		t.Errorf("what is known was written: %d writes became %d", before, after)
	}
	want(v("a.test", 1, 2, 61), false, ErrFull)
	want(v("a.test", 1, 3, 50), true, nil) // a newer one, and smaller
	want(v("c.test", 1, 1, 10), true, nil)
	must(t, s.DropStatement(t.Context(), 2, "c.test", [32]byte{1}))
	must(t, s.DropStatement(t.Context(), 2, "c.test", [32]byte{1}))
	room.All = 0
	want(v("own.test", 1, 1, 20), true, nil)
	must(t, s.Close())

	s, err = Open(t.Context(), path)
	must(t, err)
	defer s.Close()
	room.All = 111
	want(v("c.test", 1, 1, 2), false, ErrFull)
	ends := v("c.test", 1, 1, 1)
	ends.Ends = time.Unix(1_000, 0)
	want(ends, true, nil)
	_, err = s.DropExpired(t.Context(), time.Unix(1_000, 0))
	must(t, err)
	want(v("c.test", 1, 1, 1), true, nil)
}

// Statements are numbered as they come; of one kind, issuer and ID the greatest serial stays,
// under a number of its own; and an issuer has its share.
func TestStatements(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	for _, x := range []struct {
		v     Statement
		fresh bool
	}{
		{statement(1, "a.test", 0, 5), true},
		{statement(1, "a.test", 0, 5), false},
		{statement(1, "a.test", 0, 4), false},
		{statement(1, "b.test", 0, 4), true},
		{statement(2, "a.test", 1, 1), true},
		{statement(2, "a.test", 2, 1), true},
		{statement(1, "a.test", 0, 6), true},
	} {
		if fresh := add(t, s, x.v, 2); fresh != x.fresh {
			t.Errorf("%s: fresh %v", x.v.Raw, fresh)
		}
	}
	_, err = s.AddStatement(t.Context(), statement(2, "a.test", 3, 1), Room{Each: 2})
	wantErr(t, err, ErrFull)
	must(t, s.Close())

	s, err = Open(t.Context(), path) // what was kept is kept
	must(t, err)
	defer s.Close()
	all, err := s.StatementsAfter(t.Context(), 0, 10)
	must(t, err)
	var got []string
	for _, v := range all {
		got = append(got, string(v.Raw))
	}
	if want := "[1 b.test 0 4 2 a.test 1 1 2 a.test 2 1 1 a.test 0 6]"; fmt.Sprint(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	page, err := s.StatementsAfter(t.Context(), all[0].Seq, 2)
	must(t, err)
	if len(page) != 2 || page[0].Seq != all[1].Seq {
		t.Errorf("a page of %+v", page)
	}
	if last, err := s.LastStatement(t.Context()); err != nil || last != all[3].Seq {
		t.Errorf("last %d, %v", last, err)
	}
	if of, err := s.StatementsOf(t.Context(), 2, "a.test"); err != nil || len(of) != 2 {
		t.Errorf("of a.test: %v %v", of, err)
	}
	if kind, err := s.Statements(t.Context(), 1); err != nil || len(kind) != 2 {
		t.Errorf("of kind 1: %v %v", kind, err)
	}
	must(t, s.DropStatement(t.Context(), 1, "a.test", [32]byte{}))
	_, err = s.Statement(t.Context(), 1, "a.test", [32]byte{})
	wantErr(t, err, ErrNotFound)
}

// What has an end goes when it has come; what has none stays.
func TestStatementsEnd(t *testing.T) {
	s := open(t)
	end := time.Unix(2_000_000_000, 0)
	mortal := statement(1, "a.test", 0, 1)
	mortal.Ends = end
	add(t, s, mortal, 1)
	add(t, s, statement(2, "a.test", 1, 1), 1)
	for _, x := range []struct {
		at   time.Time
		left int
	}{{end.Add(-time.Second), 2}, {end, 1}, {end.Add(1000 * time.Hour), 1}} {
		_, err := s.DropExpired(t.Context(), x.at)
		must(t, err)
		if all, err := s.StatementsAfter(t.Context(), 0, 10); err != nil || len(all) != x.left {
			t.Errorf("at %v: %d left, %v", x.at, len(all), err)
		}
	}
}

// A pin moves only from the key that is pinned, and what it handed over from is kept.
func TestMovePin(t *testing.T) {
	s := open(t)
	now := time.Unix(1_800_000_000, 0)
	p := Pin{Kind: "domain", Subject: "a.test", Key: [32]byte{1}, Trust: 1, Since: now, Next: [32]byte{2}, Root: [32]byte{9}}
	must(t, s.SetPin(t.Context(), [32]byte{}, p))
	wantErr(t, s.SetPin(t.Context(), [32]byte{}, p), ErrOtherKey)
	next := Pin{Kind: "domain", Subject: "a.test", Key: [32]byte{2}, Trust: 2, Since: now.Add(time.Hour), Former: [][32]byte{{1}}}
	wantErr(t, s.MovePin(t.Context(), [32]byte{7}, next, []byte("ca")), ErrOtherKey)
	must(t, s.MovePin(t.Context(), [32]byte{1}, next, []byte("ca")))
	pins, err := s.Pins(t.Context(), "domain")
	must(t, err)
	if fmt.Sprint(pins) != fmt.Sprint([]Pin{next}) {
		t.Errorf("pins %+v", pins)
	}
	former, err := s.FormerAuthorities(t.Context(), "a.test")
	must(t, err)
	if len(former) != 1 || !bytes.Equal(former[0], []byte("ca")) {
		t.Errorf("former %q", former)
	}
}

// Mailboxes that are closed take nothing more, and nothing waits in them; those of others stay.
// What their owner claims later is new.
func TestCloseMailboxes(t *testing.T) {
	s, ctx := open(t), t.Context()
	must(t, s.claimAsVisitor(ctx, fp(1), "b.test", []Address{box(1, Requests), box(2, Replies)}, 1, 1))
	must(t, s.Claim(ctx, fp(2), []Address{box(3, Requests)}))
	deposit := func(n int) error {
		_, err := s.Deposit(ctx, Item{Mailbox: fp(n), Kind: 1, ID: [16]byte{byte(n)}, Body: []byte("letter"), At: noon})
		return err
	}
	for n := range 3 {
		must(t, deposit(n+1))
	}
	for _, gone := range []int{2, 0} {
		if n, err := s.CloseMailboxes(ctx, fp(1)); err != nil || n != gone {
			t.Errorf("%d items went, %v", n, err)
		}
	}
	want(t, deposit(1), ErrNoMailbox)
	for owner, waiting := range []int{1: 0, 2: 1} {
		if items, err := s.Items(ctx, fp(owner), 0, 10); err != nil || len(items) != waiting {
			t.Errorf("owner %d: %d items, %v", owner, len(items), err)
		}
	}
	must(t, s.claimAsVisitor(ctx, fp(4), "b.test", []Address{box(4, Requests)}, 1, 1)) // she made room
	must(t, s.Claim(ctx, fp(1), []Address{box(1, Requests)}))
	must(t, deposit(1))
}

// A key that is dropped is gone from the key server and from the ring, under the name or under
// all; no repair brings it back, and others stay.
func TestDropKey(t *testing.T) {
	s := open(t)
	now := time.Now()
	put := func(name string, key byte) {
		must(t, s.AddSigned(t.Context(), SignedKey{Kind: KeyUser, Subject: name, Fingerprint: [32]byte{key}, Raw: []byte("cert"), Card: []byte("card"), Serial: 1, NotAfter: now.Add(time.Hour)}))
	}
	put("ann@a.test", 1)
	put("ann2@a.test", 1)
	put("bob@a.test", 2)
	must(t, s.PutCachedUser(t.Context(), User{Name: "ann@b.test", Fingerprint: [32]byte{1}, Certificate: []byte("c"), Card: []byte("card"), Serial: 1, StoredAt: now}))
	drop := func(name string, key byte, want int) {
		t.Helper()
		if n, err := s.DropKey(t.Context(), name, [32]byte{key}, nil); err != nil || n != want {
			t.Errorf("%d dropped, %v", n, err)
		}
	}
	drop("ann2@a.test", 2, 0)
	drop("ann2@a.test", 1, 1)
	drop("", 1, 2)
	drop("", 1, 0)
	left, err := s.Restore(t.Context(), func(SignedKey) bool { return true })
	must(t, err)
	if !left.Same() {
		t.Errorf("ring and key server differ: %+v", left)
	}
	for name, there := range map[string]bool{"ann@a.test": false, "ann2@a.test": false, "ann@b.test": false, "bob@a.test": true} {
		if _, err := s.User(t.Context(), name); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A peer that is dropped leaves nothing behind that we signed for it.
func TestDropPeer(t *testing.T) {
	s := open(t)
	must(t, s.PutPeer(t.Context(), Peer{Domain: "b.test", CA: []byte("ca"), Given: []byte("given"), Since: time.Now()}))
	for key := range byte(2) {
		must(t, s.AddSigned(t.Context(), SignedKey{Kind: KeyCross, Subject: "b.test", Fingerprint: [32]byte{key, 1}, Raw: []byte("given"), NotAfter: time.Now().Add(time.Hour)}))
	}
	must(t, s.DropPeer(t.Context(), "b.test"))
	wantErr(t, s.DropPeer(t.Context(), "b.test"), ErrNotFound)
	_, err := s.CertificateByFingerprint(t.Context(), [32]byte{1, 1})
	wantErr(t, err, ErrNotFound)
	if diff, err := s.CompareRing(t.Context()); err != nil || !diff.Same() {
		t.Errorf("%+v %v", diff, err)
	}
}

// The journal keeps the newest events about each domain.
func TestEvents(t *testing.T) {
	s := open(t)
	at := time.Unix(1_800_000_000, 0)
	must(t, s.AddEvent(t.Context(), Event{At: at, Domain: "a.test", Kind: "dns", Words: "the first"}))
	for i := range MaxEventsEach + 3 {
		must(t, s.AddEvent(t.Context(), Event{At: at.Add(time.Duration(i) * time.Second), Domain: "b.test", Kind: "dns", Words: fmt.Sprint(i)}))
	}
	all, err := s.Events(t.Context(), at)
	must(t, err)
	if len(all) != 1+MaxEventsEach || all[0].Words != "the first" || all[1].Words != "3" {
		t.Errorf("%d events, %+v", len(all), all[:2])
	}
	late, err := s.Events(t.Context(), at.Add((MaxEventsEach+2)*time.Second))
	must(t, err)
	if len(late) != 1 || late[0].Kind != "dns" || late[0].Domain != "b.test" {
		t.Errorf("%+v", late)
	}
	wantErr(t, s.AddEvent(t.Context(), Event{At: at, Domain: "a.test", Words: string(make([]byte, MaxWords+1))}), ErrTooLarge)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("err = %v, want %v", err, want)
	}
}

// Of what there is once in all a newer one takes the place of the older on its account, where there is no
// room as well; elsewhere there is none for another.
func TestStatementsOnce(t *testing.T) {
	s := open(t)
	v := func(issuer string, id byte, serial uint64) Statement {
		all := statement(4, issuer, id, serial)
		all.Once = true
		return all
	}
	want := func(v Statement, fresh bool, full error) {
		t.Helper()
		got, err := s.AddStatement(t.Context(), v, Room{Each: 1, All: 60})
		if got != fresh || !errors.Is(err, full) {
			t.Errorf("%s %d %d: %v, %v", v.Issuer, v.ID[0], v.Serial, got, err)
		}
	}
	want(v("a.test", 1, 1), true, nil)
	want(v("b.test", 2, 1), true, nil)
	want(v("b.test", 3, 1), false, ErrFull)
	big := v("b.test", 1, 2)
	big.Raw = make([]byte, 100)
	want(big, true, nil)
	want(v("c.test", 1, 1), false, nil)
	held, err := s.StatementByID(t.Context(), 4, [32]byte{1})
	if must(t, err); held.Serial != 2 || held.Issuer != "a.test" {
		t.Errorf("%+v", held)
	}
	if _, err := s.StatementByID(t.Context(), 3, [32]byte{1}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
