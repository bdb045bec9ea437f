package keyserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/pki"
)

// A HandOver is a step from a key of a domain to the next, by the word of the one that went.
type HandOver struct {
	Domain pki.Domain      `json:"domain"`
	Was    pki.Fingerprint `json:"was"`
	Is     pki.Fingerprint `json:"is"`
	At     time.Time       `json:"at"`
}

// String says so in words.
func (h HandOver) String() string {
	return fmt.Sprintf("%s handed over to %s on %s by its own word", h.Was, h.Is, h.At.Format("2 Jan 2006"))
}

// HandOvers tells of a way, see [pki.HandedOver].
func HandOvers(way []pki.SignedSuccession) (all []HandOver) {
	for _, s := range way {
		all = append(all, HandOver{s.Domain, s.Old, s.New(), s.Issued})
	}
	return all
}

// Way asks a server how a domain came from one key to another. It does not matter who the server
// is: the way is verified as [pki.HandedOver] says. A *pki.NotHandedError says that there is none.
func (c Client) Way(ctx context.Context, server Endpoint, domain pki.Domain, was, is pki.Fingerprint) ([]pki.SignedSuccession, error) {
	if was == is {
		return nil, nil
	}
	all, err := c.Successions(ctx, server, domain)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return pki.HandedOver(all, domain, was, is)
}

// Heir is the server as it is to be asked after a call failed with err because its domain has another
// key than the pinned one, and the way to that. Where there is none, or err says something else, the
// error is err, with what is missing.
func (c Client) Heir(ctx context.Context, server Endpoint, err error) (Endpoint, []pki.SignedSuccession, error) {
	var changed *pki.KeyChangedError
	if !errors.As(err, &changed) || changed.Pinned != server.CA {
		return server, nil, err
	}
	domain, bad := pki.ParseDomain(changed.Subject)
	if bad != nil {
		return server, nil, err
	}
	heir := Endpoint{Address: server.Address, CA: changed.Shown}
	way, why := c.Way(ctx, heir, domain, server.CA, heir.CA)
	if why != nil {
		return server, nil, fmt.Errorf("%w: %w", err, why)
	}
	return heir, way, nil
}
