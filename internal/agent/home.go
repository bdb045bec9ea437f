package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	d, err := a.findHome(ctx, domain)
	if err != nil {
		return err
	}
	return a.keepHome(d)
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
	return pki.SignedDescriptor{}, &HomeError{Domain: domain, Cause: failed}
}

// resolver asks the server that cfg names. It has no trust anchors: what it finds at first sight
// is pinned as no more than that, however it is signed, and then other domains say what they see.
func resolver(cfg Config) (dnstxt.Resolver, error) {
	if cfg.DNS == "" {
		return dnstxt.Resolver{}, ErrNoDNS
	}
	server, err := dnstxt.ParseServer(cfg.DNS)
	if err != nil {
		return dnstxt.Resolver{}, fmt.Errorf("%w: %s", ErrNoDNS, strings.TrimPrefix(err.Error(), "dnstxt: "))
	}
	return dnstxt.Resolver{Server: server, Dial: cfg.Dial}, nil
}

// announced is the DNS record of the home, if it agrees with the pin.
func (a *Agent) announced(ctx context.Context, domain pki.Domain) (dnstxt.Record, error) {
	ask, err := resolver(a.cfg)
	if err != nil {
		return dnstxt.Record{}, err
	}
	record, err := ask.Lookup(ctx, domain)
	switch {
	case errors.Is(err, dnstxt.ErrNone):
		return dnstxt.Record{}, &NoServerError{domain}
	case err != nil:
		return dnstxt.Record{}, &HomeError{Domain: domain, Cause: &DNSError{Domain: domain, Server: a.cfg.DNS, Cause: err}}
	}
	err = a.vault.View(func(tx *vault.Tx) error { return checkDomainPin(tx, domain, record.Fingerprint) })
	var changed *pki.KeyChangedError
	if errors.As(err, &changed) {
		err = &announcedError{changed, record.KeyServers}
	}
	return record, err
}

// An announcedError says that it is DNS, and nobody else so far, that names another key.
type announcedError struct {
	changed *pki.KeyChangedError
	at      []string // key servers that it names
}

func (e *announcedError) Error() string { return "in DNS, " + e.changed.Error() }

// Unwrap returns the change of the key.
func (e *announcedError) Unwrap() error { return e.changed }

// Connect brings up the link to the home, or if that does not answer to the node that Login was
// last given, logs in, and sees to all that a home has to be
// told from time to time: certificate, card, mailboxes. It does nothing if the link is up, but that who
// has an entry looks after her home, and after what waits elsewhere, every ten minutes.
// Errors: ErrNoHome, a *HomeError if the home cannot be reached, a *pki.KeyChangedError if it shows
// another key than the pinned one, a *session.Error if it refuses.
func (a *Agent) Connect(ctx context.Context) error {
	if err := a.renamed(); err != nil {
		return err
	}
	if a.connected() {
		if stale, err := a.stale(); err != nil || !stale {
			return err
		}
	}
	if a.self.name.IsZero() {
		return ErrNoHome
	}
	a.disconnect()
	if err := a.connect(ctx); err != nil {
		return err
	}
	followed, err := a.goAlong(ctx)
	if err != nil {
		return err
	}
	if followed {
		return a.Connect(ctx)
	}
	if err := a.retell(ctx); err != nil {
		return err
	}
	return a.tour(ctx)
}

// connect brings up the link to the home, or to the entry if the home does not answer.
func (a *Agent) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	e, ok, err := a.entry()
	switch {
	case err != nil:
		return err
	case !ok:
		return a.stranded(a.connectHome(ctx))
	}
	patient, done := context.WithTimeout(ctx, homeTime)
	defer done()
	err = a.connectHome(patient)
	var home *HomeError
	if !errors.As(err, &home) {
		return err
	}
	if err := a.connectEntry(ctx, e.Domain); err != nil {
		var refused *session.Error
		var altered *DNSAlteredError
		if errors.As(home, &altered) && errors.As(err, &refused) && refused.Code == session.WrongKey {
			return err // the entry agrees with DNS
		}
		a.cfg.Log.Debug("the entry is not there either", "err", err)
		home.Entry = e.Domain
		return a.stranded(home)
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
	home := a.home()
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
	var said *announcedError
	if errors.As(err, &said) { // by nobody else: it stops nothing
		altered := &DNSAlteredError{Domain: home, Known: said.changed.Pinned, Shown: said.changed.Shown, at: said.at}
		a.warning[home.String()] = altered
		return nil, &HomeError{Domain: home, Cause: altered}
	}
	if ok && errors.Is(err, ErrNoDNS) {
		return nil, &HomeError{Domain: home, Cause: err} // all that is known of it was tried
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
	cfg := link.Config{Dial: a.cfg.Dial, Faults: a.cfg.Faults, Judge: func(leaf *x509.Certificate) error { return a.judge(d.CA, leaf) }}
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
		return &HomeError{Domain: server.Domain, Cause: err}
	}
	lost := &HomeError{Domain: a.home(), Cause: err}
	if a.abroad() {
		lost.Entry = a.through
	}
	return lost
}

// enter says who we are and what is to be known of us.
func (a *Agent) enter(ctx context.Context) error {
	id, ok, err := a.identity()
	if err != nil || !ok {
		return errors.Join(err, missing(ok))
	}
	if err := a.become(id); err != nil {
		return err
	}
	ca, err := a.authority(id.Name.Domain())
	if err != nil {
		return err
	}
	certificate, err := a.login(ctx, id, ca)
	if err != nil {
		return err
	}
	if a.self.linked() {
		err = a.recard(ctx, ca)
	} else {
		err = a.publish(ctx, id, certificate)
	}
	if err != nil {
		return err
	}
	if err := a.refreshDirectory(ctx, directoryAge); err != nil {
		return err
	}
	if err := a.hear(ctx); err != nil {
		return err
	}
	if _, err := a.authority(id.Name.Domain()); err != nil { // the home may show two
		return err
	}
	if err := a.claim(ctx); err != nil {
		return err
	}
	return a.announce(ctx)
}

// login logs in, at home with a certificate that is renewed if need be, elsewhere with the one
// that there is.
func (a *Agent) login(ctx context.Context, id identity, ca pki.CACert) (certificate pki.UserCert, err error) {
	var authority []byte
	if a.abroad() {
		authority = ca.DER()
	}
	if a.abroad() || a.self.linked() {
		certificate, err = a.ownCertificate(id, ca)
	} else {
		certificate, err = a.certificate(ctx, id, ca)
	}
	if err != nil {
		return pki.UserCert{}, err
	}
	var welcome session.Welcome
	if a.self.linked() {
		welcome, err = a.loginAs(ctx, id, authority)
	} else {
		welcome, err = a.client.Login(ctx, id.Name, certificate.DER(), a.self.key, authority)
	}
	if err == nil && (welcome.Domain != a.where() || welcome.Home.Domain != id.Name.Domain()) {
		err = fmt.Errorf("agent: %w: welcome to somebody else", session.ErrMalformed)
	}
	a.view, a.pace = welcome.Home, welcome.Pace
	if err == nil {
		err = a.noteSeen(welcome.Home.Devices)
	}
	return certificate, err
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
	if err == nil && known.Key() == a.self.public {
		if due, err := a.renewing(id); err != nil || !due {
			return known, err
		}
		return a.renew(ctx, id, ca, known)
	}
	fresh, err := a.register(ctx, id.Name, ca)
	if err != nil {
		return pki.UserCert{}, err
	}
	return fresh, a.vault.Update(func(tx *vault.Tx) error { return keepCertificate(tx, fresh) })
}

func (a *Agent) register(ctx context.Context, name pki.Name, ca pki.CACert) (pki.UserCert, error) {
	request, err := pki.NewUserRequest(a.cfg.Rand, a.self.key, name)
	if err != nil {
		return pki.UserCert{}, err
	}
	der, err := a.client.Register(ctx, request.DER(), a.cfg.token())
	if err != nil {
		return pki.UserCert{}, err
	}
	certificate, err := ca.VerifyUser(der, a.now())
	if err != nil {
		return pki.UserCert{}, fmt.Errorf("agent: the home's certificate for you: %w", err)
	}
	if certificate.Name() != name || certificate.Key() != a.self.public {
		return pki.UserCert{}, errors.New("agent: the home's certificate is for somebody else")
	}
	return certificate, nil
}

// publish hands in our card if the one before is old, or has another certificate or other
// spools; not where only what has come is fetched. With a certificate that has run out there can be
// none.
func (a *Agent) publish(ctx context.Context, id identity, certificate pki.UserCert) error {
	now := a.now()
	var spools []pki.Domain
	there := false
	err := a.vault.View(func(tx *vault.Tx) error {
		e, _, err := load[entry](tx, keyEntry)
		if err == nil {
			spools, err = a.spools(tx)
		}
		if there = !slices.Contains(spools, a.where()); there || err != nil {
			return err
		}
		there, err = a.cardedThere(id, e, certificate.DER(), spools)
		return err
	})
	if err != nil || there || !now.Before(certificate.NotAfter()) {
		return err
	}
	if err := a.lookBefore(ctx); err != nil {
		return err
	}
	card, err := a.sign(pki.Card{
		Certificate: certificate, Serial: uint64(now.UnixMilli()), Issued: now, Expires: now.Add(pki.CardLifetime), Spools: spools,
	})
	if err != nil {
		return err
	}
	if err := a.noteOwnCard(card.Raw()); err != nil {
		return err
	}
	if err := a.client.Publish(ctx, card.Raw()); err != nil {
		return err
	}
	a.card = card.Raw()
	return a.vault.Update(func(tx *vault.Tx) error { return a.noteCard(tx, now, certificate.DER(), spools) })
}
