package simulations

import (
	"slices"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// tendEvery is how often nodes look whether a period has turned, and users for new keys.
const tendEvery = 10 * time.Minute

// now is the time by the node's own clock, which its users have too.
func (n *Node) now() time.Time { return n.world.now.Add(n.skew) }

// SetClock sets the node's clock, so that it is skew ahead of the world's from now on. Ten minutes later neighbours have
// asked each other again, as real ones do without end.
func (n *Node) SetClock(skew time.Duration) {
	n.skew = skew
	n.tick() // what was planned by the old clock is planned anew
	for _, u := range n.users {
		u.wake = time.Time{}
		u.carryOut(u.sender.Tick(n.now()))
	}
	n.world.After(10*time.Minute, n.world.askAgain)
}

// keys brings the node's server keys up to its time: that of the last period, if it was there
// then, of this one, and of the next, which is published ahead.
func (n *Node) keys() error {
	present := pki.PeriodAt(n.now())
	for last := n.servers[len(n.servers)-1].Period; last <= present; last++ {
		key, err := onion.NewServerKey(n.later)
		if err != nil {
			return err
		}
		n.servers = append(n.servers, mor.ServerKey{Period: last + 1, Private: key})
	}
	n.servers = slices.DeleteFunc(slices.Clone(n.servers), func(key mor.ServerKey) bool { return key.Period+1 < present })
	return nil
}

// tend turns the periods of server keys, here as in nodes and the programs of users. Keys that
// cannot be made are seen as missing when their period has come.
func (w *World) tend() {
	for _, n := range w.nodes {
		if err := n.keys(); err != nil {
			w.note('k', n.index, []byte(err.Error()))
		}
		n.Router.SetServers(n.servers)
	}
	all := w.servers(w.nodes)
	for _, u := range w.users {
		if u.near == nil {
			u.sender.SetServers(all)
		} else {
			u.sender.SetServers(w.servers(u.near))
		}
	}
	w.After(tendEvery, w.tend)
}

// servers are what users draw routes from: each of the nodes with its key of this period, by the
// world's clock. A node whose clock is so wrong that it has none is not among them.
func (w *World) servers(nodes []*Node) (all []mor.Server) {
	for _, n := range nodes {
		for _, key := range n.servers {
			if key.Period == pki.PeriodAt(w.now) {
				all = append(all, mor.Server{Domain: n.Domain(), Key: key.Private.Public()})
			}
		}
	}
	return all
}

// Clock returns how the node's clock compares with those of its neighbours, as it can tell.
func (n *Node) Clock() mor.ClockStatus { return n.Router.Clock(n.now()) }
