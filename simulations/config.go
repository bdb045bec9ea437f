package simulations

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations/kernel"
)

// Beginning is when virtual time begins unless Config.Start says otherwise.
const Beginning = 1_800_000_000 // Unix seconds: 2027-01-15T08:00:00Z

// Config is what a World is made from. Zero values are the defaults given.
type Config struct {
	Seed  uint64
	Nodes int
	// Degree is how many neighbours a node has: two on a ring, the others by chords drawn
	// at random. Default 4, or fewer in a small world.
	Degree int
	// Edges, if not nil, are the neighbours instead.
	Edges [][2]int
	// Cells are how many parts the nodes are split into evenly, each a mesh of its own. The first node of each is the
	// gateway to the next one: there it speaks on a second context, to its first Degree nodes. Default 1.
	Cells int
	// Reach is how many links a server may be away from a user's home for her program to know it and draw routes over it; 0: however
	// many. Two servers that are within two links of the same one are within four of each other, so that there is a way.
	Reach int
	Start time.Time // virtual; default Beginning

	Latency time.Duration // of every link, one way, and between users and their homes; default 10 ms
	// Distance, if not nil, is the latency of the link from one node to another instead.
	Distance func(from, to int) time.Duration
	Jitter   time.Duration // at most this is added, uniformly
	Loss     float64       // of packets on links between nodes: 0 to 1

	ExtraHops int           // of every router, as in mor.Config
	Delay     time.Duration // of every router, as in mor.Config
	PeelDelay time.Duration // of every router, as in mor.Config
	Lazy      bool          // of every router, as in mor.Config
	Cover     time.Duration // of every router, as in mor.Config

	Scheme onion.Scheme // of packets, for all; default the real one

	Queue func() kernel.Queue // makes what keeps all that is planned; default kernel.NewWheel

	SeenShare func(node int) int           // of each router, as in mor.Config; default the default there
	Skew      func(node int) time.Duration // how far the clock of each node, and of its users, is ahead; default not
}

func (c Config) withDefaults() (Config, error) {
	if c.Start.IsZero() {
		c.Start = time.Unix(Beginning, 0).UTC()
	}
	if c.Degree == 0 {
		c.Degree = 4
	}
	if c.Latency == 0 {
		c.Latency = 10 * time.Millisecond
	}
	if c.Cells == 0 {
		c.Cells = 1
	}
	if c.Queue == nil {
		c.Queue = func() kernel.Queue { return kernel.NewWheel() }
	}
	switch {
	case c.Cells < 1 || c.Nodes%c.Cells != 0 || c.Cells > 1 && c.Edges != nil:
		return c, errors.New("simulations: the nodes cannot be split evenly into cells, or their edges are given")
	case c.Nodes < 1:
		return c, errors.New("simulations: a world wants a node at least")
	case c.Loss < 0 || c.Loss > 1 || c.Latency < 0 || c.Jitter < 0 || c.Degree < 0:
		return c, errors.New("simulations: a negative number, or a loss above 1")
	}
	for _, e := range c.Edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= c.Nodes || e[0] == e[1] {
			return c, fmt.Errorf("simulations: no edge can be between nodes %d and %d", e[0], e[1])
		}
	}
	return c, nil
}

// stream returns the random stream of one part of a world.
func stream(seed uint64, label string, index int) *rand.ChaCha8 {
	b := binary.BigEndian.AppendUint64([]byte(label), seed)
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(index))))
}

// An end of an edge is a node and which of its contexts it speaks on there.
type end struct{ node, context int }

// links returns which nodes are neighbours, and on which of their contexts.
func (c Config) links(random *rand.Rand) (links [][2]end) {
	size := c.Nodes / c.Cells
	for cell := range c.Cells {
		edges := c.Edges
		if edges == nil {
			edges = mesh(random, size, c.Degree)
		}
		for _, e := range edges {
			links = append(links, [2]end{{cell*size + e[0], 0}, {cell*size + e[1], 0}})
		}
	}
	for cell := 0; cell < c.Cells && c.Cells > 1; cell++ {
		next := (cell + 1) % c.Cells * size
		for i := range min(size, c.Degree) {
			links = append(links, [2]end{{cell * size, 1}, {next + i, 0}})
		}
	}
	return links
}

// mesh returns the edges of a ring of n nodes with chords, about degree to a node.
func mesh(random *rand.Rand, n, degree int) [][2]int {
	var edges [][2]int
	joined := make(map[[2]int]bool)
	join := func(a, b int) {
		e := [2]int{min(a, b), max(a, b)}
		if a != b && !joined[e] {
			joined[e] = true
			edges = append(edges, e)
		}
	}
	for i := range n {
		join(i, (i+1)%n)
	}
	most := min(n*degree/2, n*(n-1)/2)
	for len(edges) < most {
		join(random.IntN(n), random.IntN(n))
	}
	return edges
}

// Diameter returns the greatest number of links between two nodes, on a shortest way; -1
// if there is no way at all. Records travel three Asks, and their leads one link more: a
// router finds ways to servers that are four links away.
func (w *World) Diameter() int {
	diameter := 0
	for _, from := range w.nodes {
		far := map[*Node]int{from: 0}
		queue := []*Node{from}
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			diameter = max(diameter, far[n])
			for _, to := range n.neighbours {
				next := to.Node
				if _, seen := far[next]; !seen {
					far[next] = far[n] + 1
					queue = append(queue, next)
				}
			}
		}
		if len(far) < len(w.nodes) {
			return -1
		}
	}
	return diameter
}

func (c Config) distance(from, to int) time.Duration {
	if c.Distance == nil {
		return c.Latency
	}
	return max(c.Distance(from, to), 0)
}

func (c Config) seenShare(node int) int {
	if c.SeenShare == nil {
		return 0
	}
	return c.SeenShare(node)
}

func (c Config) skew(node int) time.Duration {
	if c.Skew == nil {
		return 0
	}
	return c.Skew(node)
}
