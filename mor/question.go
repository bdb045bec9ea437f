package mor

import (
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// How a question is asked (docs/spec/mor.md, "Look-ups").
const (
	// MaxAsked is how many copies of a question are made at most.
	MaxAsked = 8
	// MaxHolders is how many servers beside the home are asked for a copy; each learns that
	// somebody asks for that name.
	MaxHolders = 3

	homeFirst = 2                      // copies for the home before others are asked
	askAgain  = 3 * time.Second        // mean time to the next copy, if there is no answer
	askOthers = 300 * time.Millisecond // between those for two who may have a copy
)

// A Question is a look-up under way: somebody's card, asked of the server of her home, and of some
// others that may have a copy, in packets that nobody on the way can tell from a message.
type Question struct {
	Name    pki.Name        // zero: by Key
	Key     pki.Fingerprint // of an identity key
	Home    pki.Domain      // whose server knows
	Others  []pki.Domain    // that may have a copy, MaxHolders at most; more are drawn with the first copy
	Hops    int
	Reply   onion.Mailbox // where the answer is to come
	Next    time.Time     // of the next copy; zero: there is none
	Copies  int
	Last    Route
	Waiting []Waiting
	Asked   []pki.Domain // whom each of Waiting was for

	// Challenge is handed in at Home in place of a look-up, and there alone; empty: none.
	Challenge []byte
}

// Ask makes a copy of a question: another way than the last if there is one, a fresh SURB. What is to be
// saved is q itself, before the copy is handed in, and the doubts. An error says that there is no way now:
// then q is to be asked again later, unless it was never asked.
func (s *Sender) Ask(now time.Time, q *Question) (SenderOutput, error) {
	out, err := s.ask(now, q)
	if err != nil {
		q.Next = now.Add(s.jitter(askAgain))
	}
	return out, err
}

func (s *Sender) ask(now time.Time, q *Question) (SenderOutput, error) {
	if q.Copies == 0 && len(q.Challenge) == 0 {
		if err := s.holders(q); err != nil {
			return SenderOutput{}, err
		}
	}
	home, others := q.known(s.servers)
	at := q.turn(q.Copies, home, others)
	s.doubt(now, q.Waiting)
	there, doubts := ends{s.cfg.Entry, at}, s.doubted(now)
	if at != q.Home { // which is silent
		doubts[q.Home] = maxDoubt
	}
	relays, err := choose(s.cfg.Rand, s.servers, there, q.Hops, nil, preference{q.Last, doubts})
	if err != nil {
		return SenderOutput{}, err
	}
	route := routeOf(there, relays)
	surb, waiting, err := s.back(now, turn{route, relays, doubts}, q.Reply)
	if err != nil {
		return SenderOutput{}, err
	}
	inner, first, err := s.inner(now, relays, at, QueryMailbox(), Query{q.Name, q.Key, surb, q.Challenge}.Marshal())
	if err != nil {
		return SenderOutput{}, err
	}
	waiting.over(relays)
	q.copied(waiting, at, route)
	if q.Next = (time.Time{}); q.Copies < MaxAsked {
		q.Next = now.Add(s.jitter(q.again(others)))
	}
	return s.completed(SenderOutput{Submit: []Submission{{Entry: onion.Entry{First: first, Inner: inner}, Route: route}}}), nil
}

func (q *Question) copied(w Waiting, at pki.Domain, route Route) {
	q.Waiting, q.Asked = append(q.Waiting, w), append(q.Asked, at)
	q.Last = route
	q.Copies++
}

// holders draws those who may have a copy: any server that may relay, and is neither the home nor
// where we are.
func (s *Sender) holders(q *Question) error {
	drawn := candidates(s.servers, ends{s.cfg.Entry, q.Home})
	if err := shuffle(s.cfg.Rand, drawn); err != nil {
		return err
	}
	for _, d := range drawn {
		if len(q.Others) < MaxHolders && d.Domain != s.cfg.Home && !slices.Contains(q.Others, d.Domain) {
			q.Others = append(q.Others, d.Domain)
		}
	}
	return nil
}

// known tells whether there is a server of the home, and who of the others has one.
func (q *Question) known(servers []Server) (home bool, others []pki.Domain) {
	for _, s := range servers {
		home = home || s.Domain == q.Home
	}
	for _, d := range q.Others {
		if d != q.Home && slices.ContainsFunc(servers, func(s Server) bool { return s.Domain == d }) {
			others = append(others, d)
		}
	}
	return home, others
}

// turn is whom the copy of that number is for: the home twice, then each of the others, then the home.
// If no server of the home is known, the others in turn.
func (q *Question) turn(copy int, home bool, others []pki.Domain) pki.Domain {
	switch {
	case !home && len(others) > 0:
		return others[copy%len(others)]
	case copy >= homeFirst && copy < homeFirst+len(others):
		return others[copy-homeFirst]
	}
	return q.Home
}

// again is the mean time to the copy after this one.
func (q *Question) again(others []pki.Domain) time.Duration {
	if q.Copies > homeFirst && q.Copies < homeFirst+len(others) {
		return askOthers
	}
	return askAgain
}

// Silent tells whether there is no use in asking any more, though nothing was found: the home was
// asked three times, and the others that were asked have all answered.
func (q *Question) Silent(now time.Time) bool {
	return q.OthersSaid() && q.Copies > homeFirst+len(q.Others) && !now.Before(q.Next)
}

// OthersSaid tells whether those who may have a copy have all been asked, and have answered.
func (q *Question) OthersSaid() bool {
	for _, at := range q.Asked {
		if at != q.Home {
			return false
		}
	}
	return q.Copies >= homeFirst+len(q.Others)
}

// Doubted has those asked at once, and in turn, who may have a copy: what the home has answered is not
// believed on its word alone.
func (q *Question) Doubted(now time.Time) {
	if q.Copies < homeFirst+len(q.Others) {
		q.Copies, q.Next = max(q.Copies, homeFirst), now
	}
}

// NotAsked tells that our node did not take the last copy of a question. It is made again soon, and no
// relay is doubted for it.
func (s *Sender) NotAsked(now time.Time, q *Question) SenderOutput {
	excuse(q.Waiting)
	if q.Copies < MaxAsked {
		q.Next = now.Add(s.jitter(notTaken))
	}
	return s.completed(SenderOutput{})
}

// TakeFinding opens a reply that came over a SURB of q, and says whose server answered. It is false,
// and uses nothing up, if the SURB is none of q's, was used before, or does not open.
func (s *Sender) TakeFinding(q *Question, id onion.SURBID, body []byte) (out SenderOutput, f Finding, from pki.Domain, ok bool) {
	i := slices.IndexFunc(q.Waiting, func(w Waiting) bool { return w.ID == id })
	if i < 0 || len(q.Asked) != len(q.Waiting) {
		return s.completed(SenderOutput{}), Finding{}, pki.Domain{}, false
	}
	payload, err := q.Waiting[i].open(body)
	if err == nil {
		f, err = ParseFinding(payload)
	}
	if err != nil {
		return s.completed(SenderOutput{}), Finding{}, pki.Domain{}, false
	}
	from = q.Asked[i]
	s.trust(q.Waiting[i].Relays)
	q.Waiting, q.Asked = slices.Delete(q.Waiting, i, i+1), slices.Delete(q.Asked, i, i+1)
	return s.completed(SenderOutput{}), f, from, true
}
