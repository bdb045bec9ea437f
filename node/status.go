package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A Status is what p3dod status shows: of contexts, links and what became of packets. It
// names domains, never users.
type Status struct {
	Domain    pki.Domain      `json:"domain"`
	Servers   int             `json:"servers"`        // descriptors known, our own among them
	Confirmed int             `json:"confirmed"`      // domains whose key is pinned
	Vouched   int             `json:"vouched"`        // domains for whose pinned key enough peers vouch
	Known     int             `json:"known_contexts"` // contexts of others that we have a record of
	Contexts  []ContextStatus `json:"contexts"`
	Links     []LinkStatus    `json:"links"`
	Clock     ClockStatus     `json:"clock"`
	Wasted    Wasted          `json:"wasted"`
	Lookups   Lookups         `json:"lookups"` // that came through the mesh
	Cover     Cover           `json:"cover"`
	Peels     *Peels          `json:"peels,omitempty"` // nil: not measured yet
	Listening Running         `json:"listening"`
	LogAwaits string          `json:"log_awaits,omitempty"` // what is signed in our log only when it is here; empty: nothing
}

// A ContextStatus counts what became of the packets on one of our contexts.
type ContextStatus struct {
	Name        string            `json:"name"` // of its file, which nobody else sees
	ID          string            `json:"id"`   // mor.ContextID: 22 characters
	Listeners   int               `json:"listeners"`
	Members     int               `json:"members"`
	Heard       uint64            `json:"heard"`
	Duplicates  uint64            `json:"duplicates"`
	Forwarded   uint64            `json:"forwarded"`
	Rebroadcast uint64            `json:"rebroadcast"`
	Peeled      uint64            `json:"peeled"`
	Crossed     uint64            `json:"crossed"`
	Spoken      uint64            `json:"spoken"`
	Noticed     uint64            `json:"noticed"`   // news of packets that peers have
	Announced   uint64            `json:"announced"` // news that peers were told
	Asked       uint64            `json:"asked"`     // packets that were fetched from peers
	Given       uint64            `json:"given"`     // packets that peers fetched
	Dropped     map[string]uint64 `json:"dropped"`
}

// A LinkStatus counts the slots of the link with one peer.
type LinkStatus struct {
	Peer  pki.Domain `json:"peer"`
	Stats link.Stats `json:"slots"`
}

// A PeerStatus says how far the federation with one domain has come (row K3).
type PeerStatus struct {
	Domain   pki.Domain `json:"domain"`
	Given    bool       `json:"given"`    // we countersigned it
	Received bool       `json:"received"` // it countersigned us
	Linked   bool       `json:"linked"`
	State    string     `json:"state"` // "mutual", or whom it waits for
	Since    time.Time  `json:"since"`
	Context  string     `json:"context"` // the name of ours that it hears
}

// Status returns the state of the node.
func (n *Node) Status(ctx context.Context) (Status, error) {
	servers, err := n.store.Servers(ctx)
	if err != nil {
		return Status{}, err
	}
	pins := n.beliefs.allPins()
	vouched := 0
	for domain, p := range pins {
		if n.isVouched(domain, p.Key) {
			vouched++
		}
	}
	awaits := ""
	if more := n.ownLog.awaits.first(); more != nil {
		awaits = more.Error()
	}
	return ask(ctx, n.loop, func(l *loop, now time.Time) Status {
		s := Status{
			LogAwaits: awaits, Cover: n.cfg.Cover.status(), Peels: n.peels.Load(),
			Domain: n.cfg.Domain, Servers: len(servers), Confirmed: len(pins), Vouched: vouched, Wasted: l.wasted, Listening: n.addresses,
		}
		var own []mor.ContextStatus
		own, s.Known = l.router.Status()
		for _, c := range own {
			s.Contexts = append(s.Contexts, contextStatus(l.nameOf(c.ID), c))
		}
		s.Clock = clockStatus(l.router.Clock(now))
		s.Wasted.Refused, s.Lookups = n.refused.Load(), n.queries.counts()
		for _, p := range l.links {
			s.Links = append(s.Links, LinkStatus{p.domain, p.conn.Stats()})
		}
		slices.SortFunc(s.Links, func(a, b LinkStatus) int { return strings.Compare(a.Peer.String(), b.Peer.String()) })
		return s
	})
}

// isVouched tells whether enough peers vouch for the key of a domain: of all that there are two.
func (n *Node) isVouched(domain pki.Domain, key pki.Fingerprint) bool {
	count := 0
	for _, v := range n.beliefs.vouches(domain, time.Now()) {
		if v.Key == key {
			count++
		}
	}
	return count >= max(1, min(enoughPeers, n.peers.countBut(domain)))
}

func contextStatus(name string, c mor.ContextStatus) ContextStatus {
	return ContextStatus{
		Name: name, ID: c.ID.String(), Listeners: c.Listeners, Members: c.Members,
		Heard: c.Counters.Heard, Duplicates: c.Counters.Duplicates, Forwarded: c.Counters.Forwarded,
		Rebroadcast: c.Counters.Rebroadcast, Peeled: c.Counters.Peeled, Crossed: c.Counters.Crossed, Spoken: c.Counters.Spoken,
		Noticed: c.Counters.Noticed, Announced: c.Counters.Announced, Asked: c.Counters.Asked, Given: c.Counters.Given,
		Dropped: c.Counters.DropsByReason(),
	}
}

// linked are the peers that we have a link with.
func (n *Node) linked(ctx context.Context) (map[pki.Domain]bool, error) {
	return ask(ctx, n.loop, func(l *loop, _ time.Time) map[pki.Domain]bool {
		linked := make(map[pki.Domain]bool, len(l.links))
		for domain := range l.links {
			linked[domain] = true
		}
		return linked
	})
}

// Peers returns the state of the federation with each peer.
func (n *Node) Peers(ctx context.Context) ([]PeerStatus, error) {
	rows, err := n.store.Peers(ctx)
	if err != nil {
		return nil, err
	}
	linked, err := n.linked(ctx)
	if err != nil {
		return nil, err
	}
	peers := make([]PeerStatus, len(rows))
	for i, row := range rows {
		domain, err := pki.ParseDomain(row.Domain)
		if err != nil {
			return nil, err
		}
		peers[i] = PeerStatus{
			Domain: domain, Given: len(row.Given) > 0,
			Received: n.countersigns(domain, row.Received, linked[domain], time.Now()),
			Linked:   linked[domain], State: "mutual", Since: row.Since, Context: n.peers.context(domain),
		}
		if !peers[i].Received {
			peers[i].State = "waiting for " + row.Domain
		}
	}
	return peers, nil
}
