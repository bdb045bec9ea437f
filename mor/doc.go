// Package mor is multicast onion routing: what a server and what a user do with
// packets, as two state machines that do nothing else.
//
// A [Router] is a server's side. Its node subscribes listener bots to the
// contexts of other nodes and speaks on contexts of its own. On hearing a packet
// (row M2 to M4 of the proposal):
//
//	seen before                  ignore it
//	owner of its key known       forward it to the owner AND rebroadcast it
//	otherwise                    rebroadcast it only
//
// Whoever owns the key rebroadcasts like everybody else and peels later, so that
// nobody sees a flood stop at it. A peeled packet is either spoken again on the
// context whose key was peeled, or it lays bare an inner packet for a server key.
// A server that peels its own inner layer adds further hops for the next leg with
// context keys only, never with a server key (rows M6, M7): [onion.ContextKey] and
// [onion.ServerKey] are different types without a conversion, and onion.Wrap takes
// only the first.
//
// Bots that only touch each other form a cell, and a flood stays inside it. A node that
// speaks on a context in each of two cells is their gateway: asked in one, it answers
// with what it knows of the other as well, and a layer under the key of its context there
// carries a packet across. So what a message costs a node depends on the size of a cell.
//
// Context keys travel in signed [Record] values that only the answer to an Ask on a
// context carries, and only its members are answered (row M8).
//
// A [Sender] is a user's side: it picks routes, keeps an outbox, retransmits by
// another way with randomised timers, and tells which messages are new.
//
// Both are pure: no clock (now is an argument), no goroutine, no socket, and all
// randomness from Config.Rand. The same inputs give the same outputs, so a
// simulation drives the very code that a node runs:
//
//	r, err := mor.NewRouter(cfg)
//	out := r.Hear(now, heard, packet)
//	// rebroadcast at once; then, in this order: out.Remember, and the rest of out.Broadcast,
//	// out.Forward, out.Deliver
//	// and call r.Tick no later than out.Wake
//
// The slices of an Output belong to the Router and hold until its next call.
//
// The formats and the rules to the octet are in docs/spec/mor.md; the packet itself
// is package onion's, docs/spec/onion.md.
package mor
