package keyserver

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// ProvenRevocation looks up the revocation that ends what ends names (pki.Revocation.Ends), with
// proof that it is in the log of the server's domain: that of the name in it, or of a domain that took it
// in while that was not there. Whether it holds the caller judges. Errors are those of ProvenUser.
func (c Client) ProvenRevocation(ctx context.Context, server Endpoint, ends [32]byte, by Proven) (r pki.Revocation, in keylog.Inclusion, err error) {
	raw, proof, err := c.proven(ctx, server, query{kind: proofOfRevocation, fingerprint: ends}, pki.MaxRevocationSize)
	if err == nil {
		r, err = pki.ParseRevocation(raw)
	}
	if err == nil && r.Ends() != ends {
		err = fmt.Errorf("%w: it ends something else", ErrBadAnswer)
	}
	if err == nil {
		in, err = by.said(keylog.Revocation, r.Name(), raw, proof)
	}
	if err != nil {
		return pki.Revocation{}, keylog.Inclusion{}, fmt.Errorf("keyserver: looking up a revocation with proof: %w", err)
	}
	return r, in, nil
}

// ProvenChallenge is ProvenRevocation for a challenge (pki.Challenge.Says).
func (c Client) ProvenChallenge(ctx context.Context, server Endpoint, says [32]byte, by Proven) (o pki.Challenge, in keylog.Inclusion, err error) {
	raw, proof, err := c.proven(ctx, server, query{kind: proofOfChallenge, fingerprint: says}, pki.MaxChallengeSize)
	if err == nil {
		o, err = pki.ParseChallenge(raw)
	}
	if err == nil && o.Says() != says {
		err = fmt.Errorf("%w: it is another's", ErrBadAnswer)
	}
	if err == nil {
		in, err = by.said(keylog.Challenge, o.Name(), raw, proof)
	}
	if err != nil {
		return pki.Challenge{}, keylog.Inclusion{}, fmt.Errorf("keyserver: looking up a challenge with proof: %w", err)
	}
	return o, in, nil
}

func (by Proven) said(kind keylog.Kind, name pki.Name, raw, proof []byte) (keylog.Inclusion, error) {
	return by.Log.Verify(proof, keylog.Claim{Kind: kind, Subject: name.String(), Record: sha256.Sum256(raw)}, by.Witnesses)
}
