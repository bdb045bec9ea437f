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
	descriptor, err := g.descriptor(ctx, name.Domain(), at)
	if err != nil {
		return Key{}, err
	}
	var card pki.SignedCard
	err = g.each(ctx, at, func(e keyserver.Endpoint) error {
		unvouched, err := g.client.User(ctx, e, name)
		if err == nil {
			err = pki.CheckPin(descriptor.CA.Fingerprint(), unvouched.Issuer(), name.Domain().String())
		}
		if err == nil {
			card, err = descriptor.CA.VerifyCard(unvouched.Raw(), time.Now())
		}
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("node: %s at %s: %w", name, at, err)
	}
	key := Key{
		Subject: name.String(), Fingerprint: card.Certificate.Key().Fingerprint(), Signer: name.Domain(),
		Expires: card.Certificate.NotAfter(), Server: at, Raw: card.Raw(),
	}
	key.Logged, err = g.logged(ctx, keyserver.Subject{Name: name}, key, descriptor)
	key.Copy = g.copied(ctx, key, name.Domain())
	return key, err
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
	d, err := g.descriptor(ctx, domain, at)
	if err != nil {
		return Key{}, err
	}
	key := Key{
		Subject: domain.String(), Fingerprint: d.CA.Fingerprint(), Signer: domain,
		Expires: d.Expires, Server: at, Raw: d.Raw(),
	}
	key.Logged, err = g.logged(ctx, keyserver.Subject{Domain: domain}, key, d)
	return key, err
}

// descriptor is the one of domain that the key server of at has, under the key that DNS tells.
func (g Getter) descriptor(ctx context.Context, domain, at pki.Domain) (d pki.SignedDescriptor, err error) {
	record, err := g.resolver.Lookup(ctx, domain)
	if err != nil {
		return d, err
	}
	err = g.each(ctx, at, func(e keyserver.Endpoint) (err error) {
		d, err = g.client.Server(ctx, e, domain)
		return err
	})
	if err != nil {
		return d, fmt.Errorf("node: %s at %s: %w", domain, at, err)
	}
	return d, pki.CheckPin(record.Fingerprint, d.CA.Fingerprint(), domain.String())
}

// each tries the key servers of a domain until one has an answer.
func (g Getter) each(ctx context.Context, at pki.Domain, try func(keyserver.Endpoint) error) error {
	record, err := g.resolver.Lookup(ctx, at)
	if err != nil {
		return err
	}
	var failed error
	for _, address := range record.KeyServers {
		if err = try(keyserver.Endpoint{Address: address, CA: record.Fingerprint}); err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
