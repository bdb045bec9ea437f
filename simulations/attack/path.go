package attack

import "github.com/p3do/p3do/simulations/measure"

// PathCount is how many of some paths an adversary holds: P. Syverson, G. Tsudik, M. Reed, C. Landwehr, Towards an
// analysis of onion routing security, Workshop on Design Issues in Anonymity 2000. She knows which relays are hers, and
// recognises what passes several of them.
type PathCount struct {
	Paths int
	All   int // every relay is hers: she follows a message from end to end by looking
	Ends  int // the first and the last are hers: she follows it by timing
	Any   int // at least one is
}

// CountPaths counts over paths, each a list of relays without the initiator and the receiver. A path without relays is
// nobody's.
func CountPaths(paths [][]uint32, bad Coalition) PathCount {
	c := PathCount{Paths: len(paths)}
	for _, path := range paths {
		hers := 0
		for _, relay := range path {
			if bad.Has(relay) {
				hers++
			}
		}
		if hers == 0 {
			continue
		}
		c.Any++
		if hers == len(path) {
			c.All++
		}
		if bad.Has(path[0]) && bad.Has(path[len(path)-1]) {
			c.Ends++
		}
	}
	return c
}

// Followed is the share of paths of which she has every relay.
func (c PathCount) Followed() measure.Interval { return measure.Proportion(c.All, c.Paths) }

// Timed is the share of paths of which she has both ends.
func (c PathCount) Timed() measure.Interval { return measure.Proportion(c.Ends, c.Paths) }
