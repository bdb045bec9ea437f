package witness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// MaxMirror is how many bytes the tiles of one log may have in a copy, about 600 000 leaves. A
// log that grows beyond it is copied no further, and witnessed all the same.
const MaxMirror = 64 << 20

// A Copy is a mirror of one log in the store. It is a torchwood.TileReader: what it has not, it
// reads from a source, and what was verified it keeps.
type Copy struct {
	store  *store.Store
	origin string
	source torchwood.TileReader // nil: there is none
	room   int64                // MaxMirror; less in tests
	look   bool                 // keeps nothing
	blank  bool                 // uses nothing that is kept
	err    error                // of keeping
	failed bool                 // to read something, here or at the source
}

// NewCopy is the copy of a log that reads what is missing from source.
func NewCopy(s *store.Store, origin string, source torchwood.TileReader) *Copy {
	return &Copy{store: s, origin: origin, source: source, room: MaxMirror}
}

// ErrOtherTree says that a log is not continued by what was read for it.
var ErrOtherTree = errors.New("witness: the log does not continue the copy of it")

// ErrUnfit says that what a source has does not fit the head that the log has signed.
var ErrUnfit = errors.New("witness: it does not fit the head")

// unfit is err, and ErrUnfit if all could be read.
func (c *Copy) unfit(err error) error {
	if err == nil || c.failed || c.err != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnfit, err)
}

// Follow copies the log up to a head that the log has signed, cosigned by whomever. If the copy
// is of another tree it is ErrOtherTree, tree reads the hashes of the head's tree, and nothing is
// changed. A copy that has no room is store.ErrFull.
func (c *Copy) Follow(ctx context.Context, head store.Head) (tree tlog.HashReader, err error) {
	held, _, err := c.store.Mirror(ctx, c.origin)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if head.Size < held.Size {
		return nil, nil // an older one
	}
	if tree, err := c.continues(ctx, held, head); err != nil {
		return tree, err
	}
	if err := c.fetch(ctx, held.Size, head); err != nil {
		return nil, err
	}
	return nil, c.store.SetMirror(ctx, head)
}

// continues compares the head's tree with the copy: by what is kept, or, if that does not fit
// the head, by what the source has.
func (c *Copy) continues(ctx context.Context, held, head store.Head) (tlog.HashReader, error) {
	switch {
	case held.Size == 0:
		return nil, nil
	case held.Size == head.Size && held.Root != head.Root:
		other := Copy{store: c.store, origin: c.origin, source: c.source, look: true, blank: true}
		return other.Tree(ctx, head), ErrOtherTree
	}
	look := Copy{store: c.store, origin: c.origin, source: c.source, look: true} // or tiles of another tree would be kept
	root, err := tlog.TreeHash(held.Size, look.Tree(ctx, head))
	if err == nil && root == held.Root {
		return nil, nil
	}
	look.blank = true
	fresh := look.Tree(ctx, head)
	if root, err = tlog.TreeHash(held.Size, fresh); err != nil {
		return nil, fmt.Errorf("witness: reading the log: %w", look.unfit(err))
	}
	if root == held.Root {
		return nil, fmt.Errorf("witness: the copy of %s is damaged", c.origin)
	}
	return fresh, ErrOtherTree
}

// fetch reads the leaves from a place on, verifies them and keeps their tiles, and those of the
// hashes above.
func (c *Copy) fetch(ctx context.Context, from int64, head store.Head) error {
	client, err := torchwood.NewClient(c)
	if err != nil {
		return err
	}
	from -= from % torchwood.TileWidth // the last tile grows
	for range client.AllEntries(ctx, treeOf(head), from) {
		if c.err != nil {
			return c.err
		}
	}
	return errors.Join(c.unfit(client.Err()), c.err)
}

// maxTaken is how many leaves [Copy.Leaves] hands over at once.
const maxTaken = torchwood.TileWidth

// Leaves gives take the leaves of a head's tree from a place on, in order, verified, some at a
// time. An error of take ends it.
func (c *Copy) Leaves(ctx context.Context, head store.Head, from int64, take func(first int64, leaves [][]byte) error) error {
	client, err := torchwood.NewClient(c)
	if err != nil {
		return err
	}
	var some [][]byte
	for i, leaf := range client.AllEntries(ctx, treeOf(head), from) {
		some = append(some, leaf)
		if len(some) == maxTaken || i == head.Size-1 {
			if err := take(i+1-int64(len(some)), some); err != nil {
				return err
			}
			some = nil
		}
	}
	return errors.Join(client.Err(), c.err)
}

// Tree reads the hashes of a tree whose head is known.
func (c *Copy) Tree(ctx context.Context, head store.Head) tlog.HashReader {
	return torchwood.TileHashReaderWithContext(ctx, treeOf(head), c)
}

func treeOf(h store.Head) tlog.Tree { return tlog.Tree{N: h.Size, Hash: h.Root} }

// ReadTiles implements torchwood.TileReader.
func (c *Copy) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		tile, err := c.readTile(ctx, t)
		if err != nil {
			c.failed = true
			return nil, err
		}
		data[i] = tile
	}
	return data, nil
}

func (c *Copy) readTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	if !c.blank {
		data, err := ReadMirrorTile(ctx, c.store, c.origin, t)
		if !errors.Is(err, store.ErrNotFound) {
			return data, err
		}
	}
	if c.source == nil {
		return nil, store.ErrNotFound
	}
	data, err := c.source.ReadTiles(ctx, []tlog.Tile{t})
	if err != nil {
		return nil, err
	}
	return data[0], nil
}

// SaveTiles implements torchwood.TileReader.
func (c *Copy) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	if c.look || c.err != nil {
		return
	}
	kept := make([]store.Tile, len(tiles))
	for i, t := range tiles {
		kept[i] = store.Tile{Level: t.L, Number: t.N, Width: t.W, Data: data[i]}
	}
	c.err = c.store.PutTiles(context.Background(), c.origin, kept, c.room)
}

// ReadEndpoint implements torchwood.TileReader.
func (c *Copy) ReadEndpoint(ctx context.Context, path string) ([]byte, error) {
	return nil, store.ErrNotFound
}

// ReadMirrorTile reads a tile of a copy, or of its beginning if the one that is kept is wider;
// store.ErrNotFound if it is narrower.
func ReadMirrorTile(ctx context.Context, s *store.Store, origin string, t tlog.Tile) ([]byte, error) {
	kept, err := s.MirrorTile(ctx, origin, t.L, t.N)
	if err != nil {
		return nil, err
	}
	if kept.Width < t.W {
		return nil, store.ErrNotFound
	}
	return narrow(kept, t.W)
}

// narrow cuts a tile to its first pieces.
func narrow(t store.Tile, width int) ([]byte, error) {
	if t.Level >= 0 {
		return t.Data[:min(len(t.Data), width*tlog.HashSize)], nil
	}
	rest := t.Data
	for range width {
		var err error
		if _, rest, err = torchwood.ReadTileEntry(rest); err != nil {
			return nil, fmt.Errorf("witness: a copy of a log is damaged: %w", err)
		}
	}
	return t.Data[:len(t.Data)-len(rest)], nil
}

// serveMirror answers with the newest checkpoint that was copied, or a tile of it; 404 for
// everything else.
func (d Door) serveMirror(out http.ResponseWriter, r *http.Request) {
	rest, _ := strings.CutPrefix(r.RequestURI, mirrors)
	name, path, _ := strings.Cut(rest, "/")
	domain, err := pki.ParseDomain(name)
	if err != nil {
		say(out, http.StatusNotFound, typeText, "Not Found\n")
		return
	}
	body, contentType, err := d.mirrored(r.Context(), keylog.Origin(domain), path)
	switch {
	case err == nil:
		say(out, http.StatusOK, contentType, string(body))
	case errors.Is(err, store.ErrNotFound):
		say(out, http.StatusNotFound, typeText, "Not Found\n")
	default:
		say(out, http.StatusServiceUnavailable, typeText, "Service Unavailable\n")
	}
}

func (d Door) mirrored(ctx context.Context, origin, path string) (body []byte, contentType string, err error) {
	if path == "checkpoint" {
		h, _, err := d.Store.Mirror(ctx, origin)
		return h.Checkpoint, typeText, err
	}
	t, err := torchwood.ParseTilePath(path)
	if err != nil || torchwood.TilePath(t) != path {
		return nil, "", store.ErrNotFound
	}
	body, err = ReadMirrorTile(ctx, d.Store, origin, t)
	return body, "application/octet-stream", err
}
