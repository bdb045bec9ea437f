package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// maxTraced is how many events a node of a lab remembers, in memory only. Then it forgets the oldest.
const maxTraced = 16_384

// A TraceEvent is what a node of a lab (lab.trace) saw of a packet, or made of it: the truth, for whoever looks at all
// nodes to see the whole way. Packets go by the first eight bytes of their hash, in hexadecimal.
type TraceEvent struct {
	At     time.Time  `json:"at"`
	Change mor.Change `json:"change,omitempty"` // empty: a packet was heard
	From   string     `json:"from,omitempty"`   // heard from the node of this domain
	Of     string     `json:"of,omitempty"`     // the packet whose outer layer came off
	Inner  string     `json:"inner,omitempty"`  // the inner packet that was handed in
	Packet string     `json:"packet,omitempty"` // heard, or spoken for it
	Layers int        `json:"layers,omitempty"` // that were put on
}

// A tracer is the memory of a node of a lab. A nil one remembers nothing.
type tracer struct {
	events []TraceEvent
	next   int // where the next one goes once there are maxTraced
}

func newTracer(asked bool) *tracer {
	if !asked {
		return nil
	}
	return new(tracer)
}

func (t *tracer) note(e TraceEvent) {
	if len(t.events) < maxTraced {
		t.events = append(t.events, e)
		return
	}
	t.events[t.next] = e
	t.next = (t.next + 1) % maxTraced
}

// heard notes a packet that a peer said or forwarded.
func (t *tracer) heard(now time.Time, from pki.Domain, p onion.Packet) {
	if t != nil {
		t.note(TraceEvent{At: now, From: from.String(), Packet: short(p.ID())})
	}
}

// made notes what the router made of packets.
func (t *tracer) made(trail []mor.Trace) {
	for _, m := range trail {
		e := TraceEvent{At: time.Now(), Change: m.Change, Of: short(m.Of), Packet: short(m.Packet), Layers: m.Layers}
		if m.Inner != (onion.InnerID{}) {
			e.Inner = hex.EncodeToString(m.Inner[:8])
		}
		t.note(e)
	}
}

func short(id onion.ID) string {
	if id == (onion.ID{}) {
		return ""
	}
	return hex.EncodeToString(id.Core[:8])
}

// all returns what is remembered, the oldest first.
func (t *tracer) all() []TraceEvent {
	return append(append(make([]TraceEvent, 0, len(t.events)), t.events[t.next:]...), t.events[:t.next]...)
}

// Traced returns what this node of a lab remembers of packets. Outside of a lab it is refused: there nothing
// is remembered.
func (n *Node) Traced(ctx context.Context) ([]TraceEvent, error) {
	if n.loop.tracer == nil {
		return nil, fmt.Errorf("%w: this node remembers nothing of packets (lab.trace)", ErrInput)
	}
	return ask(ctx, n.loop, func(l *loop, _ time.Time) []TraceEvent { return l.tracer.all() })
}

// handleTraces answers a lab that traces.
func (n *Node) handleTraces(mux *http.ServeMux) {
	mux.HandleFunc("GET /lab/traces", func(w http.ResponseWriter, r *http.Request) {
		events, err := n.Traced(r.Context())
		respond(w, events, err)
	})
}

// Traced asks a node of a lab as [Node.Traced] does.
func (c *Control) Traced(ctx context.Context) (events []TraceEvent, err error) {
	return events, c.call(ctx, http.MethodGet, "/lab/traces", &events)
}
