package keyserver

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// MaxClients is how many clients' rates are kept. Over it those who have
	// been idle are dropped; if there are none, newcomers share one rate.
	MaxClients = 65_536

	// MaxConns is how many connections are open at once, and MaxConnsPerClient
	// how many of them one client has. For one more the oldest is closed that
	// nothing is being answered to; if there is none, the new one.
	MaxConns          = 1024
	MaxConnsPerClient = 256
)

// ClientOf tells clients apart by a remote address, "host:port": an IPv4 address, an IPv6
// /64, and one for all that have no address (RemoteAddr of a pipe).
func ClientOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, bits := ap.Addr().Unmap().WithZone(""), 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // cannot fail: bits fit the address
	return p
}

// Clients keeps the rate of each client: an IPv4 address, an IPv6 /64, and one for all that
// have no address. Its methods may be called concurrently.
type Clients struct {
	rate  rate.Limit
	burst int
	room  int // MaxClients; less in tests

	mu     sync.Mutex // for what follows
	known  map[netip.Prefix]*rate.Limiter
	others *rate.Limiter // shared by those for whom there is no room
}

// NewClients allows each client perSecond requests in the long run, and burst at once.
func NewClients(perSecond float64, burst int) *Clients {
	return &Clients{
		rate: rate.Limit(perSecond), burst: burst, room: MaxClients,
		known:  map[netip.Prefix]*rate.Limiter{},
		others: rate.NewLimiter(rate.Limit(perSecond), burst),
	}
}

// Allow takes one request from the account of the client at a remote address, "host:port".
// It is false if there is none left.
func (c *Clients) Allow(remote string, now time.Time) bool {
	client := ClientOf(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.known[client]
	if l == nil {
		l = c.admit(client, now)
	}
	return l.AllowN(now, 1)
}

// admit is called with mu held.
func (c *Clients) admit(client netip.Prefix, now time.Time) *rate.Limiter {
	if len(c.known) >= c.room {
		for p, l := range c.known {
			if l.TokensAt(now) >= float64(c.burst) {
				delete(c.known, p) // idle: a new account would be the same
			}
		}
	}
	if len(c.known) >= c.room {
		return c.others
	}
	l := rate.NewLimiter(c.rate, c.burst)
	c.known[client] = l
	return l
}

// listener keeps connections within the limits. Where there is no room, the oldest of
// those that wait for their client to say something has to go for the newest: an honest
// client says at once what it wants, so those who say nothing push out each other.
type listener struct {
	net.Listener
	most, mostEach int

	mu   sync.Mutex // for what follows
	open int
	each map[netip.Prefix]int
	idle []*conn // those of the open ones that nothing is being answered to, the oldest first
}

func limitListener(ln net.Listener) *listener {
	return &listener{Listener: ln, most: MaxConns, mostEach: MaxConnsPerClient, each: map[netip.Prefix]int{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, listener: l, client: ClientOf(raw.RemoteAddr().String())}
		gone, ok := l.enter(c)
		if gone != nil {
			_ = gone.Conn.Close() // and whoever serves it sees that
		}
		if ok {
			return c, nil
		}
		_ = raw.Close()
	}
}

// enter lets c in. It returns the connection that has to go for it, nil if none has; and
// false if all are being answered, so that none could.
func (l *listener) enter(c *conn) (gone *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.each[c.client] >= l.mostEach
	if own || l.open >= l.most {
		i := slices.IndexFunc(l.idle, func(o *conn) bool { return !own || o.client == c.client })
		if i < 0 {
			return nil, false
		}
		gone = l.idle[i]
		l.remove(gone)
	}
	c.inside = true
	l.open++
	l.each[c.client]++
	l.idle = append(l.idle, c)
	return gone, true
}

// leave lets c out, if it is still in.
func (l *listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.inside {
		l.remove(c)
	}
}

// remove is called with mu held.
func (l *listener) remove(c *conn) {
	c.inside = false
	l.open--
	if l.each[c.client]--; l.each[c.client] == 0 {
		delete(l.each, c.client)
	}
	l.setIdle(c, false)
}

// note is what an http.Server over TLS tells of a connection: it is active from the first
// whole header of a request to the end of the answer.
func (l *listener) note(over net.Conn, state http.ConnState) {
	c := over.(*tls.Conn).NetConn().(*conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.inside && (state == http.StateActive || state == http.StateIdle) {
		l.setIdle(c, state == http.StateIdle)
	}
}

// setIdle is called with mu held.
func (l *listener) setIdle(c *conn, idle bool) {
	switch i := slices.Index(l.idle, c); {
	case idle && i < 0:
		l.idle = append(l.idle, c)
	case !idle && i >= 0:
		l.idle = slices.Delete(l.idle, i, i+1)
	}
}

// conn gives its place back when it is closed.
type conn struct {
	net.Conn
	listener *listener
	client   netip.Prefix
	inside   bool // guarded by listener.mu
}

// Close implements net.Conn.
func (c *conn) Close() error {
	defer c.listener.leave(c)
	return c.Conn.Close()
}
