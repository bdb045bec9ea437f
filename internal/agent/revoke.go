package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// A revocation is handed in at a node without a login, and goes from there to all others. One
// node alone could keep it to itself, a home above all: so it is given to several, if they are
// known.
const (
	handedTo   = 3                // nodes that are given it
	handedMost = 24               // that are tried
	handTime   = 10 * time.Second // for one of them
)

// ErrNotHandedIn: no node that was tried took the revocation, or the challenge.
var ErrNotHandedIn = errors.New("no server that was tried took it")

// A HandedIn says where a revocation was handed in.
type HandedIn struct {
	Name pki.Name        `json:"name"`
	Key  pki.Fingerprint `json:"fingerprint"` // that is ended, or the name for it
	At   []pki.Domain    `json:"at"`
}

// certified is the certificate of the user's identity key, which is here to speak of itself. Errors:
// ErrDevice, ErrNoHome if the key was never certified.
func (a *Agent) certified() (der []byte, err error) {
	if a.self.linked() {
		return nil, ErrDevice
	}
	id, _, err := a.identity()
	if err == nil && len(id.Certificate) == 0 {
		err = ErrNoHome
	}
	return id.Certificate, err
}

// Revoke ends the user's own key, for good: her identity key signs that. It is handed in at the
// node of via; without one at the home, and at some others that the folder knows. Errors:
// ErrNoHome if the key was never certified, ErrNotHandedIn, a *session.Error if a node refuses.
func (a *Agent) Revoke(ctx context.Context, via pki.Domain) (HandedIn, error) {
	certificate, err := a.certified()
	if err != nil {
		return HandedIn{}, err
	}
	r, err := a.self.key.RevokeKey(certificate, a.now())
	if err != nil {
		return HandedIn{}, err
	}
	in := HandedIn{Name: r.Name(), Key: r.Key().Fingerprint()}
	in.At, err = a.handOut(ctx, via, func(ctx context.Context, c *session.Client) error { return c.Revoke(ctx, r.Raw()) })
	if err != nil {
		return HandedIn{}, err
	}
	return in, a.vault.Update(func(tx *vault.Tx) error { return a.keepRevocation(tx, r.Raw()) })
}

// handOut says something to the node of via; without one to the home, and to some others that the
// folder knows. At are those that took it.
func (a *Agent) handOut(ctx context.Context, via pki.Domain, say func(context.Context, *session.Client) error) (at []pki.Domain, err error) {
	nodes, err := a.takers(via)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, domain := range nodes {
		err := a.handTo(ctx, domain, via, say)
		if err == nil {
			if at = append(at, domain); len(at) == handedTo {
				break
			}
			continue
		}
		if failed = errors.Join(failed, err); ctx.Err() != nil {
			break
		}
	}
	if len(at) == 0 {
		return nil, handError(failed)
	}
	return at, nil
}

// takers are the nodes that may be given a statement, the home first and the others in no order.
func (a *Agent) takers(via pki.Domain) ([]pki.Domain, error) {
	if !via.IsZero() {
		return []pki.Domain{via}, nil
	}
	first := []pki.Domain{a.home()}
	e, ok, err := a.entry()
	if err != nil {
		return nil, err
	}
	if ok && e.Domain != a.home() {
		first = append(first, e.Domain)
	}
	var others []pki.Domain
	err = a.vault.View(func(tx *vault.Tx) error {
		return tx.Range(prefixServer, func(key string, _ []byte) error {
			domain, err := pki.ParseDomain(key[len(prefixServer):])
			if err == nil && domain != a.home() && domain != e.Domain {
				others = append(others, domain)
			}
			return err
		})
	})
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	all := append(first, others...)
	return all[:min(len(all), handedMost)], err
}

// handTo says something to the node of domain, without a login. DNS is asked for the home, and for what was
// typed, and for nobody else.
func (a *Agent) handTo(ctx context.Context, domain, via pki.Domain, say func(context.Context, *session.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, handTime)
	defer cancel()
	if domain == via || domain == a.home() {
		conn, err := a.reachEntry(ctx, domain)
		if err != nil {
			return err
		}
		return hand(ctx, conn, say)
	}
	known, _, err := a.descriptor(domain)
	if err != nil {
		return err
	}
	conn, err := a.dialHome(ctx, known)
	if err != nil {
		return err
	}
	return hand(ctx, conn, say)
}

// hand says something to the node at the other end of conn, and closes that.
func hand(ctx context.Context, conn *link.Conn, say func(context.Context, *session.Client) error) error {
	client := session.NewClient(conn)
	err := say(ctx, client)
	_ = client.Close(ctx) // nothing waits to leave
	return err
}

// handError is what a node said, if one said anything, and else ErrNotHandedIn.
func handError(err error) error {
	var refused *session.Error
	if errors.As(err, &refused) && refused.Code != session.Unavailable && refused.Code != session.NotFound {
		return refused
	}
	return fmt.Errorf("%w: %w", ErrNotHandedIn, err)
}

// HandIn gives a revocation to the node of at, which DNS finds, from any machine: of cfg only DNS,
// Dial and Now are used, and there need be no folder. Errors: ErrNotHandedIn, ErrNoDNS, a
// *NoServerError, a *session.Error if the node refuses.
func HandIn(ctx context.Context, cfg Config, at pki.Domain, r pki.Revocation) (HandedIn, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if _, err := resolver(cfg); err != nil {
		return HandedIn{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := meet(ctx, cfg, at)
	var nowhere *NoServerError
	if errors.As(err, &nowhere) {
		return HandedIn{}, err
	}
	if err == nil {
		err = hand(ctx, conn, func(ctx context.Context, c *session.Client) error { return c.Revoke(ctx, r.Raw()) })
	}
	if err != nil {
		return HandedIn{}, handError(err)
	}
	return HandedIn{r.Name(), r.Key().Fingerprint(), []pki.Domain{at}}, nil
}

// meet finds the node of domain by its record in DNS, and dials it.
func meet(ctx context.Context, cfg Config, domain pki.Domain) (*link.Conn, error) {
	ask, err := resolver(cfg)
	if err != nil {
		return nil, err
	}
	record, err := ask.Lookup(ctx, domain)
	if errors.Is(err, dnstxt.ErrNone) {
		return nil, &NoServerError{domain}
	}
	if err != nil {
		return nil, err
	}
	var failed error
	for _, address := range record.KeyServers {
		d, err := keyserver.Client{Dial: cfg.Dial}.Server(ctx, keyserver.Endpoint{Address: address, CA: record.Fingerprint}, domain)
		if err == nil {
			return dialAny(ctx, cfg, d)
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// dialAny tries the link addresses of a node, whose authority is that of its descriptor.
func dialAny(ctx context.Context, cfg Config, d pki.SignedDescriptor) (*link.Conn, error) {
	judge := func(leaf *x509.Certificate) error { return d.CA.VerifyLink(leaf, cfg.Now()) }
	var failed error
	for _, address := range d.Links {
		conn, err := link.Dial(ctx, link.Config{Dial: cfg.Dial, Faults: cfg.Faults, Judge: judge}, address)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}
