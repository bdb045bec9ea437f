package mor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/simulations"
)

const (
	lossyEach   = 100 // texts of each user
	lossyAtOnce = 16  // texts of a user that may be unfinished at a time
	lossySpool  = 1   // bob's home, which is started again twice
	lossyRelay  = 5   // dies for good
	// lossyPatience is longer than any of forty seeds needed: 42 s at most, 29 s on average.
	lossyPatience = 5 * time.Minute
)

// lossyMesh is a ring of seven with chords, as a lab of seven servers has it. Ann's home is
// 0 and bob's is 1.
func lossyMesh(seed uint64) simulations.Config {
	edges := [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 0}, {0, 3}, {1, 4}, {2, 5}}
	return simulations.Config{Seed: seed, Nodes: 7, Edges: edges, Latency: 50 * time.Millisecond, Loss: 0.1, ExtraHops: 1}
}

// lossy is the scenario of that name, as p3dod lab plays it with real servers: two users
// write to each other while a tenth of all packets is lost on every link, a relay dies for
// good half-way, the recipient's server is started again twice and the sender's program
// once, each with nothing but what was durable.
type lossy struct {
	*letters
	t     *testing.T
	wrote [2]int      // texts of either
	open  [2][]letter // of these, not acknowledged
	acts  int         // accidents that have happened
}

// playLossy plays it to its end. A run is its seed.
func playLossy(t *testing.T, seed uint64) *lossy {
	l := &lossy{letters: newLetters(t, lossyMesh(seed), 0, lossySpool), t: t}
	l.round()
	if !l.world.RunUntil(lossyPatience, l.over) {
		t.Errorf("seed %d: not all acknowledged after %s: %d and %d open, %+v", seed, lossyPatience, len(l.open[0]), len(l.open[1]), l.world.Counts())
	}
	return l
}

// round has both users go on writing, and accidents happen as texts are shown.
func (l *lossy) round() {
	accidents := []func(){l.restartSpool, l.killRelay, l.users[0].Crash, l.restartSpool}
	for shown := int(l.world.Counts().Shown); l.acts < len(accidents) && shown >= 2*lossyEach*(l.acts+1)/(len(accidents)+1); l.acts++ {
		accidents[l.acts]()
	}
	for i, u := range l.users {
		l.open[i] = slices.DeleteFunc(l.open[i], func(s letter) bool { return u.State(s.id) == mor.Acknowledged })
		for ; l.wrote[i] < lossyEach && len(l.open[i]) < lossyAtOnce; l.wrote[i]++ {
			l.send(l.t, i, 1-i, 2)
			l.open[i] = append(l.open[i], l.sent[len(l.sent)-1])
		}
	}
	l.world.After(100*time.Millisecond, l.round)
}

func (l *lossy) over() bool {
	return len(l.sent) == 2*lossyEach && len(l.open[0])+len(l.open[1]) == 0
}

func (l *lossy) restartSpool() {
	if err := l.world.Node(lossySpool).Restart(); err != nil {
		l.t.Error(err)
	}
}

func (l *lossy) killRelay() {
	if err := l.world.Node(lossyRelay).Kill(); err != nil {
		l.t.Error(err)
	}
}

// copies is how many were made of the texts.
func (l *lossy) copies() (sum int) {
	for _, s := range l.sent {
		sum += s.from.Outgoing(s.id).Copies
	}
	return sum
}

// TestMeshLossy: 200 texts both ways are acknowledged and shown, none is lost and none shown
// twice, whatever the seed; and one seed is one course of events, accidents and all.
func TestMeshLossy(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := playLossy(t, seed)
			took := l.world.Now().Sub(time.Unix(simulations.Beginning, 0))
			t.Logf("seed %d: %d texts in %s, %d copies; %+v", seed, len(l.sent), took, l.copies(), l.world.Counts())
			if l.acts != 4 {
				t.Errorf("seed %d: %d of 4 accidents happened", seed, l.acts)
			}
			if seed == 0 {
				again := playLossy(t, seed)
				if l.world.Trace() != again.world.Trace() || l.world.Counts() != again.world.Counts() || l.copies() != again.copies() {
					t.Errorf("seed %d, played again: %d copies; %+v", seed, again.copies(), again.world.Counts())
				}
			}
			l.arrive(t, 0)
		})
	}
}
