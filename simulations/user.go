package simulations

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A User has a home, a production sender, and a reader.
type User struct {
	world    *World
	index    int
	home     *Node
	random   io.Reader
	identity pki.Fingerprint
	secret   [32]byte      // of the mailbox of each day
	reply    onion.Mailbox // for receipts
	sender   *mor.Sender

	outbox []mor.Outgoing // durable: the last that was saved of each message
	doubts []mor.Doubt    // durable
	inbox  []Message      // durable
	wake   time.Time
	watch  func(mor.Submission) // or nil
	near   []*Node              // whose servers she knows; nil: all
}

// A Message is what a reader saw.
type Message struct {
	From pki.Fingerprint
	ID   mor.MessageID
	Text string
	At   time.Time
}

// AddUser makes a user whose home is a node.
func (w *World) AddUser(home int) (*User, error) {
	u := &User{world: w, index: len(w.users), home: w.nodes[home], near: w.Near(home)}
	u.random = stream(w.cfg.Seed, "user", u.index)
	for _, b := range [...][]byte{u.identity[:], u.secret[:], u.reply[:]} {
		if _, err := io.ReadFull(u.random, b); err != nil {
			return nil, fmt.Errorf("simulations: making user %d: %w", u.index, err)
		}
	}
	u.start()
	w.users = append(w.users, u)
	u.home.users = append(u.home.users, u)
	return u, nil
}

// start makes a sender from what is durable.
func (u *User) start() {
	domain := u.home.Domain()
	u.sender = mor.NewSender(mor.SenderConfig{Rand: u.random, Entry: domain, Home: domain, Outbox: u.outbox, Doubts: u.doubts, Scheme: u.world.cfg.Scheme})
	nodes := u.near
	if nodes == nil {
		nodes = u.world.nodes
	}
	u.sender.SetServers(u.world.servers(nodes))
}

// Crash loses what is not durable and starts the user's program again.
func (u *User) Crash() {
	u.start()
	u.carryOut(u.sender.Tick(u.home.now()))
}

// Address returns where the user can be written to by a contact.
func (u *User) Address() mor.Address {
	return mor.Address{Secret: u.secret, Identity: u.identity, Spools: []pki.Domain{u.home.Domain()}}
}

// Send sends text by two relays that are chosen for it.
func (u *User) Send(to *User, text string) (mor.MessageID, error) {
	return u.SendBy(to, text, mor.DefaultHops)
}

// SendBy sends text by hops relays, those of via if any are named.
func (u *User) SendBy(to *User, text string, hops int, via ...pki.Domain) (mor.MessageID, error) {
	return u.send(to.Address(), hops, via, content{from: u.identity, text: text})
}

func (u *User) send(to mor.Address, hops int, via []pki.Domain, c content) (id mor.MessageID, err error) {
	if _, err := io.ReadFull(u.random, id[:]); err != nil {
		return id, fmt.Errorf("simulations: naming a message: %w", err)
	}
	sealed, err := c.marshal()
	if err != nil {
		return id, err
	}
	out, _, err := u.sender.Send(u.home.now(), mor.Outgoing{
		ID: id, To: to, Sealed: sealed, Hops: hops, Via: via, Reply: u.reply,
	})
	if err != nil {
		return id, err
	}
	u.carryOut(out)
	return id, nil
}

// State returns how far a message has come; "" if there is none of that id.
func (u *User) State(id mor.MessageID) mor.State { return u.Outgoing(id).State }

// Outgoing returns what is durable of a message that u sends.
func (u *User) Outgoing(id mor.MessageID) mor.Outgoing {
	for _, o := range u.outbox {
		if o.ID == id {
			return o
		}
	}
	return mor.Outgoing{}
}

// Inbox returns the messages that were shown, in their order.
func (u *User) Inbox() []Message { return u.inbox }

// carryOut does what the sender wants: first what is to be durable, then the rest.
func (u *User) carryOut(out mor.SenderOutput) {
	for _, o := range out.Save {
		u.save(o)
	}
	for _, d := range out.Doubts {
		u.saveDoubt(d)
	}
	for _, s := range out.Submit {
		if u.watch != nil {
			u.watch(s)
		}
		u.world.After(u.world.cfg.Latency, func() { u.submit(s) })
	}
	u.plan(out.Wake)
}

func (u *User) save(o mor.Outgoing) {
	o.Waiting = slices.Clone(o.Waiting)
	i := slices.IndexFunc(u.outbox, func(p mor.Outgoing) bool { return p.ID == o.ID })
	if i < 0 {
		u.outbox = append(u.outbox, o)
	} else {
		u.outbox[i] = o
	}
}

func (u *User) saveDoubt(d mor.Doubt) {
	u.doubts = slices.DeleteFunc(u.doubts, func(old mor.Doubt) bool { return old.Relay == d.Relay })
	if d.Copies > 0 {
		u.doubts = append(u.doubts, d)
	}
}

var errDown = errors.New("simulations: the node is down")

// submit hands a packet to the home, and tells the sender what became of it.
func (u *User) submit(s mor.Submission) {
	u.world.counts.Submitted++
	err := errDown
	if !u.home.down {
		err = u.home.submit(s.Entry)
	}
	if err != nil {
		u.world.counts.Refused++
	}
	u.carryOut(u.sender.Submitted(u.home.now(), s.Message, err))
}

func (u *User) plan(wake time.Time) {
	if wake.IsZero() || !u.wake.IsZero() && !wake.Before(u.wake) {
		return
	}
	u.wake = wake
	u.world.at(wake.Add(-u.home.skew), func() {
		if u.wake.Equal(wake) {
			u.wake = time.Time{}
			u.carryOut(u.sender.Tick(u.home.now()))
		}
	})
}

// takeReply takes a receipt. Nobody acknowledges an acknowledgement: it is at its end when it
// is stored.
func (u *User) takeReply(d mor.Delivery) {
	out, receipt, ok := u.sender.TakeReceipt(u.home.now(), d.SURB, d.Payload)
	u.carryOut(out)
	o := u.Outgoing(receipt.ID)
	if _, acks := acknowledged(o); ok && acks && o.State == mor.StoredThere {
		out, _ := u.sender.TakeAcknowledgement(o.To.Identity, o.ID)
		u.carryOut(out)
	}
}

// acknowledged returns what o acknowledges; false if it is no acknowledgement.
func acknowledged(o mor.Outgoing) (mor.MessageID, bool) {
	c, err := parseContent(o.Sealed)
	return c.id, err == nil && c.acks
}

// acknowledges reports whether an acknowledgement of the message id is on its way.
func (u *User) acknowledges(id mor.MessageID) bool {
	return slices.ContainsFunc(u.outbox, func(o mor.Outgoing) bool {
		about, acks := acknowledged(o)
		return acks && about == id && o.State != mor.Acknowledged && o.State != mor.Expired
	})
}

// fetch takes what waits in the spool, shows what is new, and acknowledges all of it.
func (u *User) fetch() {
	if u.home.down {
		return
	}
	for _, letter := range u.home.take(u) {
		c, err := parseContent(letter.Sealed[:])
		switch {
		case err != nil: // not from a user of this world
		case c.acks:
			out, _ := u.sender.TakeAcknowledgement(c.from, c.id)
			u.carryOut(out)
		default:
			u.show(letter.ID, c)
		}
	}
}

// show puts a message into the inbox if it is new, and its acknowledgement into the outbox
// if none is on its way, as one transaction.
func (u *User) show(id mor.MessageID, c content) {
	known := slices.ContainsFunc(u.inbox, func(m Message) bool { return m.From == c.from && m.ID == id })
	if known {
		u.world.counts.Hidden++
	} else {
		u.world.counts.Shown++
		u.world.note('m', u.index, id[:])
		u.inbox = append(u.inbox, Message{c.from, id, c.text, u.world.now})
	}
	if u.acknowledges(id) {
		return
	}
	for _, from := range u.world.users {
		if from.identity == c.from {
			// Without a route now there is no acknowledgement: the sender's next copy brings one.
			_, err := u.send(from.Address(), mor.DefaultHops, nil, content{from: u.identity, acks: true, id: id})
			if err != nil {
				u.world.note('a', u.index, id[:])
			}
		}
	}
}

// content is what a sealed part holds here:
//
//	from  32   fingerprint of the sender's identity
//	acks   1   1: an acknowledgement
//	id    16   of the message that is acknowledged, else zero
//	text   2 + n, then zeros
type content struct {
	from pki.Fingerprint
	acks bool
	id   mor.MessageID
	text string
}

func (c content) marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, mor.SealedSize))
	b.AddBytes(c.from[:])
	b.AddUint8(0)
	b.AddBytes(c.id[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.text)) })
	raw, err := b.Bytes()
	if err != nil || len(raw) > mor.SealedSize {
		return nil, fmt.Errorf("simulations: a text of %d bytes is too long", len(c.text))
	}
	if c.acks {
		raw[len(c.from)] = 1
	}
	return append(raw, make([]byte, mor.SealedSize-len(raw))...), nil
}

var errContent = errors.New("simulations: malformed content")

func parseContent(sealed []byte) (c content, err error) {
	s := cryptobyte.String(sealed)
	var acks uint8
	var text cryptobyte.String
	if !s.CopyBytes(c.from[:]) || !s.ReadUint8(&acks) || acks > 1 || !s.CopyBytes(c.id[:]) || !s.ReadUint16LengthPrefixed(&text) {
		return content{}, errContent
	}
	c.acks, c.text = acks == 1, string(text)
	return c, nil
}
