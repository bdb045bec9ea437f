package session

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A Client is the user's end of a session. Its methods may be called at the same time;
// each waits for its own answer.
type Client struct {
	conn *link.Conn
	done chan struct{} // closed when the link has ended

	mu      sync.Mutex // guards what follows; held for no longer than a map's access
	seq     uint64
	frames  uint64
	waiting map[waiter]chan message
	err     error // why the link ended
}

// waiter tells the answer to a request from the answer to an entry frame.
type waiter struct {
	frame bool
	seq   uint64
}

// NewClient begins a session on conn and owns it from then on.
func NewClient(conn *link.Conn) *Client {
	c := &Client{conn: conn, done: make(chan struct{}), waiting: make(map[waiter]chan message)}
	go c.read()
	return c
}

// Close ends the session when what was handed in has left.
func (c *Client) Close(ctx context.Context) error {
	err := c.conn.Drain(ctx)
	c.conn.Close()
	<-c.done
	return err
}

// Done is closed when the link has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Register asks the home for a certificate, with an invitation or without.
func (c *Client) Register(ctx context.Context, request, invite []byte) (certificate []byte, err error) {
	answer, err := call[Registered](ctx, c, OpRegister, Register{request, invite})
	return answer.Certificate, err
}

// Login proves the identity key over this link. At another node than her home the user shows
// the certificate of her home's authority, too; at home nil.
func (c *Client) Login(ctx context.Context, name pki.Name, certificate []byte, key pki.IdentityKey, authority []byte) (Welcome, error) {
	exported, err := exporter(c.conn)
	if err != nil {
		return Welcome{}, err
	}
	return c.login(ctx, Login{Name: name, Certificate: certificate, Proof: key.SignLogin(exported, name), Authority: authority})
}

// LoginDevice is Login by the key of a device, which the card lists. The card is the user's
// newest that the device has.
func (c *Client) LoginDevice(ctx context.Context, card pki.SignedCard, key pki.DeviceKey, authority []byte) (Welcome, error) {
	exported, err := exporter(c.conn)
	if err != nil {
		return Welcome{}, err
	}
	name := card.Certificate.Name()
	return c.login(ctx, Login{
		Name: name, Certificate: card.Certificate.DER(), Proof: key.SignLogin(exported, name), Authority: authority,
		Device: key.Public().Bytes(), Card: card.Raw(),
	})
}

func (c *Client) login(ctx context.Context, l Login) (Welcome, error) {
	answer, err := call[Welcome](ctx, c, OpLogin, l)
	if err == nil && !answer.valid() {
		return Welcome{}, fmt.Errorf("%w: the answer to %s", ErrMalformed, OpLogin)
	}
	if err == nil && answer.Pace != nil {
		err = c.conn.Keep(answer.Pace.pace())
	}
	return answer, err
}

// Publish hands in the user's own card.
func (c *Client) Publish(ctx context.Context, card []byte) error {
	_, err := call[empty](ctx, c, OpPublish, Publish{card})
	return err
}

// Directory fetches all server descriptors that the node knows, by domain, signed and
// unjudged; and those that domains show under another key than it knows them by.
func (c *Client) Directory(ctx context.Context) (all, shown [][]byte, err error) {
	for after := (pki.Domain{}); ; {
		page, err := call[Descriptors](ctx, c, OpDirectory, Directory{After: after})
		if err != nil {
			return nil, nil, err
		}
		all, shown = append(all, page.Descriptors...), append(shown, page.Shown...)
		switch {
		case len(page.Shown) > MaxShown:
			return nil, nil, fmt.Errorf("%w: the answer to %s", ErrMalformed, OpDirectory)
		case page.Last.IsZero():
			return all, shown, nil
		case page.Last.String() <= after.String() || len(page.Descriptors) == 0 || len(all) > MaxServers:
			return nil, nil, fmt.Errorf("%w: a directory without end", ErrMalformed)
		}
		after = page.Last
	}
}

// Lookup fetches another user's card, signed and unjudged.
func (c *Client) Lookup(ctx context.Context, name pki.Name) (Found, error) {
	return call[Found](ctx, c, OpLookup, Lookup{name})
}

// Claim makes mailbox addresses the user's.
func (c *Client) Claim(ctx context.Context, mailboxes []Mailbox) error {
	for len(mailboxes) > 0 {
		part := mailboxes[:min(len(mailboxes), MaxClaims)]
		if _, err := call[empty](ctx, c, OpClaim, Claim{part}); err != nil {
			return err
		}
		mailboxes = mailboxes[len(part):]
	}
	return nil
}

// Items fetches what has come, and waits for it if there is nothing.
func (c *Client) Items(ctx context.Context, want Items) ([]Item, error) {
	answer, err := call[Held](ctx, c, OpItems, want)
	return answer.Items, err
}

// Forget deletes items at the node.
func (c *Client) Forget(ctx context.Context, seqs []int64) error {
	for len(seqs) > 0 {
		part := seqs[:min(len(seqs), MaxForget)]
		if _, err := call[empty](ctx, c, OpForget, Forget{part}); err != nil {
			return err
		}
		seqs = seqs[len(part):]
	}
	return nil
}

// Statements fetches a page of signed statements after the given number, signed and
// unjudged. While it says More there is a page after its Last.
func (c *Client) Statements(ctx context.Context, since int64) (Stated, error) {
	answer, err := call[Stated](ctx, c, OpStatements, Statements{since})
	if err == nil && !answer.follows(since) {
		return Stated{}, fmt.Errorf("%w: the answer to %s", ErrMalformed, OpStatements)
	}
	return answer, err
}

// Revoke hands in a revocation. The node believes it by what is in it, whoever brings it: no
// login is needed. With one, and for the key of that, the link may end before the answer comes.
func (c *Client) Revoke(ctx context.Context, revocation []byte) error {
	_, err := call[empty](ctx, c, OpRevoke, Revoke{revocation})
	return err
}

// Move hands in a move. The node believes it by what is in it, whoever brings it: no login is
// needed.
func (c *Client) Move(ctx context.Context, move []byte) error {
	_, err := call[empty](ctx, c, OpMove, Move{move})
	return err
}

// Challenge hands in a challenge. The node believes it by what is in it, whoever brings it: no
// login is needed.
func (c *Client) Challenge(ctx context.Context, challenge []byte) error {
	_, err := call[empty](ctx, c, OpChallenge, Challenge{challenge})
	return err
}

// Entries fetches a part of the key log of the user's home, from an entry on. Nothing of it is verified.
func (c *Client) Entries(ctx context.Context, first int64) (LogPart, error) {
	answer, err := call[LogPart](ctx, c, OpEntries, Entries{first})
	if err == nil && !answer.good() {
		return LogPart{}, fmt.Errorf("%w: the answer to %s", ErrMalformed, OpEntries)
	}
	return answer, err
}

// Submit hands in an entry frame ([onion.Entry] marshalled, onion.Size bytes) and waits for
// the node's word.
func (c *Client) Submit(ctx context.Context, frame *[onion.Size]byte) error {
	c.mu.Lock()
	c.frames++
	at := waiter{true, c.frames}
	answered := c.expect(at)
	err := c.conn.SendPacket(0, frame) // under mu: frames are answered in the order of sending
	if err != nil {
		c.frames--
		delete(c.waiting, at)
	}
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("session: submitting: %w", err)
	}
	_, err = c.await(ctx, at, answered)
	return err
}

// exporter is what a login on conn is bound to.
func exporter(conn *link.Conn) ([pki.ExporterSize]byte, error) {
	exported, err := conn.Exporter(pki.ExporterLabel, pki.ExporterSize)
	if err != nil {
		return [pki.ExporterSize]byte{}, fmt.Errorf("session: login: %w", err)
	}
	return [pki.ExporterSize]byte(exported), nil
}

// call sends a request and decodes its answer.
func call[A any](ctx context.Context, c *Client, op Op, body any) (answer A, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return answer, fmt.Errorf("session: %s: %w", op, err)
	}
	c.mu.Lock()
	c.seq++
	at := waiter{false, c.seq}
	answered := c.expect(at)
	c.mu.Unlock()
	request, err := json.Marshal(message{Seq: at.seq, Op: op, Body: raw})
	if err == nil {
		err = c.conn.SendControl(request)
	}
	if err != nil {
		c.drop(at)
		return answer, fmt.Errorf("session: %s: %w", op, err)
	}
	m, err := c.await(ctx, at, answered)
	if err != nil {
		return answer, err
	}
	if strictjson.Unmarshal(m.Body, &answer) != nil {
		return answer, fmt.Errorf("%w: the answer to %s", ErrMalformed, op)
	}
	return answer, nil
}

// expect makes room for an answer. The caller holds mu.
func (c *Client) expect(at waiter) chan message {
	answered := make(chan message, 1)
	c.waiting[at] = answered
	return answered
}

func (c *Client) drop(at waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, at)
}

func (c *Client) await(ctx context.Context, at waiter, answered chan message) (message, error) {
	defer c.drop(at)
	select {
	case m := <-answered:
		return m, m.failure()
	case <-ctx.Done():
		return message{}, fmt.Errorf("session: waiting for the node: %w", ctx.Err())
	case <-c.done:
	}
	select {
	case m := <-answered: // it came before the end
		return m, m.failure()
	default:
		return message{}, fmt.Errorf("session: the link has ended: %w", c.err)
	}
}

// read hands each answer to who waits for it, until the link ends.
func (c *Client) read() {
	defer close(c.done)
	for {
		received, err := c.conn.Receive()
		if err == nil && received.Kind == link.KindControl {
			err = c.answer(received.Control)
		}
		if err != nil {
			c.err = err
			c.conn.Close()
			return
		}
	}
}

func (c *Client) answer(raw []byte) error {
	m, err := parseMessage(raw)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answered, ok := c.waiting[waiter{m.Op == opSubmitted, m.Seq}]; ok {
		answered <- m // has room for the one answer
		delete(c.waiting, waiter{m.Op == opSubmitted, m.Seq})
	}
	return nil
}
