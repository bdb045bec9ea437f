package dnstxt

import (
	"net"
	"net/netip"
	"sync"
)

// maxConnsEach is how many TCP connections one network has at a time, /24 or /56: a
// quarter of all, so that no one network keeps the others out.
const maxConnsEach = maxConns / 4

// A crowd is who is connected, by network; at most maxConns. One that is nil lets
// everybody in.
type crowd struct {
	mu sync.Mutex
	of map[netip.Prefix]int
}

func newCrowd() *crowd { return &crowd{of: make(map[netip.Prefix]int)} }

// enter reports whether one more connection with who is welcome, and counts it.
func (c *crowd) enter(who net.Addr) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	network := networkOf(who)
	if c.of[network] >= maxConnsEach {
		return false
	}
	c.of[network]++
	return true
}

// leave ends what enter began.
func (c *crowd) leave(who net.Addr) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	network := networkOf(who)
	if c.of[network]--; c.of[network] == 0 {
		delete(c.of, network)
	}
}

// networkOf is the network of an address of TCP; none, which is one, of any other.
func networkOf(who net.Addr) netip.Prefix {
	tcp, ok := who.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip, bits := tcp.AddrPort().Addr().Unmap(), prefix4
	if ip.Is6() {
		bits = prefix6
	}
	network, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
