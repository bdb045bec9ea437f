package node

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// How early a Doctor speaks up before something runs out that does not renew itself, or
// should have renewed itself by then.
const (
	authorityWarning = 180 * 24 * time.Hour
	linkWarning      = pki.LinkLifetime/3 - 24*time.Hour
	crossWarning     = 30 * 24 * time.Hour
	descriptorLate   = pki.DescriptorLifetime/2 + time.Hour
)

func (e *examination) openStore(ctx context.Context) {
	path := e.path(databaseFile)
	opened, err := store.OpenReader(ctx, path)
	switch {
	case err == nil:
		e.store = opened
	case errors.Is(err, fs.ErrNotExist):
		if e.serves {
			e.wrong("database", e.restart(), "%s is missing while the node serves", path)
		}
	case errors.Is(err, store.ErrOlder):
		e.unknown("database", e.restart(), "%s was written by an older version of p3dod", path)
	case errors.Is(err, store.ErrNewer):
		e.unknown("database", "run the newer p3dod", "%s was written by a newer version of p3dod", path)
	default:
		e.wrong("database", e.salvage(), "%v", err)
	}
}

func (e *examination) salvage() string {
	path := e.path(databaseFile)
	return fmt.Sprintf("sqlite3 %s .recover | sqlite3 %s.mended   (with the node stopped; then put the new file in its place)", path, path)
}

// database: SQLite finds no damage.
func (e *examination) database(ctx context.Context) {
	faults, err := e.store.Check(ctx)
	if err != nil {
		faults = append(faults, err.Error())
	}
	for _, fault := range faults {
		e.wrong("database", e.salvage(), "%s is damaged: %s", e.path(databaseFile), fault)
	}
}

// ring: the key server and the key ring hold the same keys (row K5).
func (e *examination) ring(ctx context.Context) {
	diff, err := e.store.CompareRing(ctx)
	if err != nil {
		e.unknown("ring", e.command("doctor"), "%v", err)
		return
	}
	if diff.Same() {
		return
	}
	if !e.Repair || e.authority == nil {
		e.differences(diff, Wrong, e.command("doctor --repair"), "")
		return
	}
	left, err := e.restore(ctx)
	if err != nil {
		e.differences(diff, Wrong, e.command("doctor --repair"), "")
		e.unknown("ring", e.command("doctor --repair"), "%v", err)
		return
	}
	e.differences(store.RingDiff{
		OnlyRing: without(diff.OnlyRing, left.OnlyRing), OnlyServer: without(diff.OnlyServer, left.OnlyServer),
	}, Mended, "", "")
	e.differences(left, Wrong, "sqlite3 "+e.path(databaseFile)+"   (somebody has written into ring, users, servers or certificates by hand)",
		", and this domain did not sign it")
}

// restore opens the database as the node does; both may write, one after the other.
func (e *examination) restore(ctx context.Context) (left store.RingDiff, err error) {
	s, err := store.Open(ctx, e.path(databaseFile))
	if err != nil {
		return left, err
	}
	peers, err := s.Peers(ctx)
	if err == nil {
		left, err = s.Restore(ctx, func(k store.SignedKey) bool { return e.signed(k, peers) })
	}
	return left, errors.Join(err, s.Close())
}

// signed reports whether our authority signed a record. That it has run out is no matter.
// Of countersignatures, whose signer is secret, those are ours that the table of peers has.
func (e *examination) signed(k store.SignedKey, peers []store.Peer) bool {
	ca, at := e.authority.CA(), e.now
	if k.NotAfter.Before(at) {
		at = k.NotAfter
	}
	switch k.Kind {
	case store.KeyUser:
		cert, err := ca.VerifyUser(k.Raw, at)
		return err == nil && cert.Name().String() == k.Subject && cert.Key().Fingerprint() == k.Fingerprint && e.signedCard(k, at)
	case store.KeyLink:
		leaf, err := x509.ParseCertificate(k.Raw)
		return err == nil && ca.VerifyLink(leaf, at) == nil
	case store.KeyDescriptor:
		d, err := pki.ParseDescriptor(k.Raw)
		return err == nil && d.CA.Fingerprint() == ca.Fingerprint() && d.Domain.String() == k.Subject
	default:
		return slices.ContainsFunc(peers, func(p store.Peer) bool { return p.Domain == k.Subject && bytes.Equal(p.Given, k.Raw) })
	}
}

// signedCard reports whether the card of a user, if she has one, is hers and ours.
func (e *examination) signedCard(k store.SignedKey, at time.Time) bool {
	if len(k.Card) == 0 {
		return true
	}
	card, err := pki.ParseCard(k.Card)
	if err != nil || card.Name().String() != k.Subject || card.Key().Fingerprint() != k.Fingerprint {
		return false
	}
	_, err = e.authority.CA().VerifyCard(k.Card, at)
	return err == nil || errors.Is(err, pki.ErrTime) // a card ends on a day of its own
}

// without returns the refs that are not in others.
func without(refs, others []store.KeyRef) []store.KeyRef {
	return slices.DeleteFunc(slices.Clone(refs), func(r store.KeyRef) bool { return slices.Contains(others, r) })
}

// differences reports where ring and key server differ, what both have in other bytes once.
func (e *examination) differences(diff store.RingDiff, state State, hint, more string) {
	for _, ref := range diff.OnlyRing {
		if slices.Contains(diff.OnlyServer, ref) {
			e.add("ring", state, hint, "key ring and key server disagree about "+refText(ref)+more)
		} else {
			e.add("ring", state, hint, "the key server lacks "+refText(ref)+", which is in the key ring"+more)
		}
	}
	for _, ref := range without(diff.OnlyServer, diff.OnlyRing) {
		e.add("ring", state, hint, "the key ring lacks "+refText(ref)+", which is on the key server"+more)
	}
}

func refText(ref store.KeyRef) string {
	what := map[store.KeyKind]string{
		store.KeyUser: "the key of", store.KeyLink: "a link certificate of",
		store.KeyCross: "the countersignature for", store.KeyDescriptor: "the descriptor of",
	}[ref.Kind]
	return fmt.Sprintf("%s %s", what, subjectText(ref.Subject))
}

// subjectText is a name or domain as it is, and anything else, which somebody has written
// by hand, in quotes.
func subjectText(subject string) string {
	_, notName := pki.ParseName(subject)
	_, notDomain := pki.ParseDomain(subject)
	if notName != nil && notDomain != nil {
		return fmt.Sprintf("%q", subject)
	}
	return subject
}

// records reads the descriptors, our own and those of others.
func (e *examination) records(ctx context.Context) {
	rows, err := e.store.Servers(ctx)
	if err != nil {
		e.unknown("database", e.command("doctor"), "%v", err)
		return
	}
	for _, row := range rows {
		d, err := pki.ParseDescriptor(row.Descriptor)
		switch {
		case err != nil:
			e.wrong("database", e.salvage(), "the descriptor of %s: %v", subjectText(row.Domain), err)
		case e.authority != nil && d.Domain == e.authority.Domain():
			e.own = &d
		default:
			e.others = append(e.others, d)
		}
	}
}

// validity: what the domain has signed lasts for a while, or renews itself as it should.
func (e *examination) validity(ctx context.Context) {
	if e.authority == nil {
		return
	}
	if left := e.authority.CA().NotAfter().Sub(e.now); left < authorityWarning {
		e.wrong("validity", e.command("rotate --key ca"),
			"the domain's own certificate ends in %d days", int(left.Hours()/24))
	}
	if !e.serves || e.store == nil { // serve begins by renewing the rest
		return
	}
	if e.own == nil {
		e.wrong("validity", e.restart(), "the node serves, and has no descriptor")
	} else if e.now.After(e.own.Issued.Add(descriptorLate)) {
		e.wrong("validity", e.restart(), "our descriptor ends on %s, and was not renewed half-way", e.own.Expires.Format(time.DateOnly))
	}
	cert, err := e.store.CertificateByFingerprint(ctx, e.link.Public().Fingerprint())
	switch {
	case errors.Is(err, store.ErrNotFound):
		e.wrong("validity", e.restart(), "there is no certificate for the link key")
	case err != nil:
		e.unknown("validity", e.command("doctor"), "%v", err)
	case cert.NotAfter.Sub(e.now) < linkWarning:
		e.wrong("validity", e.restart(), "the link certificate ends on %s, and was not renewed", cert.NotAfter.UTC().Format(time.DateOnly))
	}
}

// peers: each federation is mutual, and lasts (row K3).
func (e *examination) peers(ctx context.Context) {
	rows, err := e.store.Peers(ctx)
	if err != nil {
		e.unknown("peers", e.command("peer list"), "%v", err)
		return
	}
	for _, row := range rows {
		e.peer(row)
	}
}

func (e *examination) peer(row store.Peer) {
	theirs := fmt.Sprintf("p3dod peer add %s   (for the operator of %s to run)", e.domain(), subjectText(row.Domain))
	received, err := pki.ParseCrossCert(row.Received)
	switch {
	case len(row.Received) == 0:
		e.wrong("peers", theirs, "%s has not countersigned this domain: the federation is one-sided", subjectText(row.Domain))
	case err != nil:
		e.wrong("peers", theirs, "the countersignature by %s: %v", subjectText(row.Domain), err)
	case e.authority != nil && received.Fingerprint() != e.authority.CA().Fingerprint():
		e.wrong("peers", theirs, "%s has countersigned another key than ours", subjectText(row.Domain))
	case received.NotAfter().Before(e.now):
		e.wrong("peers", theirs, "the countersignature by %s ended on %s", subjectText(row.Domain), received.NotAfter().Format(time.DateOnly))
	}
	ours := e.command("peer add " + subjectText(row.Domain))
	given, err := pki.ParseCrossCert(row.Given)
	switch {
	case err != nil:
		e.wrong("peers", ours, "our countersignature for %s: %v", subjectText(row.Domain), err)
	case e.serves && given.NotAfter().Sub(e.now) < crossWarning: // else serve renews it
		e.wrong("peers", ours, "our countersignature for %s ends on %s, and was not renewed", subjectText(row.Domain), given.NotAfter().Format(time.DateOnly))
	}
}

// domain is the node's, as far as it is known.
func (e *examination) domain() string {
	switch {
	case e.authority != nil:
		return e.authority.Domain().String()
	case e.cfg != nil:
		return e.cfg.Domain.String()
	default:
		return "DOMAIN"
	}
}
