package link

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestHeader(t *testing.T) {
	for b := range 256 {
		h, err := parseHeader(byte(b))
		good := b == 0x00 || b == 0x30 || b == 0x40 || b>>4 == 1 || b>>4 == 2
		if good != (err == nil) {
			t.Errorf("%#02x: %v", b, err)
		}
		if err != nil && !errors.Is(err, ErrSlot) {
			t.Errorf("%#02x: %v is not ErrSlot", b, err)
		}
		if err == nil && h.byte() != byte(b) {
			t.Errorf("%#02x becomes %#02x", b, h.byte())
		}
	}
}

func TestKindNames(t *testing.T) {
	for kind, want := range map[Kind]string{KindDummy: "dummy", KindPacket: "packet", KindForward: "forward", KindControl: "control", KindNotice: "notice", 9: "kind 9"} {
		if kind.String() != want {
			t.Errorf("%d is %q, want %q", uint8(kind), kind, want)
		}
	}
}

// fragments cuts a message into slots as the writer does.
func fragments(message []byte) []*[SlotSize]byte {
	var slots []*[SlotSize]byte
	for len(message) > 0 {
		slot := new([SlotSize]byte)
		for i := range slot {
			slot[i] = 0xee // what an earlier slot left
		}
		message = putFragment(slot, message)
		slots = append(slots, slot)
	}
	return slots
}

func TestControlRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.SampledFrom([]int{0, fragmentSize, 2 * fragmentSize, MaxControl - 2}).Draw(t, "near")
		n := near + rapid.IntRange(1, 2).Draw(t, "more")
		message := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
		message[n-1] = rapid.Byte().Draw(t, "end")
		slots := fragments(message)
		if len(slots) != fragmentCount(n) {
			t.Fatalf("%d bytes in %d slots, counted %d", n, len(slots), fragmentCount(n))
		}
		var in inbox
		for i, slot := range slots {
			m, _, ok, err := in.accept(slot)
			if err != nil {
				t.Fatal(err)
			}
			if ok != (i == len(slots)-1) {
				t.Fatalf("slot %d of %d: whole is %v", i, len(slots), ok)
			}
			if ok && (m.Kind != KindControl || !bytes.Equal(m.Control, message)) {
				t.Fatal("another message came out")
			}
		}
	})
}

func TestMalformedControl(t *testing.T) {
	slot := func(flags byte, length int, last byte) []byte {
		s := make([]byte, SlotSize)
		s[0], s[1], s[2], s[3], s[SlotSize-1] = 0x30, flags, byte(length>>8), byte(length), last
		return s
	}
	tests := []struct {
		name string
		slot []byte
		ok   bool
	}{
		{"one byte", slot(1, 1, 0), true},
		{"full and last", slot(1, fragmentSize, 7), true},
		{"full, more to come", slot(0, fragmentSize, 7), true},
		{"empty", slot(1, 0, 0), false},
		{"empty, more to come", slot(0, 0, 0), false},
		{"short, more to come", slot(0, fragmentSize-1, 0), false},
		{"length beyond the slot", slot(1, fragmentSize+1, 0), false},
		{"length far beyond the slot", slot(1, 65535, 0), false},
		{"unknown flag", slot(3, 1, 0), false},
		{"unknown flag alone", slot(0x80, fragmentSize, 0), false},
		{"padding", slot(1, 1, 7), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var in inbox
			_, _, _, err := in.accept((*[SlotSize]byte)(test.slot))
			if test.ok != (err == nil) || (err != nil && !errors.Is(err, ErrControl)) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestOversizeControl(t *testing.T) {
	var in inbox
	full := make([]byte, SlotSize)
	full[0], full[2], full[3] = 0x30, byte(fragmentSize>>8), byte(fragmentSize&0xff)
	for i := range MaxControl / fragmentSize {
		if _, _, _, err := in.accept((*[SlotSize]byte)(full)); err != nil {
			t.Fatalf("fragment %d: %v", i, err)
		}
	}
	if _, _, _, err := in.accept((*[SlotSize]byte)(full)); !errors.Is(err, ErrControl) {
		t.Errorf("err = %v", err)
	}
	if len(in.partial) > MaxControl {
		t.Errorf("holds %d bytes", len(in.partial))
	}
}

// FuzzSlot: no slot makes the parser panic, and whatever is accepted can be written again to the same bytes.
func FuzzSlot(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x13, 1, 2, 3})
	f.Add([]byte{0x2f})
	f.Add([]byte{0x30, 1, 0, 2, 'h', 'i'})
	f.Add([]byte{0x31})
	f.Add([]byte{0x40})
	f.Add([]byte{0x40, 0, 1, 9, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		slot := new([SlotSize]byte)
		copy(slot[:], data)
		before := *slot
		var in inbox
		m, h, ok, err := in.accept(slot)
		switch {
		case err != nil:
			if !errors.Is(err, ErrSlot) && !errors.Is(err, ErrControl) {
				t.Fatalf("nameless error %v", err)
			}
			return
		case !ok:
			return
		case m.Kind == KindControl:
			if again := fragments(m.Control); len(again) != 1 || *again[0] != before {
				t.Fatal("not canonical")
			}
		case m.Kind == KindNotice:
			if again := noticeSlot(m.Notices); *again != before {
				t.Fatal("not canonical")
			}
		default:
			m.Packet[0] = h.byte()
			if *m.Packet != before || m.Channel > MaxChannel {
				t.Fatal("packet changed")
			}
		}
	})
}

// noticeSlot returns the slot that carries notices.
func noticeSlot(notices []Notice) *[SlotSize]byte {
	waiting := make([]outgoing, len(notices))
	for i, n := range notices {
		waiting[i].notice = n
	}
	slot := new([SlotSize]byte)
	putNotices(slot, waiting)
	return slot
}

// FuzzControl: any sequence of control slots gives messages of at most MaxControl or a named error, and holds no more
// memory than arrived. Each five bytes of the input make a slot: flags, length, first byte, last byte.
func FuzzControl(f *testing.F) {
	full := []byte{0, fragmentSize >> 8, fragmentSize & 0xff, 9, 9}
	f.Add([]byte{1, 0, 1, 'x', 0})
	f.Add(append(bytes.Repeat(full, 3), 1, 0, 2, 'x', 0))
	f.Add(bytes.Repeat(full, 66))
	f.Add([]byte{2, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var in inbox
		for arrived := 0; len(data) >= 5; data = data[5:] {
			slot := new([SlotSize]byte)
			slot[0], slot[1], slot[2], slot[3], slot[4], slot[SlotSize-1] = 0x30, data[0], data[1], data[2], data[3], data[4]
			m, _, ok, err := in.accept(slot)
			if err != nil {
				if !errors.Is(err, ErrControl) {
					t.Fatalf("nameless error %v", err)
				}
				return
			}
			arrived += SlotSize
			if len(in.partial) > min(arrived, MaxControl) {
				t.Fatalf("holds %d bytes of %d", len(in.partial), arrived)
			}
			if ok && (len(m.Control) == 0 || len(m.Control) > MaxControl) {
				t.Fatalf("message of %d bytes", len(m.Control))
			}
		}
	})
}
