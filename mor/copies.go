package mor

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// DayMailbox derives the mailbox address of a day from the secret that two contacts
// share: HKDF-Expand(secret, "p3do mailbox" | day, 32). Knowing it is the right to write.
func DayMailbox(secret [32]byte, day Day) onion.Mailbox {
	info := binary.BigEndian.AppendUint32([]byte("p3do mailbox"), uint32(day))
	address, err := hkdf.Expand(sha256.New, secret[:], string(info), len(onion.Mailbox{}))
	if err != nil {
		return onion.Mailbox{} // unreachable: 32 bytes are within HKDF's limit
	}
	return onion.Mailbox(address)
}

// copy makes one copy of o: another route than the last if there is one, a fresh SURB, the
// same id. It sets when the next copy is due.
func (s *Sender) copy(now time.Time, o *Outgoing) (Submission, error) {
	switch {
	case len(o.To.Spools) == 0:
		return Submission{}, routeErrorf("the recipient names no server that keeps her messages")
	case len(o.Sealed) != SealedSize:
		return Submission{}, fmt.Errorf("mor: a sealed part of %d bytes, not %d", len(o.Sealed), SealedSize)
	}
	spool := o.To.Spools[o.Attempts%len(o.To.Spools)]
	there := ends{s.cfg.Entry, spool}
	s.doubt(now, o.Waiting)
	doubts := s.doubted(now)
	relays, err := choose(s.cfg.Rand, s.servers, there, o.Hops, o.Via, preference{o.Last, doubts})
	if err != nil {
		return Submission{}, err
	}
	route := routeOf(there, relays)
	letter, waiting, err := s.letter(now, o, turn{route, relays, doubts})
	if err != nil {
		return Submission{}, err
	}
	inner, first, err := s.inner(now, relays, spool, o.To.at(letter.Day), letter.Marshal())
	if err != nil {
		return Submission{}, err
	}
	made := Copy{At: now, There: route, Back: slices.Clone(waiting.Relays), Inner: inner.ID(), SURB: waiting.ID}
	o.Made = append(slices.Clone(o.Made[max(0, len(o.Made)-maxMade+1):]), made)
	waiting.over(relays)
	o.Waiting = append(o.Waiting[max(0, len(o.Waiting)-maxWaiting+1):], waiting)
	o.Last = route
	o.Attempts++
	o.Copies++
	s.postpone(now, o, s.pause(o))
	return Submission{Message: o.ID, Entry: onion.Entry{First: first, Inner: inner}, Route: o.Last}, nil
}

// inner builds the onion for relays and the server at the end, which finds the payload for that
// mailbox. All expire alike, so that no relay can tell what a packet is for.
func (s *Sender) inner(now time.Time, relays []Server, last pki.Domain, to onion.Mailbox, payload []byte) (onion.Inner, onion.ServerID, error) {
	hops, err := s.hops(relays, last)
	if err != nil {
		return onion.Inner{}, onion.ServerID{}, err
	}
	in, err := s.cfg.Scheme.BuildInner(s.cfg.Rand, hops, to, now.Add(LetterLifetime), payload)
	return in, hops[0].Key.ID(), err
}

// letter makes the payload, with a SURB back to our own mailbox.
func (s *Sender) letter(now time.Time, o *Outgoing, t turn) (Letter, Waiting, error) {
	l := Letter{ID: o.ID, Day: DayAt(now), Sealed: [SealedSize]byte(o.Sealed)}
	if o.To.stranger() {
		l.Work(o.To.Mailbox)
	}
	surb, w, err := s.back(now, t, o.Reply)
	if err != nil {
		return Letter{}, Waiting{}, err
	}
	l.SURB = &surb
	return l, w, nil
}

// A turn is where the way back of a copy begins, and what it follows from.
type turn struct {
	route  Route    // there
	relays []Server // of it
	doubts map[pki.Domain]int
}

// back are the relays of the way there, the last first. So nobody stands next to the sender who did not before, and whoever
// would follow a receipt to her needs the first relay, as with the message itself. Only where her home, to which it goes, was
// itself a relay, others are drawn: for she writes from elsewhere.
func (t turn) back(rand io.Reader, servers []Server, home pki.Domain) ([]Server, error) {
	if slices.ContainsFunc(t.relays, func(r Server) bool { return r.Domain == home }) {
		from := t.route[len(t.route)-1]
		return choose(rand, servers, ends{from, home}, len(t.relays), nil, preference{t.route, t.doubts})
	}
	back := slices.Clone(t.relays)
	slices.Reverse(back)
	return back, nil
}

// back makes a SURB from the server at the end of a way to a mailbox of our own.
func (s *Sender) back(now time.Time, t turn, to onion.Mailbox) (onion.SURB, Waiting, error) {
	relays, err := t.back(s.cfg.Rand, s.servers, s.cfg.Home)
	if err != nil {
		return onion.SURB{}, Waiting{}, fmt.Errorf("mor: way back: %w", err)
	}
	layers, err := s.hops(relays, s.cfg.Home)
	if err != nil {
		return onion.SURB{}, Waiting{}, err
	}
	var id onion.SURBID
	if _, err := io.ReadFull(s.cfg.Rand, id[:]); err != nil {
		return onion.SURB{}, Waiting{}, fmt.Errorf("mor: naming a SURB: %w", err)
	}
	surb, keys, err := s.cfg.Scheme.BuildSURB(s.cfg.Rand, layers, to, id, now.Add(LetterLifetime))
	if err != nil {
		return onion.SURB{}, Waiting{}, err
	}
	w := Waiting{ID: id, Keys: keys.Bytes()}
	w.over(relays)
	return surb, w, nil
}

// over adds relays that the copy goes over, each once.
func (w *Waiting) over(relays []Server) {
	for _, r := range relays {
		if !slices.Contains(w.Relays, r.Domain) {
			w.Relays = append(w.Relays, r.Domain)
		}
	}
}

// hops are the layers of an inner packet: relays, then the server of last.
func (s *Sender) hops(relays []Server, last pki.Domain) ([]onion.InnerHop, error) {
	hops := make([]onion.InnerHop, 0, len(relays)+1)
	for _, r := range relays {
		hops = append(hops, onion.InnerHop{Key: r.Key})
	}
	for _, server := range s.servers {
		if server.Domain == last {
			return append(hops, onion.InnerHop{Key: server.Key}), nil
		}
	}
	return nil, routeErrorf("no server of %s is known", last)
}

func routeOf(e ends, relays []Server) Route {
	route := Route{e.entry}
	for _, r := range relays {
		route = append(route, r.Domain)
	}
	return append(route, e.mailbox)
}

// postpone draws when the next copy is due.
func (s *Sender) postpone(now time.Time, o *Outgoing, mean time.Duration) {
	o.Wait, o.Next = mean, now.Add(s.jitter(mean))
}

// pause is the mean time to the next copy, on the ways that there are now.
func (s *Sender) pause(o *Outgoing) time.Duration {
	return max(backoff(o), min(s.cfg.Patience, longestRetry))
}

// backoff is the mean time to the next copy on ways without delays: short until the message is stored, and then
// patient.
func backoff(o *Outgoing) time.Duration {
	if o.State == StoredThere {
		return doubling(patientRetry, longestWait, o.Attempts)
	}
	return doubling(firstRetry, longestRetry, o.Attempts)
}

// Due reports whether [Sender.Tick] has something to do for o: another copy, or to give it up. A time for the next copy that is
// farther off than any that is drawn is of a clock that was ahead and has been set right, and has come.
func (o *Outgoing) Due(now time.Time) bool {
	wait := o.Next.Sub(now)
	return wait <= 0 || wait > max(backoff(o), o.Wait)*3/2 || now.Sub(o.Created) >= LetterLifetime
}

// doubling is the mean time to wait after so many copies. It is the same after two of them,
// and doubles then: where packets are lost, one lost copy says nothing of the next. Doubling
// after each saves hardly a copy, and takes half as long again (TestMeshLossy over twenty
// seeds: 232 copies of 200 texts in 41 s of its time, in place of 234 in 29 s).
func doubling(first, longest time.Duration, attempts int) time.Duration {
	return min(first<<min(max(attempts-1, 0)/2, 10), longest)
}

// jitter draws a time between half of mean and one and a half of it, so that nobody can
// tell a retransmission by its timer.
func (s *Sender) jitter(mean time.Duration) time.Duration {
	n, err := below(s.cfg.Rand, int64(mean))
	if err != nil {
		return mean
	}
	return mean/2 + time.Duration(n)
}
