// Package link carries slots between two P3DO programs: TLS 1.3 over TCP, both directions, in records of one size.
//
// The nouns:
//
//   - A link is one TLS connection, a [Conn]. Between two nodes it is a node link: both show their node certificate, and
//     the function [Config].Judge says whether it is welcome. A user shows none: her link is a user link, [Conn.Peer] is
//     nil on the node's side, and she proves who she is afterwards with a signature over [Conn.Exporter].
//   - A slot is 16 384 bytes ([SlotSize]), all that a link ever emits after the handshake, one slot to a TLS record. A slot
//     is a packet, a forwarded packet, a fragment of a control message, up to 334 notices, or a dummy.
//   - A control message is 1 byte to 1 MiB ([MaxControl]) of the two programs' own conversation, cut into control slots.
//   - A notice is 49 bytes of that conversation that may be lost: many share a slot.
//
// Link never knows what a packet or a control message means.
//
//	listener, err := link.Listen(link.Config{Certificate: cert, Judge: judge}, "127.0.0.1:0")
//	conn, err := listener.Accept(ctx)
//
//	conn, err := link.Dial(ctx, link.Config{Judge: judge, Dial: dial.Direct()}, "127.0.0.1:4404")
//	err = conn.SendPacket(3, packet)   // never blocks; ErrFull: count it as dropped
//	message, err := conn.Receive()     // blocks; call it in a loop in one goroutine
//
// # A slot
//
//	kind     4 bits   0 dummy, 1 packet, 2 forward, 3 control, 4 notices
//	channel  4 bits   number of the sender's context, for packet and forward; else 0
//	rest     16 383   a packet without its version byte; a fragment; or zeros
//
// A packet is 16 384 bytes too. Its first byte is its version, always 1: on the wire the kind and channel stand in its
// place, and the receiver puts the 1 back.
//
// # A control fragment
//
//	kind     1 byte   0x30
//	flags    1        bit 0: last fragment of its message; other bits 0
//	length   2        of bytes; 16 380 unless last, at least 1
//	bytes    length
//	padding  rest     zeros
//
// # Notices
//
//	kind     1 byte   0x40
//	count    2        of notices, at least 1
//	notices  49 each
//	padding  rest     zeros
//
// # The schedule
//
// With a [Pace] one slot leaves at each instant of a schedule, whatever there is to say: what waits, or a dummy. So the
// times and the number of slots tell a watcher nothing of the traffic. Without one, what is queued leaves at once.
//
// # What happens when full
//
// Sending never blocks. Packets and forwards wait in one queue (256 slots unless [Config].Queue says other), control
// messages in another of [ControlQueue] slots, notices in a third of [NoticeQueue]; they go out in turn, so none starves the
// others. A full queue refuses the newest with [ErrFull]. A peer that takes nothing for 30 s ([WriteTimeout]) loses the link.
// All user links of a listener share a [Budget] of control messages, and so do all node links: when it is full, the link
// ends that holds the oldest message of all.
//
// # Goroutines
//
// A Conn has one goroutine, the writer (writer.go), which ends with the Conn; reading is done by whoever calls [Conn.Receive]. A
// [Listener] has one that accepts, and one for each handshake in progress.
//
// The specification is docs/spec/link.md.
package link
