package link

import (
	"errors"
	"testing"
	"time"
)

// order takes all that is due and says what it was.
func order(q *queue) (kinds string) {
	var slot [SlotSize]byte
	for {
		h, ok, _, _ := q.take(time.Now(), &slot)
		if !ok {
			return kinds
		}
		kinds += h.kind.String()[:1]
	}
}

func TestPacketsAndControlTakeTurns(t *testing.T) {
	q := newQueue(10)
	for range 5 {
		must(t, q.push(outgoing{header: header{KindPacket, 0}, packet: packet(0)}))
	}
	must(t, q.push(outgoing{header: header{kind: KindControl}, control: make([]byte, 2*fragmentSize+1)}))
	if got := order(q); got != "cpcpcppp" {
		t.Errorf("order %s", got)
	}
}

func TestEachLineHasItsBound(t *testing.T) {
	q := newQueue(3)
	one := outgoing{header: header{KindForward, 2}, packet: packet(0)}
	for range 3 {
		must(t, q.push(one))
	}
	if err := q.push(one); !errors.Is(err, ErrFull) {
		t.Errorf("fourth packet: %v", err)
	}
	big := outgoing{header: header{kind: KindControl}, control: make([]byte, MaxControl)}
	for range ControlQueue / fragmentCount(MaxControl) {
		must(t, q.push(big)) // a flood of packets leaves control its own room
	}
	if err := q.push(big); !errors.Is(err, ErrFull) {
		t.Errorf("control beyond the bound: %v", err)
	}
	if waiting := q.waiting(); waiting != 3+3*fragmentCount(MaxControl) {
		t.Errorf("%d slots wait", waiting)
	}
	order(q)
	if q.controlSlots != 0 || q.packets.len() != 0 {
		t.Errorf("%d control slots and %d packets left", q.controlSlots, q.packets.len())
	}
	must(t, q.push(one))
	must(t, q.push(big))
}

// The memory of a line is bounded by what it held, however much passes through it.
func TestLineDoesNotGrow(t *testing.T) {
	var f fifo
	for i := range 10_000 {
		f.push(outgoing{header: header{channel: uint8(i % 16)}})
		if f.len() > 4 {
			if got := f.pop().header.channel; got != uint8((i-4)%16) {
				t.Fatalf("%d came out %d", i-4, got)
			}
		}
	}
	if cap(f.items) > 16 {
		t.Errorf("capacity %d for 5", cap(f.items))
	}
}
