package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// The kinds of items in the store.
const (
	itemLetter uint8 = 1 // Body is the sealed part, ID the message id
	itemReply  uint8 = 2 // Body is a reply's body, ID the SURB's
)

// spoolers is how many deliveries are written at a time; the store commits them together.
const spoolers = 4

// errNotKept says that a delivery was refused. It is counted, and only its sender hears why.
var errNotKept = errors.New("node: delivery refused")

// spool puts deliveries into mailboxes, answers letters with receipts, and look-ups. A receipt is
// only written after the letter is durable.
func (n *Node) spool(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-n.spooled:
			keep := n.letter
			switch {
			case d.Reply:
				keep = n.reply
			case d.Mailbox == mor.QueryMailbox():
				keep = n.query
			}
			err := keep(ctx, d)
			switch {
			case errors.Is(err, errNotKept):
				n.refused.Add(1)
			case err != nil && ctx.Err() == nil:
				n.log.Error("delivery lost", "err", err)
			}
		}
	}
}

// reply stores what came over a SURB. Only mailboxes for replies take it: elsewhere it
// would be a letter that nobody has to work for.
func (n *Node) reply(ctx context.Context, d mor.Delivery) error {
	owner, mailbox, err := n.store.Mailbox(ctx, d.Mailbox)
	if err == nil && mailbox.Kind == store.Replies {
		err = n.deposit(ctx, owner, store.Item{Mailbox: d.Mailbox, Kind: itemReply, ID: d.SURB, Body: d.Payload, At: time.Now()})
	} else if err == nil || errors.Is(err, store.ErrNoMailbox) {
		err = errNotKept
	}
	if errors.Is(err, store.ErrFull) {
		return errNotKept
	}
	return err
}

// letter stores a letter and sends its receipt.
func (n *Node) letter(ctx context.Context, d mor.Delivery) error {
	l, err := mor.ParseLetter(d.Payload)
	if err != nil {
		return errNotKept
	}
	status, err := n.admit(ctx, d, l)
	if err != nil {
		return err
	}
	if l.SURB != nil {
		err = n.loop.reply(ctx, *l.SURB, mor.Receipt{ID: l.ID, Status: status}.Marshal())
	}
	var leg *mor.LegError
	if status != mor.Stored || errors.As(err, &leg) { // the sender hears nothing, and repeats
		return errNotKept
	}
	return err
}

// admit decides what becomes of a letter. At a requests address strangers show work.
func (n *Node) admit(ctx context.Context, d mor.Delivery, l mor.Letter) (mor.ReceiptStatus, error) {
	now := time.Now()
	owner, mailbox, err := n.store.Mailbox(ctx, d.Mailbox)
	switch {
	case err != nil:
	case mailbox.Kind == store.Replies,
		mailbox.Kind == store.Requests && !(beside(l.Day, now) && l.Worked(d.Mailbox)):
		return mor.Refused, nil
	default:
		err = n.deposit(ctx, owner, store.Item{Mailbox: d.Mailbox, Kind: itemLetter, ID: l.ID, Body: l.Sealed[:], At: now})
	}
	switch {
	case errors.Is(err, store.ErrFull):
		return mor.Full, nil
	case errors.Is(err, store.ErrNoMailbox):
		return mor.Unknown, nil
	case errors.Is(err, store.ErrUsed):
		return mor.Used, nil
	}
	return mor.Stored, err
}

// beside reports whether day is that of now or one next to it: clocks differ, and a letter
// may be on its way at midnight.
func beside(day mor.Day, now time.Time) bool {
	today := mor.DayAt(now)
	return day+1 >= today && day <= today+1
}

// deposit makes an item durable and wakes its owner if she waits.
func (n *Node) deposit(ctx context.Context, owner pki.Fingerprint, item store.Item) error {
	fresh, err := n.store.Deposit(ctx, item)
	if err == nil && fresh {
		n.bells.ring(owner)
	}
	return err
}

// bells wake those who wait for something to come into their mailboxes.
type bells struct {
	mu    sync.Mutex // guards rings; held for a map's access only
	rings map[pki.Fingerprint]chan struct{}
}

// listen returns a channel that is closed at the next ring for owner.
func (b *bells) listen(owner pki.Fingerprint) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rings == nil {
		b.rings = make(map[pki.Fingerprint]chan struct{})
	}
	if b.rings[owner] == nil {
		b.rings[owner] = make(chan struct{})
	}
	return b.rings[owner]
}

func (b *bells) ring(owner pki.Fingerprint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if rang := b.rings[owner]; rang != nil {
		close(rang)
		delete(b.rings, owner)
	}
}
