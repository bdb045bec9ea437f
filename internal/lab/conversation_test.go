package lab

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a conversation between programs that are not there, in a mesh without nodes.
func silent() *conversation {
	c := talked(Progress{}, Progress{})
	c.lines, c.gone = make(chan heard), make(chan struct{})
	return c
}

// tells has all four texts shown and acknowledged.
func (c *conversation) tells() {
	ann, bob := c.users[0], c.users[1]
	for n := range 2 {
		c.hand(heard{from: bob, event: toBob(n + 1)})
		c.hand(heard{from: ann, event: toAnn(n + 1)})
	}
	for _, u := range c.users {
		c.hand(heard{from: u, event: Event{Progress: Progress{Sent: 2, Copies: 2, Done: true}}})
	}
}

func unseen(context.Context) {}

// A text that comes a second time when all are acknowledged is counted too.
func TestCalmHearsLateCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := silent()
		go func() {
			c.tells()
			time.Sleep(lull / 2)
			c.hand(heard{from: c.users[1], event: toBob(1)})
		}()
		none := func(context.Context) (bool, error) { return false, nil }
		if err := c.run(t.Context(), none, unseen); err != nil {
			t.Fatal(err)
		}
		if err := tallied(c).fault(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.calm(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := tallied(c); got.Twice != 1 || got.fault() == nil {
			t.Errorf("%+v", got)
		}
		if took := time.Since(began); took < lull/2+lull {
			t.Errorf("it was calm for %s only, and a text came after %s", took, lull/2)
		}
	})
}

// A mesh that is never still is no calm one, and nobody waits for ever.
func TestCalmIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := silent()
		defer c.end()
		c.running.Go(func() {
			c.tells()
			for n := range int(3 * lullTime / lull) {
				time.Sleep(lull / 2)
				c.hand(heard{from: c.users[0], event: Event{Progress: Progress{Sent: 2, Copies: n, Done: true}}})
			}
		})
		began := time.Now()
		err := c.calm(t.Context())
		if err == nil || !strings.Contains(err.Error(), "not still") || time.Since(began) != lullTime {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// A conversation is not over before all accidents have happened.
func TestRunWaitsForAccidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := silent()
		go c.tells()
		left := 20
		accident := func(context.Context) (bool, error) { left--; return left > 0, nil }
		if err := c.run(t.Context(), accident, unseen); err != nil || left != 0 {
			t.Errorf("%d accidents were left: %v", left, err)
		}
	})
}

// No accident happens before both users are registered, however few texts there are; and one
// that has not happened is a fault.
func TestAccidentsComeLater(t *testing.T) {
	for _, messages := range []int{1, 2, 4, 100} {
		play := &lossyPlay{lab: &lab{cfg: Config{Messages: messages}}, talk: silent()}
		if more, err := play.accident(t.Context()); !more || err != nil || play.acts != 0 {
			t.Errorf("%d messages: %d accidents when nothing was shown, more %t, %v", messages, play.acts, more, err)
		}
		for ; play.acts < len(play.accidents()); play.acts++ {
			if due := play.due(); due < 1 || due > 2*messages {
				t.Errorf("an accident when %d of %d texts are shown", due, 2*messages)
			}
			if play.fault() == nil {
				t.Errorf("%d accidents are enough", play.acts)
			}
		}
		if err := play.fault(); err != nil {
			t.Error(err)
		}
	}
}
