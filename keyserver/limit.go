package keyserver

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// MaxClients is how many clients' rates are kept. Over it those who have
	// been idle are dropped; if there are none, newcomers share one rate.
	MaxClients = 65_536

	// MaxConns is how many connections are open at once, and MaxConnsPerClient
	// how many of them one client has. One more is closed at once.
	MaxConns          = 1024
	MaxConnsPerClient = 256
)

// clientOf tells clients apart: an IPv4 address, an IPv6 /64, and one for all
// that have no address (RemoteAddr of a pipe).
func clientOf(remote string) netip.Prefix {
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

// clients keeps the rate of each client.
type clients struct {
	rate  rate.Limit
	burst int
	room  int // MaxClients; less in tests

	mu     sync.Mutex // for what follows
	known  map[netip.Prefix]*rate.Limiter
	others *rate.Limiter // shared by those for whom there is no room
}

func newClients(perSecond float64, burst int) *clients {
	return &clients{
		rate: rate.Limit(perSecond), burst: burst, room: MaxClients,
		known:  map[netip.Prefix]*rate.Limiter{},
		others: rate.NewLimiter(rate.Limit(perSecond), burst),
	}
}

// allow takes one request from a client's account.
func (c *clients) allow(remote string, now time.Time) bool {
	client := clientOf(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.known[client]
	if l == nil {
		l = c.admit(client, now)
	}
	return l.AllowN(now, 1)
}

// admit is called with mu held.
func (c *clients) admit(client netip.Prefix, now time.Time) *rate.Limiter {
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

// listener closes connections over the limits as they come.
type listener struct {
	net.Listener
	most, mostEach int

	mu   sync.Mutex // for what follows
	open int
	each map[netip.Prefix]int
}

func limitListener(ln net.Listener) *listener {
	return &listener{Listener: ln, most: MaxConns, mostEach: MaxConnsPerClient, each: map[netip.Prefix]int{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientOf(c.RemoteAddr().String())
		if l.enter(client) {
			return &conn{Conn: c, leave: sync.OnceFunc(func() { l.leave(client) })}, nil
		}
		_ = c.Close()
	}
}

func (l *listener) enter(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || l.each[client] >= l.mostEach {
		return false
	}
	l.open++
	l.each[client]++
	return true
}

func (l *listener) leave(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.each[client]--; l.each[client] == 0 {
		delete(l.each, client)
	}
}

// conn gives its place back when it is closed.
type conn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
