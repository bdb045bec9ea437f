package kernel

// A Heap is a [Queue] in a binary heap. The zero value is empty. Push and Pop take time that grows with the
// logarithm of Len.
type Heap struct {
	slots   []slot
	planned uint64
}

// slot is an event with its place among those of one instant.
type slot struct {
	Event
	order uint64
}

func (s slot) before(t slot) bool { return s.At < t.At || s.At == t.At && s.order < t.order }

// Push implements [Queue].
func (h *Heap) Push(e Event) {
	h.planned++
	s, i := slot{e, h.planned}, len(h.slots)
	h.slots = append(h.slots, s)
	for i > 0 {
		parent := (i - 1) / 2
		if !s.before(h.slots[parent]) {
			break
		}
		h.slots[i], i = h.slots[parent], parent
	}
	h.slots[i] = s
}

// Next implements [Queue].
func (h *Heap) Next() (Time, bool) {
	if len(h.slots) == 0 {
		return 0, false
	}
	return h.slots[0].At, true
}

// Pop implements [Queue].
func (h *Heap) Pop() (Event, bool) {
	last := len(h.slots) - 1
	if last < 0 {
		return Event{}, false
	}
	first, s := h.slots[0].Event, h.slots[last]
	h.slots = h.slots[:last]
	if last > 0 {
		h.sink(s)
	}
	return first, true
}

// sink puts s where the root was, and then where it belongs.
func (h *Heap) sink(s slot) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h.slots) {
			break
		}
		if child+1 < len(h.slots) && h.slots[child+1].before(h.slots[child]) {
			child++
		}
		if !h.slots[child].before(s) {
			break
		}
		h.slots[i], i = h.slots[child], child
	}
	h.slots[i] = s
}

// Len implements [Queue].
func (h *Heap) Len() int { return len(h.slots) }
