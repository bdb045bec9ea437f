package link

import (
	"fmt"
)

// Specification constants. See docs/spec/link.md.
const (
	// SlotSize is the length in bytes of a slot and of a packet: the plaintext of one TLS record, 2^14 (RFC 8446 section 5.1).
	SlotSize = 16384

	// MaxChannel is the highest number that a context may have on a link: the channel is four bits wide.
	MaxChannel = 15

	// packetVersion is the first byte of every packet inside the program; on the wire the header stands in its place.
	packetVersion = 1
)

// Kind says what a slot carries: the high four bits of its first byte.
type Kind uint8

// The kinds of slot. All other values are refused.
const (
	KindDummy   Kind = 0 // nothing; the receiver counts and drops it
	KindPacket  Kind = 1 // a packet spoken on one of the sender's contexts
	KindForward Kind = 2 // a packet for its owner, which the sender also rebroadcasts on one of its contexts
	KindControl Kind = 3 // a fragment of a control message
	KindNotice  Kind = 4 // up to MaxNotices notices
	kindCount        = 5
)

// String returns the kind's name, as counters and logs show it.
func (k Kind) String() string {
	switch k {
	case KindDummy:
		return "dummy"
	case KindPacket:
		return "packet"
	case KindForward:
		return "forward"
	case KindControl:
		return "control"
	case KindNotice:
		return "notice"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Message is what [Conn.Receive] returns: a packet, a whole control message, or the notices of a slot. What it points to
// was allocated for it and belongs to the caller.
type Message struct {
	Kind    Kind            // KindPacket, KindForward, KindControl or KindNotice
	Channel uint8           // 0 to MaxChannel: the number of the sender's context; 0 with KindControl and KindNotice
	Packet  *[SlotSize]byte // the packet, its first byte 1; nil with other kinds
	Control []byte          // the message, 1 byte to MaxControl; nil otherwise
	Notices []Notice        // 1 to MaxNotices; nil otherwise
}

// header is the first byte of a slot.
type header struct {
	kind    Kind  // high 4 bits
	channel uint8 // low 4 bits
}

func (h header) byte() byte { return byte(h.kind)<<4 | h.channel }

// parseHeader refuses unknown kinds, and a channel where none belongs.
func parseHeader(b byte) (header, error) {
	h := header{kind: Kind(b >> 4), channel: b & 0x0f}
	if h.kind >= kindCount {
		return header{}, fmt.Errorf("%w: first byte %#02x", ErrSlot, b)
	}
	if h.channel != 0 && h.kind != KindPacket && h.kind != KindForward {
		return header{}, fmt.Errorf("%w: %v slot with channel %d", ErrSlot, h.kind, h.channel)
	}
	return h, nil
}

// inbox turns the slots of one direction into messages. The caller of Receive owns it.
type inbox struct {
	partial []byte // the fragments so far of the control message being received
	share   *share // of a budget; nil without one
	held    int    // bytes of the share: for partial or, if that is nil, for the message that was received last
}

// done gives back what the message held that was received last.
func (in *inbox) done() {
	if in.partial == nil && in.held > 0 {
		in.share.finish(in.held)
		in.held = 0
	}
}

// accept reads one slot. With ok, m is a message, and if it is a packet then it *is* slot: the caller must not use slot
// again. Without ok and without err, slot was a dummy or one fragment of several.
func (in *inbox) accept(slot *[SlotSize]byte) (m Message, h header, ok bool, err error) {
	h, err = parseHeader(slot[0])
	if err != nil {
		return Message{}, h, false, err
	}
	switch h.kind {
	case KindPacket, KindForward:
		slot[0] = packetVersion
		return Message{Kind: h.kind, Channel: h.channel, Packet: slot}, h, true, nil
	case KindControl:
		whole, err := in.gather(slot)
		return Message{Kind: KindControl, Control: whole}, h, whole != nil, err
	case KindNotice:
		notices, err := parseNotices(slot)
		return Message{Kind: KindNotice, Notices: notices}, h, err == nil, err
	}
	return Message{}, h, false, nil
}
