package link

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/golden"
)

const vectorsFile = "../../docs/spec/vectors/link.json"

// vectorFile is docs/spec/vectors/link.json. docs/spec/link.md says what each kind asks.
type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

// A vector is a row of slots and the messages that they are.
type vector struct {
	Kind     string    `json:"kind"`
	Comment  string    `json:"comment"`
	Expect   string    `json:"expect"`
	Reason   string    `json:"reason,omitempty"` // with "refuse": the text of the error, without "link: "
	Slots    []octets  `json:"slots,omitempty"`
	Messages []content `json:"messages,omitempty"`
}

// A content is a message, as it is handed to Send and comes out of Receive.
type content struct {
	Is      string `json:"is"` // packet, forward, control, or notices one after the other
	Channel uint8  `json:"channel"`
	Bytes   octets `json:"bytes"`
}

// octets are bytes in hexadecimal, in words: "00*5" stands for 00 00 00 00 00.
type octets []byte

func (o octets) MarshalText() ([]byte, error) {
	var words []string
	plain := 0 // from here to i are bytes that do not repeat
	flush := func(to int) {
		if plain < to {
			words = append(words, hex.EncodeToString(o[plain:to]))
		}
	}
	for i := 0; i < len(o); {
		n := 1
		for i+n < len(o) && o[i+n] == o[i] {
			n++
		}
		if n >= 4 {
			flush(i)
			words = append(words, fmt.Sprintf("%02x*%d", o[i], n))
			plain = i + n
		}
		i += n
	}
	flush(len(o))
	return []byte(strings.Join(words, " ")), nil
}

func (o *octets) UnmarshalText(text []byte) error {
	*o = octets{}
	for word := range strings.FieldsSeq(string(text)) {
		digits, times, repeated := strings.Cut(word, "*")
		b, err := hex.DecodeString(digits)
		if err != nil {
			return err
		}
		n := 1
		if repeated {
			if n, err = strconv.Atoi(times); err != nil {
				return err
			}
		}
		*o = append(*o, bytes.Repeat(b, n)...)
	}
	return nil
}

// slotOf is a slot that begins with the given bytes and ends in zeros.
func slotOf(first ...byte) octets { return append(first, make([]byte, SlotSize-len(first))...) }

// fragmentOf is a control slot with n times the byte b, as the specification has it.
func fragmentOf(flags byte, n int, b byte) octets {
	s := append(octets{0x30, flags, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{b}, n)...)
	return append(s, make([]byte, max(0, SlotSize-len(s)))...)
}

// packetOf is a packet of this version with its last byte set.
func packetOf(second, last byte) octets {
	p := slotOf(1, second)
	p[SlotSize-1] = last
	return p
}

// onWire is the packet in its slot, as the specification has it.
func onWire(first byte, packet octets) octets { return append(octets{first}, packet[1:]...) }

func set(o octets, at int, b byte) octets {
	o = bytes.Clone(o)
	o[at] = b
	return o
}

// times is n slots that are the same.
func times(n int, s octets) []octets {
	return slices.Clip(slices.Repeat([]octets{s}, n))
}

func makeVectors() vectorFile {
	list := append(append(packetVectors(), controlVectors()...), noticeVectors()...)
	list = append(append(list, receivedVectors()...), slotRefusals()...)
	list = append(append(list, controlRefusals()...), sendRefusals()...)
	return vectorFile{"Made by P3DO_REWRITE=1 go test ./internal/link -run Vectors. The specification is docs/spec/link.md.", list}
}

func packetVectors() (list []vector) {
	for _, kind := range []struct {
		high byte
		is   string
	}{{0x10, "packet"}, {0x20, "forward"}} {
		for _, channel := range []uint8{0, 7, MaxChannel} {
			p := packetOf(0xa0|channel, 0xff)
			list = append(list, vector{
				Kind: "slots", Comment: fmt.Sprintf("a %s on channel %d: the version is restored", kind.is, channel), Expect: "accept",
				Slots: []octets{onWire(kind.high|channel, p)}, Messages: []content{{kind.is, channel, p}},
			})
		}
	}
	return list
}

// controlVectors are messages of the lengths at which something changes.
func controlVectors() (list []vector) {
	add := func(comment string, message octets, slots ...octets) {
		list = append(list, vector{
			Kind: "slots", Comment: comment, Expect: "accept", Slots: slots, Messages: []content{{Is: "control", Bytes: message}},
		})
	}
	full := func(b byte) octets { return bytes.Repeat([]byte{b}, 16380) }
	add("a message of one byte", octets{0}, fragmentOf(1, 1, 0))
	add("a message of two bytes", octets("hi"), set(set(fragmentOf(1, 2, 0), 4, 'h'), 5, 'i'))
	add("a byte less than a fragment holds", full('a')[1:], fragmentOf(1, 16379, 'a'))
	add("one full fragment: it is the last", full('a'), fragmentOf(1, 16380, 'a'))
	add("a byte more", append(full('a'), 'b'), fragmentOf(0, 16380, 'a'), fragmentOf(1, 1, 'b'))
	add("two full fragments", append(full('a'), full('b')...), fragmentOf(0, 16380, 'a'), fragmentOf(1, 16380, 'b'))
	three := append(append(full('a'), full('b')...), full(0)[:5]...)
	add("three fragments, the last of zeros: the length says where they end", three,
		fragmentOf(0, 16380, 'a'), fragmentOf(0, 16380, 'b'), fragmentOf(1, 5, 0))
	add("the longest message: 64 full fragments and 256 bytes", bytes.Repeat([]byte{'z'}, 1048576),
		append(times(64, fragmentOf(0, 16380, 'z')), fragmentOf(1, 256, 'z'))...)
	return list
}

// noticeOf is a notice slot that says it has count notices, with n of 49 times the byte b, as the specification has it.
func noticeOf(count uint16, n int, b byte) octets {
	s := append(octets{0x40, byte(count >> 8), byte(count)}, bytes.Repeat([]byte{b}, 49*n)...)
	return append(s, make([]byte, SlotSize-len(s))...)
}

// noticeVectors are as many notices as fit, and one more.
func noticeVectors() (list []vector) {
	add := func(comment string, n int, slots ...octets) {
		v := vector{Kind: "slots", Comment: comment, Expect: "accept", Slots: slots}
		for n > 0 {
			v.Messages = append(v.Messages, content{Is: "notice", Bytes: bytes.Repeat([]byte{'n'}, 49*min(n, 334))})
			n -= 334
		}
		list = append(list, v)
	}
	add("a notice", 1, noticeOf(1, 1, 'n'))
	add("as many notices as a slot holds", 334, noticeOf(334, 334, 'n'))
	add("a notice more", 335, noticeOf(334, 334, 'n'), noticeOf(1, 1, 'n'))
	return list
}

// receivedVectors are taken by a receiver, and a sender need not write them so.
func receivedVectors() []vector {
	p := packetOf(2, 3)
	message := content{Is: "control", Bytes: append(bytes.Repeat([]byte{'a'}, 16380), 'b')}
	first, last := fragmentOf(0, 16380, 'a'), fragmentOf(1, 1, 'b')
	accept := func(comment string, messages []content, slots ...octets) vector {
		return vector{Kind: "received", Comment: comment, Expect: "accept", Slots: slots, Messages: messages}
	}
	return []vector{
		accept("a dummy, as it is sent", nil, slotOf(0)),
		accept("a dummy with anything in it", nil, set(set(slotOf(0), 1, 0x30), SlotSize-1, 1)),
		accept("a message of which the rest is still to come", nil, first),
		accept("a packet and a dummy between two fragments", []content{{"packet", 4, p}, message}, first, onWire(0x14, p), slotOf(0), last),
		accept("two messages, one after the other", []content{message, message}, first, last, first, last),
		accept("a message of one slot after one of two", []content{message, {Is: "control", Bytes: octets{'c'}}},
			first, last, fragmentOf(1, 1, 'c')),
	}
}

// slotRefusals are slots and records that end a link.
func slotRefusals() (list []vector) {
	add := func(comment, reason string, slot octets) {
		list = append(list, vector{Kind: "received", Comment: comment, Expect: "refuse", Reason: reason, Slots: []octets{slot}})
	}
	add("a dummy with a channel", "malformed slot: dummy slot with channel 1", slotOf(0x01))
	add("a dummy with the highest channel", "malformed slot: dummy slot with channel 15", slotOf(0x0f))
	add("control with a channel", "malformed slot: control slot with channel 1", set(fragmentOf(1, 1, 'a'), 0, 0x31))
	add("control with the highest channel", "malformed slot: control slot with channel 15", set(fragmentOf(1, 1, 'a'), 0, 0x3f))
	add("notices with a channel", "malformed slot: notice slot with channel 1", set(noticeOf(1, 1, 'n'), 0, 0x41))
	add("no notices", "malformed slot: 0 notices", noticeOf(0, 0, 0))
	add("more notices than fit", "malformed slot: 335 notices", noticeOf(335, 334, 'n'))
	add("notices with padding that is not zero", "malformed slot: padding of notices is not zero", noticeOf(1, 2, 'n'))
	add("notices with a last byte that is not zero", "malformed slot: padding of notices is not zero", set(noticeOf(334, 334, 'n'), SlotSize-1, 1))
	for _, first := range []byte{0x50, 0x51, 0x80, 0xff} {
		add("an unknown kind", fmt.Sprintf("malformed slot: first byte %#02x", first), slotOf(first))
	}
	add("a record of one byte", "malformed slot: record of 1 bytes", slotOf(0x10)[:1])
	add("a record one byte short", "malformed slot: record of 16383 bytes", slotOf(0x10)[:SlotSize-1])
	return list
}

// controlRefusals are fragments that end a link; those before the last of a row are good.
func controlRefusals() (list []vector) {
	add := func(comment, reason string, slots ...octets) {
		list = append(list, vector{
			Kind: "received", Comment: comment, Expect: "refuse", Reason: "malformed control message: " + reason, Slots: slots,
		})
	}
	first := fragmentOf(0, 16380, 'a')
	add("no bytes, and the last", "empty fragment", fragmentOf(1, 0, 0))
	add("no bytes, and more to come", "empty fragment", fragmentOf(0, 0, 0))
	add("no bytes to end a message", "empty fragment", first, fragmentOf(1, 0, 0))
	add("short, and more to come", "short fragment in mid-message", fragmentOf(0, 16379, 'a'))
	add("the second short, and more to come", "short fragment in mid-message", first, fragmentOf(0, 1, 'a'))
	add("a length one beyond the slot", "length beyond the slot", slotOf(0x30, 1, 0x3f, 0xfd))
	add("the greatest length", "length beyond the slot", slotOf(0x30, 1, 0xff, 0xff))
	add("an unknown flag beside that of the last", "flags 0x03", fragmentOf(3, 1, 'a'))
	add("an unknown flag alone", "flags 0x80", fragmentOf(0x80, 16380, 'a'))
	add("padding that is not zero at once", "padding is not zero", set(fragmentOf(1, 1, 'a'), 5, 1))
	add("padding that is not zero in its last byte", "padding is not zero", set(fragmentOf(1, 1, 'a'), SlotSize-1, 1))
	long := times(64, fragmentOf(0, 16380, 'z'))
	add("a byte longer than the longest message", "longer than 1048576 bytes", append(long, fragmentOf(1, 257, 'z'))...)
	add("one full fragment more than the longest message has", "longer than 1048576 bytes", append(long, fragmentOf(0, 16380, 'z'))...)
	return list
}

// sendRefusals are what a sender must not try.
func sendRefusals() []vector {
	refuse := func(comment, reason string, c content) vector {
		return vector{Kind: "unsendable", Comment: comment, Expect: "refuse", Reason: reason, Messages: []content{c}}
	}
	return []vector{
		refuse("a packet of another version", "packet of version 2", content{"packet", 0, set(packetOf(0, 0), 0, 2)}),
		refuse("a forward of another version", "packet of version 0", content{"forward", 0, slotOf(0)}),
		refuse("a channel too high", "channel 16 is over 15", content{"packet", 16, packetOf(0, 0)}),
		refuse("an empty message", "malformed control message: 0 bytes to send", content{Is: "control", Bytes: octets{}}),
		refuse("a message too long", "malformed control message: 1048577 bytes to send",
			content{Is: "control", Bytes: bytes.Repeat([]byte{'z'}, 1048577)}),
	}
}

// TestVectorsAreUpToDate: the file is what the functions above make.
func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors()) }

// TestVectors: what the file says is what this package does.
func TestVectors(t *testing.T) {
	var file vectorFile
	golden.Read(t, vectorsFile, &file)
	if len(file.Vectors) < 40 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Comment, func(t *testing.T) {
			switch v.Kind {
			case "slots":
				if got := written(t, v.Messages); !reflect.DeepEqual(got, v.Slots) {
					t.Error("other slots are written")
				}
				checkReceived(t, v)
			case "received":
				checkReceived(t, v)
			case "unsendable":
				checkReason(t, trySend(t, v.Messages[0]), v)
			default:
				t.Errorf("unknown kind %q", v.Kind)
			}
		})
	}
}

// written is what the queue of a link gives its writer.
func written(t *testing.T, messages []content) (slots []octets) {
	t.Helper()
	q := newQueue(len(messages), false)
	for _, m := range messages {
		for _, o := range outgoings(m) {
			must(t, q.push(o))
		}
	}
	q.drain() // and no notice waits for others
	slot := new([SlotSize]byte)
	for {
		if _, ok, _, _ := q.take(time.Now(), slot); !ok {
			return slots
		}
		slots = append(slots, bytes.Clone(slot[:]))
	}
}

// outgoings is what is queued for a message.
func outgoings(m content) (all []outgoing) {
	switch m.Is {
	case "control":
		return []outgoing{{header: header{kind: KindControl}, control: m.Bytes}}
	case "notice":
		for notice := range slices.Chunk(m.Bytes, NoticeSize) {
			all = append(all, outgoing{header: header{kind: KindNotice}, notice: Notice(notice)})
		}
		return all
	}
	return []outgoing{{header: header{kindOf(m.Is), m.Channel}, packet: (*[SlotSize]byte)(m.Bytes)}}
}

func kindOf(text string) Kind {
	if text == KindForward.String() {
		return KindForward
	}
	return KindPacket
}

func checkReceived(t *testing.T, v vector) {
	t.Helper()
	got, err := receivedAs(t, v.Slots)
	if v.Expect == "refuse" {
		checkReason(t, err, v)
		return
	}
	must(t, err)
	if !reflect.DeepEqual(got, v.Messages) {
		t.Errorf("%d messages, and not those of the file", len(got))
	}
}

// receivedAs reads slots. Only the last may be refused: what ends a link is not in the row before.
func receivedAs(t *testing.T, slots []octets) (messages []content, err error) {
	t.Helper()
	var in inbox
	for i, slot := range slots {
		if err != nil {
			t.Fatalf("refused before slot %d: %v", i, err)
		}
		if len(slot) != SlotSize {
			return nil, receivedRecord(t, slot)
		}
		m, _, ok, failed := in.accept((*[SlotSize]byte)(bytes.Clone(slot)))
		if err = failed; ok {
			c := content{m.Kind.String(), m.Channel, m.Control}
			if m.Packet != nil {
				c.Bytes = m.Packet[:]
			}
			for _, n := range m.Notices {
				c.Bytes = append(c.Bytes, n[:]...)
			}
			messages = append(messages, c)
		}
	}
	return messages, err
}

// receivedRecord is how a link ends on which comes a record of another size.
func receivedRecord(t *testing.T, record []byte) error {
	t.Helper()
	l := listen(t, node(t, "a.test", "b.test"))
	peer, err := stranger(t, l.Addr().String(), nil)
	must(t, err)
	c := accept(t, l)
	_, err = peer.Write(record)
	must(t, err)
	_, err = c.Receive()
	return err
}

func trySend(t *testing.T, c content) error {
	t.Helper()
	a, _ := pair(t, user("b.test"), node(t, "b.test", "a.test"))
	switch c.Is {
	case "control":
		return a.SendControl(c.Bytes)
	case "forward":
		return a.Forward(c.Channel, (*[SlotSize]byte)(c.Bytes))
	}
	return a.SendPacket(c.Channel, (*[SlotSize]byte)(c.Bytes))
}

// checkReason: err is the one that the vector names, however it is wrapped.
func checkReason(t *testing.T, err error, v vector) {
	t.Helper()
	if v.Reason == "" || err == nil || !strings.HasSuffix(err.Error(), "link: "+v.Reason) {
		t.Errorf("err = %v, want %s", err, v.Reason)
	}
	if strings.HasPrefix(v.Reason, "malformed") && !errors.Is(err, ErrSlot) && !errors.Is(err, ErrControl) {
		t.Errorf("nameless error %v", err)
	}
}
