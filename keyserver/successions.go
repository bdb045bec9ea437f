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

// maxSuccessionsSize is the greatest length of an answer in bytes.
const maxSuccessionsSize = MaxSuccessions * (2 + pki.MaxSuccessionSize)

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
		body = binary.BigEndian.AppendUint16(body, uint16(len(row.Raw)))
		body = append(body, row.Raw...)
	}
	return answer{body: body, contentType: typeRecord}, nil
}

// Successions looks up the hand-overs of a domain's keys that the server knows of. Both
// signatures of each are good; whether they are by right the caller judges by what he has
// pinned, so it does not matter who the server is. None at all is [ErrNotFound].
func (c Client) Successions(ctx context.Context, server Endpoint, domain pki.Domain) ([]pki.SignedSuccession, error) {
	ctx, s, done := c.open(ctx, server)
	defer done()
	raw, err := s.get(ctx, query{kind: successionsOf, domain: domain}, maxSuccessionsSize)
	var all []pki.SignedSuccession
	if err == nil {
		all, err = decodeSuccessions(raw, domain)
	}
	if err != nil {
		return nil, fmt.Errorf("keyserver: looking up successions of %s: %w", domain, err)
	}
	return all, nil
}

// decodeSuccessions reads what successions wrote.
func decodeSuccessions(raw []byte, domain pki.Domain) (all []pki.SignedSuccession, err error) {
	for input := cryptobyte.String(raw); !input.Empty(); {
		var one cryptobyte.String
		if !input.ReadUint16LengthPrefixed(&one) || len(all) == MaxSuccessions {
			return nil, ErrBadAnswer
		}
		s, err := pki.ParseSuccession(one)
		if err != nil || s.Domain != domain {
			return nil, fmt.Errorf("%w: a succession that is none of %s: %w", ErrBadAnswer, domain, err)
		}
		all = append(all, s)
	}
	return all, nil
}
