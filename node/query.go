package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
)

// How many look-ups that come through the mesh are answered: so many at once and one more each
// interval, in all and of those that one context brings. What is over that is dropped and counted, and
// asked again by whoever wants to know. Each costs a read of the database and a packet, and brings one:
// nobody makes more traffic here than he sends.
const (
	queriesAtOnce = 400
	queryEvery    = 10 * time.Millisecond

	queriesAtOnceEach = 100
	queryEveryEach    = 40 * time.Millisecond

	// maxQueried is how many contexts are counted by themselves at a time; those of more are dropped.
	maxQueried = mor.MaxListeners + 1
)

// Lookups counts what became of look-ups that came through the mesh. Found or not is not told apart.
type Lookups struct {
	Answered  uint64 `json:"answered"`
	Malformed uint64 `json:"malformed"`
	Over      uint64 `json:"over"`   // the bound, and dropped
	Unsent    uint64 `json:"unsent"` // there was no way back, or no time to read
}

// queries is what bounds and counts them.
type queries struct {
	all bucket

	mu   sync.Mutex // guards each; held for a map's access only
	each map[mor.ContextID]*bucket

	answered, malformed, over, unsent atomic.Uint64
}

func newQueries() *queries {
	return &queries{all: bucket{atOnce: queriesAtOnce, every: queryEvery}, each: make(map[mor.ContextID]*bucket)}
}

// counts is what Status tells.
func (q *queries) counts() Lookups {
	return Lookups{q.answered.Load(), q.malformed.Load(), q.over.Load(), q.unsent.Load()}
}

// may takes one look-up of what a context may bring now; false: it is over the bound.
func (q *queries) may(from mor.ContextID, now time.Time) bool {
	each := q.of(from, now)
	return each != nil && each.take(now, func() bool { return q.all.take(now, func() bool { return true }) })
}

// of is the bucket of a context; nil if too many are in use.
func (q *queries) of(from mor.ContextID, now time.Time) *bucket {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.each[from]; b != nil {
		return b
	}
	if len(q.each) >= maxQueried {
		for id, b := range q.each {
			if b.full(now) {
				delete(q.each, id)
			}
		}
	}
	if len(q.each) >= maxQueried {
		return nil
	}
	b := &bucket{atOnce: queriesAtOnceEach, every: queryEveryEach}
	q.each[from] = b
	return b
}

// query answers a look-up by what our own key server holds, over the way back that came with it. That
// there is nothing has the same size, and takes the same steps. Nothing of it is written down.
func (n *Node) query(ctx context.Context, d mor.Delivery) error {
	if !n.queries.may(d.From, time.Now()) {
		n.queries.over.Add(1)
		return nil
	}
	q, err := mor.ParseQuery(d.Payload)
	if err != nil {
		n.queries.malformed.Add(1)
		return nil
	}
	finding, err := n.finding(ctx, q)
	if err != nil {
		n.queries.unsent.Add(1)
		return err
	}
	payload, err := finding.Marshal()
	if err == nil {
		err = n.loop.reply(ctx, q.SURB, payload)
	}
	var leg *mor.LegError
	switch {
	case err == nil:
		n.queries.answered.Add(1)
	case errors.As(err, &leg): // whoever asks hears nothing, and asks again
		n.queries.unsent.Add(1)
		return nil
	}
	return err
}

// finding is the answer to a query: a card and its proof, or the challenge that is held of who hands one in.
func (n *Node) finding(ctx context.Context, q mor.Query) (f mor.Finding, err error) {
	if len(q.Challenge) > 0 {
		f.Card, err = n.objected(ctx, q.Challenge)
		return f, err
	}
	if f.Card, err = n.held(ctx, q); err != nil {
		return f, err
	}
	if proof := n.published.HeldProof(ctx, q.Name, q.Key, f.Card, mor.MaxProofSize); len(proof) > 0 {
		f.Proof = mor.Proof{Kind: mor.ProofOfLog, Bytes: proof}
	}
	return f, nil
}

// held is the card that is asked for; none if there is none here.
func (n *Node) held(ctx context.Context, q mor.Query) (card []byte, err error) {
	if q.Name.IsZero() {
		card, err = n.published.HeldCardOf(ctx, q.Key)
	} else {
		card, err = n.published.HeldCard(ctx, q.Name)
	}
	if errors.Is(err, keyserver.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("node: answering a look-up: %w", err)
	}
	return card, nil
}
