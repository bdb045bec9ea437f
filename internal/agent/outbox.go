package agent

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A mor.Sender lives for one transaction only: it is made of what the vault holds, does
// one thing, and what it changed is in the vault before the transaction ends. So programs
// that share a folder see one outbox, and no copy is made twice.

// sender is a Sender with the given messages in its outbox.
func (a *Agent) sender(tx *vault.Tx, outbox ...mor.Outgoing) (*mor.Sender, error) {
	doubts, err := loadDoubts(tx)
	if err != nil {
		return nil, err
	}
	shunned, err := a.shunned(tx)
	return mor.NewSender(mor.SenderConfig{
		Rand: a.cfg.Rand, Entry: a.where(), Home: a.where(), Outbox: outbox, Doubts: append(doubts, shunned...), Patience: a.patience(),
	}), err
}

// slotsOfPatience is how many slots of our link pass before a copy is made because no receipt has come: with either profile
// of cover a message and its receipt take about half as long.
const slotsOfPatience = 240

// patience is longer where our server keeps a schedule, for then others let packets wait, too.
func (a *Agent) patience() time.Duration {
	if a.pace == nil {
		return 0
	}
	patience := slotsOfPatience * time.Duration(a.pace.Millis) * time.Millisecond
	if a.pace.Poisson {
		patience *= 2
	}
	return patience
}

// loadOutgoing reads a message on its way; false if it is on its way no more.
func loadOutgoing(tx *vault.Tx, id mor.MessageID) (r outgoing, o mor.Outgoing, ok bool, err error) {
	r, ok, err = load[outgoing](tx, prefixOutbox+id.String())
	if err != nil || !ok {
		return r, o, false, err
	}
	sealed, _ := tx.Get(prefixSealed + id.String())
	return r, r.outgoing(id, sealed), true, nil
}

// saveOutgoing makes durable what a Sender says of a message; k and to are ours to know.
func (a *Agent) saveOutgoing(tx *vault.Tx, k kind, to pki.Name, o mor.Outgoing) error {
	key := prefixOutbox + o.ID.String()
	before, known, err := load[outgoing](tx, key)
	if err != nil {
		return err
	}
	for _, w := range before.Waiting {
		tx.Delete(prefixSURB + onion.SURBID(w.ID).String())
	}
	if k == kindText {
		if err := a.progress(tx, o); err != nil {
			return err
		}
	}
	if finished(k, o.State) {
		tx.Delete(key)
		tx.Delete(prefixSealed + o.ID.String())
		return nil
	}
	for _, w := range o.Waiting {
		tx.Put(prefixSURB+w.ID.String(), o.ID[:])
	}
	if !known {
		tx.Put(prefixSealed+o.ID.String(), o.Sealed)
	}
	return save(tx, key, record(k, to, o))
}

// finished tells whether nothing more is to be done for a message. Nobody acknowledges an
// acknowledgement: it is at its end when it is stored.
func finished(k kind, s mor.State) bool {
	return s == mor.Acknowledged || s == mor.Expired || s == mor.UsedUp || k == kindAck && s == mor.StoredThere
}

// change lets a Sender do one thing to the message id, if it is still on its way.
func (a *Agent) change(tx *vault.Tx, id mor.MessageID, do func(*mor.Sender) mor.SenderOutput) (ok bool, err error) {
	r, o, ok, err := loadOutgoing(tx, id)
	if err != nil || !ok {
		return false, err
	}
	s, err := a.sender(tx, o)
	if err != nil {
		return false, err
	}
	return true, a.saveAll(tx, do(s), map[mor.MessageID]outgoing{id: r})
}

// saveAll makes a Sender's output durable.
func (a *Agent) saveAll(tx *vault.Tx, out mor.SenderOutput, of map[mor.MessageID]outgoing) error {
	for _, o := range out.Save {
		if err := a.saveOutgoing(tx, of[o.ID].Kind, of[o.ID].To, o); err != nil {
			return err
		}
	}
	return saveDoubts(tx, out.Doubts)
}

// tick makes the copies that are due, and returns them with the time when the next is.
func (a *Agent) tick() (submit []mor.Submission, wake time.Time, err error) {
	now := a.now()
	if due, next, err := a.due(now); err != nil || !due {
		return nil, next, err
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		submit = nil
		records, outbox, err := dueNow(tx, now)
		if err != nil {
			return err
		}
		servers, err := a.servers(tx)
		if err != nil {
			return err
		}
		s, err := a.sender(tx, outbox...)
		if err != nil {
			return err
		}
		s.SetServers(servers)
		out := s.Tick(now)
		submit = out.Submit
		return a.saveAll(tx, out, records)
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	_, wake, err = a.due(now)
	return submit, wake, err
}

// due tells whether anything is due at now, and when the next copy is.
func (a *Agent) due(now time.Time) (due bool, next time.Time, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixOutbox, func(_ string, r outgoing) error {
			due = due || r.due(now)
			if next.IsZero() || r.Next.Before(next) {
				next = r.Next
			}
			return nil
		})
	})
	return due, next, err
}

// copiesAgain tells whether a message of which a copy was made is due at now.
func (a *Agent) copiesAgain(now time.Time) (again bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixOutbox, func(_ string, r outgoing) error {
			again = again || r.Copies > 0 && r.due(now)
			return nil
		})
	})
	return again, err
}

func (r outgoing) due(now time.Time) bool {
	o := mor.Outgoing{State: r.State, Created: r.Created, Next: r.Next, Wait: r.Wait, Attempts: r.Attempts}
	return o.Due(now)
}

// errEnough ends a Range.
var errEnough = errors.New("enough")

// dueNow reads up to maxDue messages that are due.
func dueNow(tx *vault.Tx, now time.Time) (map[mor.MessageID]outgoing, []mor.Outgoing, error) {
	records := make(map[mor.MessageID]outgoing)
	var outbox []mor.Outgoing
	err := each(tx, prefixOutbox, func(key string, r outgoing) error {
		if !r.due(now) {
			return nil
		}
		id, err := mor.ParseMessageID(key)
		if err != nil {
			return err
		}
		sealed, _ := tx.Get(prefixSealed + key)
		records[id], outbox = r, append(outbox, r.outgoing(id, sealed))
		if len(outbox) == maxDue {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return records, outbox, err
}

// submit hands copies to the home and notes what it said. It returns an error only if the
// link failed: what the home did not take is tried again by another way.
func (a *Agent) submit(ctx context.Context, copies []mor.Submission) error {
	for i, c := range copies {
		frame, err := c.Entry.Marshal(a.cfg.Rand)
		if err != nil {
			return err
		}
		said := a.submitOne(ctx, (*[onion.Size]byte)(frame))
		var refused *session.Error
		if said != nil && !errors.As(said, &refused) {
			return a.dead(errors.Join(said, a.submitted(copies[i:], said))) // the others have not left either
		}
		a.full = full(refused)
		if err := a.submitted(copies[i:i+1], said); err != nil {
			return err
		}
	}
	return nil
}

// submitted notes what the home said of copies.
func (a *Agent) submitted(copies []mor.Submission, said error) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		for _, c := range copies {
			_, err := a.change(tx, c.Message, func(s *mor.Sender) mor.SenderOutput {
				return s.Submitted(a.now(), c.Message, said)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *Agent) submitOne(ctx context.Context, frame *[onion.Size]byte) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return a.client.Submit(ctx, frame)
}

// dead ends a link that failed.
func (a *Agent) dead(err error) error {
	a.disconnect()
	return a.homeError(err)
}

// receipt takes a reply that came over one of our SURBs: a receipt, or an answer to a look-up, perhaps
// of another program on this folder.
func (a *Agent) receipt(id onion.SURBID, body []byte) error {
	if ours, err := a.finding(id, body); ours || err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		raw, ok := tx.Get(prefixSURB + id.String())
		if !ok || len(raw) != mor.MessageIDSize {
			a.counts.Unasked++
			return nil
		}
		_, err := a.change(tx, mor.MessageID(bytes.Clone(raw)), func(s *mor.Sender) mor.SenderOutput {
			out, _, taken := s.TakeReceipt(a.now(), id, body)
			if !taken {
				a.counts.Unasked++
			}
			return out
		})
		return err
	})
}
