package mor

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Specification and implementation constants of the user's side.
const (
	// LetterLifetime is how long a message is tried before it is expired; no server key
	// opens its layers longer (docs/spec/mor.md, "Retransmission").
	LetterLifetime = 7 * 24 * time.Hour

	notTaken     = time.Second      // mean time to the second try, if our node does not take the first
	firstRetry   = 5 * time.Second  // mean time to the first copy, if no receipt has come
	longestRetry = 10 * time.Minute // mean time between copies at most, until stored
	patientRetry = 5 * time.Minute  // mean time to the first copy once stored, if no acknowledgement has come
	longestWait  = 6 * time.Hour    // mean time between copies at most, once stored
	maxWaiting   = 16               // SURBs of one message whose receipt is still waited for
	maxMade      = 16               // copies of one message whose ways are remembered: the newest
	// MaxOutbox is how many unfinished messages a Sender keeps; more are refused.
	MaxOutbox = 10_000
)

// A State is how far a message has come, as its sender knows it.
type State string

// The states of a message, in order. Only Acknowledged, Expired and UsedUp are final.
const (
	Queued       State = "queued"       // in the outbox
	Sent         State = "sent"         // our node took it
	StoredThere  State = "stored"       // the recipient's spool has it durably
	Acknowledged State = "acknowledged" // the recipient's device has it durably
	Expired      State = "expired"      // given up after LetterLifetime
	UsedUp       State = "used up"      // it was for an address that takes one letter, and has taken another
)

func (s State) final() bool { return s == Acknowledged || s == Expired || s == UsedUp }

// An Address is where a recipient can be written to.
type Address struct {
	Mailbox  onion.Mailbox // a requests address, if Secret is zero
	Secret   [32]byte      // shared with a contact: the mailbox of a day is derived from it
	Identity pki.Fingerprint
	Spools   []pki.Domain // servers that keep the mailbox, in order of preference
	Once     bool         // Mailbox is that of an invitation, which takes one letter, and no work
}

// fixed reports whether the mailbox is the same on all days.
func (a Address) fixed() bool { return a.Secret == [32]byte{} }

// stranger reports whether a is a requests address, which wants work.
func (a Address) stranger() bool { return a.fixed() && !a.Once }

// at is the mailbox of a on day.
func (a Address) at(day Day) onion.Mailbox {
	if a.fixed() {
		return a.Mailbox
	}
	return DayMailbox(a.Secret, day)
}

// An Outgoing is a message in the outbox: all that must survive a restart.
type Outgoing struct {
	ID       MessageID
	To       Address
	Sealed   []byte // SealedSize bytes
	Hops     int
	Via      []pki.Domain  // relays named by the user; empty: chosen for each copy
	Reply    onion.Mailbox // where receipts are to come
	State    State
	Created  time.Time
	Next     time.Time     // of the next copy
	Wait     time.Duration // the mean time that Next was drawn with
	Attempts int           // copies by which the time of the next is reckoned: from 1 again once stored
	Copies   int           // in all
	Last     Route
	Waiting  []Waiting
	Made     []Copy // at most maxMade, the newest last
}

// A Copy is what its sender knows of the way of one copy of a message.
type Copy struct {
	At      time.Time
	There   Route
	Back    []pki.Domain  // relays of the receipt
	Inner   onion.InnerID // of the packet that our node was given
	SURB    onion.SURBID  // over which the receipt is to come
	Receipt time.Time     // when it came; zero: it has not
}

// Waiting is a SURB over which nothing has come yet.
type Waiting struct {
	ID     onion.SURBID
	Keys   []byte       // onion.SURBKeys
	Relays []pki.Domain // of the copy that it went with
	Late   bool         // its relays are not to be doubted for it, or not again
}

// A Doubt is what speaks against a relay: copies over it that no receipt came of in time, since
// one did. It fades: half of them are forgotten each hour.
type Doubt struct {
	Relay  pki.Domain
	Copies int       // 0: none any more
	At     time.Time // of the last
}

// A Submission is an entry frame for our node, with the message and the route it is of.
type Submission struct {
	Message MessageID
	Entry   onion.Entry
	Route   Route
}

// SenderOutput is what the caller must now do, in field order. It shares memory with the
// Sender and holds until the next call.
type SenderOutput struct {
	Save   []Outgoing   // make durable before anything is submitted
	Doubts []Doubt      // these too: what has changed
	Submit []Submission // hand to our node; report with Submitted
	Wake   time.Time    // call Tick no later than this; zero: nothing is waited for
}

// SenderConfig is what a Sender starts from.
type SenderConfig struct {
	Rand   io.Reader
	Entry  pki.Domain // of the node that we hand packets to: our home, or where we logged in
	Home   pki.Domain // whose server keeps our own mailbox
	Outbox []Outgoing // as saved before
	Doubts []Doubt    // as saved before

	Scheme onion.Scheme // as in Config

	// Patience is the least mean time to each next copy, at most 10 min: more than a message and its receipt take where
	// servers with cover let packets wait. 0: 5 s to the first one.
	Patience time.Duration
}

// A Sender is a user's side of the network: routes, outbox, retransmission. It is not safe
// for concurrent use.
type Sender struct {
	cfg     SenderConfig
	servers []Server
	outbox  []*Outgoing // in order of creation
	doubts  map[pki.Domain]Doubt
	changed []Doubt // since the last output
}

// ErrOutboxFull is returned by Send when MaxOutbox messages are unfinished.
var ErrOutboxFull = errors.New("mor: the outbox is full")

// NewSender makes a Sender that goes on with the outbox in cfg.
func NewSender(cfg SenderConfig) *Sender {
	s := &Sender{cfg: cfg, doubts: make(map[pki.Domain]Doubt)}
	for _, d := range cfg.Doubts {
		s.doubts[d.Relay] = d
	}
	for _, o := range cfg.Outbox {
		if !o.State.final() {
			s.outbox = append(s.outbox, &o)
		}
	}
	return s
}

// SetServers replaces the servers that routes are drawn from. Their order matters to a
// deterministic caller.
func (s *Sender) SetServers(servers []Server) { s.servers = servers }

// Plan draws a route for a message without sending anything.
func (s *Sender) Plan(now time.Time, to Address, hops int, via []pki.Domain) (Route, error) {
	if len(to.Spools) == 0 {
		return nil, routeErrorf("the recipient names no server that keeps her messages")
	}
	e := ends{s.cfg.Entry, to.Spools[0]}
	relays, err := choose(s.cfg.Rand, s.servers, e, hops, via, preference{doubts: s.doubted(now)})
	if err != nil {
		return nil, err
	}
	return routeOf(e, relays), nil
}

// Send puts a message into the outbox and makes its first copy. Outgoing needs ID, To,
// Sealed, Hops, Via and Reply; the rest is the Sender's. An error means that nothing was
// sent and nothing is kept.
func (s *Sender) Send(now time.Time, o Outgoing) (SenderOutput, Route, error) {
	if len(s.outbox) >= MaxOutbox {
		return SenderOutput{}, nil, ErrOutboxFull
	}
	if s.find(o.ID) != nil {
		return SenderOutput{}, nil, fmt.Errorf("mor: message %s is in the outbox already", o.ID)
	}
	o.State, o.Created, o.Attempts, o.Copies, o.Last, o.Waiting, o.Made = Queued, now, 0, 0, nil, nil, nil
	submission, err := s.copy(now, &o)
	if err != nil {
		return SenderOutput{}, nil, err
	}
	s.outbox = append(s.outbox, &o)
	out := s.saved(&o)
	out.Submit = []Submission{submission}
	return out, o.Last, nil
}

// Submitted tells what our node said of the last copy of a message: taken, or (err not nil)
// not. What was not taken is tried again soon, and no relay is doubted for it.
func (s *Sender) Submitted(now time.Time, id MessageID, err error) SenderOutput {
	o := s.find(id)
	switch {
	case o == nil:
		return SenderOutput{Wake: s.wake()}
	case err != nil:
		excuse(o.Waiting)
		o.Made = o.Made[:max(0, len(o.Made)-1)] // it went nowhere
		s.postpone(now, o, doubling(notTaken, longestRetry, o.Attempts))
	case o.State == Queued:
		o.State = Sent
		if s.cfg.Patience > 0 { // which may not have been known when the copy was made
			s.postpone(now, o, s.pause(o))
		}
	}
	return s.saved(o)
}

// TakeReceipt opens a reply that came over one of our SURBs. It returns the receipt; false
// if the SURB is none of ours, was used before, or does not open.
func (s *Sender) TakeReceipt(now time.Time, id onion.SURBID, body []byte) (SenderOutput, Receipt, bool) {
	for _, o := range s.outbox {
		i := slices.IndexFunc(o.Waiting, func(w Waiting) bool { return w.ID == id })
		if i < 0 {
			continue
		}
		payload, err := o.Waiting[i].open(body)
		if err != nil {
			return SenderOutput{Wake: s.wake()}, Receipt{}, false
		}
		receipt, err := ParseReceipt(payload)
		if err != nil || receipt.ID != o.ID {
			return SenderOutput{Wake: s.wake()}, Receipt{}, false
		}
		s.trust(o.Waiting[i].Relays)
		o.Waiting = slices.Delete(o.Waiting, i, i+1)
		o.answered(now, id)
		s.receipted(now, o, receipt.Status)
		return s.saved(o), receipt, true
	}
	return SenderOutput{Wake: s.wake()}, Receipt{}, false
}

// answered notes that the receipt of a copy has come.
func (o *Outgoing) answered(now time.Time, id onion.SURBID) {
	o.Made = slices.Clone(o.Made) // the old one may have been handed out
	for i := range o.Made {
		if o.Made[i].SURB == id {
			o.Made[i].Receipt = now
		}
	}
}

// open is what came over a SURB.
func (w Waiting) open(body []byte) (payload []byte, err error) {
	keys, err := onion.ParseSURBKeys(w.Keys)
	if err != nil {
		return nil, err
	}
	return keys.Open(body)
}

// receipted: stored ends the fast retransmission, and the next copy is for the second
// spool, if there is one; that an invitation was used ends all; everything else goes on trying.
func (s *Sender) receipted(now time.Time, o *Outgoing, status ReceiptStatus) {
	if status == Used && o.To.Once {
		o.State, o.Waiting = UsedUp, nil
	}
	if status == Stored && o.State != StoredThere {
		o.State, o.Attempts = StoredThere, 1
		s.postpone(now, o, backoff(o))
	}
}

// TakeAcknowledgement ends the message id, if from is the one it was sent to.
func (s *Sender) TakeAcknowledgement(from pki.Fingerprint, id MessageID) (SenderOutput, bool) {
	o := s.find(id)
	if o == nil || o.To.Identity != from {
		return SenderOutput{Wake: s.wake()}, false
	}
	o.State, o.Waiting = Acknowledged, nil
	return s.saved(o), true
}

// Tick makes the copies that are due and gives up what is too old.
func (s *Sender) Tick(now time.Time) SenderOutput {
	var out SenderOutput
	for _, o := range slices.Clone(s.outbox) {
		switch {
		case now.Sub(o.Created) >= LetterLifetime:
			o.State, o.Waiting = Expired, nil
			s.drop(o)
			out.Save = append(out.Save, *o)
		case o.Due(now):
			submission, err := s.copy(now, o)
			if err == nil {
				out.Submit = append(out.Submit, submission)
			} else {
				s.postpone(now, o, firstRetry) // no route now; servers may come back
			}
			out.Save = append(out.Save, *o)
		}
	}
	return s.completed(out)
}

// saved returns an output that saves o, which leaves the outbox if it is finished.
func (s *Sender) saved(o *Outgoing) SenderOutput {
	if o.State.final() {
		s.drop(o)
	}
	return s.completed(SenderOutput{Save: []Outgoing{*o}})
}

// completed adds to an output what is the same for all.
func (s *Sender) completed(out SenderOutput) SenderOutput {
	out.Doubts, out.Wake, s.changed = s.changed, s.wake(), nil
	return out
}

func (s *Sender) drop(o *Outgoing) {
	s.outbox = slices.DeleteFunc(s.outbox, func(p *Outgoing) bool { return p == o })
}

func (s *Sender) find(id MessageID) *Outgoing {
	if i := slices.IndexFunc(s.outbox, func(o *Outgoing) bool { return o.ID == id }); i >= 0 {
		return s.outbox[i]
	}
	return nil
}

func (s *Sender) wake() time.Time {
	var wake time.Time
	for _, o := range s.outbox {
		for _, due := range [...]time.Time{o.Next, o.Created.Add(LetterLifetime)} {
			if wake.IsZero() || due.Before(wake) {
				wake = due
			}
		}
	}
	return wake
}
