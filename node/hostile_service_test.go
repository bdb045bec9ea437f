package node

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// keptPackets is what a node keeps of the packets of the last half minute, whoever sent them, in bytes.
const keptPackets = mor.MaxBodies * onion.Size

// A burden is what this process carries, tests and attackers included.
type burden struct {
	goroutines int
	memory     uint64 // bytes of heap and stacks
}

func (b burden) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB", b.goroutines, mib(b.memory))
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// weigh says what is carried after a collection.
func weigh(t testing.TB, when string) burden {
	t.Helper()
	runtime.GC()
	runtime.GC() // what pools keep for once
	b := glance()
	t.Logf("%s: %v", when, b)
	return b
}

// glance is what is carried now, what could be collected included.
func glance() burden {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return burden{runtime.NumGoroutine(), s.HeapInuse + s.StackInuse}
}

func (b burden) most(other burden) burden {
	return burden{max(b.goroutines, other.goroutines), max(b.memory, other.memory)}
}

// service is what a node owes to those who have a link, while others attack it.
type service struct {
	mesh *mesh
	y, z *rawPeer
	ann  *user
	ear  *ear // of z
}

func newService(y, z *rawPeer, ann *user) *service {
	y.listen() // or its link would be full one day
	return &service{y.mesh, y, z, ann, z.listen()}
}

// An ear takes all that a node says to a peer, and tells when it hears what is expected.
type ear struct {
	mu    sync.Mutex // guards what follows
	want  [onion.Size]byte
	heard chan struct{} // closed when it is heard; nil if nothing is expected
}

// listen takes what is said to p until its link ends. Nobody else may receive there.
func (p *rawPeer) listen() *ear {
	e := new(ear)
	go func() {
		for {
			m, err := p.conn.Receive()
			if err != nil {
				return
			}
			if m.Packet != nil {
				e.take(m.Packet)
			}
		}
	}()
	return e
}

func (e *ear) take(packet *[onion.Size]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard != nil && *packet == e.want {
		close(e.heard)
		e.heard = nil
	}
}

func (e *ear) expect(packet *[onion.Size]byte) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want, e.heard = *packet, make(chan struct{})
	return e.heard
}

// sayAgain is how long a packet of one peer may take to the other before another is said: links that are
// flooded lose some, as they may.
const sayAgain = 2 * time.Second

// round has the node answer a user, and carry a packet from one peer to another. It
// returns how many packets were lost.
func (s *service) round() (lost int) {
	t := s.mesh.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := s.ann.client.Items(ctx, session.Items{})
	must(t, err)
	for !s.carried(ctx) {
		if lost++; ctx.Err() != nil {
			t.Fatalf("%d packets were lost", lost)
		}
	}
	return lost
}

// carried reports whether a packet of y was said again to z.
func (s *service) carried(ctx context.Context) bool {
	t := s.mesh.t
	t.Helper()
	p := packetForNobody(t).Bytes()
	heard := s.ear.expect(p)
	must(t, s.y.conn.SendPacket(0, p))
	ctx, cancel := context.WithTimeout(ctx, sayAgain)
	defer cancel()
	select {
	case <-heard:
		return true
	case <-ctx.Done():
		return false
	}
}

// lookUp asks the key server as a newcomer.
func (s *service) lookUp() {
	s.mesh.t.Helper()
	_, err := (keyserver.Client{Dial: dial.Direct()}).User(s.mesh.t.Context(), s.mesh.endpoint("a.test"), s.ann.name)
	must(s.mesh.t, err)
}

// meanwhile is what became of the service during an attack.
type meanwhile struct {
	took    time.Duration // by the attack
	rounds  int
	longest time.Duration // of the rounds
	lost    int           // packets
	height  burden        // what could be collected included
}

// row prints an attack as docs/spec/hostile.md has it.
func (w meanwhile) row(t testing.TB, attack string, times int, before, height, after burden) {
	t.Helper()
	t.Logf("| %s | %d | %d, %d, %d | %.0f, %.0f, %.0f | %.1f s | %d ms |", attack, times, before.goroutines, height.goroutines,
		after.goroutines, mib(before.memory), mib(height.memory), mib(after.memory), w.took.Seconds(), w.longest.Milliseconds())
}

// while goes round after round while attack runs.
func (s *service) while(attack func() error) (w meanwhile) {
	s.mesh.t.Helper()
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- attack() }()
	for {
		at := time.Now()
		w.lost += s.round()
		w.rounds++
		w.longest = max(w.longest, time.Since(at))
		w.height = w.height.most(glance())
		select {
		case err := <-done:
			must(s.mesh.t, err)
			w.took = time.Since(begun)
			return w
		default:
		}
	}
}
