package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// Issuers are the authorities by which what a domain certified is judged: the one in office
// first, then those that handed over to it, the newest first.
type issuers []pki.CACert

// issuers are those of a domain whose authority is ca, by [pki.Issuers].
func (n *Node) issuers(ctx context.Context, ca pki.CACert) issuers {
	former, err := n.formerAuthorities(ctx, ca.Domain())
	if err != nil && ctx.Err() == nil {
		n.log.Error("reading former authorities", "domain", ca.Domain(), "err", err)
	}
	return pki.Issuers(ca, former, n.beliefs.line(ca.Domain()))
}

// formerAuthorities are all that were in office in a domain before.
func (n *Node) formerAuthorities(ctx context.Context, domain pki.Domain) (all []pki.CACert, err error) {
	rows, err := n.store.FormerAuthorities(ctx, domain.String())
	for _, der := range rows {
		ca, failed := pki.ParseCACert(der)
		if failed != nil {
			return nil, failed
		}
		all = append(all, ca)
	}
	return all, err
}

// of is the one whose key that is; if it is none's, the one in office, which will refuse.
func (l issuers) of(issuer pki.Fingerprint) pki.CACert {
	for _, ca := range l {
		if ca.Fingerprint() == issuer {
			return ca
		}
	}
	return l[0]
}

// verifyUser is [pki.CACert.VerifyUser] by whichever claims to have signed.
func (l issuers) verifyUser(der []byte, now time.Time) (pki.UserCert, error) {
	_, _, issuer, err := pki.UserIssuer(der)
	if err != nil {
		return pki.UserCert{}, err
	}
	return l.of(issuer).VerifyUser(der, now)
}

// verifyCard is [pki.CACert.VerifyCard] by whichever claims to have signed the certificate.
func (l issuers) verifyCard(raw []byte, now time.Time) (pki.SignedCard, error) {
	card, err := pki.ParseCard(raw)
	if err != nil {
		return pki.SignedCard{}, err
	}
	return l.of(card.Issuer()).VerifyCard(raw, now)
}

// former are the keys of all but the one in office.
func (l issuers) former() (keys []pki.Fingerprint) {
	for _, ca := range l[1:] {
		keys = append(keys, ca.Fingerprint())
	}
	return keys
}

// followHome has a domain believed under the key that its key server shows, if err says that it
// is another one than the pinned one, and that has handed over to it. It reports whether it is.
func (n *Node) followHome(ctx context.Context, home pki.SignedDescriptor, err error) bool {
	var changed *pki.KeyChangedError
	if !errors.As(err, &changed) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	for _, address := range home.KeyServers {
		at := keyserver.Endpoint{Address: address, CA: changed.Shown}
		n.hearSuccessions(ctx, home.Domain, changed.Shown, at)
		if !n.isHeir(home.Domain, changed.Shown) {
			continue
		}
		n.sawHome(ctx, home.Domain, changed.Shown)
		if err := n.takeHeir(ctx, home.Domain, at); err != nil && ctx.Err() == nil {
			n.log.Info("a domain's own servers", "domain", home.Domain, "err", err)
		}
	}
	p, ok := n.beliefs.pin(home.Domain)
	return ok && p.Key == changed.Shown
}

// ownIssuers are those of this domain.
func (n *Node) ownIssuers(ctx context.Context) issuers {
	return n.issuers(ctx, n.authority().CA())
}

// hearSuccessions asks a key server how a domain came from the pinned key to the one that is
// shown: we may have been away, or the descriptor has overtaken the word of it. What the server
// says is judged as from anybody.
func (n *Node) hearSuccessions(ctx context.Context, domain pki.Domain, shown pki.Fingerprint, at keyserver.Endpoint) {
	p, ok := n.beliefs.pin(domain)
	if !ok || p.Key == shown || slices.Contains(p.Former, shown) || n.isHeir(domain, shown) {
		return
	}
	all, err := n.client.Successions(ctx, at, domain)
	if err != nil && !errors.Is(err, keyserver.ErrNotFound) && ctx.Err() == nil {
		n.log.Info("a domain's hand-overs", "domain", domain, "err", err)
	}
	for _, s := range all {
		if _, err := n.accept(ctx, s.Statement().Marshal()); err != nil && ctx.Err() == nil {
			n.log.Info("a domain's hand-overs", "domain", domain, "err", err)
		}
	}
}

// handsOver reports whether a domain's key handed over to another by itself, over any number of
// keys between. Where the root had to, somebody else may have it, and those before.
func (n *Node) handsOver(domain pki.Domain, was, is pki.Fingerprint) bool {
	return slices.Contains(before(n.beliefs.line(domain), is), was)
}

// before are the keys from which one came to a key by hand-overs of their own.
func before(all []pki.SignedSuccession, is pki.Fingerprint) (keys []pki.Fingerprint) {
	for at := -1; at < len(keys); at++ { // keys that are found are looked at in turn
		key := is
		if at >= 0 {
			key = keys[at]
		}
		var from []pki.Fingerprint
		for _, s := range all {
			if s.Office != pki.OfficeCA || s.New() != key {
				continue
			}
			if s.By == pki.ByRoot {
				from = nil
				break
			}
			if s.Old != is && !slices.Contains(keys, s.Old) {
				from = append(from, s.Old)
			}
		}
		keys = append(keys, from...)
	}
	return keys
}
