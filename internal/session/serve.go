package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A Desk is what a node does for its users. Each function is called with bounded
// arguments; an [*Error] goes to the user as it is, any other error as Unavailable.
// All but Register, Authenticate, Directory, Revoke, Move and Challenge are called for a user who is logged in.
type Desk struct {
	Domain       pki.Domain
	Pace         link.Pace // the schedule of user links, on both sides
	Register     func(ctx context.Context, request, invite []byte) (certificate []byte, err error)
	Authenticate func(ctx context.Context, l Login, exported [pki.ExporterSize]byte) (pki.UserCert, HomeView, error)
	Publish      func(ctx context.Context, user pki.UserCert, card []byte) error
	Directory    func(ctx context.Context, after pki.Domain) (Descriptors, error)
	Revoke       func(ctx context.Context, revocation []byte) error
	Move         func(ctx context.Context, move []byte) error
	Challenge    func(ctx context.Context, challenge []byte) error
	Lookup       func(ctx context.Context, name pki.Name) (Found, error)
	Claim        func(ctx context.Context, user pki.UserCert, mailboxes []Mailbox) error
	Items        func(ctx context.Context, user pki.UserCert, want Items) ([]Item, error)
	Forget       func(ctx context.Context, user pki.UserCert, seqs []int64) error
	Statements   func(ctx context.Context, since int64) (Stated, error)
	Entries      func(ctx context.Context, user pki.UserCert, first int64) (LogPart, error)
	Submit       func(ctx context.Context, user pki.UserCert, entry onion.Entry) error

	loginTime time.Duration // LoginTime; less in tests
}

// served is one link at the desk.
type served struct {
	desk *Desk
	conn *link.Conn
	room chan struct{} // MaxPending requests are worked on at a time
	work sync.WaitGroup

	mu   sync.Mutex // guards user
	user *pki.UserCert
}

// partTime is how long a node that ends waits for its last answers to leave.
const partTime = 2 * time.Second

// Serve answers conn until it ends or ctx does, or nobody has logged in for LoginTime. It
// returns when all that it began has ended; a link that its user closed is no error.
func Serve(ctx context.Context, conn *link.Conn, desk *Desk) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &served{desk: desk, conn: conn, room: make(chan struct{}, MaxPending)}
	s.work.Go(func() { s.part(ctx) })
	late := time.AfterFunc(cmp.Or(desk.loginTime, LoginTime), func() {
		if _, err := s.loggedIn(); err != nil {
			cancel()
		}
	})
	err := s.loop(ctx)
	late.Stop()
	cancel()
	s.work.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, link.ErrClosed) {
		return nil
	}
	return err
}

// part waits for the end of ctx, lets out the answers that are queued, and closes the link.
func (s *served) part(ctx context.Context) {
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), partTime)
	defer cancel()
	_ = s.conn.Drain(drain) // if it cannot, nobody is there to read them
	s.conn.Close()
}

func (s *served) loop(ctx context.Context) error {
	for frames := uint64(0); ; {
		m, err := s.conn.Receive()
		if err != nil {
			return err
		}
		switch {
		case m.Kind == link.KindControl:
			err = s.request(ctx, m.Control)
		case m.Kind == link.KindPacket && m.Channel == 0:
			frames++
			err = s.submit(ctx, frames, m.Packet)
		default:
			err = fmt.Errorf("%w: a %v slot on channel %d from a user", ErrMalformed, m.Kind, m.Channel)
		}
		if err != nil {
			return err
		}
	}
}

// submit answers an entry frame. Frames are handled one by one, in their order.
func (s *served) submit(ctx context.Context, seq uint64, raw *[onion.Size]byte) error {
	user, err := s.loggedIn()
	if err == nil {
		var entry onion.Entry
		if entry, err = onion.ParseEntry(raw[:]); err != nil {
			err = Errorf(BadRequest, "the entry frame is malformed: %v", err)
		} else {
			err = s.desk.Submit(ctx, user, entry)
		}
	}
	return s.reply(message{Seq: seq, Op: opSubmitted}, empty{}, err)
}

// request begins the work on a request; at most MaxPending at a time, so a user who asks
// faster than that waits in her own link. Only what may have to wait for somebody else is
// done beside the rest: so a link has one long request, or long answer, in the works.
func (s *served) request(ctx context.Context, raw []byte) error {
	m, err := parseMessage(raw)
	if err != nil {
		return err
	}
	if m.Error != nil {
		return ErrMalformed
	}
	if m.Op != OpLookup && m.Op != OpItems { // which wait for others: the rest is done one by one
		return s.handle(ctx, m)
	}
	if len(m.Body) > MaxQuestion { // it might be kept for as long as nothing comes
		return s.reply(message{Seq: m.Seq}, nil, Errorf(BadRequest, "%d bytes of a question, at most %d", len(m.Body), MaxQuestion))
	}
	select {
	case s.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.work.Go(func() {
		defer func() { <-s.room }()
		if err := s.handle(ctx, m); err != nil {
			s.conn.Close()
		}
	})
	return nil
}

func (s *served) handle(ctx context.Context, m message) error {
	body, err := s.answer(ctx, m)
	return s.reply(message{Seq: m.Seq}, body, err)
}

func (s *served) answer(ctx context.Context, m message) (any, error) {
	switch m.Op {
	case OpRegister:
		return withBody(m, func(b Register) (any, error) {
			if len(b.Invite) > MaxInvite {
				return nil, Errorf(BadRequest, "an invitation of %d bytes, at most %d", len(b.Invite), MaxInvite)
			}
			certificate, err := s.desk.Register(ctx, b.Request, b.Invite)
			return Registered{certificate}, err
		})
	case OpLogin:
		return withBody(m, func(b Login) (any, error) { return s.login(ctx, b) })
	case OpDirectory:
		return withBody(m, func(b Directory) (any, error) { return s.desk.Directory(ctx, b.After) })
	case OpRevoke:
		return withBody(m, func(b Revoke) (any, error) {
			return empty{}, limited("a revocation", len(b.Revocation), pki.MaxRevocationSize, func() error { return s.desk.Revoke(ctx, b.Revocation) })
		})
	case OpMove:
		return withBody(m, func(b Move) (any, error) {
			return empty{}, limited("a move", len(b.Move), pki.MaxMoveSize, func() error { return s.desk.Move(ctx, b.Move) })
		})
	case OpChallenge:
		return withBody(m, func(b Challenge) (any, error) {
			return empty{}, limited("a challenge", len(b.Challenge), pki.MaxChallengeSize, func() error { return s.desk.Challenge(ctx, b.Challenge) })
		})
	}
	user, err := s.loggedIn()
	if err != nil {
		return nil, err
	}
	return s.answerUser(ctx, user, m)
}

func (s *served) answerUser(ctx context.Context, user pki.UserCert, m message) (any, error) {
	switch m.Op {
	case OpPublish:
		return withBody(m, func(b Publish) (any, error) { return empty{}, s.desk.Publish(ctx, user, b.Card) })
	case OpLookup:
		return withBody(m, func(b Lookup) (any, error) { return s.desk.Lookup(ctx, b.Name) })
	case OpClaim:
		return withBody(m, func(b Claim) (any, error) {
			return empty{}, bounded(len(b.Mailboxes), MaxClaims, func() error { return s.desk.Claim(ctx, user, b.Mailboxes) })
		})
	case OpItems:
		return withBody(m, func(b Items) (any, error) {
			b.Wait = min(max(b.Wait, 0), LongestWait)
			items, err := s.desk.Items(ctx, user, b)
			return Held{items}, err
		})
	case OpForget:
		return withBody(m, func(b Forget) (any, error) {
			return empty{}, bounded(len(b.Seqs), MaxForget, func() error { return s.desk.Forget(ctx, user, b.Seqs) })
		})
	case OpStatements:
		return withBody(m, func(b Statements) (any, error) {
			if b.Since < 0 {
				return nil, Errorf(BadRequest, "statements after %d", b.Since)
			}
			return s.desk.Statements(ctx, b.Since)
		})
	case OpEntries:
		return withBody(m, func(b Entries) (any, error) {
			if b.First < 0 {
				return nil, Errorf(BadRequest, "an entry before the first")
			}
			return s.desk.Entries(ctx, user, b.First)
		})
	}
	return nil, Errorf(BadRequest, "unknown operation %q", m.Op)
}

func (s *served) login(ctx context.Context, l Login) (any, error) {
	switch {
	case len(l.Authority) > pki.MaxCertificateSize:
		return nil, Errorf(BadRequest, "an authority of %d bytes, at most %d", len(l.Authority), pki.MaxCertificateSize)
	case len(l.Card) > pki.MaxCardSize:
		return nil, Errorf(BadRequest, "a card of %d bytes, at most %d", len(l.Card), pki.MaxCardSize)
	case (len(l.Device) == 0) != (len(l.Card) == 0):
		return nil, Errorf(BadRequest, "a device without a card, or a card without a device")
	}
	exported, err := exporter(s.conn)
	if err != nil {
		return nil, err
	}
	user, home, err := s.desk.Authenticate(ctx, l, exported)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = &user
	return Welcome{s.desk.Domain, home, paceOf(s.desk.Pace)}, nil
}

func (s *served) loggedIn() (pki.UserCert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.user == nil {
		return pki.UserCert{}, Errorf(NotLoggedIn, "log in first")
	}
	return *s.user, nil
}

// reply sends body, or err in its place.
func (s *served) reply(m message, body any, err error) error {
	if err != nil {
		if !errors.As(err, &m.Error) {
			m.Error = Errorf(Unavailable, "the node could not do this now")
		}
	} else if m.Body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("session: answering: %w", err)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("session: answering: %w", err)
	}
	return s.conn.SendControl(raw)
}

func withBody[B any](m message, do func(B) (any, error)) (any, error) {
	var body B
	if err := strictjson.Unmarshal(m.Body, &body); err != nil {
		return nil, Errorf(BadRequest, "malformed %s: %v", m.Op, err)
	}
	return do(body)
}

func limited(what string, size, most int, do func() error) error {
	if size > most {
		return Errorf(BadRequest, "%s of %d bytes, at most %d", what, size, most)
	}
	return do()
}

func bounded(n, most int, do func() error) error {
	if n > most {
		return Errorf(BadRequest, "%d at once, at most %d", n, most)
	}
	return do()
}
