package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A found is a card that somebody showed, signed and unjudged.
type found struct {
	session.Found
	Denied bool // her home says that there is none
}

// A question is a look-up under way. It is in the vault because any program on this folder may be the
// one that fetches the answer; who has asked waits for it there.
type question struct {
	Name    pki.Name     `json:"name"`
	Others  []pki.Domain `json:"others"`
	Reply   []byte       `json:"reply"`
	Begun   time.Time    `json:"begun"`
	Next    time.Time    `json:"next,omitzero"`
	Copies  int          `json:"copies"`
	Last    mor.Route    `json:"last"`
	Waiting []waiting    `json:"waiting"`
	Asked   []pki.Domain `json:"asked"`

	Card   []byte    `json:"card,omitempty"`   // what was found
	Proof  []byte    `json:"proof,omitempty"`  // that came with it
	Away   bool      `json:"away,omitempty"`   // by another than the home
	Serial uint64    `json:"serial,omitempty"` // of such a copy
	Copied time.Time `json:"copied,omitzero"`  // when the first copy came
	Denied time.Time `json:"denied,omitzero"`  // when the home said that there is none
	Older  time.Time `json:"older,omitzero"`   // when it showed an older card than was seen before
	Said   bool      `json:"said,omitempty"`   // somebody has answered, if only that he has no copy

	// Of our own objection, which is handed in like that; nobody waits for the answer.
	At        pki.Domain `json:"at,omitzero"`
	Challenge []byte     `json:"challenge,omitempty"`
}

// server is whose server is asked first.
func (q question) server() pki.Domain { return cmp.Or(q.At, q.Name.Domain()) }

// over tells that there is nothing left to be heard.
func (q question) over() bool { return len(q.Challenge) > 0 && q.Said }

// question is as mor has it.
func (q question) question() mor.Question {
	r := mor.Question{
		Name: q.Name, Home: q.server(), Challenge: q.Challenge, Others: q.Others, Hops: mor.DefaultHops,
		Next: q.Next, Copies: q.Copies, Last: q.Last, Asked: q.Asked,
	}
	copy(r.Reply[:], q.Reply)
	for _, w := range q.Waiting {
		r.Waiting = append(r.Waiting, w.waiting())
	}
	return r
}

// went takes in how far a question has come.
func (q *question) went(r mor.Question) {
	q.Others, q.Next, q.Copies, q.Last, q.Asked, q.Waiting = r.Others, r.Next, r.Copies, r.Last, r.Asked, nil
	for _, w := range r.Waiting {
		q.Waiting = append(q.Waiting, waiting{w.ID[:], w.Keys, w.Relays, w.Late})
	}
}

// save makes a question durable, and what its answers are known by.
func (q *question) save(tx *vault.Tx, id mor.MessageID) error {
	for _, w := range q.Waiting {
		tx.Put(prefixAsked+onion.SURBID(pad16(w.ID)).String(), id[:])
	}
	return save(tx, prefixAsking+id.String(), q)
}

// forgetQuestion leaves nothing of a question.
func forgetQuestion(tx *vault.Tx, id string, q question) {
	for _, w := range q.Waiting {
		tx.Delete(prefixAsked + onion.SURBID(pad16(w.ID)).String())
	}
	tx.Delete(prefixAsking + id)
}

// seek finds the card of a user, signed and unjudged, without anybody on the way knowing who asks for
// whom: the question goes like a message to the server of her home, and the answer comes back like a
// receipt. If that says nothing, it goes by other ways, and to some servers that may have a copy. Errors:
// a *session.Error (NotFound), a *SilentError, a *WayError, a *HomeError, a *NoServerError.
func (a *Agent) seek(ctx context.Context, name pki.Name) (found, error) {
	s, err := a.knownStanding(ctx, name.Domain(), time.Second)
	if err == nil && s.altered() != nil { // perhaps its own servers show another key by now, too
		if err = a.homeError(a.refreshDirectory(ctx, time.Second)); err == nil {
			s, err = a.standing(name.Domain())
		}
	}
	if err == nil && s.held() {
		err = a.answerable(s, name)
	}
	if err != nil {
		return found{}, err
	}
	id, err := a.messageID()
	if err != nil {
		return found{}, err
	}
	q := question{Name: name, Reply: a.self.replies[:], Begun: a.now()}
	if q.Others, err = a.holdersOf(name, s.verdict.For); err != nil {
		return found{}, err
	}
	defer func() {
		if err := a.endQuestion(id); err != nil {
			a.cfg.Log.Debug("forgetting a look-up", "err", err)
		}
	}()
	err = a.withRoutes(ctx, func() error { return a.askCopy(ctx, id, &q) })
	if routeless(err) {
		return found{}, a.unheard(name, &WayError{name, err})
	}
	if err != nil {
		return found{}, err
	}
	f, err := a.awaitFinding(ctx, id, name)
	var silence *SilentError
	if errors.As(err, &silence) {
		err = a.unheard(name, err)
	}
	return f, err
}

// unheard is why there is no answer: if her home is one that may not be written to anyway, that.
func (a *Agent) unheard(name pki.Name, why error) error {
	s, err := a.standing(name.Domain())
	if err == nil {
		err = about(s.err(), name)
	}
	return cmp.Or(err, why)
}

// answerable is why a domain for which another key than the known one is shown is not even asked: there is
// no server by the known one, or it is the directory that shows the other one, and will tell when that is over.
func (a *Agent) answerable(s standing, name pki.Name) error {
	var servers []mor.Server
	var shown rival
	err := a.vault.View(func(tx *vault.Tx) (err error) {
		if shown, _, err = load[rival](tx, prefixShown+s.domain.String()); err == nil {
			servers, err = a.serversFor(tx, s.domain)
		}
		return err
	})
	listed := len(shown.Descriptor) > 0 && !shown.Looked
	if err != nil || !listed && slices.ContainsFunc(servers, func(x mor.Server) bool { return x.Domain == s.domain }) {
		return err
	}
	return about(s.err(), name)
}

// lookFor is how long answers through the mesh are waited for.
func (a *Agent) lookFor() time.Duration {
	switch {
	case a.cfg.LookFor > 0:
		return a.cfg.LookFor
	case a.pace != nil:
		return CoveredLookFor
	}
	return DefaultLookFor
}

// awaitFinding waits for an answer, and asks again when there is none.
func (a *Agent) awaitFinding(ctx context.Context, id mor.MessageID, name pki.Name) (found, error) {
	began := a.now()
	late, cancel := context.WithTimeout(ctx, a.lookFor())
	defer cancel()
	for after := a.after; ; {
		q, known, err := a.questionOf(id)
		switch {
		case err != nil:
			return found{}, err
		case !known, late.Err() != nil && ctx.Err() == nil: // forgotten: it is long ago
			return found{}, &SilentError{Name: name, After: a.now().Sub(began), Said: q.Said}
		case ctx.Err() != nil:
			return found{}, ctx.Err()
		case len(q.Card) > 0 && q.newest(a.now()):
			return found{session.Found{Card: q.Card, Away: q.Away, Proof: q.Proof}, !q.Denied.IsZero()}, nil
		case q.settled(q.Denied, a.now()):
			return found{}, session.Errorf(session.NotFound, "there is no %s", name)
		case q.settled(q.Older, a.now()):
			return found{}, &SilentError{Name: name, After: a.now().Sub(began), Said: true, Older: true}
		}
		if asked := q.question(); asked.Silent(a.now()) {
			return found{}, &SilentError{Name: name, After: a.now().Sub(began), Said: true}
		}
		if !q.Next.IsZero() && !a.now().Before(q.Next) {
			a.renewDirectory(ctx) // no answer may have come because a server has other keys by now
			if err := a.askCopy(ctx, id, &q); err != nil {
				return found{}, err
			}
		}
		if after, err = a.gather(late, after, q.Next); err != nil && late.Err() == nil {
			return found{}, err
		}
	}
}

// routeless tells whether there was no way: servers may come back.
func routeless(err error) bool {
	var lacking *mor.RouteError
	return errors.As(err, &lacking)
}

// askCopy makes a copy of a question, makes it durable, and hands it in.
func (a *Agent) askCopy(ctx context.Context, id mor.MessageID, q *question) error {
	var submit []mor.Submission
	err := a.vault.Update(func(tx *vault.Tx) error {
		if q.Copies == 0 {
			if err := makeRoom(tx, a.now()); err != nil {
				return err
			}
		}
		return a.asking(tx, id, q, func(s *mor.Sender, r *mor.Question) (mor.SenderOutput, error) {
			out, err := s.Ask(a.now(), r)
			if submit = out.Submit; routeless(err) && r.Copies > 0 {
				err = nil // there was a way before: servers may come back
			}
			return out, err
		})
	})
	if err != nil {
		return err
	}
	said := a.claimReplies(ctx)
	if said == nil {
		said = a.handInQuestion(ctx, submit)
	}
	var refused *session.Error
	if said == nil || !errors.As(said, &refused) || refused.Code == session.Full { // which trying again does not mend
		return a.homeError(said)
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		return a.asking(tx, id, q, func(s *mor.Sender, r *mor.Question) (mor.SenderOutput, error) {
			return s.NotAsked(a.now(), r), nil
		})
	})
}

// asking lets a Sender do one thing to a question, and saves what comes of it.
func (a *Agent) asking(tx *vault.Tx, id mor.MessageID, q *question, do func(*mor.Sender, *mor.Question) (mor.SenderOutput, error)) error {
	servers, err := a.serversFor(tx, q.server())
	if err != nil {
		return err
	}
	s, err := a.sender(tx)
	if err != nil {
		return err
	}
	s.SetServers(servers)
	if kept, ok, err := load[question](tx, prefixAsking+id.String()); err != nil {
		return err
	} else if ok { // another program may have taken an answer
		*q = kept
	}
	r := q.question()
	out, err := do(s, &r)
	if err != nil {
		return err
	}
	if q.went(r); q.over() {
		forgetQuestion(tx, id.String(), *q)
		return saveDoubts(tx, out.Doubts)
	}
	return errors.Join(q.save(tx, id), saveDoubts(tx, out.Doubts))
}

// makeRoom forgets the look-ups of programs that have ended, and the oldest of too many.
func makeRoom(tx *vault.Tx, now time.Time) error {
	type old struct {
		id string
		q  question
	}
	var kept []old
	err := each(tx, prefixAsking, func(id string, q question) error {
		kept = append(kept, old{id, q})
		return nil
	})
	oldest := -1
	for i, o := range kept {
		if now.Sub(o.q.Begun).Abs() > questionKept {
			forgetQuestion(tx, o.id, o.q)
		} else if oldest < 0 || o.q.Begun.Before(kept[oldest].q.Begun) {
			oldest = i
		}
	}
	if oldest >= 0 && len(kept) >= maxQuestions {
		forgetQuestion(tx, kept[oldest].id, kept[oldest].q)
	}
	return err
}

// claimReplies makes the mailbox ours into which answers come, if this link has not.
func (a *Agent) claimReplies(ctx context.Context) error {
	today := mor.DayAt(a.now())
	if a.claimed[pki.Name{}] == int64(today) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return a.client.Claim(ctx, []session.Mailbox{{Address: a.self.replies, Kind: session.Replies, Until: uint32(today) + longKept}})
}

func (a *Agent) handInQuestion(ctx context.Context, copies []mor.Submission) error {
	for _, c := range copies {
		frame, err := c.Entry.Marshal(a.cfg.Rand)
		if err != nil {
			return err
		}
		if err := a.submitOne(ctx, (*[onion.Size]byte)(frame)); err != nil {
			return err
		}
	}
	return nil
}

// gather waits a little for answers to look-ups, and leaves all else where it is. It returns up to where
// it has looked. What is fetched elsewhere does not notice: so a look-up can be made in the middle of that.
func (a *Agent) gather(ctx context.Context, after int64, next time.Time) (int64, error) {
	wait := lookSlice
	if !next.IsZero() {
		wait = min(wait, max(0, next.Sub(a.now())))
	}
	asked, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	items, err := a.client.Items(asked, session.Items{After: after, Wait: wait})
	if err != nil {
		return after, a.homeError(err)
	}
	var done []int64
	for _, item := range items {
		after = max(after, item.Seq)
		if !item.Reply {
			continue
		}
		ours, err := a.finding(item.SURB, item.Body)
		if err != nil {
			return after, err
		}
		if ours {
			done = append(done, item.Seq)
		}
	}
	return after, a.homeError(a.client.Forget(asked, done))
}

// finding takes a reply that came over a SURB of a look-up; ours is false if it did not.
func (a *Agent) finding(surb onion.SURBID, body []byte) (ours bool, err error) {
	err = a.vault.Update(func(tx *vault.Tx) error {
		raw, ok := tx.Get(prefixAsked + surb.String())
		if ours = ok && len(raw) == mor.MessageIDSize; !ours {
			return nil
		}
		id := mor.MessageID(bytes.Clone(raw))
		q, ok, err := load[question](tx, prefixAsking+id.String())
		if err != nil || !ok {
			tx.Delete(prefixAsked + surb.String())
			return err
		}
		return a.asking(tx, id, &q, func(s *mor.Sender, r *mor.Question) (mor.SenderOutput, error) {
			out, answer, from, taken := s.TakeFinding(r, surb, body)
			if !taken {
				a.counts.Unasked++
				return out, nil
			}
			tx.Delete(prefixAsked + surb.String())
			return out, a.heard(tx, &q, r, answer, from)
		})
	})
	return ours, err
}

// heard takes in an answer. What the home says is judged by whoever has asked; but that there is nobody, and
// a card older than one that was seen, it might say to this asker alone, so others are asked, too. A copy
// counts only if it holds: nobody else can say anything of the home. Of several the newest does.
func (a *Agent) heard(tx *vault.Tx, q *question, r *mor.Question, f mor.Finding, from pki.Domain) error {
	q.Said = true
	if len(q.Challenge) > 0 {
		return a.objectionHeard(tx, from, f)
	}
	home := from == q.Name.Domain()
	if home && len(f.Card) == 0 {
		q.Denied = a.now()
		r.Doubted(a.now())
	}
	if len(f.Card) == 0 {
		return nil
	}
	s, err := a.judged(tx, q.Name.Domain())
	if err != nil {
		return err
	}
	card, holds := q.holds(s, f.Card, a.now())
	seen, _, err := load[seenList](tx, prefixListed+q.Name.String())
	older := holds && seen.Identity == card.Certificate.Key().Fingerprint() && card.Serial < seen.Serial
	switch {
	case err != nil:
		return err
	case home && older:
		q.Older = a.now()
		r.Doubted(a.now())
	case home:
		q.Card, q.Away, q.Proof, q.Denied = f.Card, false, proofIn(f), time.Time{}
	case holds && !older && (len(q.Card) == 0 || q.Away):
		q.copied(card, f, a.now())
	}
	return nil
}

// holds tells whether a card is of whom was asked for, and vouched for by her home as that stands.
func (q *question) holds(s standing, raw []byte, now time.Time) (pki.SignedCard, bool) {
	unvouched, err := pki.ParseCard(raw)
	if err != nil || unvouched.Name() != q.Name {
		return pki.SignedCard{}, false
	}
	card, err := signed(s, unvouched.Issuer(), func(ca pki.CACert) (pki.SignedCard, error) { return ca.VerifyCard(raw, now) })
	return card, err == nil
}

// settled tells whether what the home said then stands, because nobody else has said otherwise.
func (q *question) settled(then, now time.Time) bool {
	r := q.question()
	return !then.IsZero() && len(q.Card) == 0 && (r.OthersSaid() || now.Sub(then).Abs() >= doubtTime)
}

// copied takes in a copy that holds.
func (q *question) copied(card pki.SignedCard, f mor.Finding, now time.Time) {
	if len(q.Card) > 0 && card.Serial <= q.Serial {
		return
	}
	if q.Copied.IsZero() {
		q.Copied = now
	}
	q.Card, q.Away, q.Serial, q.Proof = f.Card, true, card.Serial, proofIn(f)
}

// proofIn is the proof in an answer that we know how to read; of another kind none.
func proofIn(f mor.Finding) []byte {
	if f.Proof.Kind != mor.ProofOfLog {
		return nil
	}
	return f.Proof.Bytes
}

// newest tells whether no newer card than the one that was found is waited for.
func (q *question) newest(now time.Time) bool {
	r := q.question()
	return !q.Away || r.OthersSaid() || now.Sub(q.Copied).Abs() >= newerTime
}

func (a *Agent) questionOf(id mor.MessageID) (q question, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		q, ok, err = load[question](tx, prefixAsking+id.String())
		return err
	})
	return q, ok, err
}

func (a *Agent) endQuestion(id mor.MessageID) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		q, ok, err := load[question](tx, prefixAsking+id.String())
		if ok {
			forgetQuestion(tx, id.String(), q)
		}
		return err
	})
}
