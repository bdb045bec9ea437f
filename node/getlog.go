package node

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// maxShownWitnesses is how many witnesses a Getter looks up to say that they have cosigned. Who
// they are the server says, so there has to be a bound; the others are passed over.
const maxShownWitnesses = 8

// UserByKey gets the card of the user with that identity key, which the key server of at has.
func (g Getter) UserByKey(ctx context.Context, key pki.Fingerprint, at pki.Domain) (Key, error) {
	var name pki.Name
	err := g.each(ctx, at, func(e keyserver.Endpoint) error {
		card, err := g.client.UserByKey(ctx, e, key)
		name = card.Name()
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("node: %s at %s: %w", key, at, err)
	}
	k, err := g.User(ctx, name, at)
	if err == nil && k.Fingerprint != key {
		return Key{}, &pki.KeyChangedError{Subject: name.String(), Pinned: key, Shown: k.Fingerprint}
	}
	return k, err
}

// A CopyOf says that a key server has told of another domain's user.
type CopyOf struct {
	HomeOffline bool      `json:"home_offline"`   // her home does not answer
	AsOf        time.Time `json:"as_of,omitzero"` // when the log was last cosigned in which the copy is the newest; zero: no proof was shown
}

// homeTime is how long a home is waited for, to say whether it answers.
const homeTime = 5 * time.Second

// copied says how old a copy is, and whether its home answers.
func (g Getter) copied(ctx context.Context, k Key, home pki.Domain) *CopyOf {
	if k.Server == home {
		return nil
	}
	var c CopyOf
	if k.Logged != nil {
		c.AsOf = k.Logged.Time
		for _, w := range k.Logged.Witnesses {
			if w.Time.After(c.AsOf) {
				c.AsOf = w.Time
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, homeTime)
	defer cancel()
	err := g.each(ctx, home, func(e keyserver.Endpoint) error {
		_, err := g.client.Server(ctx, e, home)
		return err
	})
	c.HomeOffline = err != nil
	return &c
}

// logged says where what was got is in the key log of its domain, if the key server that was asked shows that,
// and which witnesses have cosigned whose keys DNS tells. A proof that does not hold is an error;
// that there is none is not: the log may be a moment behind, or at rest. before is how its domain
// came from the key that certified a card to the one in office.
func (g Getter) logged(ctx context.Context, of keyserver.Subject, k Key, home pki.SignedDescriptor, before []pki.SignedSuccession) (*keyserver.Logged, error) {
	s := keyserver.Shown{Record: k.Raw, Descriptors: []pki.SignedDescriptor{home}, Successions: before}
	err := g.each(ctx, k.Server, func(e keyserver.Endpoint) (err error) {
		var record []byte
		record, s.Proof, err = g.client.Proof(ctx, e, of)
		if err == nil && !bytes.Equal(record, k.Raw) { // replaced in between
			err = keyserver.ErrBusy
		}
		return err
	})
	if err != nil || !home.HasLog() {
		return nil, nil
	}
	by := keyserver.Trusted{CA: home.CA.Fingerprint()}
	for _, domain := range keylog.Cosigners(s.Proof) {
		if domain == home.Domain || len(by.Witnesses) == maxShownWitnesses {
			continue
		}
		w, _, err := g.descriptor(ctx, domain, k.Server)
		if err != nil {
			continue
		}
		s.Descriptors = append(s.Descriptors, w)
		by.Witnesses = append(by.Witnesses, keyserver.TrustedWitness{Domain: domain, CA: w.CA.Fingerprint()})
	}
	l, err := s.Verify(of, by, time.Now())
	if err != nil {
		return nil, fmt.Errorf("node: %s in the log of %s: %w", k.Subject, home.Domain, err)
	}
	return &l, nil
}
