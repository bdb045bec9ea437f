package simulations

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/simulations/kernel"
)

func TestConfigRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Nodes: -1}, {Nodes: 3, Loss: 1.1}, {Nodes: 3, Loss: -1}, {Nodes: 3, Latency: -1}, {Nodes: 3, ExtraHops: 4},
		{Nodes: 3, Edges: [][2]int{{0, 3}}}, {Nodes: 3, Edges: [][2]int{{1, 1}}}, {Nodes: 3, Edges: [][2]int{{-1, 1}}},
	} {
		if _, err := NewWorld(cfg); err == nil {
			t.Errorf("made a world of %+v", cfg)
		}
	}
}

// A mesh is a ring with chords, without loops or double edges, whatever the degree wanted.
func TestMesh(t *testing.T) {
	for n := 1; n < 12; n++ {
		for degree := range 14 {
			edges := mesh(rand.New(rand.NewPCG(uint64(n), uint64(degree))), n, degree)
			ring := 0
			for i, e := range edges {
				if e[0] >= e[1] || slices.Index(edges, e) != i {
					t.Fatalf("%d nodes: edge %v", n, e)
				}
				if e[1]-e[0] == 1 || e[1]-e[0] == n-1 {
					ring++
				}
			}
			if wantRing := min(n, n*(n-1)/2); ring < wantRing || len(edges) < min(n*degree/2, n*(n-1)/2) {
				t.Errorf("%d nodes of degree %d: %d edges, %d of the ring", n, degree, len(edges), ring)
			}
		}
	}
}

// Events happen in the order of their instants, and at one instant in that of planning.
func TestOrderOfEvents(t *testing.T) {
	start := time.Unix(Beginning, 0)
	w := &World{cfg: Config{Start: start}, now: start, diary: diary{queue: kernel.NewWheel()}}
	var order []int
	for i, after := range []time.Duration{3, 1, 1, -5, 2, 1} {
		w.After(after, func() { order = append(order, i) })
	}
	w.After(2, func() { w.After(1, func() { order = append(order, 6) }) })
	w.Run(2)
	if !slices.Equal(order, []int{3, 1, 2, 5, 4}) || w.Now().Sub(start) != 2 {
		t.Errorf("%v at %s", order, w.Now())
	}
	if w.RunUntil(10, func() bool { return len(order) == 6 }); !slices.Equal(order, []int{3, 1, 2, 5, 4, 0}) {
		t.Errorf("%v", order)
	}
	if w.RunUntil(1, func() bool { return false }) || len(order) != 7 {
		t.Errorf("%v", order)
	}
}

// The same Config and the same calls give the same events, byte for byte, whichever queue they are kept in; another seed
// gives others.
func TestTraceIsReproduced(t *testing.T) {
	play := func(seed uint64, queue func() kernel.Queue) ([32]byte, Counts) {
		w, err := NewWorld(Config{Seed: seed, Nodes: 12, Loss: 0.05, Jitter: 20 * time.Millisecond, Lazy: true, Queue: queue})
		if err != nil {
			t.Fatal(err)
		}
		var users []*User
		for i := range 4 {
			u, err := w.AddUser(i)
			if err != nil {
				t.Fatal(err)
			}
			users = append(users, u)
		}
		for i, u := range users {
			if _, err := u.Send(users[(i+1)%len(users)], "hello"); err != nil {
				t.Fatal(err)
			}
		}
		w.Run(time.Minute)
		return w.Trace(), w.Counts()
	}
	trace, counts := play(7, func() kernel.Queue { return kernel.NewWheel() })
	if counts.Shown != 4 {
		t.Errorf("%+v", counts)
	}
	for name, queue := range map[string]func() kernel.Queue{"again": nil, "a heap": func() kernel.Queue { return new(kernel.Heap) }} {
		if other, same := play(7, queue); other != trace || same != counts {
			t.Errorf("%s: another trace, %+v and %+v", name, same, counts)
		}
	}
	if other, _ := play(8, nil); other == trace {
		t.Error("another seed has the same trace")
	}
}

// One more node, or user, does not deal the others new keys.
func TestStreamsAreSeparate(t *testing.T) {
	small, err := NewWorld(Config{Seed: 9, Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	large, err := NewWorld(Config{Seed: 9, Nodes: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if small.Node(i).Context() != large.Node(i).Context() {
			t.Errorf("node %d is another", i)
		}
	}
	if large.Node(1).Context() == large.Node(2).Context() {
		t.Error("two nodes with one stream")
	}
}

// Content comes back as it was, and what does not fit is refused.
func TestContent(t *testing.T) {
	for _, c := range []content{{text: "hello"}, {acks: true, id: [16]byte{1}}, {from: [32]byte{2}}} {
		sealed, err := c.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseContent(sealed); err != nil || got != c {
			t.Errorf("%v, %v", got, err)
		}
	}
	if _, err := (content{text: string(make([]byte, 7000))}).marshal(); err == nil {
		t.Error("sealed a text that is too long")
	}
	if _, err := parseContent(nil); err == nil {
		t.Error("read nothing")
	}
}
