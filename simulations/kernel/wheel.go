package kernel

import (
	"math/bits"
	"slices"
)

const (
	widthBits = 16 // a bucket is 2^16 ns wide: an instant within it has sixteen bits
	ringBits  = 14 // the ring has 2^14 buckets: 1.07 s
	ringSize  = 1 << ringBits
	ringMask  = ringSize - 1

	fewEvents = 48 // as many are sorted by insertion: fewer than the counters of a counting sort
)

// A Wheel is a [Queue] of buckets on a ring. What is planned within a second goes into its bucket as it comes; a bucket is
// sorted when its turn comes. The sort keeps the order of what is equal, so that of one instant is the order of planning,
// and need not be written down. What is planned for later waits in a [Heap] until the ring has come so far.
type Wheel struct {
	hand   int64   // the number of the bucket whose turn it is
	due    []Event // of it, in order
	early  Heap    // what was planned for buckets before it: time may stand between two of them for long
	taken  int     // of due
	ring   [][]Event
	held   []uint64 // a bit for each bucket of the ring that has something in it
	beyond Heap
	count  int

	spare   [][]Event // buckets that are empty
	scratch []Event
}

// NewWheel makes a Wheel that begins at the instant 0.
func NewWheel() *Wheel {
	return &Wheel{ring: make([][]Event, ringSize), held: make([]uint64, ringSize/64)}
}

func bucketOf(t Time) int64 { return int64(t) >> widthBits }

// Push implements [Queue].
func (w *Wheel) Push(e Event) {
	w.count++
	switch b := bucketOf(e.At); {
	case b < w.hand:
		w.early.Push(e)
	case b == w.hand:
		w.insert(e)
	case b < w.hand+ringSize:
		w.put(b, e)
	default:
		w.beyond.Push(e)
	}
}

// insert puts an event among those that are due, behind its equals.
func (w *Wheel) insert(e Event) {
	i, j := w.taken, len(w.due)
	for i < j {
		if m := int(uint(i+j) >> 1); w.due[m].At <= e.At {
			i = m + 1
		} else {
			j = m
		}
	}
	w.due = slices.Insert(w.due, i, e)
}

// put adds an event to a bucket of the ring.
func (w *Wheel) put(bucket int64, e Event) {
	i := bucket & ringMask
	if w.ring[i] == nil {
		w.held[i/64] |= 1 << (i % 64)
		if last := len(w.spare) - 1; last >= 0 {
			w.ring[i], w.spare = w.spare[last], w.spare[:last]
		}
	}
	w.ring[i] = append(w.ring[i], e)
}

// Next implements [Queue].
func (w *Wheel) Next() (Time, bool) {
	if at, ok := w.early.Next(); ok {
		return at, true
	}
	if w.taken == len(w.due) && !w.turn() {
		return 0, false
	}
	return w.due[w.taken].At, true
}

// Pop implements [Queue].
func (w *Wheel) Pop() (Event, bool) {
	if e, ok := w.early.Pop(); ok {
		w.count--
		return e, true
	}
	if w.taken == len(w.due) && !w.turn() {
		return Event{}, false
	}
	e := w.due[w.taken]
	w.taken++
	w.count--
	return e, true
}

// Len implements [Queue].
func (w *Wheel) Len() int { return w.count }

// turn goes on to the next bucket that holds something; false if none does.
func (w *Wheel) turn() bool {
	w.due, w.taken = w.due[:0], 0
	if i, ok := w.nextHeld(); ok {
		w.hand += (i - w.hand) & ringMask
		if cap(w.due) > 0 && len(w.spare) < ringSize {
			w.spare = append(w.spare, w.due)
		}
		w.due, w.ring[i] = w.ring[i], nil
		w.held[i/64] &^= 1 << (i % 64)
		w.sort()
	} else if next, ok := w.beyond.Next(); ok {
		w.hand = bucketOf(next)
	} else {
		return false
	}
	w.comeNearer()
	return true
}

// nextHeld is the place on the ring of the next bucket after the hand that holds something.
func (w *Wheel) nextHeld() (int64, bool) {
	start := (w.hand + 1) & ringMask
	word, rest := start/64, w.held[start/64]&^(1<<(start%64)-1)
	for range len(w.held) + 1 {
		if rest != 0 {
			return word*64 + int64(bits.TrailingZeros64(rest)), true
		}
		word = (word + 1) % int64(len(w.held))
		rest = w.held[word]
	}
	return 0, false
}

// comeNearer takes onto the ring what is beyond it no more. It was planned before anything that will be put there from now on.
func (w *Wheel) comeNearer() {
	for {
		next, ok := w.beyond.Next()
		if !ok || bucketOf(next) >= w.hand+ringSize {
			return
		}
		e, _ := w.beyond.Pop()
		if b := bucketOf(e.At); b == w.hand {
			w.due = append(w.due, e)
		} else {
			w.put(b, e)
		}
	}
}

// sort orders what is due by its instant, and leaves what is equal in its order.
func (w *Wheel) sort() {
	if len(w.due) <= fewEvents {
		for i := 1; i < len(w.due); i++ {
			e, j := w.due[i], i
			for ; j > 0 && w.due[j-1].At > e.At; j-- {
				w.due[j] = w.due[j-1]
			}
			w.due[j] = e
		}
		return
	}
	if cap(w.scratch) < len(w.due) {
		w.scratch = make([]Event, 2*len(w.due))
	}
	other := w.scratch[:len(w.due)]
	count(w.due, other, 0)
	count(other, w.due, 8)
}

// count is one pass of a counting sort, by eight bits of the instants.
func count(from, to []Event, shift uint) {
	var at [256]uint32
	for i := range from {
		at[uint8(from[i].At>>shift)]++
	}
	sum := uint32(0)
	for i, n := range at {
		at[i] = sum
		sum += n
	}
	for i := range from {
		digit := uint8(from[i].At >> shift)
		to[at[digit]] = from[i]
		at[digit]++
	}
}
