package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
)

// Ten thousand connections that say nothing, to each door that strangers have. What they
// cost is bounded by the places at the door and not by their number; meanwhile a session
// and the packets of peers go on, and at the height newcomers still get in. When they are
// gone, everything is given back.
func TestSilence(t *testing.T) {
	m := newMesh(t, "a.test")
	peers := m.rawPeers("a.test", "y.test", "z.test")
	s := &service{m, peers[0], peers[1], m.user("ann@a.test")}
	s.round()
	before := weigh(t, "before")
	for _, door := range []struct {
		name, address string
		places        int
		enter         func()
	}{
		{"link port", m.nodes["a.test"].running.Link, link.MaxHandshakes, func() { m.user("new@a.test") }},
		{"key server", m.nodes["a.test"].running.KeyServer, keyserver.MaxConns, s.lookUp},
	} {
		crowd, err := s.while(func() ([]net.Conn, error) { return silent(door.address, crowdSize(t)) })
		t.Cleanup(func() { closeAll(crowd) })
		must(t, err)
		door.enter()
		height := weigh(t, door.name+", at the height")
		if most := before.goroutines + 2*door.places + 64; height.goroutines > most {
			t.Errorf("%s: %d goroutines, at most %d", door.name, height.goroutines, most)
		}
		if most := before.memory + 64<<20; height.memory > most {
			t.Errorf("%s: %d bytes, at most %d", door.name, height.memory, most)
		}
		closeAll(crowd)
		until(t, "all to be given back", func() error {
			if n := runtime.NumGoroutine(); n > before.goroutines+16 {
				return fmt.Errorf("%d goroutines", n)
			}
			return nil
		})
		after := weigh(t, door.name+", after")
		if most := before.memory + 16<<20; after.memory > most {
			t.Errorf("%s: %d bytes are kept, at most %d", door.name, after.memory, most)
		}
		s.round()
	}
}

// crowdSize is 10 000, or as many connections as this process may have open.
func crowdSize(t *testing.T) int {
	t.Helper()
	var files unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &files))
	const own = 3000 // for what a node keeps open
	n := min(10_000, int(min(files.Cur, 1<<20))-own)
	if n < 1000 {
		t.Skipf("only %d open files are allowed", files.Cur)
	}
	t.Logf("%d connections", n)
	return n
}

// silent opens n connections that say nothing, 1000 from each address. Machines whose
// loopback is one address only give them all from that.
func silent(address string, n int) ([]net.Conn, error) {
	var all []net.Conn
	for i := range n {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(9+i/1000))}}
		conn, err := from.Dial("tcp", address)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			conn, err = net.Dial("tcp", address)
		}
		if err != nil {
			return all, err
		}
		all = append(all, conn)
	}
	return all, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// A burden is what this process carries.
type burden struct {
	goroutines int
	memory     uint64 // bytes of heap and stacks, after a collection
}

func weigh(t *testing.T, when string) burden {
	t.Helper()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	b := burden{runtime.NumGoroutine(), s.HeapInuse + s.StackInuse}
	t.Logf("%s: %d goroutines, %.1f MiB", when, b.goroutines, float64(b.memory)/(1<<20))
	return b
}

// service is what a node owes to those who have a link, while others attack it.
type service struct {
	mesh *mesh
	y, z *rawPeer
	ann  *user
}

// round has the node answer a user, and carry a packet from one peer to the others.
func (s *service) round() {
	t := s.mesh.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.y.conn.Close(); s.z.conn.Close() })
	defer stop()
	_, err := s.ann.client.Items(ctx, session.Items{})
	must(t, err)
	p := packetForNobody(t)
	must(t, s.y.conn.SendPacket(0, p.Bytes()))
	for _, peer := range []*rawPeer{s.y, s.z} {
		if got := peer.packet(); *got.Packet != *p.Bytes() {
			t.Error("a peer heard something else")
		}
	}
}

// lookUp asks the key server as a newcomer.
func (s *service) lookUp() {
	s.mesh.t.Helper()
	_, err := (keyserver.Client{Dial: dial.Direct()}).User(s.mesh.t.Context(), s.mesh.endpoint("a.test"), s.ann.name)
	must(s.mesh.t, err)
}

// while goes round after round while attack runs.
func (s *service) while(attack func() ([]net.Conn, error)) ([]net.Conn, error) {
	s.mesh.t.Helper()
	type result struct {
		crowd []net.Conn
		err   error
	}
	done := make(chan result, 1)
	begun := time.Now()
	go func() {
		crowd, err := attack()
		done <- result{crowd, err}
	}()
	var longest time.Duration
	for rounds := 1; ; rounds++ {
		at := time.Now()
		s.round()
		longest = max(longest, time.Since(at))
		select {
		case r := <-done:
			s.mesh.t.Logf("%d connections in %v; meanwhile %d rounds of service, the longest took %v",
				len(r.crowd), time.Since(begun).Round(time.Millisecond), rounds, longest.Round(time.Millisecond))
			return r.crowd, r.err
		default:
		}
	}
}
