package link

import (
	"container/list"
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

// errCrowded closes the link that had held its control messages for the longest when a budget was full.
var errCrowded = errors.New("link: took too long over control messages, and others need the memory")

// A Budget bounds the bytes of control messages that several links hold together: what has come in of messages of more
// than one slot until the caller of Receive comes back for the next, and what waits to be sent.
//
// When it is full, the link has to go that has finished none of its own for the longest. An honest link finishes one in the
// time that its network needs for it; so those who begin messages and end none, or ask and do not read, push out each other.
// Refusing the newest would be simpler, and would let a few of them keep out everybody for as long as they like.
type Budget struct {
	most int

	mu    sync.Mutex // guards what follows, and the shares
	held  int        // at most most
	line  list.List  // of *share that hold something; in front who has finished nothing for the longest
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

	bytes int           // guarded by budget.mu, as what follows
	place *list.Element // in the line; nil if it holds nothing
	gone  bool          // the link has ended, and may hold nothing any more
}

// shareOf returns what a direction of conn holds of b; nil if there is no budget.
func (b *Budget) shareOf(conn *Conn) *share {
	if b == nil {
		return nil
	}
	return &share{budget: b, conn: conn}
}

// grow takes n bytes more, and closes the links that have to go for them. That can be the share's own: then it is false.
func (s *share) grow(n int) bool {
	if s == nil {
		return true
	}
	crowded, ok := s.budget.take(s, n)
	for _, conn := range crowded {
		conn.shut(errCrowded)
	}
	return ok
}

func (b *Budget) take(s *share, n int) (crowded []*Conn, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.gone {
		return nil, false
	}
	b.addLocked(s, n)
	for b.held > b.most {
		first := b.line.Front().Value.(*share)
		b.endLocked(first)
		b.ended++
		crowded = append(crowded, first.conn)
	}
	return crowded, !s.gone
}

// finish gives back n bytes because a message has left: the share moves to the end of the line.
func (s *share) finish(n int) {
	if s == nil {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.addLocked(s, -n)
	if s.place != nil {
		s.budget.line.MoveToBack(s.place)
	}
}

// shrink gives back n bytes that were not needed.
func (s *share) shrink(n int) {
	if s == nil {
		return
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.addLocked(s, -n)
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

func (b *Budget) addLocked(s *share, n int) {
	if s.gone {
		return
	}
	s.bytes += n
	b.held += n
	switch {
	case s.bytes > 0 && s.place == nil:
		s.place = b.line.PushBack(s)
	case s.bytes == 0 && s.place != nil:
		b.line.Remove(s.place)
		s.place = nil
	}
}

func (b *Budget) endLocked(s *share) {
	b.addLocked(s, -s.bytes)
	s.gone = true
}
