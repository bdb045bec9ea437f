package mor_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations"
)

func seenFull(c mor.Counters) uint64    { return c.Dropped[mor.DropSeenFull] }
func rebroadcast(c mor.Counters) uint64 { return c.Rebroadcast }

// flooded is a load in which a neighbour says four times as much at once as its share at a victim holds.
type flooded struct {
	*load
	victim, flooder, other *simulations.Node
	junk                   int
}

// newFlooded makes a world in which the seen sets have shares of that size, those of all nodes or the victim's only.
func newFlooded(t *testing.T, share int, all bool) *flooded {
	size := func(node int) int {
		if all || node == 0 {
			return share
		}
		return 0
	}
	l := newLoad(t, simulations.Config{Seed: 26, Nodes: 10, Degree: 4, ExtraHops: 1, SeenShare: size})
	f := &flooded{l, l.world.Node(0), l.world.Node(1), l.world.Node(9), 0}
	l.world.Run(time.Minute)
	for range 4 * share {
		f.say(f.flooder)
	}
	l.world.Run(3 * time.Second)
	return f
}

// say gives the victim another packet for nobody, as from a neighbour.
func (f *flooded) say(from *simulations.Node) onion.Packet {
	f.junk++
	p := junk(f.world.Now(), f.junk)
	f.victim.Hear(from.Context(), p)
	return p
}

// turned lets time pass until the next epoch has begun.
func (f *flooded) turned() {
	f.world.Run((onion.EpochAt(f.world.Now()) + 1).Start().Sub(f.world.Now()) + time.Second)
}

// A neighbour that has used up its share of a node's seen set is refused there, counted, until the epoch turns. The others
// are not: by them the node hears the same packets, and no letter is lost or waits, those of its own users and the flooder's
// among them.
func TestFullShareRefusesOneContext(t *testing.T) {
	const share, each = 400, 40
	f := newFlooded(t, share, false)
	refused := sum(f.victim, seenFull)
	if refused != 3*share {
		t.Errorf("%d of %d refused with a share of %d", refused, 4*share, share)
	}
	before := sum(f.victim, rebroadcast)
	p := f.say(f.flooder)
	f.world.Run(3 * time.Second)
	if sum(f.victim, rebroadcast) != before || sum(f.victim, seenFull) != refused+1 {
		t.Error("a packet over the share was said again, or not counted")
	}
	f.victim.Hear(f.other.Context(), p)
	if f.world.Run(3 * time.Second); sum(f.victim, rebroadcast) != before+1 {
		t.Error("the same packet, heard on another context, was not said again")
	}
	f.around(f.world.Now().Add(time.Minute), time.Minute, each)
	f.world.Run(2 * time.Minute)
	f.end("one share full", 5*time.Minute)
	if now := sum(f.victim, seenFull); now == refused+1 {
		t.Error("the load shows nothing: none of it came over the full share")
	}
	f.recovers(each)
}

// recovers demands that all goes on as if nothing had been once the epoch has turned.
func (f *flooded) recovers(each int) {
	f.t.Helper()
	f.turned()
	refused, before := f.dropped(f.nodes, mor.DropSeenFull), sum(f.victim, rebroadcast)
	f.say(f.flooder)
	f.world.Run(3 * time.Second)
	if sum(f.victim, rebroadcast) != before+1 {
		f.t.Error("the flooder is refused in the next epoch, too")
	}
	f.around(f.world.Now().Add(time.Minute), time.Minute, each)
	f.world.Run(2 * time.Minute)
	f.end("the next epoch", 5*time.Minute)
	if now := f.dropped(f.nodes, mor.DropSeenFull); now != refused {
		f.t.Errorf("%d refused in the next epoch", now-refused)
	}
}

// Where all shares are as small, what was passed on of a flood counts on the shares of those who passed it on, the victim's
// first of all. So some letters wait for the next epoch; then they arrive, and none is lost.
func TestFullSharesOfAll(t *testing.T) {
	const share, each = 500, 36 // a letter and its acknowledgement take a dozen packets, and more if a copy is lost
	f := newFlooded(t, share, true)
	f.around(f.world.Now().Add(time.Minute), time.Minute, each)
	f.world.Run(10 * time.Minute)
	passed := 0
	for _, s := range f.sent {
		passed += s.shown()
	}
	refused := f.dropped(f.nodes, mor.DropSeenFull) - sum(f.victim, seenFull)
	t.Logf("%d of %d letters shown before the turn; refused by the victim %d, by the others %d", passed, len(f.sent), sum(f.victim, seenFull), refused)
	if passed == len(f.sent) || refused == 0 {
		t.Error("the flood did nothing, and so nothing is shown")
	}
	f.turned()
	f.world.Run(30 * time.Minute)
	f.end("after the turn", 30*time.Minute)
	f.recovers(each)
}
