package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// A Key is what a key server says of a user or of a domain, verified.
type Key struct {
	Subject     string          `json:"subject"`
	Fingerprint pki.Fingerprint `json:"fingerprint"`
	Signer      pki.Domain      `json:"signer"`
	Expires     time.Time       `json:"expires"`
	Server      pki.Domain      `json:"server"` // whose key server said so
	Raw         []byte          `json:"raw"`    // the signed card or descriptor

	Logged *keyserver.Logged `json:"logged,omitempty"` // where it is in the key log; nil: the server has shown no proof
	Copy   *CopyOf           `json:"copy,omitempty"`   // nil: the home itself said so

	// Handed is how the domain came to the key in office from the one that DNS tells still, or from
	// the one that certified the card.
	Handed []keyserver.HandOver `json:"handed,omitempty"`
}

// A Getter looks keys up as an operator, without a node that serves.
type Getter struct {
	resolver dnstxt.Resolver
	client   keyserver.Client
}

// NewGetter returns a Getter that asks as [NewResolver] says.
func NewGetter(dir, dns string, door dial.Func) (Getter, error) {
	resolver, err := NewResolver(dir, dns, door)
	if err != nil {
		return Getter{}, err
	}
	return Getter{resolver, keyserver.Client{Dial: door}}, nil
}

// User gets a user's card from the key server of at, which need not be her home: any copy
// will do, since it is verified under the home's key, whose fingerprint DNS carries.
func (g Getter) User(ctx context.Context, name pki.Name, at pki.Domain) (Key, error) {
	descriptor, way, err := g.descriptor(ctx, name.Domain(), at)
	if err != nil {
		return Key{}, err
	}
	var card pki.SignedCard
	var before []pki.SignedSuccession
	err = g.each(ctx, at, func(e keyserver.Endpoint) error {
		unvouched, err := g.client.User(ctx, e, name)
		if err == nil || errors.Is(err, keyserver.ErrWrongKey) && unvouched.Name() == name { // by a former authority
			card, before, err = g.vouched(ctx, e, unvouched, descriptor)
		}
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("node: %s at %s: %w", name, at, err)
	}
	key := Key{
		Subject: name.String(), Fingerprint: card.Certificate.Key().Fingerprint(), Signer: name.Domain(),
		Expires: card.Certificate.NotAfter(), Server: at, Raw: card.Raw(), Handed: keyserver.HandOvers(longer(way, before)),
	}
	key.Logged, err = g.logged(ctx, keyserver.Subject{Name: name}, key, descriptor, before)
	key.Copy = g.copied(ctx, key, name.Domain())
	return key, err
}

// vouched is a card that the authority in office certified, or one that handed over to it.
func (g Getter) vouched(ctx context.Context, e keyserver.Endpoint, card pki.UnvouchedCard, home pki.SignedDescriptor) (pki.SignedCard, []pki.SignedSuccession, error) {
	verify := home.CA.VerifyCard
	way, err := g.client.Way(ctx, e, home.Domain, card.Issuer(), home.CA.Fingerprint())
	if err != nil {
		return pki.SignedCard{}, nil, fmt.Errorf("%w: %w", pki.CheckPin(home.CA.Fingerprint(), card.Issuer(), home.Domain.String()), err)
	}
	if len(way) > 0 {
		verify = way[0].VerifyCard
	}
	signed, err := verify(card.Raw(), time.Now())
	return signed, way, err
}

func longer(a, b []pki.SignedSuccession) []pki.SignedSuccession {
	if len(b) > len(a) {
		return b
	}
	return a
}

// Certificate gets a certificate of a user's, DER, from the key server of at: of that key, or, if
// it is zero, of the one that has the name. Nobody has verified it.
func (g Getter) Certificate(ctx context.Context, name pki.Name, key pki.Fingerprint, at pki.Domain) (der []byte, err error) {
	err = g.each(ctx, at, func(e keyserver.Endpoint) error {
		var card pki.UnvouchedCard
		var err error
		if key.IsZero() {
			card, err = g.client.User(ctx, e, name)
		} else {
			card, err = g.client.UserByKey(ctx, e, key)
		}
		if err == nil {
			der = card.Certificate()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node: %s at %s: %w", name, at, err)
	}
	return der, nil
}

// Server gets the descriptor of domain from the key server of at.
func (g Getter) Server(ctx context.Context, domain, at pki.Domain) (Key, error) {
	d, way, err := g.descriptor(ctx, domain, at)
	if err != nil {
		return Key{}, err
	}
	key := Key{
		Subject: domain.String(), Fingerprint: d.CA.Fingerprint(), Signer: domain,
		Expires: d.Expires, Server: at, Raw: d.Raw(), Handed: keyserver.HandOvers(way),
	}
	key.Logged, err = g.logged(ctx, keyserver.Subject{Domain: domain}, key, d, nil)
	return key, err
}

// descriptor is the one of domain that the key server of at has, under the key that DNS tells, or one
// that this handed over to, and the way there: DNS may tell the former one as long as it is remembered.
func (g Getter) descriptor(ctx context.Context, domain, at pki.Domain) (d pki.SignedDescriptor, way []pki.SignedSuccession, err error) {
	record, err := g.resolver.Lookup(ctx, domain)
	if err != nil {
		return d, nil, err
	}
	err = g.each(ctx, at, func(e keyserver.Endpoint) (err error) {
		if d, err = g.client.Server(ctx, e, domain); err != nil {
			return err
		}
		if way, err = g.client.Way(ctx, e, domain, record.Fingerprint, d.CA.Fingerprint()); err != nil {
			err = fmt.Errorf("%w: %w", pki.CheckPin(record.Fingerprint, d.CA.Fingerprint(), domain.String()), err)
		}
		return err
	})
	if err != nil {
		return d, nil, fmt.Errorf("node: %s at %s: %w", domain, at, err)
	}
	return d, way, nil
}

// each tries the key servers of a domain until one has an answer, under the key that DNS tells, or
// one that this handed over to.
func (g Getter) each(ctx context.Context, at pki.Domain, try func(keyserver.Endpoint) error) error {
	record, err := g.resolver.Lookup(ctx, at)
	if err != nil {
		return err
	}
	var failed error
	for _, address := range record.KeyServers {
		e := keyserver.Endpoint{Address: address, CA: record.Fingerprint}
		if err = try(e); err == nil {
			return nil
		}
		if e, _, err = g.client.Heir(ctx, e, err); err == nil {
			err = try(e)
		}
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
