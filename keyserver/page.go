package keyserver

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

const (
	// PageServers is how many descriptors a page holds at most.
	PageServers = 256

	// MaxPageSize is the greatest length of a page in bytes: 4 194 816.
	MaxPageSize = PageServers * (2 + pki.MaxDescriptorSize)
)

// encodePage writes a page.
//
//	2  n, big endian      } for each server, by domain
//	n  descriptor         }
func encodePage(servers []store.Server) ([]byte, error) {
	var b cryptobyte.Builder
	for _, v := range servers {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v.Descriptor) })
	}
	return b.Bytes()
}

var errPage = errors.New("keyserver: malformed page")

// decodePage reads a page. Its domains must ascend and come after the given
// one: so whoever asks for page after page comes to an end.
func decodePage(page []byte, after pki.Domain) ([]pki.SignedDescriptor, error) {
	var servers []pki.SignedDescriptor
	for s := cryptobyte.String(page); !s.Empty(); {
		var raw cryptobyte.String
		if len(servers) == PageServers || !s.ReadUint16LengthPrefixed(&raw) {
			return nil, errPage
		}
		d, err := pki.ParseDescriptor(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errPage, err)
		}
		if d.Domain.String() <= after.String() {
			return nil, fmt.Errorf("%w: %s after %s", errPage, d.Domain, after)
		}
		after = d.Domain
		servers = append(servers, d)
	}
	return servers, nil
}
