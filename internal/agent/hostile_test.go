package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// A sender may state a seal key that is none. Her text is shown; it does not stop what
// comes after it.
func TestStatedKeyThatIsNone(t *testing.T) {
	t.Parallel()
	m := here(t)
	eve, _ := m.user(t, "a.test")
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	submitStating(t, eve, bob, 0xff)
	eventually(t, bob, func() bool { return len(keysOf(t, bob, prefixRequest)) == 1 })
	send(t, ann, bob.self.name, "hello", mor.StoredThere)
	eventually(t, bob, func() bool { return len(keysOf(t, bob, prefixRequest)) == 2 })
	bob.disconnect()
	must(t, bob.Connect(t.Context()))
	items, err := bob.items(t.Context(), 0)
	must(t, err)
	for _, item := range items {
		if !item.Reply {
			t.Error("a text is left at the home")
		}
	}
}

// submitStating sends a text whose seal key is all of one byte.
func submitStating(t *testing.T, from, to *Agent, fill byte) {
	t.Helper()
	submit(t, from, to, func(c *message.Content) {
		keys := from.self.keys.Public()
		for i := range keys.Seal {
			keys.Seal[i] = fill
		}
		c.Sign(from.self.key, keys)
	})
}

// submit sends a text that is changed after it was made and signed as it should be.
func submit(t *testing.T, from, to *Agent, change func(*message.Content)) {
	t.Helper()
	must(t, from.Connect(t.Context()))
	known, err := from.correspondent(t.Context(), to.self.name)
	must(t, err)
	id, _, err := from.identity()
	must(t, err)
	c := message.Content{
		Kind: message.Text, At: time.Now().Truncate(time.Second), Text: "hello", Name: id.Name,
		Certificate: id.Certificate, Spools: known.address.Spools,
	}
	c.ID, err = from.messageID()
	must(t, err)
	c.Sign(from.self.key, from.self.keys.Public())
	change(&c)
	sealed, err := message.Seal(rand.Reader, from.self.keys, known.keys, known.name, c)
	must(t, err)
	var s *mor.Sender
	must(t, from.vault.View(func(tx *vault.Tx) error {
		servers, err := from.servers(tx)
		if err == nil {
			s, err = from.sender(tx)
		}
		if err == nil {
			s.SetServers(servers)
		}
		return err
	}))
	out, _, err := s.Send(time.Now(), mor.Outgoing{
		ID: c.ID, To: known.address, Sealed: sealed, Hops: mor.DefaultHops, Reply: onion.Mailbox(from.self.replies),
	})
	must(t, err)
	frame, err := out.Submit[0].Entry.Marshal(rand.Reader)
	must(t, err)
	must(t, from.submitOne(t.Context(), (*[onion.Size]byte)(frame)))
}

// However many strangers have written, the mailboxes of those whom we chose and of those
// who were met first are claimed, and no more than the home takes.
func TestManyStrangers(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	now := time.Now()
	stranger := func(i int) string { return fmt.Sprintf("stranger%d@c.test", i) }
	must(t, bob.vault.Update(func(tx *vault.Tx) error {
		for i := range maxClaimed + 50 {
			c := contact{Mine: []byte(rand.Text() + rand.Text())[:32], Met: now.Add(time.Duration(i) * time.Minute)}
			if err := save(tx, prefixContact+stranger(i), c); err != nil {
				return err
			}
		}
		last := stranger(maxClaimed + 49)
		c, _, err := load[contact](tx, prefixContact+last)
		c.Chosen = true
		return errors.Join(err, save(tx, prefixContact+last, c))
	}))
	all, err := bob.reachable()
	must(t, err)
	if len(all) != maxClaimed {
		t.Fatalf("%d contacts, not %d", len(all), maxClaimed)
	}
	for i, want := range map[int]string{0: stranger(maxClaimed + 49), 1: stranger(0), maxClaimed - 1: stranger(maxClaimed - 2)} {
		if got := all[i].name.String(); got != want {
			t.Errorf("contact %d is %s, not %s", i, got, want)
		}
	}
	must(t, bob.claim(t.Context())) // and the home takes them
	again, _, err := bob.unclaimed(mor.DayAt(bob.now()))
	must(t, err)
	if len(again) > 0 {
		t.Errorf("%d mailboxes are claimed twice on one day", len(again))
	}
}
