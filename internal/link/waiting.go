package link

import (
	"net"
	"slices"
	"sync"
)

// A waitingRoom holds the connections that are in the midst of their handshake, the oldest
// first. When it is full, the oldest has to go for the newest: an honest handshake takes
// milliseconds, so those who say nothing push out each other.
type waitingRoom struct {
	mu    sync.Mutex // guards conns
	conns []net.Conn // at most MaxHandshakes
}

// enter lets conn in. It returns the connection that had to go for it, nil if none did.
func (r *waitingRoom) enter(conn net.Conn) (gone net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) >= MaxHandshakes {
		gone = r.conns[0]
		r.conns = slices.Delete(r.conns, 0, 1)
	}
	r.conns = append(r.conns, conn)
	return gone
}

// leave lets conn out, if it is still in.
func (r *waitingRoom) leave(conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.conns, conn); i >= 0 {
		r.conns = slices.Delete(r.conns, i, i+1)
	}
}
