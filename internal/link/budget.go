package link

import (
	"container/heap"
	"errors"
	"sync"
)

const (
	// DefaultBudget is how many bytes of control messages all user links of a listener hold together, and all node links:
	// 64 MiB each, so that users take nothing from nodes.
	DefaultBudget = 64 << 20

	// messageCost is what a waiting message costs beside its bytes: an empty one is not free.
	messageCost = 256
)

// errCrowded closes the link that held the oldest message when a budget was full.
var errCrowded = errors.New("link: took too long over control messages, and others need the memory")

// A Budget bounds the bytes of control messages that several links hold together: what has come in of messages of more
// than one slot until the caller of Receive comes back for the next, and what waits to be sent.
//
// When it is full, the link has to go that holds the oldest message of all: the one that began to arrive, or to wait, the
// longest ago. An honest link is done with a message in the time that its network needs for it, so those who begin messages
// and end none, or ask and hardly read, push out each other. Ending other messages, however many, makes none of those younger
// that are held. Refusing the newest would be simpler, and would let a few of them keep out everybody for as long as they
// like.
type Budget struct {
	most int

	mu    sync.Mutex // guards what follows, and the shares
	held  int        // at most most
	begun uint64     // messages so far: the number of the youngest
	line  line       // the shares that hold something
	ended uint64     // links that had to go
}

// NewBudget makes a budget of that many bytes. One message of [MaxControl] needs 1 MiB.
func NewBudget(bytes int) *Budget { return &Budget{most: bytes} }

// Ended is how many links had to go because the budget was full.
func (b *Budget) Ended() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// share is what one direction of a link holds of a budget. A nil share has no bound.
type share struct {
	budget *Budget
	conn   *Conn

	bytes int      // guarded by budget.mu, as what follows
	since []uint64 // numbers of the messages that it holds, the oldest first
	place int      // in the line, if it holds any
	gone  bool     // the link has ended, and may hold nothing any more
}

// shareOf returns what a direction of conn holds of b; nil if there is no budget.
func (b *Budget) shareOf(conn *Conn) *share {
	if b == nil {
		return nil
	}
	return &share{budget: b, conn: conn}
}

// begin takes n bytes for one message more, and closes the links that have to go for them. That can be the share's own:
// then it is false.
func (s *share) begin(n int) bool { return s.take(n, true) }

// grow takes n bytes more for the youngest message, as begin does.
func (s *share) grow(n int) bool { return s.take(n, false) }

func (s *share) take(n int, begins bool) bool {
	if s == nil {
		return true
	}
	crowded, ok := s.budget.take(s, n, begins)
	for _, conn := range crowded {
		conn.shut(errCrowded)
	}
	return ok
}

func (b *Budget) take(s *share, n int, begins bool) (crowded []*Conn, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.gone {
		return nil, false
	}
	if begins {
		b.begun++
		if s.since = append(s.since, b.begun); len(s.since) == 1 {
			heap.Push(&b.line, s)
		}
	}
	s.bytes += n
	b.held += n
	for b.held > b.most {
		oldest := b.line[0]
		b.endLocked(oldest)
		b.ended++
		crowded = append(crowded, oldest.conn)
	}
	return crowded, !s.gone
}

// finish gives back the n bytes of the oldest message, which has left.
func (s *share) finish(n int) {
	s.release(n, func() { s.since = s.since[1:] })
}

// withdraw gives back the n bytes of the youngest message, for which there was no room elsewhere. If several begin at the
// same time it may be another than the one meant, of the same age.
func (s *share) withdraw(n int) {
	s.release(n, func() { s.since = s.since[:len(s.since)-1] })
}

func (s *share) release(n int, forget func()) {
	if s == nil {
		return
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.gone {
		return
	}
	s.bytes -= n
	b.held -= n
	if forget(); len(s.since) == 0 {
		heap.Remove(&b.line, s.place)
		return
	}
	heap.Fix(&b.line, s.place)
}

// end gives all back, and takes nothing any more.
func (s *share) end() {
	if s == nil {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.endLocked(s)
}

func (b *Budget) endLocked(s *share) {
	b.held -= s.bytes
	if len(s.since) > 0 {
		heap.Remove(&b.line, s.place)
	}
	s.bytes, s.since, s.gone = 0, nil, true
}

// line is a heap (container/heap) of shares: in front the one whose oldest message is the oldest of all.
type line []*share

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return l[i].since[0] < l[j].since[0] }

func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}

// Push is called by package heap.
func (l *line) Push(x any) {
	s := x.(*share)
	s.place = len(*l)
	*l = append(*l, s)
}

// Pop is called by package heap.
func (l *line) Pop() any {
	last := len(*l) - 1
	s := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	return s
}
