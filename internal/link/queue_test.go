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
	q := newQueue(10, false)
	for range 5 {
		must(t, q.push(outgoing{header: header{KindPacket, 0}, packet: packet(0)}))
	}
	must(t, q.push(outgoing{header: header{kind: KindControl}, control: make([]byte, 2*fragmentSize+1)}))
	if got := order(q); got != "cpcpcppp" {
		t.Errorf("order %s", got)
	}
}

func TestEachLineHasItsBound(t *testing.T) {
	q := newQueue(3, false)
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

// Notices wait for each other, but not for long, and not if one of them is urgent; then all leave in one slot.
func TestNoticesShareSlots(t *testing.T) {
	q, start := newQueue(1, false), time.Now()
	var slot [SlotSize]byte
	say := func(after time.Duration, urgent bool) {
		t.Helper()
		must(t, q.push(outgoing{header: header{kind: KindNotice}, due: start.Add(after), urgent: urgent}))
	}
	leave := func(after time.Duration) int {
		t.Helper()
		if _, ok, _, _ := q.take(start.Add(after), &slot); !ok {
			return 0
		}
		notices, err := parseNotices(&slot)
		must(t, err)
		return len(notices)
	}
	say(0, false)
	say(NoticeHold/2, false)
	if n := leave(NoticeHold - 1); n != 0 {
		t.Errorf("%d left before their time", n)
	}
	if _, _, wait, _ := q.take(start.Add(NoticeHold/2), &slot); wait != NoticeHold/2 {
		t.Errorf("the writer sleeps for %s", wait)
	}
	if n := leave(NoticeHold); n != 2 {
		t.Errorf("%d left together, not 2", n)
	}
	say(NoticeHold, false)
	say(NoticeHold, true)
	if n := leave(NoticeHold); n != 2 {
		t.Errorf("%d left with an urgent one, not 2", n)
	}
	for range NoticeQueue {
		say(0, false)
	}
	if err := q.push(outgoing{header: header{kind: KindNotice}}); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if n := q.waiting(); n != NoticeQueue/MaxNotices {
		t.Errorf("%d slots wait", n)
	}
	for range NoticeQueue / MaxNotices {
		if n := leave(NoticeHold); n != MaxNotices {
			t.Errorf("%d left in one slot", n)
		}
	}
}

// A flood of any kind leaves the others their turn.
func TestThreeLinesTakeTurns(t *testing.T) {
	q := newQueue(10, false)
	for range 3 {
		must(t, q.push(outgoing{header: header{KindPacket, 0}, packet: packet(0)}))
	}
	for range 2*MaxNotices + 1 {
		must(t, q.push(outgoing{header: header{kind: KindNotice}, urgent: true}))
	}
	must(t, q.push(outgoing{header: header{kind: KindControl}, control: make([]byte, 2*fragmentSize)}))
	if got := order(q); got != "cpncpnpn" {
		t.Errorf("order %s", got)
	}
}
