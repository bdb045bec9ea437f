package node

import (
	"context"
	"crypto/rand"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// openNode is a node that does not run: nobody takes the jobs for its loop.
func openNode(t testing.TB) *Node {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a.test")
	_, err := Init(dir, labConfig(parse(t, pki.ParseDomain, "a.test"), "127.0.0.1:53"), time.Now(), nil)
	must(t, err)
	n, err := Open(t.Context(), dir, Options{Dial: dial.Direct()})
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	return n
}

var owner = pki.Fingerprint{1}

// mailboxes claims one mailbox of each kind: its first byte is that of its kind.
func mailboxes(t testing.TB, n *Node) {
	t.Helper()
	var all []store.Address
	for _, kind := range []store.MailboxKind{store.Requests, store.Contact, store.Replies, store.Once} {
		all = append(all, store.Address{Mailbox: mailboxOf(kind), Kind: kind, UntilDay: store.Day(time.Now()) + 1})
	}
	must(t, n.store.Claim(t.Context(), owner, all))
}

func mailboxOf(kind store.MailboxKind) onion.Mailbox { return onion.Mailbox{kind[0], kind[2]} }

// letterTo is a delivery with a reply block to be answered by.
func letterTo(t testing.TB, to onion.Mailbox, change func(*mor.Letter)) mor.Delivery {
	t.Helper()
	key, err := onion.NewServerKey(rand.Reader)
	must(t, err)
	surb, _, err := onion.BuildSURB(rand.Reader, []onion.InnerHop{{Key: key.Public()}}, onion.Mailbox{}, onion.SURBID{}, time.Now().Add(time.Hour))
	must(t, err)
	l := mor.Letter{Day: mor.DayAt(time.Now()), SURB: &surb}
	_, err = io.ReadFull(rand.Reader, l.ID[:])
	must(t, err)
	if change != nil {
		change(&l)
	}
	return mor.Delivery{Mailbox: to, Payload: l.Marshal()}
}

func (n *Node) waiting(t testing.TB) []store.Waiting {
	t.Helper()
	items, err := n.store.Items(t.Context(), owner, 0, 100)
	must(t, err)
	return items
}

// A letter is on the disk before its receipt is handed to the router; and if the disk
// fails, there is no receipt.
func TestDurableBeforeReceipted(t *testing.T) {
	n := openNode(t)
	mailboxes(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- n.letter(ctx, letterTo(t, mailboxOf(store.Contact), nil)) }()
	select {
	case <-n.loop.jobs: // the receipt
	case err := <-answered:
		t.Fatalf("no receipt: %v", err)
	}
	if len(n.waiting(t)) != 1 {
		t.Error("receipted, and not on the disk")
	}
	cancel()
	<-answered

	must(t, n.store.Close())
	if err := n.letter(t.Context(), letterTo(t, mailboxOf(store.Contact), nil)); err == nil {
		t.Error("a letter without a disk")
	}
	if len(n.loop.jobs) > 0 {
		t.Error("receipted, and the disk was gone")
	}
}

// What becomes of a letter, by its mailbox and its work.
func TestAdmission(t *testing.T) {
	n := openNode(t)
	mailboxes(t, n)
	requests := mailboxOf(store.Requests)
	work := func(l *mor.Letter) { l.Work(requests) }
	for _, x := range []struct {
		what   string
		to     onion.Mailbox
		change func(*mor.Letter)
		want   mor.ReceiptStatus
	}{
		{"to nobody", onion.Mailbox{9}, nil, mor.Unknown},
		{"to a contact", mailboxOf(store.Contact), nil, mor.Stored},
		{"by an invitation", mailboxOf(store.Once), nil, mor.Stored},
		{"by the same invitation", mailboxOf(store.Once), nil, mor.Used},
		{"to replies", mailboxOf(store.Replies), nil, mor.Refused},
		{"by a stranger without work", requests, nil, mor.Refused},
		{"by a stranger with work", requests, work, mor.Stored},
		{"with work for another mailbox", requests, func(l *mor.Letter) { l.Work(onion.Mailbox{9}) }, mor.Refused},
		{"of tomorrow", requests, func(l *mor.Letter) { l.Day++; work(l) }, mor.Stored},
		{"of yesterday", requests, func(l *mor.Letter) { l.Day--; work(l) }, mor.Stored},
		{"of last week", requests, func(l *mor.Letter) { l.Day -= 7; work(l) }, mor.Refused},
	} {
		t.Run(x.what, func(t *testing.T) {
			d := letterTo(t, x.to, x.change)
			l, err := mor.ParseLetter(d.Payload)
			must(t, err)
			before := len(n.waiting(t))
			for range 2 { // a copy gets the same answer, and is stored once
				got, err := n.admit(t.Context(), d, l)
				must(t, err)
				if got != x.want {
					t.Errorf("status %d, want %d", got, x.want)
				}
			}
			if stored := len(n.waiting(t)) - before; stored != 1 && x.want == mor.Stored || stored != 0 && x.want != mor.Stored {
				t.Errorf("%d stored", stored)
			}
		})
	}
}

// A reply goes into a mailbox for replies and nowhere else: it could be a stranger's letter
// that nobody worked for.
func TestReplies(t *testing.T) {
	n := openNode(t)
	mailboxes(t, n)
	deliver := func(to onion.Mailbox) error {
		return n.reply(t.Context(), mor.Delivery{Mailbox: to, Reply: true, SURB: onion.SURBID{5}, Payload: make([]byte, onion.BodySize)})
	}
	for _, to := range []onion.Mailbox{mailboxOf(store.Requests), mailboxOf(store.Contact), {9}} {
		wantErr(t, deliver(to), errNotKept)
	}
	must(t, deliver(mailboxOf(store.Replies)))
	if items := n.waiting(t); len(items) != 1 || items[0].Kind != itemReply || items[0].ID != (onion.SURBID{5}) {
		t.Errorf("%d items", len(items))
	}
}

// What is no letter is dropped and counted.
func TestMalformedLetter(t *testing.T) {
	n := openNode(t)
	wantErr(t, n.letter(t.Context(), mor.Delivery{Payload: make([]byte, onion.PayloadSize)}), errNotKept)
}

// A bell wakes all who listen, and those only who listen for that owner.
func TestBells(t *testing.T) {
	var b bells
	first, second, other := b.listen(owner), b.listen(owner), b.listen(pki.Fingerprint{2})
	b.ring(owner)
	<-first
	<-second
	select {
	case <-other:
		t.Error("rang for somebody else")
	case <-b.listen(owner):
		t.Error("rang twice")
	default:
	}
	b.ring(pki.Fingerprint{3}) // nobody listens
}
