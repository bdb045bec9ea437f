package keyserver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
)

// maxLines is how many bytes of signature lines a witness may answer.
const maxLines = 4 << 10

// Cosign asks the domain of a server to cosign a checkpoint (C2SP tlog-witness). It returns what
// the server says are signature lines: the caller verifies them. A witness that is elsewhere is a
// *witness.ConflictError; the other refusals are those of witness.Witness.Add.
func (c Client) Cosign(ctx context.Context, server Endpoint, r witness.Request) ([]byte, error) {
	ctx, s, done := c.open(ctx, server)
	defer done()
	resp, err := s.roundTrip(ctx, http.MethodPost, witness.AddCheckpoint, bytes.NewReader(r.Marshal()))
	if err != nil {
		return nil, fmt.Errorf("keyserver: asking for a cosignature: %w", err)
	}
	defer resp.Body.Close()
	body, err := readBody(resp, maxLines)
	if err == nil {
		err = cosignError(resp.StatusCode, body)
	}
	if err != nil {
		return nil, fmt.Errorf("keyserver: asking for a cosignature: %w", err)
	}
	return body, nil
}

func cosignError(status int, body []byte) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusBadRequest:
		return witness.ErrMalformed
	case http.StatusForbidden:
		return witness.ErrSignature
	case http.StatusNotFound:
		return witness.ErrUnknownLog
	case http.StatusUnprocessableEntity:
		return witness.ErrProof
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return ErrBusy
	case http.StatusConflict:
		size, err := strconv.ParseInt(strings.TrimSuffix(string(body), "\n"), 10, 64)
		if err == nil && size >= 0 {
			return &witness.ConflictError{Size: size}
		}
	}
	return fmt.Errorf("%w: status %d", ErrBadAnswer, status)
}

// A LogReader reads a log, or the copy of one, from a server, over one connection. It is a
// torchwood.TileReader that keeps nothing; nothing that it reads is verified.
type LogReader struct {
	s      *session
	prefix string // of the target, with a slash at the end
}

// ReadLog begins to read the log at a prefix of a server: "/v1/log/", or witness.Mirror of a
// domain. done closes the connection; ctx, which the reader wants, ends with the client's timeout.
func (c Client) ReadLog(ctx context.Context, server Endpoint, prefix string) (bounded context.Context, r *LogReader, done func()) {
	bounded, s, done := c.open(ctx, server)
	return bounded, &LogReader{s, prefix}, done
}

// ReadTiles implements torchwood.TileReader.
func (r *LogReader) ReadTiles(ctx context.Context, tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		tile, err := r.ReadEndpoint(ctx, torchwood.TilePath(t))
		if err != nil {
			return nil, err
		}
		data = append(data, tile)
	}
	return data, nil
}

// SaveTiles implements torchwood.TileReader.
func (*LogReader) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadEndpoint implements torchwood.TileReader.
func (r *LogReader) ReadEndpoint(ctx context.Context, path string) ([]byte, error) {
	return r.s.getTarget(ctx, r.prefix+path, store.MaxTile)
}
