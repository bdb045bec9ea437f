package agent

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// Who is asked for a copy is the same each time: peers of the home, and in the second place one where she can be
// reached; never her home, nor where we are.
func TestHoldersAreTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test")
	w.directory()
	peers := domains(t, "a.test", "c.test", "d.test", "e.test")
	orders := make(map[string]int)
	for n := range 30 {
		name, err := pki.ParseName(fmt.Sprintf("bob%d@b.test", n))
		must(t, err)
		bob := w.certified(w.domains["b.test"], name, w.user(w.domains["b.test"]).key)
		asked := func(peers []pki.Domain) []pki.Domain {
			all, err := w.a.holdersOf(bob.name, peers)
			must(t, err)
			return all
		}
		first := asked(peers)
		slices.Reverse(peers)
		if again := asked(peers); !slices.Equal(first, again) || len(first) != 3 || slices.Contains(first, bob.name.Domain()) || slices.Contains(first, w.a.where()) {
			t.Fatalf("first %v, then %v", first, again)
		}
		for _, d := range first {
			if !slices.Contains(peers, d) {
				t.Errorf("%s is asked, which is no peer", d)
			}
		}
		orders[first[0].String()]++
		w.met(bob)
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			c, _, err := load[contact](tx, prefixContact+bob.name.String())
			c.Spools = domains(t, "b.test", "g.test")
			return errors.Join(err, save(tx, prefixContact+bob.name.String(), c))
		}))
		if reached := asked(peers); reached[0] != first[0] || reached[1].String() != "g.test" || reached[2] != first[1] {
			t.Errorf("first %v; with a spool %v", first, reached)
		}
	}
	if len(orders) != 3 {
		t.Errorf("asked first: %v", orders)
	}
}
