package mor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations"
)

// tap keeps what nodes say from now on, each packet once.
func (l *load) tap() *[]onion.Packet {
	heard := make(map[onion.ID]bool)
	packets := new([]onion.Packet)
	for i := range l.nodes {
		l.world.Node(i).Behave(func(n, to *simulations.Node, p onion.Packet) []onion.Packet {
			if !heard[p.ID()] {
				heard[p.ID()], *packets = true, append(*packets, p)
			}
			return simulations.Honest(n, to, p)
		})
	}
	return packets
}

// sum adds up a counter of all contexts of a node.
func sum(n *simulations.Node, of func(mor.Counters) uint64) (sum uint64) {
	own, _ := n.Router.Status()
	for _, c := range own {
		sum += of(c.Counters)
	}
	return sum
}

func forwarded(c mor.Counters) uint64 { return c.Forwarded }
func heard(c mor.Counters) uint64     { return c.Heard }

// A member is removed in the middle of a load of letters. None of the others' letters is lost, neither while the keys before
// are still peeled nor when they are gone. What the others say from then on the removed one does not recognise, though one of
// them shows it all to it; it is answered no Ask, and what it says is not heard.
func TestRemoval(t *testing.T) {
	const each, out, traitor = 40, 3, 4
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			t.Parallel()
			l := newLoad(t, slow(simulations.Config{Lazy: true, Seed: 23, Nodes: 7, Degree: 4, Loss: loss}))
			for _, later := range []time.Duration{time.Minute, mor.RecordLifetime + 2*time.Hour} {
				l.around(l.world.Now().Add(later), time.Minute, each, 0, 1, 2, 4, 5, 6)
			}
			l.world.Run(time.Minute)
			if err := l.world.Remove(l.world.Node(out)); err != nil {
				t.Fatal(err)
			}
			l.world.Run(3 * time.Second) // what is under way is for the keys before
			l.recognisesNothing(l.world.Node(out), l.world.Node(traitor))
			l.isOutside(l.world.Node(out))
			l.world.Run(mor.RecordLifetime + 3*time.Hour)
			l.end(fmt.Sprintf("one of %d removed, loss %.2f", l.nodes, loss), 24*time.Hour)
			l.nothingDropped(mor.DropAuth, mor.DropEpoch)
		})
	}
}

// recognisesNothing shows a node all that is said for ten seconds.
func (l *load) recognisesNothing(removed, traitor *simulations.Node) {
	l.t.Helper()
	packets, before := l.tap(), sum(removed, forwarded)
	l.world.Run(10 * time.Second)
	removed.Router.Listen(traitor.Domain(), traitor.Context(), removed.Context())
	had := sum(removed, heard)
	for _, p := range *packets {
		removed.Hear(traitor.Context(), p)
	}
	l.world.Run(3 * time.Second)
	took, knew := sum(removed, heard)-had, sum(removed, forwarded)-before
	l.t.Logf("the removed one recognised %d packets before, and %d of %d after", before, knew, took)
	if before == 0 || took < 100 || knew != 0 {
		l.t.Errorf("it recognised %d packets before, and %d of %d after", before, knew, took)
	}
}

// isOutside demands that nobody answers or hears a node.
func (l *load) isOutside(removed *simulations.Node) {
	l.t.Helper()
	for i := range l.nodes {
		n := l.world.Node(i)
		if n == removed {
			continue
		}
		if _, ok := n.Router.Ask(l.world.Now(), n.Context(), removed.Domain()); ok {
			l.t.Errorf("%s answers it", n.Domain())
		}
		before := sum(n, heard)
		if n.Hear(removed.Context(), junk(l.world.Now(), 1)); sum(n, heard) != before {
			l.t.Errorf("%s hears it", n.Domain())
		}
	}
}
