package mor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations"
)

// effects is what letters and packets have done so far, all nodes together.
type effects struct {
	stored, receipts, shown, submitted uint64 // letters and copies; each counts what came twice, too
	marks                              int
	spoken                             uint64 // packets of the nodes' own making
	rebroadcast, stopped               uint64 // packets said again; layers and inner packets that were here before
}

func (l *load) effects() (e effects) {
	c := l.world.Counts()
	e = effects{stored: c.Stored + c.Duplicates, receipts: c.Receipts, shown: c.Shown + c.Hidden, submitted: c.Submitted}
	for i := range l.nodes {
		n := l.world.Node(i)
		e.marks += len(n.Marks())
		e.spoken += sum(n, func(c mor.Counters) uint64 { return c.Spoken })
		e.rebroadcast += sum(n, rebroadcast)
		e.stopped += sum(n, func(c mor.Counters) uint64 { return c.Dropped[mor.DropReplay] })
	}
	return e
}

// A replay is a packet as heard by a node on one of the contexts that it may listen to.
type replay struct {
	at *simulations.Node
	on mor.ContextID
	p  onion.Packet
}

// replays are all packets for each node and context, in order.
func (l *load) replays(packets []onion.Packet) (all []replay) {
	for _, p := range packets {
		for at := range l.nodes {
			for from := range l.nodes {
				if at != from {
					all = append(all, replay{l.world.Node(at), l.world.Node(from).Context(), p})
				}
			}
		}
	}
	return all
}

// timely is how many of the packets are of an epoch that is accepted now.
func (l *load) timely(packets []onion.Packet) (n uint64) {
	for _, p := range packets {
		if _, err := onion.EpochAt(l.world.Now()).Near(p.WireEpoch()); err == nil {
			n++
		}
	}
	return n
}

// All packets of an hour are heard once more, by every node and on every context, in their order and in none. Nothing is
// stored, receipted, marked or said again for it, neither now nor an epoch later. When all nodes were started again, and
// have forgotten what they had seen, each says once more what is of an epoch that it accepts: no packet twice, nothing of
// its own, and nothing comes of it.
func TestReplayOfAnHour(t *testing.T) {
	const each = 50
	l := newLoad(t, simulations.Config{Lazy: true, Seed: 27, Nodes: 7, Degree: 4, ExtraHops: 1, Start: start.Add(10 * time.Minute)})
	packets := l.tap()
	l.around(l.world.Now().Add(30*time.Minute), 30*time.Minute, each)
	l.world.Run(time.Hour)
	l.end("an hour", time.Minute)
	hour := *packets

	l.again("at once, in order", hour, false, false)
	l.again("at once, shuffled", hour, true, false)
	l.again("after a restart, shuffled", hour, true, true)
	l.again("and again, in order", hour, false, false)
	l.world.Run(onion.EpochLength)
	l.again("an epoch later, in order", hour, false, false)
	l.again("after another restart, in order", hour, false, true)
	l.again("and again, shuffled", hour, true, false)
	l.world.Run(onion.EpochLength)
	if n := l.timely(hour); n != 0 {
		t.Errorf("%d packets are accepted two epochs later", n)
	}
	l.again("two epochs later, after a restart", hour, false, true)
	l.markedOnce()
}

// again replays packets, and demands that nothing comes of it: but that they are said once more after a restart.
func (l *load) again(when string, packets []onion.Packet, shuffled, restarted bool) {
	l.t.Helper()
	all := l.replays(packets)
	if shuffled {
		l.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	for i := 0; restarted && i < l.nodes; i++ {
		if err := l.world.Node(i).Restart(); err != nil {
			l.t.Fatal(err)
		}
	}
	before, allowed := l.effects(), uint64(0)
	if restarted {
		allowed = l.timely(packets) * uint64(l.nodes)
	}
	for i, r := range all {
		if r.at.Hear(r.on, r.p); i%100 == 0 {
			l.world.Run(20 * time.Millisecond)
		}
	}
	l.world.Run(5 * time.Second)
	after := l.effects()
	said, stopped := after.rebroadcast-before.rebroadcast, after.stopped-before.stopped
	l.t.Logf("%s: %d packets heard %d times; said again %d of %d allowed, %d layers were here before", when, len(packets), len(all), said, allowed, stopped)
	if said != allowed || (stopped > 0) != (allowed > 0) {
		l.t.Errorf("%s: said %d again, in place of %d; %d layers stopped", when, said, allowed, stopped)
	}
	after.rebroadcast, after.stopped = before.rebroadcast, before.stopped
	if after != before {
		l.t.Errorf("%s: %+v\nbefore: %+v", when, after, before)
	}
}

// markedOnce demands that nobody has marked anything twice.
func (l *load) markedOnce() {
	l.t.Helper()
	marks, seen := 0, make(map[string]bool)
	for i := range l.nodes {
		for _, m := range l.world.Node(i).Marks() {
			name := fmt.Sprint(i, m.ID)
			if marks++; seen[name] {
				l.t.Errorf("node %d marked %x twice", i, m.ID)
			}
			seen[name] = true
		}
	}
	l.t.Logf("%d marks", marks)
}
