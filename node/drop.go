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
	// Later is when the keys of our contexts, which the peer knows, will be replaced: zero if they were. Until then it recognises
	// what is for us.
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
	later, err := n.answerDrops(ctx, time.Now())
	if !later.IsZero() {
		n.note(ctx, d, EventPeer, fmt.Sprintf("it knows the keys of our contexts, which were replaced %d times within a day: not again before %s",
			mor.MaxFormer, later.UTC().Format(time.RFC3339)))
	}
	return Dropped{d, later}, err
}

// answerDrops gives our contexts other keys if that has not been done since a peer was dropped, or says when it can be done.
// What is owed is in the store, from the drop itself on: whatever ends this node in between, it is made up for.
func (n *Node) answerDrops(ctx context.Context, now time.Time) (later time.Time, err error) {
	drops, answered, err := n.store.Drops(ctx)
	if err != nil || drops == answered {
		return time.Time{}, err
	}
	own, err := n.ownContexts(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	if full := replaceable(own); full.After(now) {
		return full, nil
	}
	if err := n.rekeyAll(ctx, own, now, "a peer was dropped"); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, n.store.AnswerDrops(ctx, drops)
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
