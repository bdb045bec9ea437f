package agent

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// meetHome finds a home for the first time: its authority is pinned as first seen. The
// only name that DNS is ever asked for is that of the user's own home.
func (a *Agent) meetHome(ctx context.Context, domain pki.Domain) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := a.findHome(ctx, domain)
	return err
}

// findHome asks DNS for the authority of the home and its key servers, and one of these
// for its descriptor, which it keeps.
func (a *Agent) findHome(ctx context.Context, domain pki.Domain) (pki.SignedDescriptor, error) {
	record, err := a.announced(ctx, domain)
	if err != nil {
		return pki.SignedDescriptor{}, err
	}
	client := keyserver.Client{Dial: a.cfg.Dial}
	var failed error
	for _, address := range record.KeyServers {
		d, err := client.Server(ctx, keyserver.Endpoint{Address: address, CA: record.Fingerprint}, domain)
		if err == nil {
			err = d.CheckTime(a.now())
		}
		if err == nil {
			return d, a.keepDescriptors([]pki.SignedDescriptor{d})
		}
		failed = errors.Join(failed, err)
	}
	var changed *pki.KeyChangedError
	if errors.As(failed, &changed) {
		return pki.SignedDescriptor{}, changed
	}
	return pki.SignedDescriptor{}, &HomeError{domain, failed}
}

// announced is the DNS record of the home, if it agrees with the pin.
func (a *Agent) announced(ctx context.Context, domain pki.Domain) (dnstxt.Record, error) {
	if a.cfg.DNS == "" {
		return dnstxt.Record{}, ErrNoDNS
	}
	record, err := dnstxt.Resolver{Server: a.cfg.DNS, Dial: a.cfg.Dial}.Lookup(ctx, domain)
	switch {
	case errors.Is(err, dnstxt.ErrNone):
		return dnstxt.Record{}, &NoServerError{domain}
	case err != nil:
		return dnstxt.Record{}, &HomeError{domain, &DNSError{Domain: domain, Server: a.cfg.DNS, Cause: err}}
	}
	err = a.vault.View(func(tx *vault.Tx) error { return checkDomainPin(tx, domain, record.Fingerprint) })
	return record, err
}

// Connect brings up the link to the home, logs in, and sees to all that a home has to be
// told from time to time: certificate, card, mailboxes. It does nothing if the link is up.
// Errors: a *HomeError if the home cannot be reached, a *pki.KeyChangedError if it shows
// another key than the pinned one, a *session.Error if it refuses.
func (a *Agent) Connect(ctx context.Context) error {
	if a.connected() {
		return nil
	}
	a.disconnect()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := a.reachHome(ctx)
	if err != nil {
		return err
	}
	a.client, a.after, a.claimed = session.NewClient(conn), 0, make(map[pki.Name]int64)
	if err := a.enter(ctx); err != nil {
		a.disconnect()
		return a.homeError(err)
	}
	return nil
}

func (a *Agent) connected() bool {
	if a.client == nil {
		return false
	}
	select {
	case <-a.client.Done():
		return false
	default:
		return true
	}
}

// disconnect ends the link, at once if it is dead. What is asked on it from now on fails.
func (a *Agent) disconnect() {
	if a.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstBackoff)
	defer cancel()
	if err := a.client.Close(ctx); err != nil {
		a.cfg.Log.Debug("closing the link to the home", "err", err)
	}
}

// reachHome dials the home where it was last, and if it is not there asks where it is now.
func (a *Agent) reachHome(ctx context.Context) (*link.Conn, error) {
	home := a.self.name.Domain()
	known, ok, err := a.descriptor(home)
	if err != nil {
		return nil, err
	}
	var changed *pki.KeyChangedError
	if ok {
		conn, err := a.dialHome(ctx, known)
		if err == nil || errors.As(err, &changed) {
			return conn, err
		}
		a.cfg.Log.Debug("the home is not where it was", "err", err)
	}
	fresh, err := a.findHome(ctx, home)
	if ok && errors.Is(err, ErrNoDNS) {
		return nil, &HomeError{home, err} // all that is known of it was tried
	}
	var lost *DNSError
	if ok && errors.As(err, &lost) {
		lost.Moved = true
	}
	if err != nil {
		return nil, a.homeError(err)
	}
	conn, err := a.dialHome(ctx, fresh)
	return conn, a.homeError(err)
}

// dialHome tries the link addresses of the home, one after the other.
func (a *Agent) dialHome(ctx context.Context, d pki.SignedDescriptor) (*link.Conn, error) {
	cfg := link.Config{Dial: a.cfg.Dial, Judge: func(leaf *x509.Certificate) error { return a.judge(d.CA, leaf) }}
	var failed error
	for _, address := range d.Links {
		conn, err := link.Dial(ctx, cfg, address)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// judge accepts a node of the home, certified by the pinned authority.
func (a *Agent) judge(ca pki.CACert, leaf *x509.Certificate) error {
	domain, issuer, err := pki.LinkIssuer(leaf)
	if err != nil {
		return err
	}
	if domain == ca.Domain() {
		if err := pki.CheckPin(ca.Fingerprint(), issuer, domain.String()); err != nil {
			return err
		}
	}
	return ca.VerifyLink(leaf, a.now())
}

// homeError makes a *HomeError of err, unless err says more than that.
func (a *Agent) homeError(err error) error {
	var (
		home    *HomeError
		server  *NoServerError
		refused *session.Error
		changed *pki.KeyChangedError
	)
	switch {
	case err == nil, errors.As(err, &home), errors.As(err, &refused), errors.As(err, &changed), errors.Is(err, ErrNoDNS):
		return err
	case errors.As(err, &server): // it was there once
		return &HomeError{server.Domain, err}
	}
	return &HomeError{a.self.name.Domain(), err}
}

// enter says who we are and what is to be known of us.
func (a *Agent) enter(ctx context.Context) error {
	id, ok, err := a.identity()
	if err != nil || !ok {
		return errors.Join(err, missing(ok))
	}
	ca, err := a.authority(id.Name.Domain())
	if err != nil {
		return err
	}
	certificate, err := a.certificate(ctx, id, ca)
	if err != nil {
		return err
	}
	if _, err := a.client.Login(ctx, id.Name, certificate.DER(), a.self.key); err != nil {
		return err
	}
	if err := a.publish(ctx, id, certificate); err != nil {
		return err
	}
	if err := a.refreshDirectory(ctx, directoryAge); err != nil {
		return err
	}
	if _, err := a.authority(id.Name.Domain()); err != nil { // the home may show two
		return err
	}
	return a.claim(ctx)
}

func missing(ok bool) error {
	if ok {
		return nil
	}
	return ErrNoIdentity
}

// certificate returns ours, fetched or renewed if need be, and keeps it.
func (a *Agent) certificate(ctx context.Context, id identity, ca pki.CACert) (pki.UserCert, error) {
	known, err := ca.VerifyUser(id.Certificate, a.now())
	valid := err == nil && known.Key() == a.self.key.Public()
	if valid && a.now().Before(known.NotAfter().Add(-renewBefore)) {
		return known, nil
	}
	fresh, err := a.register(ctx, id.Name, ca)
	if err != nil {
		if valid {
			return known, nil // good for some days; the next time it may be renewed
		}
		return pki.UserCert{}, err
	}
	return fresh, a.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		if err != nil {
			return err
		}
		id.Certificate = fresh.DER()
		return save(tx, keyIdentity, id)
	})
}

func (a *Agent) register(ctx context.Context, name pki.Name, ca pki.CACert) (pki.UserCert, error) {
	request, err := pki.NewUserRequest(a.cfg.Rand, a.self.key, name)
	if err != nil {
		return pki.UserCert{}, err
	}
	der, err := a.client.Register(ctx, request.DER())
	if err != nil {
		return pki.UserCert{}, err
	}
	certificate, err := ca.VerifyUser(der, a.now())
	if err != nil {
		return pki.UserCert{}, fmt.Errorf("agent: the home's certificate for you: %w", err)
	}
	if certificate.Name() != name || certificate.Key() != a.self.key.Public() {
		return pki.UserCert{}, errors.New("agent: the home's certificate is for somebody else")
	}
	return certificate, nil
}

// publish hands in our card if the one before is old or has another certificate.
func (a *Agent) publish(ctx context.Context, id identity, certificate pki.UserCert) error {
	now := a.now()
	if bytes.Equal(id.Carded, certificate.DER()) && now.Before(id.Published.Add(cardAge)) {
		return nil
	}
	keys := a.self.keys.Public()
	card, err := pki.SignCard(a.self.key, pki.Card{
		Certificate: certificate, Serial: uint64(now.UnixMilli()), Issued: now, Expires: now.Add(pki.CardLifetime),
		Seal: keys.Seal, Auth: keys.Auth, Requests: a.self.requests, Spools: []pki.Domain{id.Name.Domain()},
	})
	if err != nil {
		return err
	}
	if err := a.client.Publish(ctx, card.Raw()); err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		if err != nil {
			return err
		}
		id.Published, id.Carded = now, certificate.DER()
		return save(tx, keyIdentity, id)
	})
}
