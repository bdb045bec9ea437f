package node

import (
	"context"
	"fmt"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Dropped says what the end of a federation left behind.
type Dropped struct {
	Domain pki.Domain `json:"dropped"`
	// Later is when the keys of our contexts, which the peer knows, can be replaced: zero if they were. Until then, and until
	// p3dod rotate --key context replaces them, it recognises what is for us.
	Later time.Time `json:"later,omitzero"`
}

// DropPeer ends the federation with a domain, and gives our contexts other keys and hints: the domain has learnt those before,
// and could go on telling which packets are for us. It learns the new ones if it is still a member of somebody who is told
// of them: whoever is to be shut out altogether has to be dropped by all. ErrInput: it is no peer.
func (n *Node) DropPeer(ctx context.Context, domain string) (Dropped, error) {
	d, err := pki.ParseDomain(domain)
	if err != nil {
		return Dropped{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := n.peers.drop(ctx, d); err != nil {
		return Dropped{}, err
	}
	ctx = context.WithoutCancel(ctx) // who goes away now must not leave half of it
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	now := time.Now()
	own, err := n.ownContexts(ctx, now)
	if err != nil {
		return Dropped{}, err
	}
	if full := replaceable(own); !full.IsZero() {
		n.note(ctx, d, EventPeer, fmt.Sprintf("it knows the keys of our contexts, which were replaced %d times within a day: not again before %s",
			mor.MaxFormer, full.UTC().Format(time.RFC3339)))
		return Dropped{d, full}, nil
	}
	return Dropped{Domain: d}, n.rekeyAll(ctx, own, now, "it dropped "+d.String())
}

// ownContexts are our contexts by name, as the router has them.
func (n *Node) ownContexts(ctx context.Context, now time.Time) (map[string]mor.OwnContext, error) {
	return ask(ctx, n.loop, func(l *loop, _ time.Time) map[string]mor.OwnContext { return l.contexts(now) })
}

// replaceable is when all contexts can be given another key without a message on its way being lost; zero: now.
func replaceable(own map[string]mor.OwnContext) (at time.Time) {
	for _, c := range own {
		if len(c.Former) == mor.MaxFormer && c.Former[mor.MaxFormer-1].Until.After(at) {
			at = c.Former[mor.MaxFormer-1].Until
		}
	}
	return at
}

// rekeyAll replaces the keys of contexts, and tells the peers.
func (n *Node) rekeyAll(ctx context.Context, own map[string]mor.OwnContext, now time.Time, why string) error {
	for name, c := range own {
		if err := n.rekey(ctx, name, c, now); err != nil {
			return err
		}
	}
	n.tell()
	n.note(ctx, n.cfg.Domain, EventRotated, "the key of its context was replaced: "+why)
	return nil
}
