package mor

import (
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Output is what the caller must now do, in field order, but that rebroadcasts (Again) wait
// for nothing: if they waited for Remember, everybody could tell by the delay who had peeled
// something. What is of our own making is said only when everything is durable that this
// Output and those before it wanted remembered. The slices are the Router's until the next
// call, but for Speech.To, which nobody may change and which does not change.
type Output struct {
	Remember  []Mark     // make durable before anything of our own making
	Broadcast []Speech   // say on one of our contexts
	Announce  []Notice   // tell a member of what was said to others
	Fetch     []Notice   // ask a neighbour for a body
	Prune     []Notice   // tell a neighbour that what it said was here before
	Forward   []Forward  // hand to an owner over the link that we have with it
	Deliver   []Delivery // for the mailboxes of this server
	Trail     []Trace    // what became of which packet; only with Config.Trace
	Wake      time.Time  // call Tick no later than this; zero: no timer is wanted
}

// empty keeps the room of the slices only.
func (o *Output) empty() {
	clear(o.Broadcast)
	clear(o.Forward)
	clear(o.Deliver)
	*o = Output{
		Remember: o.Remember[:0], Broadcast: o.Broadcast[:0],
		Announce: o.Announce[:0], Fetch: o.Fetch[:0], Prune: o.Prune[:0],
		Forward: o.Forward[:0], Deliver: o.Deliver[:0], Trail: o.Trail[:0],
	}
}

// A Mark is something done once that must not be done again after a restart.
type Mark struct {
	ID    [16]byte
	Kind  MarkKind
	Until time.Time // after this it may be forgotten
}

// A MarkKind says what a Mark's ID is of.
type MarkKind uint8

// The kinds of marks. Seen packets are not among them: that set lives in memory.
const (
	OuterPeel MarkKind = 1 // onion.ReplayID of a peeled outer layer
	InnerPeel MarkKind = 2 // onion.ReplayID of a peeled inner layer
	BareInner MarkKind = 3 // onion.InnerID of a bare inner packet, wrapped or exposed
)

// A Speech is a packet said on one of our own contexts.
type Speech struct {
	On     ContextID
	Packet onion.Packet
	Again  bool         // a rebroadcast; else of our own making
	To     []pki.Domain // the members who are sent it; the others are told of it, or have it
}

// A Forward is a packet handed to the owner of its key. It takes a slot of the link like
// any other packet and names the context on which we rebroadcast it, so that its
// receiver treats it as heard there.
type Forward struct {
	To     pki.Domain
	On     ContextID
	Packet onion.Packet
	Again  bool // beside a rebroadcast; else beside a packet of our own making
}

// A Delivery is what the last layer of an inner packet held for a mailbox here.
type Delivery struct {
	Mailbox onion.Mailbox
	Reply   bool         // a reply over a SURB, else a letter
	SURB    onion.SURBID // of a reply
	Payload []byte       // a letter: onion.PayloadSize bytes; a reply: onion.BodySize, sealed
	From    ContextID    // that brought it; the first of our own, if a user of ours did
}

// A Drop is a reason for which a packet went no further.
type Drop uint8

// The reasons for which packets are dropped, silently: an answer would be an oracle
// (row V4).
const (
	DropEpoch     Drop = iota // not of this epoch or one beside it
	DropSeenFull              // the heard context's share of the seen set is full
	DropQueueFull             // too much waits to be peeled or spoken
	DropAuth                  // a layer did not open: tampered, or not for this key
	DropReplay                // a layer or a bare inner packet that was here before
	DropExpired               // an inner layer past its time
	DropBudget                // re-wrapped too often on one leg
	DropNoRoute               // no known context leads to the server
	DropCover                 // cover traffic that asked to be dropped here
	DropMarksFull             // the share of marks of the context that brought it is full
	DropUnwaited              // news of a body while too many are waited for
	dropReasons
)

// String names d as in p3dod status.
func (d Drop) String() string {
	return [...]string{"epoch", "seen-full", "queue-full", "auth", "replay", "expired", "budget", "no-route", "cover", "marks-full", "unwaited"}[d]
}

// Drops returns all reasons.
func Drops() (all []Drop) {
	for d := range dropReasons {
		all = append(all, d)
	}
	return all
}

// passing reports whether what was dropped for d may be handed in again.
func (d Drop) passing() bool {
	return d == DropNoRoute || d == DropQueueFull || d == DropSeenFull || d == DropMarksFull
}

// Counters counts what became of the packets on one context (rows M1 to M4).
type Counters struct {
	Heard       uint64 // packets heard by the listeners bound to it
	Duplicates  uint64 // of these, seen before
	Forwarded   uint64 // handed to an owner known and linked
	Rebroadcast uint64 // said again on it
	Peeled      uint64 // outer layers removed with its key
	Crossed     uint64 // of these, heard in another cell: carried over us as a gateway
	Spoken      uint64 // packets of our own making said on it
	Cover       uint64 // of these, for nobody
	Noticed     uint64 // news of packets that the listeners bound to it heard
	Announced   uint64 // news of packets that were told to members of it
	Asked       uint64 // bodies that we asked for
	Given       uint64 // bodies that members asked for and got
	Dropped     [dropReasons]uint64
}

// DropsByReason returns the counts that are not zero, by the name of their reason.
func (c Counters) DropsByReason() map[string]uint64 {
	byReason := make(map[string]uint64)
	for reason, n := range c.Dropped {
		if n > 0 {
			byReason[Drop(reason).String()] = n
		}
	}
	return byReason
}
