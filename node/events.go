package node

import (
	"context"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// The kinds of events.
const (
	EventPinned  = "pinned"  // the key of a domain is believed from now on
	EventRotated = "rotated" // it has given way to its heir
	EventDNS     = "dns"     // DNS names another key than before
	EventHome    = "home"    // the domain's own servers show another key than before
	EventRevoked = "revoked" // a key or name of one of our users was ended
	EventPeer    = "peer"    // a peer was added or dropped
	EventForked  = "forked"  // a domain signed two histories of its key log
	EventObject  = "object"  // one of our users objects to an entry for her name that she did not make
	EventStandIn = "standin" // what a user of a domain that is not there signed is in our key log
	EventLog     = "log"     // a domain's own server shows something else than its key log says (Findings)
)

// An Event is something that happened to a key, once (row C7). It names domains, never users.
type Event struct {
	Time   time.Time `json:"time"`
	Domain string    `json:"domain"`
	Kind   string    `json:"kind"`
	Words  string    `json:"words"`
}

// note writes an event into the journal, and one line into the log.
func (n *Node) note(ctx context.Context, domain pki.Domain, kind, words string) {
	n.log.Info("key event", "kind", kind, "domain", domain, "words", words)
	words = words[:min(len(words), store.MaxWords)]
	err := n.store.AddEvent(ctx, store.Event{At: time.Now(), Domain: domain.String(), Kind: kind, Words: words})
	if err != nil && ctx.Err() == nil {
		n.log.Error("the journal of keys", "err", err)
	}
}

// Events returns what happened since a time, in its order.
func (n *Node) Events(ctx context.Context, since time.Time) ([]Event, error) {
	rows, err := n.store.Events(ctx, since)
	events := make([]Event, len(rows))
	for i, row := range rows {
		events[i] = Event{row.At, row.Domain, row.Kind, row.Words}
	}
	return events, err
}
