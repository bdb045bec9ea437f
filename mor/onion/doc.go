// Package onion is the packet format of P3DO: it builds packets, recognises them and takes layers off them. It keeps
// no state, does no I/O, and reads no clock; all randomness is an argument.
//
// # Nouns
//
// An [Inner] packet is a user's onion over the public keys of servers ([ServerKey]): who peels the last layer finds a
// payload and the [Mailbox] that it is for. A wire [Packet] is an onion over context keys ([ContextKey]) around an
// inner packet; it carries it from one server of the inner route to the next, over one to four contexts. This way from
// server to server is a leg. Whoever holds a bare inner packet can wrap it for a new leg, and needs nobody's help for it:
// the user's layers stay as they are.
//
//	user --[inner 1 2]--> S1 --[outer a b [inner 2]]--> S2 --> mailbox
//
// A context has, besides its key, a secret [Hint] for each epoch of half an hour. Who holds a hint recognises the
// packets for the context by their [Tag], in nanoseconds, and can build them; everybody else sees bytes that are all
// alike. A [SURB] is the header of an inner packet without a body: with it a stranger can answer, once.
//
// # Use
//
//	in, err := onion.BuildInner(rand, servers, mailbox, expiry, payload) // the user
//	p, err := onion.Wrap(rand, epoch, contexts, onion.OuterEnd{Server: id, Budget: 3}, in) // a server
//
//	p, err := onion.Parse(raw)                     // a listener: checks it and computes the ID, once
//	owner, ok := matcher.Match(p)                  // the context that the packet is for, if it is known here
//	peel, err := onion.PeelOuter(key, hint, p)     // its owner: Relay, Exposed or Drop
//	peel, err := onion.PeelInner(key, peel.Inner)  // the server it was exposed for: Forward, Deliver or Reply
//
// What a peel brings to light says what was done to the packet and nothing about the packet's past: a caller must check
// the ReplayID (after the peel, for only then is it authentic), the epoch ([Epoch.Near]) and the expiry.
//
// # Bytes
//
// A wire packet is 16384 bytes, always:
//
//	version 1 | suite 1 | epoch 2 | tag 16 | outer stack 16364
//
//	outer stack    4 slots x 96 around an inner packet of 15980
//	outer slot     X25519 share 32 | AEAD tag 16 | command 48
//	inner packet   header 4800: 4 slots x 1200 | body 11180
//	inner slot     MLKEM768X25519 encapsulation 1120 | AEAD tag 16 | command 64
//	body           32 zero bytes and 11148 of payload, under one wide-block layer per server
//
// A peel opens everything behind the AEAD tag, reads the command in front, and appends a slot of pseudo-random bytes at
// the end, so the length never changes and neither the hop's position nor the number of hops shows. Builders compute
// these bytes in advance and every hop authenticates all that it sees (Sphinx, Danezis and Goldberg 2009). Unlike in
// Sphinx, the two onions are separate, so that a server may add hops although the user could not know them (Lightning's
// trampoline onions are the precedent).
//
// Layers are HPKE (RFC 9180) in base mode, of which only Export is used. X25519 and X-Wing are those of
// github.com/cloudflare/circl, whose encapsulation takes its randomness as an argument; tests hold the whole against
// crypto/hpke and against circl's own HPKE. Outer keys also need the hint, so that outer layers stay closed to all who do
// not hold it even if X25519 falls; inner layers are hybrid with ML-KEM-768.
//
// docs/spec/onion.md specifies all of this to the byte; docs/spec/vectors has test vectors.
package onion
