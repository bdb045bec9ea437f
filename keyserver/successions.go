package keyserver

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/pki"
)

// MaxSuccessions is how many hand-overs of a domain's keys a key server tells of.
const MaxSuccessions = 64

// MaxSuccessionsSize is the greatest length of what [ParseSuccessions] reads, in bytes.
const MaxSuccessionsSize = MaxSuccessions * (2 + pki.MaxSuccessionSize)

// successions is what is known of hand-overs of the keys of a domain: 2+n bytes each, in the
// order in which they came here. Whoever comes back after a while finds by them from the key
// that he has pinned to the one that is shown.
func (s *Server) successions(ctx context.Context, domain pki.Domain) (answer, error) {
	rows, err := s.config.Store.StatementsOf(ctx, uint8(pki.StatementSuccession), domain.String())
	if err != nil {
		return answer{}, miss(err)
	}
	if len(rows) == 0 {
		return answer{}, errMiss
	}
	var body []byte
	for _, row := range rows[:min(len(rows), MaxSuccessions)] {
		body = appendSuccession(body, row.Raw)
	}
	return answer{body: body, contentType: typeRecord}, nil
}

func appendSuccession(body, raw []byte) []byte {
	return append(binary.BigEndian.AppendUint16(body, uint16(len(raw))), raw...)
}

// MarshalSuccessions writes hand-overs as a key server tells them.
func MarshalSuccessions(all []pki.SignedSuccession) (raw []byte) {
	for _, s := range all {
		raw = appendSuccession(raw, s.Raw())
	}
	return raw
}

// Successions looks up the hand-overs of a domain's keys that the server knows of. Both
// signatures of each are good; whether they are by right the caller judges by what he has
// pinned, so it does not matter who the server is. None at all is [ErrNotFound].
func (c Client) Successions(ctx context.Context, server Endpoint, domain pki.Domain) ([]pki.SignedSuccession, error) {
	ctx, s, done := c.open(ctx, server)
	defer done()
	raw, err := s.get(ctx, query{kind: successionsOf, domain: domain}, MaxSuccessionsSize)
	var all []pki.SignedSuccession
	if err == nil {
		all, err = decodeSuccessions(raw, domain)
	}
	if err != nil {
		return nil, fmt.Errorf("keyserver: looking up successions of %s: %w", domain, err)
	}
	return all, nil
}

// decodeSuccessions reads those of one domain.
func decodeSuccessions(raw []byte, domain pki.Domain) ([]pki.SignedSuccession, error) {
	all, err := ParseSuccessions(raw)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Domain != domain {
			return nil, fmt.Errorf("%w: a succession that is none of %s", ErrBadAnswer, domain)
		}
	}
	return all, nil
}

// ParseSuccessions reads what [MarshalSuccessions] writes, at most [MaxSuccessions]. Both signatures
// of each are good. An error is [ErrBadAnswer].
func ParseSuccessions(raw []byte) (all []pki.SignedSuccession, err error) {
	for input := cryptobyte.String(raw); !input.Empty(); {
		var one cryptobyte.String
		if !input.ReadUint16LengthPrefixed(&one) || len(all) == MaxSuccessions {
			return nil, fmt.Errorf("%w: malformed, or more than %d successions", ErrBadAnswer, MaxSuccessions)
		}
		s, err := pki.ParseSuccession(one)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadAnswer, err)
		}
		all = append(all, s)
	}
	return all, nil
}
