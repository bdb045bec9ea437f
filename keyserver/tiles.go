package keyserver

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/p3do/p3do/keyserver/keylog"
)

const (
	typeCheckpoint = "text/plain; charset=utf-8"

	// forever is how long what cannot change may be kept: tiles.
	forever = "public, max-age=31536000, immutable"
)

// serve answers what is asked of the log itself.
func (l *Log) serve(ctx context.Context, q query) (answer, error) {
	if q.kind == logCheckpoint {
		return l.checkpoint()
	}
	return l.tile(ctx, q.tile)
}

// checkpoint answers with the newest checkpoint, and a mark of it for who asks again.
func (l *Log) checkpoint() (answer, error) {
	if signed := l.heads.Load().newest.signed; signed != nil {
		sum := sha256.Sum256(signed)
		return answer{body: signed, contentType: typeCheckpoint, cache: "no-cache", tag: fmt.Sprintf(`"%x"`, sum[:16])}, nil
	}
	return answer{}, errMiss
}

// tile answers with a tile of the tree that was published: what is on the disk and not signed yet
// is not shown.
func (l *Log) tile(ctx context.Context, t keylog.Tile) (a answer, err error) {
	if !t.In(l.heads.Load().newest.N) {
		return a, errMiss
	}
	a = answer{contentType: typeRecord, cache: forever}
	if t.Entries {
		a.body, err = l.entries(ctx, t)
	} else {
		a.body, err = l.config.Store.LogTile(ctx, t.Height(), t.First(), t.Width)
	}
	return a, err
}

func (l *Log) entries(ctx context.Context, t keylog.Tile) (body []byte, err error) {
	leaves, err := l.config.Store.Leaves(ctx, t.First(), t.Width)
	for _, leaf := range leaves {
		if err == nil {
			body, err = keylog.AppendEntry(body, leaf)
		}
	}
	return body, err
}
