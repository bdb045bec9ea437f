package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// An EntryError says that a node at which the user wanted to log in does not answer.
type EntryError struct {
	Domain pki.Domain
	Cause  error
}

func (e *EntryError) Error() string { return fmt.Sprintf("%s does not answer", e.Domain) }

// Unwrap returns what went wrong.
func (e *EntryError) Unwrap() error { return e.Cause }

// A LoggedIn says where a user is connected, and what that node says of her home.
type LoggedIn struct {
	Name      pki.Name     `json:"name"`
	Through   pki.Domain   `json:"through"`
	Home      pki.Domain   `json:"home"`
	Path      session.Path `json:"path"`      // by what the node knew her home's key
	Confirmed []pki.Domain `json:"confirmed"` // other domains that know it
	Online    bool         `json:"home_online"`
	Gone      bool         `json:"home_gone,omitempty"` // her certificate has run out, and her home is not there to renew it
}

// Login connects through the node of via and remembers it: from then on that is where the user
// connects while her home does not answer. Without via it does what Connect does. Errors beside
// those of Connect: an *EntryError, a *NoServerError.
func (a *Agent) Login(ctx context.Context, via pki.Domain) (LoggedIn, error) {
	if a.self.name.IsZero() {
		return LoggedIn{}, ErrNoHome
	}
	a.disconnect()
	var err error
	if via.IsZero() || via == a.home() {
		err = a.Connect(ctx)
	} else {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		err = a.connectEntry(ctx, via)
	}
	if err != nil {
		return LoggedIn{}, err
	}
	v := a.view
	return LoggedIn{
		Name: a.self.name, Through: a.through, Home: v.Domain, Path: v.Path, Confirmed: append([]pki.Domain{}, v.Confirmed...),
		Online: v.Online, Gone: v.Gone,
	}, nil
}

// connectHome brings up the link to the home.
func (a *Agent) connectHome(ctx context.Context) error {
	conn, err := a.reachHeir(ctx, a.home(), a.reachHome)
	if err != nil {
		return err
	}
	a.base = a.home()
	return a.begun(ctx, a.home(), conn)
}

// connectEntry brings up the link to another node, which is our entry from then on.
func (a *Agent) connectEntry(ctx context.Context, via pki.Domain) error {
	conn, err := a.reachEntry(ctx, via)
	if err != nil {
		return err
	}
	if err := a.vault.Update(func(tx *vault.Tx) error { // before anybody is told that it is a spool of ours
		e, _, err := load[entry](tx, keyEntry)
		return errors.Join(err, save(tx, keyEntry, e.use(via, a.now())))
	}); err != nil {
		conn.Close()
		return err
	}
	a.base = via
	return a.begun(ctx, via, conn)
}

// begun begins a session on a link to the node of at.
func (a *Agent) begun(ctx context.Context, at pki.Domain, conn *link.Conn) error {
	a.client, a.through, a.since, a.after, a.claimed = session.NewClient(conn), at, a.now(), 0, make(map[pki.Name]int64)
	if err := a.enter(ctx); err != nil {
		a.disconnect()
		return a.homeError(err)
	}
	return nil
}

// reachEntry reaches a node at which she wants to log in, or the heir of the one that she knows there.
func (a *Agent) reachEntry(ctx context.Context, via pki.Domain) (*link.Conn, error) {
	return a.reachHeir(ctx, via, func(ctx context.Context) (*link.Conn, error) { return a.reachNode(ctx, via) })
}

// reachNode dials a node where it was last, and if it is not there, or was never seen, asks where it
// is.
func (a *Agent) reachNode(ctx context.Context, via pki.Domain) (*link.Conn, error) {
	known, ok, err := a.descriptor(via)
	if err != nil {
		return nil, err
	}
	var failed error
	if ok {
		conn, err := a.dialHome(ctx, known)
		var changed *pki.KeyChangedError
		if err == nil || errors.As(err, &changed) {
			return conn, err
		}
		failed = err
	}
	fresh, err := a.findHome(ctx, via)
	if err == nil {
		conn, err := a.dialHome(ctx, fresh)
		return conn, entryError(via, err)
	}
	if ok && errors.Is(err, ErrNoDNS) {
		err = failed // all that is known of it was tried
	}
	return nil, entryError(via, err)
}

// entryError makes an *EntryError of err, unless err says more than that.
func entryError(via pki.Domain, err error) error {
	var (
		server  *NoServerError
		changed *pki.KeyChangedError
		lost    *DNSError
	)
	if err == nil || errors.As(err, &server) || errors.As(err, &changed) || errors.As(err, &lost) || errors.Is(err, ErrNoDNS) {
		return err
	}
	return &EntryError{via, err}
}

// abroad tells whether the link leads elsewhere than home.
func (a *Agent) abroad() bool { return !a.through.IsZero() && a.through != a.home() }

// where is the node that packets go to and receipts come to.
func (a *Agent) where() pki.Domain {
	if a.abroad() {
		return a.through
	}
	return a.home()
}

// shunned are doubts that keep domains that did not answer, our home or others, out of our
// routes while there are enough others.
func (a *Agent) shunned(tx *vault.Tx) (all []mor.Doubt, err error) {
	if a.abroad() && !a.view.Online {
		all = append(all, mor.Doubt{Relay: a.home(), Copies: shunnedCopies, At: a.now()})
	}
	err = each(tx, prefixAway, func(key string, at time.Time) error {
		domain, err := pki.ParseDomain(key)
		if err == nil && a.now().Sub(at).Abs() < shunnedFor {
			all = append(all, mor.Doubt{Relay: domain, Copies: shunnedCopies, At: a.now()})
		}
		return err
	})
	return all, err
}

// shunnedCopies is more than what speaks against any other relay before long, and shunnedFor for
// how long a domain is left alone that did not answer once.
const (
	shunnedCopies = 1 << 10
	shunnedFor    = time.Hour
)

// ownCertificate is ours as the home signed it last, for another node: that judges whether one that
// has run out will still do. Not valid is what it was at its end.
func (a *Agent) ownCertificate(id identity, ca pki.CACert) (pki.UserCert, error) {
	known, err := ca.VerifyUser(id.Certificate, a.now())
	if errors.Is(err, pki.ErrTime) {
		if leaf, bad := x509.ParseCertificate(id.Certificate); bad == nil {
			known, err = ca.VerifyUser(id.Certificate, leaf.NotAfter)
		}
	}
	if err != nil {
		return pki.UserCert{}, fmt.Errorf("agent: your certificate: %w", err)
	}
	return known, nil
}

// stranded adds to the error of a home that does not answer where its user could log in.
func (a *Agent) stranded(err error) error {
	var home *HomeError
	if !errors.As(err, &home) {
		return err
	}
	home.Name = a.self.name
	knowing, failed := a.knowing(home.Domain)
	home.Knowing = knowing
	return errors.Join(err, failed)
}

// knowing are the domains that have the known key of the home, by their views.
func (a *Agent) knowing(home pki.Domain) ([]pki.Domain, error) {
	s, err := a.standing(home)
	if err != nil || s.verdict.Key != s.key() {
		return nil, err
	}
	return s.verdict.For, nil
}

// doubtHome leaves the home of a writer who is elsewhere, and says so, out of our routes for some
// hours while there are enough others: it may be dead.
func (a *Agent) doubtHome(tx *vault.Tx, m message.Content) error {
	home := m.Name.Domain()
	if len(m.Spools) == 0 || m.Spools[0] == home {
		return nil
	}
	return saveDoubts(tx, []mor.Doubt{{Relay: home, Copies: shunnedCopies, At: a.now()}})
}
