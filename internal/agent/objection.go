package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// How our own objection gets to nodes: over the link that we have, and through the mesh to others, which so
// learn nothing but what it says. What no node has confirmed is tried again.
const (
	objectAgain   = time.Minute         // to the first try after one; doubled each time
	objectSlowest = 6 * time.Hour       // between two tries
	objectRenewed = 60 * 24 * time.Hour // after which it is signed anew, while there is reason to
	objectSame    = 24 * time.Hour      // in which nodes take no other one of a key under a name
)

// ErrNotTaken: no node has confirmed yet that it has the objection. It is kept, and tried again.
var ErrNotTaken = errors.New("no server has confirmed that it has the objection")

// An objection is what our own key says against other keys under our name.
type objection struct {
	Raw   []byte       `json:"raw"`             // a signed challenge
	At    []pki.Domain `json:"at,omitempty"`    // nodes that have confirmed that they hold it
	Older []pki.Domain `json:"older,omitempty"` // that had the one before, which still counts
	Tries int          `json:"tries"`           // since it was signed
	Next  time.Time    `json:"next,omitzero"`   // of the next; zero: there is none, enough nodes have it
	Asked []pki.Domain `json:"asked,omitzero"`  // through the mesh in the last one, and who have not answered
}

// took notes that a node has it.
func (o *objection) took(at pki.Domain) {
	o.Asked = slices.DeleteFunc(o.Asked, func(d pki.Domain) bool { return d == at })
	if !slices.Contains(o.At, at) {
		o.At = append(o.At, at)
	}
	if len(o.At) >= handedTo {
		o.Next = time.Time{}
	}
}

// Challenge says that whatever other key is shown under the user's name is not by her: her identity
// key signs that. It is kept, and handed in over the link that the folder has, and through the mesh at some
// others, or at the node of via alone; if direct, over connections made for it, without a login.
// HandedIn has who has confirmed that. Errors: ErrNoHome if the key was never certified, ErrNotTaken, with the
// reason if there is one, if nobody has; it is tried again while the user is connected.
func (a *Agent) Challenge(ctx context.Context, via pki.Domain, direct bool) (HandedIn, error) {
	c, err := a.object([32]byte{})
	if err != nil {
		return HandedIn{}, err
	}
	in := HandedIn{Name: c.Name(), Key: c.Key().Fingerprint()}
	var said error
	if direct {
		said = a.objectDirectly(ctx, via, c)
	} else if said = a.Connect(ctx); said == nil {
		said = a.handObjection(ctx, via)
		said = errors.Join(said, a.awaitObjection(ctx))
	}
	o, _, err := a.objection()
	if in.At = o.At; err != nil || len(o.At) > 0 {
		return in, err
	}
	if said != nil {
		return in, fmt.Errorf("%w: %w", ErrNotTaken, said)
	}
	return in, ErrNotTaken
}

// object has our key say it, and makes that durable, unless it has within a day: nodes take no second one,
// and it is against every other key.
func (a *Agent) object(record [32]byte) (c pki.Challenge, err error) {
	certificate, err := a.certified()
	if err != nil {
		return c, err
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		o, _, err := load[objection](tx, keyObjection)
		if err != nil {
			return err
		}
		if c, err = pki.ParseChallenge(o.Raw); err == nil && a.objects(tx, c) && a.now().Sub(c.Issued).Abs() < objectSame {
			return nil
		}
		var older []pki.Domain
		if err == nil && a.objects(tx, c) && a.now().Before(c.Ends()) {
			older = o.At
		}
		if c, err = a.self.key.Challenge(certificate, record, a.now()); err != nil {
			return err
		}
		return save(tx, keyObjection, objection{Raw: c.Raw(), Next: a.now(), Older: older})
	})
	return c, err
}

// objects tells whether a challenge is by our key under the name that we have now, and neither has ended.
func (a *Agent) objects(tx *vault.Tx, c pki.Challenge) bool {
	return c.Name() == a.self.name && c.Key() == a.self.public && !hasEnded(tx, c.Name(), c.Key().Fingerprint())
}

// objection is our own, if there is one that counts.
func (a *Agent) objection() (o objection, c pki.Challenge, err error) {
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		o, c, err = a.objectionIn(tx)
		return err
	})
	return o, c, err
}

func (a *Agent) objectionIn(tx *vault.Tx) (o objection, c pki.Challenge, err error) {
	o, ok, err := load[objection](tx, keyObjection)
	if err != nil || !ok {
		return o, c, err
	}
	c, err = pki.ParseChallenge(o.Raw)
	if err != nil || !a.objects(tx, c) || !a.now().Before(c.Ends()) {
		return objection{}, pki.Challenge{}, err
	}
	return o, c, nil
}

// changeObjection changes our own, if it still is the one that was signed then.
func (a *Agent) changeObjection(of pki.Challenge, change func(*objection)) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		o, c, err := a.objectionIn(tx)
		if err != nil || !c.Issued.Equal(of.Issued) {
			return err
		}
		change(&o)
		return save(tx, keyObjection, o)
	})
}

// renewObjection signs our objection anew when it is to run out, while there is reason to: an entry of the log
// that we did not make, which stands for good, or another key that our home shows now.
func (a *Agent) renewObjection() error {
	var record [32]byte
	renew := false
	err := a.vault.View(func(tx *vault.Tx) error {
		o, c, err := a.objectionIn(tx)
		if err != nil || len(o.Raw) > 0 && a.now().Sub(c.Issued).Abs() < objectRenewed || hasEnded(tx, a.self.name, a.self.public.Fingerprint()) {
			return err
		}
		s, _, err := load[scanned](tx, keyScanned)
		if err != nil {
			return err
		}
		if newest := s.sure(); newest != nil && s.Objected > newest.Number {
			renew = true
			_, err = hex.Decode(record[:], []byte(newest.Record))
			return err
		}
		seen, _, err := load[watched](tx, keyWatched)
		renew = len(o.Raw) > 0 && !seen.Shown.IsZero()
		return err
	})
	if err != nil || !renew || a.self.linked() {
		return err
	}
	_, err = a.object(record)
	return err
}

// press does what is due of our objection, without waiting for answers.
func (a *Agent) press(ctx context.Context) error {
	if err := a.renewObjection(); err != nil {
		return err
	}
	o, _, err := a.objection()
	if err != nil || len(o.Raw) == 0 || o.Next.IsZero() || a.now().Before(o.Next) && o.Next.Sub(a.now()) <= objectSlowest {
		return err
	}
	err = a.handObjection(ctx, pki.Domain{})
	var refused *session.Error
	if errors.As(err, &refused) {
		a.cfg.Log.Debug("our objection was not taken", "err", err)
		return nil
	}
	return err
}

// handObjection is one try: over the link, and through the mesh to as many others as are still wanted, or to
// via alone. That our node refuses it keeps it from nobody else.
func (a *Agent) handObjection(ctx context.Context, via pki.Domain) error {
	o, c, err := a.objection()
	if err != nil || len(o.Raw) == 0 {
		return err
	}
	var said error
	asked := []pki.Domain{via}
	if via.IsZero() || via == a.through {
		if said = a.objectHere(ctx, &o, c); said == nil {
			o.took(a.through)
		}
		if asked, err = a.objectTo(o, via); err != nil {
			return err
		}
	}
	err = a.changeObjection(c, func(kept *objection) {
		kept.Asked, kept.Tries = asked, kept.Tries+1
		kept.Next = a.now().Add(min(objectAgain<<min(kept.Tries-1, 16), objectSlowest))
		if len(kept.At) >= handedTo {
			kept.Next = time.Time{}
		}
	})
	for _, at := range asked {
		if err == nil {
			err = a.objectThrough(ctx, at, c)
		}
	}
	return errors.Join(said, err)
}

// objectHere hands it in over the link, if that node has not got it.
func (a *Agent) objectHere(ctx context.Context, o *objection, c pki.Challenge) error {
	if slices.Contains(o.At, a.through) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := a.client.Challenge(ctx, c.Raw())
	if err != nil {
		return a.homeError(err)
	}
	return a.changeObjection(c, func(o *objection) { o.took(a.through) })
}

// objectTo draws those who are to get it through the mesh: our home, if it is not at the other end of the
// link, and others that may relay.
func (a *Agent) objectTo(o objection, via pki.Domain) (to []pki.Domain, err error) {
	if !via.IsZero() {
		return nil, nil
	}
	var servers []mor.Server
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		servers, err = a.serversFor(tx, a.home())
		return err
	})
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	wanted := handedTo - len(o.At)
	for _, s := range servers {
		switch {
		case s.Domain == a.through || slices.Contains(o.At, s.Domain):
		case s.Domain == a.home(): // which may be gone: it is in the way of no other
			to = append(to, s.Domain)
		case !s.EndOnly && wanted > 0:
			to, wanted = append(to, s.Domain), wanted-1
		}
	}
	return to, err
}

// objectThrough sends it to a node through the mesh. Whether that took it is heard later (objectionHeard). That there
// is no way now is no error.
func (a *Agent) objectThrough(ctx context.Context, at pki.Domain, c pki.Challenge) error {
	id, err := a.messageID()
	if err != nil {
		return err
	}
	q := question{Name: c.Name(), At: at, Challenge: c.Raw(), Reply: a.self.replies[:], Begun: a.now()}
	if err = a.askCopy(ctx, id, &q); routeless(err) {
		a.cfg.Log.Debug("no way for our objection", "err", err)
		return a.changeObjection(c, func(o *objection) {
			o.Asked = slices.DeleteFunc(o.Asked, func(d pki.Domain) bool { return d == at })
		})
	}
	return err
}

// objectionHeard takes in what a node has answered to our objection: the one that it holds.
func (a *Agent) objectionHeard(tx *vault.Tx, from pki.Domain, f mor.Finding) error {
	o, c, err := a.objectionIn(tx)
	if err != nil || len(o.Raw) == 0 {
		return err
	}
	held, err := pki.ParseChallenge(f.Card)
	if err == nil && held.Says() == c.Says() && held.Issued.After(c.Issued.Add(-objectSame)) {
		o.took(from)
	} else {
		o.Asked = slices.DeleteFunc(o.Asked, func(d pki.Domain) bool { return d == from })
	}
	return save(tx, keyObjection, o)
}

// awaitObjection takes answers until all who were asked have given one.
func (a *Agent) awaitObjection(ctx context.Context) error {
	late, cancel := context.WithTimeout(ctx, a.lookFor())
	defer cancel()
	for after := a.after; ; {
		o, _, err := a.objection()
		if err != nil || len(o.Asked) == 0 || late.Err() != nil {
			return err
		}
		if after, err = a.gather(late, after, time.Time{}); err != nil && late.Err() == nil {
			return err
		}
	}
}

// objectDirectly hands it in over connections of its own, as revocations are.
func (a *Agent) objectDirectly(ctx context.Context, via pki.Domain, c pki.Challenge) error {
	at, err := a.handOut(ctx, via, func(ctx context.Context, s *session.Client) error { return s.Challenge(ctx, c.Raw()) })
	return errors.Join(err, a.changeObjection(c, func(o *objection) {
		for _, d := range at {
			o.took(d)
		}
	}))
}
