package dnstxt

import (
	"hash/maphash"
	"net/netip"
	"time"
)

const (
	prefix4 = 24 // bits of an IPv4 address that count: one network
	prefix6 = 56 // the same of IPv6: what one customer gets

	gateRate  = 100     // UDP answers a second to one prefix
	gateBurst = 200     // answers at once, after silence
	gateSlots = 1 << 16 // which all prefixes share
	gateSlip  = 2       // of the answers that are too many, one in so many is sent, with TC
)

// A gate limits the rate of UDP answers to one prefix, /24 or /56, so that nobody can
// have a server shout at somebody in whose name he asks. What is too much gets no answer,
// and each second time an empty one with TC, no longer than the query, so that whoever
// really asked comes back over TCP.
//
// It has a fixed number of slots, into which prefixes are hashed with a secret seed:
// there is nothing to evict, and it is never full. Prefixes that share a slot share its
// rate. So a flood in many names can have others told to use TCP; it can not have anybody
// get more. A gate belongs to one goroutine.
type gate struct {
	seed  maphash.Seed
	now   func() time.Time
	every time.Duration // between two answers
	burst time.Duration // by which a slot may be ahead: the time of so many answers
	slots []int64       // when the slot is level again, nanoseconds since start
	start time.Time
	slip  int
}

// newGate lets rate answers a second through, each slot; at most 1e9.
func newGate(rate int, now func() time.Time) *gate {
	every := time.Second / time.Duration(rate)
	return &gate{seed: maphash.MakeSeed(), now: now, every: every, burst: gateBurst * every, slots: make([]int64, gateSlots), start: now()}
}

// pass returns how many octets an answer to who may have now: udpSize, 0 for one
// with TC and nothing else, or less than 0 for none. A nil gate is open.
func (g *gate) pass(who netip.Addr) int {
	if g == nil {
		return udpSize
	}
	slot, now := &g.slots[g.slot(who)], int64(g.now().Sub(g.start))
	if level := max(*slot, now); level-now < int64(g.burst) {
		*slot = level + int64(g.every)
		return udpSize
	}
	if g.slip++; g.slip%gateSlip == 0 {
		return 0
	}
	return -1
}

// slot is where the prefix of an address is counted.
func (g *gate) slot(who netip.Addr) uint64 {
	who = who.Unmap()
	octets, bits := who.As16(), 96+prefix4
	if who.Is6() {
		bits = prefix6
	}
	return maphash.Bytes(g.seed, octets[:bits/8]) % gateSlots
}
