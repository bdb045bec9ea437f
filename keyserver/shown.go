package keyserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// ErrContradicted says that a record is not what the key that is trusted has signed.
var ErrContradicted = errors.New("keyserver: the record contradicts the key that is trusted")

// Subject is what is asked for with proof: one field is set.
type Subject struct {
	Name   pki.Name        // a user
	Key    pki.Fingerprint // the user with that identity key
	Domain pki.Domain      // a domain
}

func (s Subject) query() query {
	switch {
	case !s.Name.IsZero():
		return query{kind: proofOfUser, name: s.Name}
	case !s.Key.IsZero():
		return query{kind: proofOfKey, fingerprint: s.Key}
	}
	return query{kind: proofOfServer, domain: s.Domain}
}

// Trusted is what an outsider has beforehand: fingerprints of CA keys, and nothing of the log's.
type Trusted struct {
	CA        pki.Fingerprint // of the domain whose record it is
	Witnesses []TrustedWitness
	Quorum    int // how many of them are to have cosigned of late
}

// TrustedWitness is a domain whose cosignatures count.
type TrustedWitness struct {
	Domain pki.Domain
	CA     pki.Fingerprint
}

// Shown is all that is needed to verify a record without any server.
type Shown struct {
	Record      []byte                 // card or descriptor, at most pki.MaxCardSize or pki.MaxDescriptorSize
	Proof       []byte                 // at most keylog.MaxProofSize
	Descriptors []pki.SignedDescriptor // of the domain, and of witnesses
	Successions []pki.SignedSuccession // from keys that are trusted, and from the one that certified a card, to those in office
}

// Witnessed is what became of one witness.
type Witnessed struct {
	Domain pki.Domain `json:"domain"`
	Time   time.Time  `json:"time,omitzero"` // when it cosigned; zero: it has not, or its key is not known
	Counts bool       `json:"counts"`        // it has, of late (keylog.Freshness)
}

// Logged is where a record is in the key log of its domain, verified.
type Logged struct {
	Subject     string          `json:"subject"`
	Fingerprint pki.Fingerprint `json:"fingerprint"`
	Expires     time.Time       `json:"expires"`
	Log         string          `json:"log"`   // its origin
	Index       int64           `json:"index"` // of the entry, from 0
	Size        int64           `json:"size"`  // entries under the checkpoint
	Root        string          `json:"root"`  // of their tree, base64
	Time        time.Time       `json:"time"`  // of the entry, as the domain says
	Witnesses   []Witnessed     `json:"witnesses"`
	Quorum      int             `json:"quorum"`
	Handed      []HandOver      `json:"handed,omitempty"` // from a key that is trusted, or that certified the card, to the one in office
}

// Cosigned is how many witnesses count.
func (l Logged) Cosigned() (n int) {
	for _, w := range l.Witnesses {
		if w.Counts {
			n++
		}
	}
	return n
}

// Proof fetches a record of the server's own domain, and its proof. Nothing of them is verified.
func (c Client) Proof(ctx context.Context, server Endpoint, of Subject) (record, proof []byte, err error) {
	record, proof, err = c.proven(ctx, server, of.query(), max(pki.MaxCardSize, pki.MaxDescriptorSize))
	if err != nil {
		return nil, nil, fmt.Errorf("keyserver: looking up with proof: %w", err)
	}
	return record, proof, nil
}

// Show fetches from one server what [Shown.Verify] needs. The descriptors of witnesses, too, it has
// from there: whose they are the fingerprints say. A witness that is not known there is left out.
// Where a key is another than the one that is trusted, it fetches the way from that one, too; if
// there is none, the error is [ErrWrongKey] with a *pki.KeyChangedError.
func (c Client) Show(ctx context.Context, server Endpoint, of Subject, by Trusted) (s Shown, err error) {
	s.Record, s.Proof, err = c.Proof(ctx, server, of)
	if errors.Is(err, ErrWrongKey) {
		if server, s.Successions, err = c.Heir(ctx, server, err); err == nil {
			s.Record, s.Proof, err = c.Proof(ctx, server, of)
		}
	}
	if err != nil {
		return s, err
	}
	domain, err := s.home(of)
	if err != nil {
		return s, err
	}
	home, err := c.shownBy(ctx, server, domain, by.CA, &s)
	if err != nil {
		return s, err
	}
	if card, bad := pki.ParseCard(s.Record); bad == nil { // else it is a descriptor
		if err := c.showWay(ctx, server, domain, card.Issuer(), home, &s); err != nil {
			return s, wrongKey(home, card.Issuer(), domain, err)
		}
	}
	for _, w := range by.Witnesses {
		if _, err := c.shownBy(ctx, server, w.Domain, w.CA, &s); err != nil && !errors.Is(err, ErrNotFound) {
			return s, err
		}
	}
	return s, nil
}

// shownBy adds the descriptor of a domain, and the way from the key of it that is trusted.
func (c Client) shownBy(ctx context.Context, server Endpoint, domain pki.Domain, trusted pki.Fingerprint, s *Shown) (is pki.Fingerprint, err error) {
	d, err := c.Server(ctx, server, domain)
	if err != nil {
		return is, err
	}
	s.Descriptors, is = append(s.Descriptors, d), d.CA.Fingerprint()
	if err := c.showWay(ctx, server, domain, trusted, is, s); err != nil {
		return is, wrongKey(trusted, is, domain, err)
	}
	return is, nil
}

// wrongKey is [ErrWrongKey], with why the way from one to the other does not hold.
func wrongKey(pinned, shown pki.Fingerprint, domain pki.Domain, why error) error {
	return fmt.Errorf("%w: %w", checkPin(pinned, shown, domain), why)
}

// showWay adds the way from one key to another, if it is not there.
func (c Client) showWay(ctx context.Context, server Endpoint, domain pki.Domain, was, is pki.Fingerprint, s *Shown) error {
	if _, err := pki.HandedOver(s.Successions, domain, was, is); err == nil {
		return nil
	}
	way, err := c.Way(ctx, server, domain, was, is)
	s.Successions = append(s.Successions, way...)
	return err
}

// home is the domain whose record it says it is.
func (s Shown) home(of Subject) (pki.Domain, error) {
	if !of.Domain.IsZero() {
		return of.Domain, nil
	}
	card, err := pki.ParseCard(s.Record)
	if err != nil {
		return pki.Domain{}, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	return card.Name().Domain(), nil
}

// Verify says where a record is in the log of its domain and who has seen it there, at now. Errors
// are [ErrBadAnswer]: malformed, of another subject, or a descriptor is missing; [ErrContradicted],
// a *pki.KeyChangedError, keylog.ErrProof and keylog.ErrCheckpoint: what is shown does not hold;
// keylog.ErrQuorum: too few witnesses count, and all else is verified and returned.
func (s Shown) Verify(of Subject, by Trusted, now time.Time) (l Logged, err error) {
	domain, err := s.home(of)
	if err != nil {
		return Logged{}, err
	}
	home, err := s.descriptor(domain, by.CA, now)
	if err != nil {
		return Logged{}, err
	}
	l, claim, err := s.judge(of, home, now)
	if err != nil {
		return Logged{}, err
	}
	if way, _ := pki.HandedOver(s.Successions, domain, by.CA, home.CA.Fingerprint()); len(way) > len(l.Handed) { // descriptor has judged it
		l.Handed = HandOvers(way)
	}
	log, ok := keylog.Of(home.Descriptor)
	if !ok {
		return Logged{}, fmt.Errorf("%w: the descriptor names no log", ErrBadAnswer)
	}
	known, err := s.witnesses(by, domain, now)
	if err != nil {
		return Logged{}, err
	}
	if l, err = l.in(log, claim, s.Proof, known, now); err != nil {
		return Logged{}, err
	}
	l.Quorum, l.Witnesses = by.Quorum, l.of(by)
	if l.Cosigned() < by.Quorum {
		err = fmt.Errorf("%w: %d of those who are trusted, and %d are wanted", keylog.ErrQuorum, l.Cosigned(), by.Quorum)
	}
	return l, err
}

// Place says where a card is in the log that the descriptor of its home names, and which of some
// witnesses have cosigned that. That the card is her home's the caller has verified. Quorum is 0: how
// many are enough is the caller's to say. Errors are [ErrBadAnswer]: the descriptor names no log;
// keylog.ErrProof and keylog.ErrCheckpoint: what is shown does not hold.
func Place(home pki.Descriptor, card pki.SignedCard, proof []byte, witnesses []keylog.Witness, now time.Time) (Logged, error) {
	log, ok := keylog.Of(home)
	name := card.Certificate.Name()
	if !ok || home.Domain != name.Domain() {
		return Logged{}, fmt.Errorf("%w: the descriptor names no log of the card's home", ErrBadAnswer)
	}
	l := Logged{Subject: name.String(), Fingerprint: card.Certificate.Key().Fingerprint(), Expires: card.Certificate.NotAfter()}
	claim := keylog.Claim{Kind: keylog.Card, Subject: l.Subject, Record: sha256.Sum256(card.Raw())}
	return l.in(log, claim, proof, witnesses, now)
}

// in says what a proof shows of a claim, and which witnesses have cosigned.
func (l Logged) in(log keylog.Log, claim keylog.Claim, proof []byte, witnesses []keylog.Witness, now time.Time) (Logged, error) {
	all, err := keylog.Quorum(0, witnesses)
	if err != nil {
		return Logged{}, err
	}
	in, err := log.Verify(proof, claim, all)
	if err != nil {
		return Logged{}, err
	}
	l.Log, l.Index, l.Size, l.Root, l.Time = in.Head.Origin, in.Index, in.Head.N, in.Head.Hash.String(), in.Leaf.Time
	l.Witnesses = make([]Witnessed, len(witnesses))
	for i, w := range witnesses {
		l.Witnesses[i] = witnessed(w, in.Head, now)
	}
	return l, nil
}

// of are those who are trusted, whether their keys are known or not.
func (l Logged) of(by Trusted) []Witnessed {
	all := make([]Witnessed, len(by.Witnesses))
	for i, w := range by.Witnesses {
		all[i].Domain = w.Domain
		for _, known := range l.Witnesses {
			if known.Domain == w.Domain {
				all[i] = known
			}
		}
	}
	return all
}

// judge verifies the record itself, under the descriptor of its domain.
func (s Shown) judge(of Subject, home pki.SignedDescriptor, now time.Time) (Logged, keylog.Claim, error) {
	if !of.Domain.IsZero() {
		d, err := ownDescriptor(s.Record, of.Domain, home.CA.Fingerprint())
		fp := home.CA.Fingerprint()
		return Logged{Subject: of.Domain.String(), Fingerprint: fp, Expires: d.Expires},
			keylog.Claim{Kind: keylog.Authority, Subject: of.Domain.String(), Record: fp}, err
	}
	card, err := pki.ParseCard(s.Record)
	if err != nil {
		return Logged{}, keylog.Claim{}, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if name, key := card.Name(), card.Key().Fingerprint(); name != of.Name && key != of.Key {
		return Logged{}, keylog.Claim{}, fmt.Errorf("%w: the card is of %s", ErrBadAnswer, name)
	}
	way, err := pki.HandedOver(s.Successions, home.Domain, card.Issuer(), home.CA.Fingerprint())
	if err != nil {
		return Logged{}, keylog.Claim{}, wrongKey(home.CA.Fingerprint(), card.Issuer(), home.Domain, err)
	}
	verify := home.CA.VerifyCard
	if len(way) > 0 {
		verify = way[0].VerifyCard
	}
	signed, err := verify(s.Record, now)
	if err != nil && !errors.Is(err, pki.ErrTime) {
		err = fmt.Errorf("%w: %w", ErrContradicted, err)
	}
	if err != nil {
		return Logged{}, keylog.Claim{}, err
	}
	name := card.Name().String()
	return Logged{Subject: name, Fingerprint: card.Key().Fingerprint(), Expires: signed.Certificate.NotAfter(), Handed: HandOvers(way)},
		keylog.Claim{Kind: keylog.Card, Subject: name, Record: sha256.Sum256(s.Record)}, nil
}

// descriptor is the one of a domain, under the fingerprint that is trusted, or one to which that handed over.
func (s Shown) descriptor(domain pki.Domain, ca pki.Fingerprint, now time.Time) (pki.SignedDescriptor, error) {
	for _, d := range s.Descriptors {
		if d.Domain != domain {
			continue
		}
		if _, err := pki.HandedOver(s.Successions, domain, ca, d.CA.Fingerprint()); err != nil {
			return d, wrongKey(ca, d.CA.Fingerprint(), domain, err)
		}
		return d, d.CheckTime(now)
	}
	return pki.SignedDescriptor{}, fmt.Errorf("%w: the descriptor of %s is missing", ErrBadAnswer, domain)
}

// witnesses are those that are trusted and whose keys are known. No domain is its own.
func (s Shown) witnesses(by Trusted, home pki.Domain, now time.Time) (known []keylog.Witness, err error) {
	for _, w := range by.Witnesses {
		d, err := s.descriptor(w.Domain, w.CA, now)
		switch {
		case errors.Is(err, ErrWrongKey):
			return nil, err
		case err == nil && d.HasLog() && w.Domain != home:
			known = append(known, keylog.Witness{Domain: w.Domain, Key: d.Witness})
		}
	}
	return known, nil
}

// witnessed says whether and when a witness has cosigned.
func witnessed(by keylog.Witness, head keylog.Head, now time.Time) Witnessed {
	policy, err := keylog.Quorum(1, []keylog.Witness{by})
	counts := err == nil && keylog.Fresh(policy, now).Check(head.Origin, head.Sigs) == nil
	return Witnessed{Domain: by.Domain, Time: cosignedAt(head, by), Counts: counts}
}

func cosignedAt(head keylog.Head, by keylog.Witness) (at time.Time) {
	v, err := keylog.WitnessVerifier(by.Domain, by.Key)
	if err != nil {
		return at
	}
	for _, sig := range head.Sigs {
		if sig.Name == v.Name() && sig.Hash == v.KeyHash() {
			at, _ = keylog.CosignedAt(sig)
		}
	}
	return at
}
