package keyserver

import (
	"context"
	"crypto/sha256"
	"fmt"

	"filippo.io/torchwood"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Proven is what a reader trusts a log by.
type Proven struct {
	Log       keylog.Log       // of the server's own domain, from its descriptor
	Witnesses torchwood.Policy // such as keylog.Fresh of a keylog.Quorum
}

// ProvenUser is User for a name of the server's own domain, with proof that the card is in the log
// of that domain. Beside those of User, errors are [ErrNotFound], which says as well that the
// domain has logged no such card; keylog.ErrProof and keylog.ErrCheckpoint: the proof does not show
// it; keylog.ErrQuorum: too few witnesses have seen it yet.
func (c Client) ProvenUser(ctx context.Context, server Endpoint, name pki.Name, by Proven) (pki.UnvouchedCard, keylog.Inclusion, error) {
	card, in, err := c.provenCard(ctx, server, query{kind: proofOfUser, name: name}, by)
	if err == nil && card.Name() != name {
		err = fmt.Errorf("%w: the card is of %s", ErrBadAnswer, card.Name())
	}
	if err != nil {
		return pki.UnvouchedCard{}, keylog.Inclusion{}, fmt.Errorf("keyserver: looking up %s with proof: %w", name, err)
	}
	return card, in, nil
}

// ProvenUserByKey is UserByKey with proof, as ProvenUser is User.
func (c Client) ProvenUserByKey(ctx context.Context, server Endpoint, key pki.Fingerprint, by Proven) (pki.UnvouchedCard, keylog.Inclusion, error) {
	card, in, err := c.provenCard(ctx, server, query{kind: proofOfKey, fingerprint: key}, by)
	if err == nil && card.Key().Fingerprint() != key {
		err = fmt.Errorf("%w: the card is of another key", ErrBadAnswer)
	}
	if err != nil {
		return pki.UnvouchedCard{}, keylog.Inclusion{}, fmt.Errorf("keyserver: looking up %s with proof: %w", key, err)
	}
	return card, in, nil
}

func (c Client) provenCard(ctx context.Context, server Endpoint, q query, by Proven) (card pki.UnvouchedCard, in keylog.Inclusion, err error) {
	record, proof, err := c.proven(ctx, server, q, pki.MaxCardSize)
	if err != nil {
		return card, in, err
	}
	if card, err = pki.ParseCard(record); err != nil {
		return card, in, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	in, err = by.Log.Verify(proof, keylog.Claim{Kind: keylog.Card, Subject: card.Name().String(), Record: sha256.Sum256(record)}, by.Witnesses)
	return card, in, err
}

// ProvenServer is Server for the server's own domain, with proof that the key which signs the
// descriptor is in the log that it names.
func (c Client) ProvenServer(ctx context.Context, server Endpoint, domain pki.Domain, witnesses torchwood.Policy) (d pki.SignedDescriptor, in keylog.Inclusion, err error) {
	record, proof, err := c.proven(ctx, server, query{kind: proofOfServer, domain: domain}, pki.MaxDescriptorSize)
	if err == nil {
		d, err = ownDescriptor(record, domain, server.CA)
	}
	if err == nil {
		in, err = provenAuthority(d, proof, witnesses)
	}
	if err != nil {
		return pki.SignedDescriptor{}, in, fmt.Errorf("keyserver: looking up server of %s with proof: %w", domain, err)
	}
	return d, in, nil
}

func ownDescriptor(raw []byte, domain pki.Domain, pin pki.Fingerprint) (pki.SignedDescriptor, error) {
	d, err := pki.ParseDescriptor(raw)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if d.Domain != domain {
		return d, fmt.Errorf("%w: the descriptor is of %s", ErrBadAnswer, d.Domain)
	}
	return d, checkPin(pin, d.CA.Fingerprint(), domain)
}

func provenAuthority(d pki.SignedDescriptor, proof []byte, witnesses torchwood.Policy) (keylog.Inclusion, error) {
	log, ok := keylog.Of(d.Descriptor)
	if !ok {
		return keylog.Inclusion{}, fmt.Errorf("%w: the descriptor names no log", ErrBadAnswer)
	}
	claim := keylog.Claim{Kind: keylog.Authority, Subject: d.Domain.String(), Record: d.CA.Fingerprint()}
	return log.Verify(proof, claim, witnesses)
}

func (c Client) proven(ctx context.Context, server Endpoint, q query, most int) (record, proof []byte, err error) {
	ctx, s, done := c.open(ctx, server)
	defer done()
	body, err := s.get(ctx, q, int64(2+most+keylog.MaxProofSize))
	if err != nil {
		return nil, nil, err
	}
	return splitProven(body, most)
}
