package node

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// How users of other homes are let in.
const (
	// visitTime bounds finding out whether a foreign home's authority is to be believed.
	visitTime = 15 * time.Second
	// probeTime is how long a foreign home may take to show that it is there.
	probeTime = 3 * time.Second
	// silentAfter is how old the newest word of a home must be for the home to count as gone.
	silentAfter = 7 * 24 * time.Hour
	// takenFor is how long after its end a certificate of a home that is gone is taken.
	takenFor = 365 * 24 * time.Hour
	// maxServersAsked is how many peers' key servers are asked for the descriptor of a home.
	maxServersAsked = 8
)

// A foreignHome is the home of a visitor as we know it.
type foreignHome struct {
	ca         pki.CACert
	path       session.Path
	verdict    pki.Verdict
	keyServers []string  // where it would answer
	word       time.Time // its newest that we have; zero: none
}

// visit judges the login of a user of another home: is the authority that vouches for her the
// home's, by our own evidence; does it vouch for her; and does she hold the key, on this link.
func (n *Node) visit(ctx context.Context, from net.Addr, l session.Login, exported [pki.ExporterSize]byte) (pki.UserCert, onDevice, foreignHome, error) {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	key, err := n.claimed(l, exported) // before anybody is asked
	if err != nil {
		return pki.UserCert{}, onDevice{}, foreignHome{}, err
	}
	who := guest(key, from)
	home, err := n.foreignHome(ctx, l, who)
	if err != nil {
		return pki.UserCert{}, onDevice{}, home, err
	}
	known, err := n.visitorListing(ctx, who, &l, home)
	if err != nil {
		return pki.UserCert{}, onDevice{}, home, err
	}
	cert, err := n.visitorCert(ctx, who, l, home)
	return cert, known, home, err
}

// claimed is the key that a visitor's certificate is for, which she proves to hold on this link;
// nothing is verified of the certificate yet. One that says itself, or by the key that it names,
// that another domain signed it is refused.
func (n *Node) claimed(l session.Login, exported [pki.ExporterSize]byte) (pki.Fingerprint, error) {
	if err := n.misissued(l); err != nil {
		return pki.Fingerprint{}, err
	}
	name, key, _, err := pki.UserIssuer(l.Certificate)
	if err != nil {
		return pki.Fingerprint{}, session.Errorf(session.Refused, "the certificate is not good here: %v", err)
	}
	if name != l.Name || !proven(l, key, exported) {
		return pki.Fingerprint{}, session.Errorf(session.Refused, "the proof is not good on this link")
	}
	return key.Fingerprint(), nil
}

// misissued refuses a certificate that says itself, or by the key that it names, that another
// domain than that of the name signed it.
func (n *Node) misissued(l session.Login) error {
	home := l.Name.Domain()
	_, _, issuer, err := pki.UserIssuer(l.Certificate)
	if err != nil {
		if other := issuerOf(l.Certificate); other != home && !other.IsZero() {
			return mayNotSign(other, home)
		}
		return nil
	}
	if other, ok := n.directory.signer(issuer); ok && other != home {
		return mayNotSign(other, home)
	}
	return nil
}

func mayNotSign(other, home pki.Domain) error {
	return session.Errorf(session.WrongKey, "%s may not sign for %s", other, home)
}

// issuerOf is the domain that a certificate names as its issuer, by domain components (RFC 4519,
// section 2.4); none if it names none.
func issuerOf(der []byte) pki.Domain {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pki.Domain{}
	}
	component := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	var labels []string
	for _, attribute := range cert.Issuer.Names {
		if label, ok := attribute.Value.(string); ok && attribute.Type.Equal(component) {
			labels = append(labels, label)
		}
	}
	slices.Reverse(labels)
	domain, err := pki.ParseDomain(strings.Join(labels, "."))
	if err != nil {
		return pki.Domain{}
	}
	return domain
}

// signer is the domain whose authority has that key.
func (d *directory) signer(key pki.Fingerprint) (pki.Domain, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	domain, ok := d.signers[key]
	return domain, ok
}

// foreignHome finds the authority of a visitor's home: in the directory; by the home's record
// in DNS; at the key servers of our peers. The first whose key the judgement takes is it. What
// she shows herself is worth nothing but for that.
func (n *Node) foreignHome(ctx context.Context, l session.Login, who asker) (foreignHome, error) {
	domain := l.Name.Domain()
	evidence := n.evidence(ctx, domain)
	forgotten := n.cuts.forget(&evidence)
	if home, err := n.cachedHome(ctx, domain); err == nil && !forgotten && home.judged(evidence) {
		return home, nil
	}
	leave, err := n.visits.enter(ctx, who, domain)
	if err != nil {
		return foreignHome{}, session.Errorf(session.Unavailable, "too many users of %s are coming to %s; try again", domain, n.cfg.Domain)
	}
	defer leave()
	if home, err := n.announcedHome(ctx, domain, l.Authority, &evidence); err == nil && home.judged(evidence) {
		return home, nil
	}
	for _, home := range n.heldHomes(ctx, domain) {
		if home.judged(evidence) {
			return home, nil
		}
	}
	return foreignHome{}, n.unknownHome(domain, pki.Judge(evidence, time.Now()))
}

// judged tells whether the evidence is for the authority in h, and keeps the verdict.
func (h *foreignHome) judged(e pki.Evidence) bool {
	h.verdict = pki.Judge(e, time.Now())
	return h.verdict.Login && h.verdict.Key == h.ca.Fingerprint()
}

// unknownHome says why nobody of domain is let in.
func (n *Node) unknownHome(domain pki.Domain, v pki.Verdict) error {
	switch {
	case v.Login: // the key is known, and nobody has the certificate
		return session.Errorf(session.Unavailable, "%s finds nobody who shows the key of %s that it knows", n.cfg.Domain, domain)
	case v.Row == pki.RowNone, v.Row == pki.RowProvisional:
		return session.Errorf(session.Unavailable, "nobody whom %s knows vouches for %s", n.cfg.Domain, domain)
	}
	return session.Errorf(session.WrongKey, "%s does not believe the key of %s: %s", n.cfg.Domain, domain, v.Reason())
}

// cachedHome is a home as it stands in the directory.
func (n *Node) cachedHome(ctx context.Context, domain pki.Domain) (foreignHome, error) {
	d, err := n.directory.descriptor(ctx, domain)
	return described(d, session.PathCache), err
}

func described(d pki.SignedDescriptor, path session.Path) foreignHome {
	return foreignHome{ca: d.CA, path: path, keyServers: d.KeyServers, word: d.Issued}
}

// announcedHome is a home as DNS has it: its record names the key of the authority that the
// visitor shows, or of that which the home's own key server serves. What DNS says is evidence.
func (n *Node) announcedHome(ctx context.Context, domain pki.Domain, shown []byte, e *pki.Evidence) (foreignHome, error) {
	record, err := n.resolver.Lookup(ctx, domain)
	if err != nil {
		return foreignHome{}, err
	}
	if e.DNS.Key = record.Fingerprint; againstDNS(*e) {
		e.Quorum = enoughPeers
	}
	ca, err := pki.ParseCACert(shown)
	if err == nil && ca.Domain() == domain && ca.Fingerprint() == record.Fingerprint {
		return foreignHome{ca: ca, path: session.PathDNS, keyServers: record.KeyServers}, nil
	}
	d, err := n.descriptorAt(ctx, domain, record.KeyServers, record.Fingerprint)
	return described(d, session.PathDNS), err
}

// heldHomes are a home as the key servers of some peers have it, no key twice.
func (n *Node) heldHomes(ctx context.Context, domain pki.Domain) (homes []foreignHome) {
	asked := 0
	found := make(chan foreignHome, maxServersAsked)
	for peer := range n.peers.known() { // in no order, so not always the same ones are asked
		if asked == maxServersAsked {
			break
		}
		at, err := n.directory.descriptor(ctx, peer)
		if err != nil || peer == domain {
			continue
		}
		asked++
		go func() { // has an end: each look-up has, and there is room for what it finds
			d, err := n.descriptorAt(ctx, domain, at.KeyServers, at.CA.Fingerprint())
			if err != nil {
				d = pki.SignedDescriptor{}
			}
			found <- described(d, session.PathKeyServer)
		}()
	}
	seen := make(map[pki.Fingerprint]bool)
	for range asked {
		home := <-found
		if key := home.ca.Fingerprint(); len(home.ca.DER()) > 0 && !seen[key] {
			seen[key], homes = true, append(homes, home)
		}
	}
	return homes
}

// descriptorAt asks key servers, whose authority has that key, for the descriptor of a domain.
func (n *Node) descriptorAt(ctx context.Context, domain pki.Domain, addresses []string, key pki.Fingerprint) (pki.SignedDescriptor, error) {
	failed := error(store.ErrNotFound)
	for _, address := range addresses {
		d, err := n.client.Server(ctx, keyserver.Endpoint{Address: address, CA: key}, domain)
		if err == nil {
			return d, nil
		}
		failed = err
	}
	return pki.SignedDescriptor{}, failed
}

// visitorCert verifies a visitor's certificate under her home's authority. One that has run out
// is taken for another year if the home is gone, since nobody can renew it then.
func (n *Node) visitorCert(ctx context.Context, who asker, l session.Login, home foreignHome) (pki.UserCert, error) {
	now := time.Now()
	issuers := n.issuers(ctx, home.ca)
	cert, err := issuers.verifyUser(l.Certificate, now)
	if end := endOf(l.Certificate); errors.Is(err, pki.ErrTime) && end.Before(now) && now.Before(end.Add(takenFor)) && n.gone(ctx, who, home, now) {
		cert, err = issuers.verifyUser(l.Certificate, end)
	}
	switch {
	case errors.Is(err, pki.ErrTime):
		return pki.UserCert{}, session.Errorf(session.Refused, "the certificate is not good here: %v", err)
	case err != nil:
		return pki.UserCert{}, session.Errorf(session.WrongKey, "%s did not sign this certificate: %v", home.ca.Domain(), err)
	}
	return cert, n.unrevoked(cert)
}

// visitorCard is visitorCert of the card that a device shows: it is taken for as long as the
// certificate in it, if the home is gone.
func (n *Node) visitorCard(ctx context.Context, who asker, raw []byte, home foreignHome) (pki.SignedCard, error) {
	now := time.Now()
	issuers := n.issuers(ctx, home.ca)
	card, err := issuers.verifyCard(raw, now)
	if !errors.Is(err, pki.ErrTime) {
		return card, err
	}
	last, until := lastOf(raw)
	if last.Before(now) && now.Before(until) && n.gone(ctx, who, home, now) {
		return issuers.verifyCard(raw, last)
	}
	return card, err
}

// lastOf is the last second of a card and its certificate, and until when the latter is taken for good
// where the home is gone; whoever signed it.
func lastOf(raw []byte) (last, until time.Time) {
	shown, err := pki.ParseCard(raw)
	if err != nil {
		return last, until
	}
	card, err := shown.Own(shown.Key())
	if err != nil {
		return last, until
	}
	end := endOf(shown.Certificate())
	if last = card.Expires.Add(-time.Second); end.Before(last) {
		last = end
	}
	return last, end.Add(takenFor)
}

// endOf is when a certificate ends, whoever signed it.
func endOf(der []byte) time.Time {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return time.Time{}
	}
	return cert.NotAfter
}

// gone tells whether a home is gone for good: it does not answer, and has said nothing for long.
// Of one whose last word is not known nobody can tell.
func (n *Node) gone(ctx context.Context, who asker, home foreignHome, now time.Time) bool {
	if home.word.IsZero() || now.Sub(home.word) <= silentAfter {
		return false
	}
	leave, err := n.visits.enter(ctx, who, home.ca.Domain())
	if err != nil {
		return false
	}
	defer leave()
	return !n.answers(ctx, home)
}

// answers tells whether a home is there now.
func (n *Node) answers(ctx context.Context, home foreignHome) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err := n.descriptorAt(ctx, home.ca.Domain(), home.keyServers, home.ca.Fingerprint())
	return err == nil
}

// view is what we tell a visitor of her home.
func (n *Node) view(ctx context.Context, who asker, user pki.UserCert, home foreignHome) session.HomeView {
	v := session.HomeView{
		Domain: home.ca.Domain(), Path: home.path, Confirmed: home.verdict.For[:min(len(home.verdict.For), session.MaxConfirmed)],
		Gone: user.NotAfter().Before(time.Now()),
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	if leave, err := n.lookups.enter(ctx, who, v.Domain); err == nil {
		defer leave()
		v.Online = n.answers(ctx, home)
	}
	return v
}

// publishVisitor keeps a visitor's card as a copy at our key server, so that it is found while
// her home is not there. It names us among her spools.
func (n *Node) publishVisitor(ctx context.Context, home pki.CACert, user pki.UserCert, raw []byte) error {
	card, err := n.issuers(ctx, home).verifyCard(raw, time.Now())
	switch {
	case err != nil:
		return session.Errorf(session.BadRequest, "the card is not good: %v", err)
	case card.Certificate.Name() != user.Name() || card.Certificate.Key() != user.Key():
		return session.Errorf(session.Refused, "the card is somebody else's")
	case !slices.Contains(card.Spools, n.cfg.Domain):
		return session.Errorf(session.Refused, "the card does not name %s", n.cfg.Domain)
	}
	err = n.keepCopy(ctx, card)
	switch {
	case errors.Is(err, store.ErrOldSerial):
		return session.Errorf(session.Refused, "a newer card of yours is published already")
	case err != nil:
		return fmt.Errorf("node: keeping a visitor's card: %w", err)
	}
	return n.noteDevices(ctx, card)
}

// keepCopy keeps the card of a user of another home at our key server.
func (n *Node) keepCopy(ctx context.Context, card pki.SignedCard) error {
	cert := card.Certificate
	return n.store.PutCachedUser(ctx, store.User{
		Name: cert.Name().String(), Fingerprint: cert.Key().Fingerprint(), Certificate: cert.DER(),
		Card: card.Raw(), Serial: card.Serial, NotAfter: cert.NotAfter(), StoredAt: time.Now(),
	})
}
