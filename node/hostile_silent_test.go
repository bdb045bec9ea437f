package node

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/keyserver"
)

// Ten thousand connections that say nothing, to each door that strangers have. What they
// cost is bounded by the places at the door and not by their number; meanwhile a session
// and the packets of peers go on, and at the height newcomers still get in. When they are
// gone, everything is given back.
func TestSilence(t *testing.T) {
	m := newMesh(t, "a.test")
	peers := m.rawPeers("a.test", "y.test", "z.test")
	s := newService(peers[0], peers[1], m.user("ann@a.test"))
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
		var crowd []net.Conn
		n := crowdSize(t)
		w := s.while(func() (err error) {
			crowd, err = silent(door.address, n)
			return err
		})
		t.Cleanup(func() { closeAll(crowd) })
		door.enter()
		held := weigh(t, door.name+", at the height")
		height := held.most(w.height)
		if most := before.goroutines + 2*door.places + 64; height.goroutines > most {
			t.Errorf("%s: %d goroutines, at most %d", door.name, height.goroutines, most)
		}
		most := before.memory + 64<<20 + keptPackets
		if held.memory > most {
			t.Errorf("%s: %d bytes are held, at most %d", door.name, held.memory, most)
		}
		if height.memory > 2*most { // the collector lets as much again be garbage
			t.Errorf("%s: %d bytes with garbage, at most %d", door.name, height.memory, 2*most)
		}
		closeAll(crowd)
		until(t, "all to be given back", func() error {
			if n := runtime.NumGoroutine(); n > before.goroutines+16 {
				return fmt.Errorf("%d goroutines", n)
			}
			return nil
		})
		after := weigh(t, door.name+", after")
		w.row(t, door.name+": connections that say nothing", n, before, height, after)
		if most := before.memory + 16<<20 + keptPackets; after.memory > most {
			t.Errorf("%s: %d bytes are kept, at most %d", door.name, after.memory, most)
		}
		s.round()
	}
}

// crowdSize is 10 000, or as many connections as this process may have open.
func crowdSize(t testing.TB) int {
	t.Helper()
	var files unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &files))
	const own = 3000 // for what a node keeps open
	n := min(10_000, int(min(files.Cur, 1<<20))-own)
	if n < 1000 {
		t.Skipf("only %d open files are allowed", files.Cur)
	}
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
