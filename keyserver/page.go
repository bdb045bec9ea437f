package keyserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

const (
	// PageServers is how many descriptors a page holds at most.
	PageServers = 256

	// MaxPageSize is the greatest length of a page in bytes: 4 194 816.
	MaxPageSize = PageServers * (2 + pki.MaxDescriptorSize)

	// pageStep is how many descriptors are in memory for one client that reads a
	// page, 32 KiB at most, however slowly it reads.
	pageStep = 2

	// pageReads is how many steps of pages are read from the store at a time. A page is up
	// to 128 of them, and the store has few readers: the others are left to those who look
	// for something else there, letters among it.
	pageReads = 1
)

// writePage answers with a page, read from the store as the client takes it. One that
// ends early because the store fails is a page as well: the client asks for the next.
func (s *Server) writePage(w http.ResponseWriter, r *http.Request, after pki.Domain) {
	last := after.String()
	for n := 0; n < PageServers; {
		servers, err := s.readServers(r.Context(), last, min(pageStep, PageServers-n))
		if err != nil && n == 0 {
			refuse(w, r, http.StatusServiceUnavailable)
			return
		}
		if n == 0 {
			setHeader(w, typeRecord)
		}
		if err != nil || len(servers) == 0 || writeServers(w, servers) != nil {
			return
		}
		n, last = n+len(servers), servers[len(servers)-1].Domain
	}
}

// readServers reads a step of a page, when it is its turn. None is held while a client takes
// what was read.
func (s *Server) readServers(ctx context.Context, after string, most int) ([]store.Server, error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
		return s.config.Store.ServersAfter(ctx, after, most)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// writeServers writes a part of a page.
//
//	2  n, big endian      } for each server, by domain
//	n  descriptor         }
func writeServers(w http.ResponseWriter, servers []store.Server) error {
	for _, v := range servers {
		if _, err := w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(v.Descriptor)))); err != nil {
			return err
		}
		if _, err := w.Write(v.Descriptor); err != nil {
			return err
		}
	}
	return nil
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
