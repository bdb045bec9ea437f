package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/dial"
)

// A sighting is what a watcher of a cable sees: so many bytes at once, toward the node that listens or from it.
type sighting struct {
	at    time.Time
	bytes int
	in    bool
}

// A cable is one connection to a node, as somebody sees it who stands before that.
type cable struct {
	node int    // that listens
	from string // the address of who dialled

	mu   sync.Mutex // guards seen
	seen []sighting
}

func (w *cable) see(bytes int, in bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, sighting{time.Now(), bytes, in})
}

// sightings returns what was seen so far.
func (w *cable) sightings() []sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[:len(w.seen):len(w.seen)]
}

// A wiretap stands before the nodes of a lab: others know them by its addresses, and it passes on what they say, and sees
// when and how much.
type wiretap struct {
	dial    dial.Func
	ctx     context.Context // ends with the tap
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards cables
	cables []*cable
}

func newWiretap(door dial.Func) *wiretap {
	t := &wiretap{dial: door}
	t.ctx, t.end = context.WithCancel(context.Background())
	return t
}

// close ends all that goes over the tap.
func (t *wiretap) close() {
	t.end()
	t.running.Wait()
}

// before listens in place of a node, which is to be found at what target returns.
func (t *wiretap) before(node int, target func() string) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	context.AfterFunc(t.ctx, func() { listener.Close() })
	t.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				t.running.Go(func() { t.pass(node, conn, target()) })
			}
		}
	})
	return listener.Addr().String(), nil
}

// pass connects two ends until one of them ends.
func (t *wiretap) pass(node int, near net.Conn, target string) {
	defer near.Close()
	far, err := t.dial(t.ctx, "tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(t.ctx, func() { near.Close(); far.Close() })()
	w := &cable{node: node, from: near.RemoteAddr().String()}
	t.mu.Lock()
	t.cables = append(t.cables, w)
	t.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { w.copy(far, near, true) })
	both.Go(func() { w.copy(near, far, false) })
	both.Wait()
}

// copy passes on what comes, and its end.
func (w *cable) copy(to, from net.Conn, in bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			w.see(n, in)
			_, werr := to.Write(buffer[:n])
			err = errors.Join(err, werr)
		}
		if err != nil {
			if half, ok := to.(*net.TCPConn); ok {
				half.CloseWrite()
			}
			return
		}
	}
}

// all returns the cables so far.
func (t *wiretap) all() []*cable {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cables[:len(t.cables):len(t.cables)]
}
