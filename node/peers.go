package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	cryptorand "crypto/rand"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

const (
	firstRedial   = 200 * time.Millisecond
	longestRedial = 30 * time.Second
)

// peers are the domains that this node is federated with: those it countersigned.
type peers struct {
	n     *Node
	added chan pki.Domain

	mu    sync.Mutex // guards cross; held for a map's access only
	cross map[pki.Domain]pki.CrossCert
}

func openPeers(ctx context.Context, n *Node) (*peers, error) {
	p := &peers{n: n, added: make(chan pki.Domain), cross: make(map[pki.Domain]pki.CrossCert)}
	rows, err := n.store.Peers(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		cross, err := pki.ParseCrossCert(row.Given)
		if err != nil {
			return nil, fmt.Errorf("node: countersignature of %s: %w", row.Domain, err)
		}
		p.cross[cross.Domain()] = cross
	}
	return p, nil
}

// judge decides on the certificate that a node shows on a link: only a peer's is welcome.
func (p *peers) judge(leaf *x509.Certificate) error {
	_, err := p.identify(leaf)
	return err
}

// identify returns the peer whose certificate leaf is.
func (p *peers) identify(leaf *x509.Certificate) (pki.Domain, error) {
	domain, issuer, err := pki.LinkIssuer(leaf)
	if err != nil {
		return pki.Domain{}, err
	}
	cross, ok := p.crossOf(domain)
	switch {
	case !ok:
		return pki.Domain{}, fmt.Errorf("%s is no peer of %s", domain, p.n.cfg.Domain)
	case cross.Fingerprint() != issuer:
		return pki.Domain{}, pki.CheckPin(cross.Fingerprint(), issuer, domain.String())
	}
	return p.n.authority.VerifyPeer(cross, leaf, time.Now())
}

func (p *peers) crossOf(domain pki.Domain) (pki.CrossCert, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cross, ok := p.cross[domain]
	return cross, ok
}

// add federates with domain: it is found by DNS and its key server, countersigned, and
// connected to as soon as it has done the same (row K3).
func (p *peers) add(ctx context.Context, domain pki.Domain) error {
	if domain == p.n.cfg.Domain {
		return fmt.Errorf("%w: %s is this node's own domain", ErrInput, domain)
	}
	descriptor, err := p.n.directory.discover(ctx, domain)
	if err != nil {
		return err
	}
	cross, err := p.n.authority.Countersign(cryptorand.Reader, time.Now(), descriptor.CA)
	if err != nil {
		return fmt.Errorf("node: countersigning %s: %w", domain, err)
	}
	if err := p.keep(ctx, domain, descriptor.CA, cross); err != nil {
		return err
	}
	select {
	case p.added <- domain:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renew countersigns anew those peers whose countersignature has a third of its life left.
// They get it with the next hello.
func (p *peers) renew(ctx context.Context, now time.Time) error {
	var failed error
	for domain, cross := range p.known() {
		if now.Before(cross.NotAfter().Add(-pki.CrossLifetime / 3)) {
			continue
		}
		failed = errors.Join(failed, p.countersign(ctx, domain, now))
	}
	return failed
}

func (p *peers) countersign(ctx context.Context, domain pki.Domain, now time.Time) error {
	row, err := p.n.store.Peer(ctx, domain.String())
	if err != nil {
		return err
	}
	ca, err := pki.ParseCACert(row.CA)
	if err != nil {
		return err
	}
	cross, err := p.n.authority.Countersign(cryptorand.Reader, now, ca)
	if err != nil {
		return fmt.Errorf("node: countersigning %s: %w", domain, err)
	}
	return p.keep(ctx, domain, ca, cross)
}

// keep writes the countersignature down: in the key ring and on the key server in one
// transaction, and in the table of peers.
func (p *peers) keep(ctx context.Context, domain pki.Domain, ca pki.CACert, cross pki.CrossCert) error {
	if err := p.n.published.PublishCross(ctx, cross); err != nil {
		return fmt.Errorf("node: keeping the countersignature: %w", err)
	}
	row := store.Peer{Domain: domain.String(), CA: ca.DER(), Given: cross.DER(), Since: time.Now()}
	if old, err := p.n.store.Peer(ctx, domain.String()); err == nil {
		row.Received, row.Since = old.Received, old.Since
	}
	if err := p.n.store.PutPeer(ctx, row); err != nil {
		return fmt.Errorf("node: keeping the peer: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cross[domain] = cross
	return nil
}

// received keeps the countersignature that a peer made for us.
func (p *peers) received(ctx context.Context, domain pki.Domain, der []byte) error {
	cross, err := pki.ParseCrossCert(der)
	if err != nil {
		return err
	}
	if cross.Fingerprint() != p.n.authority.CA().Fingerprint() || cross.Domain() != p.n.cfg.Domain {
		return errors.New("node: a countersignature of another key than ours")
	}
	return p.n.store.SetReceived(ctx, domain.String(), der)
}

// run keeps a link with every peer whose part it is for us to dial. Of two nodes the one
// with the smaller domain dials, so that there is never a second link.
func (p *peers) run(ctx context.Context) error {
	var dialling sync.WaitGroup
	defer dialling.Wait()
	begun := make(map[pki.Domain]bool)
	begin := func(domain pki.Domain) {
		if begun[domain] || domain.String() < p.n.cfg.Domain.String() {
			return
		}
		begun[domain] = true
		dialling.Go(func() { p.keepLink(ctx, domain) })
	}
	for domain := range p.known() {
		begin(domain)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case domain := <-p.added:
			begin(domain)
		}
	}
}

// known is a copy of the table of peers.
func (p *peers) known() map[pki.Domain]pki.CrossCert {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := make(map[pki.Domain]pki.CrossCert, len(p.cross))
	for domain, cross := range p.cross {
		copied[domain] = cross
	}
	return copied
}

// keepLink dials domain again and again, with growing pauses while it does not answer.
// Where it cannot be reached any more, DNS is asked where it has gone.
func (p *peers) keepLink(ctx context.Context, domain pki.Domain) {
	for pause := firstRedial; ctx.Err() == nil; pause = min(2*pause, longestRedial) {
		begun := time.Now()
		conn, err := p.dial(ctx, domain)
		if err == nil {
			p.n.servePeer(ctx, domain, conn)
		} else if !errors.Is(err, link.ErrRefused) && ctx.Err() == nil {
			_, lost := p.n.directory.discover(ctx, domain)
			err = errors.Join(err, lost)
		}
		if err != nil && ctx.Err() == nil {
			p.n.log.Info("no link", "peer", domain, "again_in", pause, "err", err)
		}
		if time.Since(begun) > longestRedial { // it held for a while
			pause = firstRedial
		}
		wait(ctx, pause/2+rand.N(pause))
	}
}

// dial connects to one of the addresses in domain's descriptor.
func (p *peers) dial(ctx context.Context, domain pki.Domain) (*link.Conn, error) {
	descriptor, err := p.n.directory.descriptor(ctx, domain)
	if err != nil {
		return nil, err
	}
	config := p.n.linkConfig()
	config.Judge = func(leaf *x509.Certificate) error {
		shown, err := p.identify(leaf)
		if err == nil && shown != domain {
			err = fmt.Errorf("%s answers where %s should", shown, domain)
		}
		return err
	}
	var failed error
	for _, address := range descriptor.Links {
		conn, err := link.Dial(ctx, config, address)
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// wait passes time, or returns early when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
