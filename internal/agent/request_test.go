package agent

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// What a stranger writes waits in requests, and is acknowledged; what a contact writes does not
// wait there (row R4).
func TestRequests(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, bobs := m.user(t, "b.test")
	s := send(t, ann, bob.self.name, "first", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	waitWith(t, ann, s, bob)
	boxes(t, bob, 0, 1)
	ok, err := bob.ShowRequest(t.Context(), func(r Message) error {
		if r.Text != "first" || r.From != ann.self.name || r.Standing.Trust != Unconfirmed { // nobody looked her up
			t.Errorf("shown %+v", r)
		}
		return nil
	})
	if must(t, err); !ok {
		t.Error("no request was shown")
	}
	boxes(t, bob, 0, 0)

	// Who is added while her text is being shown waits there no more, shown or not.
	send(t, ann, bob.self.name, "second", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	other := open(t, bobs)
	broken := errors.New("no paper")
	_, err = bob.ShowRequest(t.Context(), func(Message) error {
		added, err := other.Add(t.Context(), ann.self.name)
		if must(t, err); added.Moved != 1 || added.Name != ann.self.name || added.Trust != Vouched {
			t.Errorf("added %+v", added)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("shown: %v", err)
	}
	boxes(t, bob, 1, 0)
	if again, err := bob.Add(t.Context(), ann.self.name); err != nil || again.Moved != 0 {
		t.Errorf("added again: %+v, %v", again, err)
	}
	send(t, ann, bob.self.name, "third", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	boxes(t, bob, 2, 0)
	if err := bob.Drop(ann.self.name); !errors.Is(err, ErrNoRequest) {
		t.Errorf("a contact is dropped: %v", err)
	}
}

// Whom we write to is no stranger, whatever she wrote before.
func TestAnsweringAccepts(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	send(t, ann, bob.self.name, "first", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	boxes(t, bob, 0, 1)
	send(t, bob, ann.self.name, "answer", mor.StoredThere)
	boxes(t, bob, 1, 0)
	must(t, ann.Fetch(t.Context()))
	boxes(t, ann, 1, 0)
}

// boxes demands how many texts wait to be shown.
func boxes(t *testing.T, a *Agent, contacts, strangers int) {
	t.Helper()
	s, err := a.Summary()
	must(t, err)
	n, err := a.Requested()
	must(t, err)
	if s.Unread != contacts || s.Asked != strangers || n != strangers {
		t.Fatalf("%d of contacts and %d (%d) of strangers wait, not %d and %d", s.Unread, s.Asked, n, contacts, strangers)
	}
}

// waitWith waits until a's text is acknowledged, while another program works.
func waitWith(t *testing.T, a *Agent, s Status, other *Agent) {
	t.Helper()
	eventually(t, other, func() bool {
		must(t, a.Fetch(t.Context()))
		now, err := a.Status(parseID(t, s.ID))
		must(t, err)
		return now.State == mor.Acknowledged
	})
}

func parseID(t *testing.T, text string) mor.MessageID {
	t.Helper()
	id, err := mor.ParseMessageID(text)
	must(t, err)
	return id
}

// Strangers have so much room and no more: what is beyond it is left at the home and not
// acknowledged, until there is room again.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	letter := func(i int) (done bool) {
		item := letterOf(t, eve, bob, func(c *message.Content) { c.Text, c.ID[0] = fmt.Sprint(i), byte(i) })
		done, err := bob.take(t.Context(), item)
		must(t, err)
		return done
	}
	for i := range maxRequestsOne {
		if !letter(i) {
			t.Fatalf("text %d is left at the home", i)
		}
	}
	owed := len(keysOf(t, bob, prefixOutbox))
	if letter(maxRequestsOne) || len(keysOf(t, bob, prefixHeld)) != 1 || len(keysOf(t, bob, prefixOutbox)) != owed {
		t.Fatal("one more than there is room for is taken, or acknowledged")
	}
	boxes(t, bob, 0, maxRequestsOne)
	_, err := bob.ShowRequest(t.Context(), func(Message) error { return nil })
	must(t, err)
	if !letter(maxRequestsOne + 1) {
		t.Error("there is room again, and nothing is taken")
	}

	// All of the room is taken by others.
	must(t, bob.vault.Update(func(tx *vault.Tx) error {
		for i := range maxRequests - maxRequestsOne {
			if err := save(tx, prefixInbox+numbered(uint64(1000+i)), Message{Number: uint64(1000 + i), From: someone(t, "some@d%d.test", i%5)}); err != nil {
				return err
			}
			tx.Put(prefixRequest+numbered(uint64(1000+i)), nil)
		}
		return nil
	}))
	cat, _ := m.user(t, "c.test")
	item := letterOf(t, cat, bob, func(*message.Content) {})
	if done, err := bob.take(t.Context(), item); err != nil || done || has2(t, bob, prefixContact+cat.self.name.String()) {
		t.Errorf("taken: %t, %v", done, err)
	}
	_, err = bob.Add(t.Context(), cat.self.name) // a contact has room of her own
	must(t, err)
	if done, err := bob.take(t.Context(), item); err != nil || !done {
		t.Errorf("not taken: %t, %v", done, err)
	}
	boxes(t, bob, 1, maxRequests)
}

func has2(t *testing.T, a *Agent, key string) (yes bool) {
	t.Helper()
	must(t, a.vault.View(func(tx *vault.Tx) error { yes = has(tx, key); return nil }))
	return yes
}

// someone is a name with a number in it.
func someone(t *testing.T, format string, n int) pki.Name {
	t.Helper()
	name, err := pki.ParseName(fmt.Sprintf(format, n))
	must(t, err)
	return name
}

// strangersAt puts so many strangers into a folder, whose texts were read; the first was met first.
func strangersAt(t *testing.T, a *Agent, format string, n int) {
	t.Helper()
	must(t, a.vault.Update(func(tx *vault.Tx) error {
		for i := range n {
			c := contact{Mine: make([]byte, 32), Met: a.now().Add(time.Duration(i-maxStrangers) * time.Minute)}
			name := someone(t, format, i)
			c.Identity = sha256.Sum256([]byte(name.String()))
			tx.Put(gotKey(c.Identity, mor.MessageID{}), nil)
			if err := save(tx, prefixContact+name.String(), c); err != nil {
				return err
			}
		}
		return nil
	}))
}

// So many strangers are remembered: beyond that one makes room whose texts were read, of the domain with the
// most. What came of her is known as long as copies of it may come, and no longer.
func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	cat, _ := m.user(t, "c.test")
	bob, _ := m.user(t, "b.test")
	now := bob.now()
	for _, domain := range []string{"x", "y", "z"} {
		strangersAt(t, bob, "some%d@"+domain+".test", maxStrangers/domainShare-2)
	}
	strangersAt(t, bob, "some%d@big.test", maxStrangers/domainShare)
	strangersAt(t, bob, "some%d@small.test", 6)
	waits := someone(t, "some%d@big.test", 0)
	must(t, bob.vault.Update(func(tx *vault.Tx) error {
		tx.Put(prefixRequest+numbered(1), nil)
		return save(tx, prefixInbox+numbered(1), Message{Number: 1, From: waits})
	}))
	take := func(from *Agent) {
		t.Helper()
		if done, err := bob.take(t.Context(), letterOf(t, from, bob, func(*message.Content) {})); err != nil || !done {
			t.Fatalf("not taken: %t, %v", done, err)
		}
		if n := len(keysOf(t, bob, prefixContact)); n != maxStrangers {
			t.Errorf("%d strangers are remembered", n)
		}
	}
	take(eve)
	gone := someone(t, "some%d@big.test", 1)
	if has2(t, bob, prefixContact+gone.String()) || !has2(t, bob, prefixContact+waits.String()) {
		t.Error("another one made room")
	}
	came := gotKey(sha256.Sum256([]byte(gone.String())), mor.MessageID{})
	if !has2(t, bob, came) {
		t.Error("a copy of what she wrote is taken for new")
	}
	bob.cfg.Now = func() time.Time { return now.Add(strangerKept + time.Minute) }
	must(t, bob.vault.Update(func(tx *vault.Tx) error { return errors.Join(bob.prune(tx), save(tx, keyNext, uint64(1000))) }))
	if has2(t, bob, came) {
		t.Error("it is remembered for ever")
	}
	bob.cfg.Now = func() time.Time { return now }
	take(cat)
}

// One domain has a quarter of the room for texts, for strangers, and of what is left at the home, and
// others have room beside it.
func TestOneDomainHasItsShare(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	cat, _ := m.user(t, "c.test")
	bob, _ := m.user(t, "b.test")
	strangersAt(t, bob, "some%d@a.test", maxStrangers/domainShare)
	letter := func(from *Agent, i int) (done bool) {
		t.Helper()
		done, err := bob.take(t.Context(), letterOf(t, from, bob, func(c *message.Content) { c.ID[0] = byte(i) }))
		must(t, err)
		return done
	}
	if !letter(eve, 0) || len(keysOf(t, bob, prefixContact)) != maxStrangers/domainShare {
		t.Error("one of a.test does not make room for another")
	}
	must(t, bob.vault.Update(func(tx *vault.Tx) error {
		for i := range maxRequests/domainShare - 1 {
			if err := save(tx, prefixInbox+numbered(uint64(1000+i)), Message{Number: uint64(1000 + i), From: someone(t, "some%d@a.test", i)}); err != nil {
				return err
			}
			tx.Put(prefixRequest+numbered(uint64(1000+i)), nil)
		}
		return nil
	}))
	for i := range maxHeldUnknown / domainShare {
		if letter(eve, i+1) {
			t.Fatalf("%d is not left at the home", i)
		}
	}
	if !letter(eve, 99) || len(keysOf(t, bob, prefixHeld)) != maxHeldUnknown/domainShare || bob.Counts().Crowded != 1 {
		t.Error("more is left at the home than one domain has room for")
	}
	if !letter(cat, 0) {
		t.Error("others have no room")
	}
	boxes(t, bob, 0, maxRequests/domainShare+1)
}

// Copies of what is known make no strangers beyond the bound.
func TestCopiesMakeNoStrangers(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	item := letterOf(t, eve, bob, func(*message.Content) {})
	for range 2 {
		if done, err := bob.take(t.Context(), item); err != nil || !done {
			t.Fatalf("not taken: %t, %v", done, err)
		}
		if has2(t, bob, prefixDisowned+eve.self.key.Fingerprint().String()) {
			t.Error("she is remembered and forgotten")
		}
		must(t, bob.Drop(eve.self.name))
		strangersAt(t, bob, "some%d@a.test", maxStrangers/domainShare)
	}
	_, err := bob.take(t.Context(), item)
	must(t, err)
	if n := len(keysOf(t, bob, prefixContact)); n != maxStrangers/domainShare {
		t.Errorf("%d strangers are remembered", n)
	}
	boxes(t, bob, 0, 0)
}

// Who is dropped is forgotten, with what she wrote; a copy of that is not shown again, and what
// she writes anew is a request as the first was.
func TestDrop(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	if err := bob.Drop(eve.self.name); !errors.Is(err, ErrNoRequest) {
		t.Errorf("dropped: %v", err)
	}
	item := letterOf(t, eve, bob, func(*message.Content) {})
	_, err := bob.take(t.Context(), item)
	must(t, err)
	boxes(t, bob, 0, 1)
	must(t, bob.Drop(eve.self.name))
	boxes(t, bob, 0, 0)
	for _, prefix := range []string{prefixContact, prefixInbox, prefixCard} {
		if n := len(keysOf(t, bob, prefix)); n != 0 {
			t.Errorf("%d records %s are left", n, prefix)
		}
	}
	if done, err := bob.take(t.Context(), item); err != nil || !done {
		t.Errorf("the copy is not taken: %t, %v", done, err)
	}
	boxes(t, bob, 0, 0)
	_, err = bob.take(t.Context(), letterOf(t, eve, bob, func(c *message.Content) { c.ID[0] ^= 1 }))
	must(t, err)
	boxes(t, bob, 0, 1)
}

// Nobody becomes known by acknowledging what was not written.
func TestAcknowledgementOfAStranger(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	item := letterOf(t, eve, bob, func(c *message.Content) { c.Kind, c.Text, c.About = message.Acknowledgement, "", mor.MessageID{1} })
	if done, err := bob.take(t.Context(), item); err != nil || !done {
		t.Errorf("left at the home: %t, %v", done, err)
	}
	if n := len(keysOf(t, bob, prefixContact)); n != 0 || bob.Counts().Unasked != 1 {
		t.Errorf("%d contacts, %d unasked", n, bob.Counts().Unasked)
	}
}
