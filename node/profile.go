package node

import (
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
)

// A Profile is how much a node does against those who watch its links, and against insiders: and what that costs.
type Profile string

// The profiles. What each does is in docs/operating.md, "Cover".
const (
	ProfileOff  Profile = "off"  // neither cover nor delay
	ProfileLow  Profile = "low"  // two slots a second on each link, at random times
	ProfileHigh Profile = "high" // ten slots a second on links with peers, four with users, and more cover packets
)

// Profiles lists them, the cheapest first.
func Profiles() []Profile { return []Profile{ProfileOff, ProfileLow, ProfileHigh} }

// A shape is what a profile makes of links and of the router.
type shape struct {
	peers, users link.Pace
	delay        time.Duration // mean before a rebroadcast
	peelDelay    time.Duration // mean that those who peel are asked to wait: about the time of a flood
	maxDelay     time.Duration // of either
	cover        time.Duration // mean between two packets of cover
	fetchAfter   time.Duration // the least that an announced packet is waited for: about the time of a flood
}

func (p Profile) shape() shape {
	switch p {
	case ProfileLow:
		return shape{
			peers: link.Pace{Every: 500 * time.Millisecond, Poisson: true}, users: link.Pace{Every: 500 * time.Millisecond, Poisson: true},
			delay: 50 * time.Millisecond, peelDelay: time.Second, maxDelay: 5 * time.Second,
			cover: 5 * time.Minute, fetchAfter: 2 * time.Second,
		}
	case ProfileHigh:
		return shape{
			peers: link.Pace{Every: 100 * time.Millisecond}, users: link.Pace{Every: 250 * time.Millisecond},
			delay: 100 * time.Millisecond, peelDelay: time.Second, maxDelay: 5 * time.Second,
			cover: 30 * time.Second, fetchAfter: time.Second,
		}
	}
	return shape{}
}

// router is what the router is told of the configuration.
func (c Config) router(r mor.Config) mor.Config {
	s := c.Cover.shape()
	r.Domain, r.ExtraHops, r.Lazy = c.Domain, c.Routing.ExtraHops, !c.Routing.FloodAll
	r.Delay, r.PeelDelay, r.MaxDelay, r.Cover, r.FetchAfter = s.delay, s.peelDelay, s.maxDelay, s.cover, s.fetchAfter
	return r
}

// valid reports whether there is such a profile. None is off, as in configurations from before there were any.
func (p Profile) valid() bool {
	return p == "" || p == ProfileOff || p == ProfileLow || p == ProfileHigh
}

// Cost says what a profile does and costs, for an operator.
func (p Profile) Cost() string {
	s := p.shape()
	if s == (shape{}) {
		return "off: neither cover nor delay; whoever watches the links sees when something is sent"
	}
	return fmt.Sprintf("%s: %s a day each way for each linked peer, %s for each connected user, whatever there is to say",
		p, gigabytes(s.peers.PerDay()), gigabytes(s.users.PerDay()))
}

func gigabytes(n uint64) string { return fmt.Sprintf("%.2f GB", float64(n)/1e9) }

// A Cover is the profile of a node in its status.
type Cover struct {
	Profile    Profile `json:"profile"`
	PeerPerDay uint64  `json:"peer_bytes_per_day"` // on the link with each peer, in each direction
	UserPerDay uint64  `json:"user_bytes_per_day"` // on the link with each user, in each direction
}

func (p Profile) status() Cover {
	s := p.shape()
	if p == "" {
		p = ProfileOff
	}
	return Cover{p, s.peers.PerDay(), s.users.PerDay()}
}

// Cover is the profile of the node.
func (n *Node) Cover() Profile { return n.cfg.Cover }
