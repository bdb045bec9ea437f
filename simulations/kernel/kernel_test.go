package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/kernel"
)

func queues() map[string]kernel.Queue {
	return map[string]kernel.Queue{"heap": new(kernel.Heap), "wheel": kernel.NewWheel()}
}

// What happens at one instant happens in the order in which it was planned, near and far.
func TestOrder(t *testing.T) {
	for name, q := range queues() {
		for i, at := range []kernel.Time{5, 1 << 40, 5, 0, 1 << 40, 1 << 20, 5, 1 << 20, kernel.Forever, 1 << 31} {
			q.Push(kernel.Event{At: at, What: uint32(i)})
		}
		var got []uint32
		for q.Len() > 0 {
			at, _ := q.Next()
			e, ok := q.Pop()
			if !ok || e.At != at {
				t.Fatal(name, e, at)
			}
			got = append(got, e.What)
		}
		if want := "[3 0 2 6 5 7 9 1 4 8]"; fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
		if _, ok := q.Pop(); ok {
			t.Error(name, "has something left")
		}
		if _, ok := q.Next(); ok {
			t.Error(name, "has something left")
		}
	}
}

// An event for an instant that is over happens next, behind those of that instant.
func TestOver(t *testing.T) {
	for name, q := range queues() {
		q.Push(kernel.Event{At: 1 << 30, What: 1})
		q.Next() // which may turn the wheel there
		q.Push(kernel.Event{At: 7, What: 2})
		q.Push(kernel.Event{At: 3, What: 3})
		q.Push(kernel.Event{At: 7, What: 4})
		var got []uint32
		for e, ok := q.Pop(); ok; e, ok = q.Pop() {
			got = append(got, e.What)
		}
		if fmt.Sprint(got) != "[3 2 4 1]" {
			t.Error(name, got)
		}
	}
}

// Two queues that are given the same events give them back in the same order, whatever the mix of near, far, equal and
// passed ones, and whenever they are asked what is next.
func TestQueuesAgree(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		spread := []int64{1, 50, 1 << 16, 1 << 22, 1 << 30, 1 << 36}[random.IntN(6)]
		wheel, heap := kernel.NewWheel(), new(kernel.Heap)
		now := kernel.Time(0)
		for i := range uint32(4000) {
			if random.IntN(5) < 3 {
				at := max(0, now+kernel.Time(random.Int64N(spread)-spread/8)) // or over
				e := kernel.Event{At: at, To: uint32(random.Uint64()), What: i}
				wheel.Push(e)
				heap.Push(e)
				continue
			}
			if random.IntN(2) == 0 {
				a, _ := wheel.Next()
				if b, _ := heap.Next(); a != b {
					t.Fatalf("seed %d: next %d and %d", seed, a, b)
				}
			}
			now = agree(t, seed, wheel, heap, now)
		}
		for wheel.Len() > 0 || heap.Len() > 0 {
			now = agree(t, seed, wheel, heap, now)
		}
	}
}

// agree takes one event from both.
func agree(t *testing.T, seed uint64, wheel *kernel.Wheel, heap *kernel.Heap, now kernel.Time) kernel.Time {
	t.Helper()
	a, one := wheel.Pop()
	b, other := heap.Pop()
	if a != b || one != other || wheel.Len() != heap.Len() {
		t.Fatalf("seed %d: %+v %v %d and %+v %v %d after %d", seed, a, one, wheel.Len(), b, other, heap.Len(), now)
	}
	return max(now, a.At)
}

// A world that looks ahead and then plans for much sooner, again and again, has all of it in order, and does not grow.
func TestLookingAhead(t *testing.T) {
	wheel := kernel.NewWheel()
	wheel.Push(kernel.Event{At: kernel.Forever})
	for round := range kernel.Time(2000) {
		now := round << 32
		wheel.Next()
		for i := range kernel.Time(3) {
			wheel.Push(kernel.Event{At: now + (3-i)<<20, What: uint32(i)})
		}
		for want := uint32(2); wheel.Len() > 1; want-- {
			if e, _ := wheel.Pop(); e.What != want || e.At != now+kernel.Time(3-want)<<20 {
				t.Fatalf("round %d: %+v, want %d", round, e, want)
			}
		}
	}
	if e, ok := wheel.Pop(); !ok || e.At != kernel.Forever || wheel.Len() != 0 {
		t.Error(e, ok)
	}
}

// Whatever bytes say, no event is lost and none comes out of order.
func FuzzWheel(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 255, 254, 128, 0, 0, 77})
	f.Fuzz(func(t *testing.T, program []byte) {
		wheel, heap := kernel.NewWheel(), new(kernel.Heap)
		now := kernel.Time(0)
		for i := 0; i+1 < len(program) && i < 1000; i += 2 {
			if op := program[i]; op%4 != 0 {
				e := kernel.Event{At: now + kernel.Time(program[i+1])<<(op%40) - kernel.Time(op)<<12, What: uint32(i)}
				wheel.Push(e)
				heap.Push(e)
				if op%8 == 1 {
					wheel.Next() // which may turn it to where nothing is yet
				}
				continue
			}
			now = agree(t, 0, wheel, heap, now)
		}
		for wheel.Len() > 0 || heap.Len() > 0 {
			now = agree(t, 0, wheel, heap, now)
		}
	})
}
