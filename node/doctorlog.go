package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// keyLog: the database has all that was signed in the domain's key log.
func (e *examination) keyLog(ctx context.Context) {
	e.awaited()
	e.copies(ctx)
	raw, err := os.ReadFile(e.path(headFile))
	if errors.Is(err, fs.ErrNotExist) || e.authority == nil {
		return
	}
	if err != nil {
		e.unknown("log", e.command("doctor"), "%v", err)
		return
	}
	keys, err := keyring{e.path(keysFolder)}.logging()
	if err != nil {
		return // the check of keys says so
	}
	verifier, err := witness.LogVerifier(e.authority.Domain(), keys.log.Public())
	if err != nil {
		return
	}
	head, _, err := witness.OpenHead(raw, verifier)
	if err != nil {
		return // by a key that was lost
	}
	size, err := e.store.LogSize(ctx)
	if err != nil {
		e.unknown("log", e.command("doctor"), "%v", err)
		return
	}
	root, err := tlog.TreeHash(min(head.Size, size), e.store.LogHashes(ctx))
	if size >= head.Size && err == nil && root == tlog.Hash(head.Root) {
		return
	}
	e.wrong("log", e.regain(ctx), "the database lacks leaves of %s, of which %d were signed: nothing more is signed until a peer's copy has given them back", keylog.Origin(e.authority.Domain()), head.Size)
}

// awaited: no witness has cosigned more of the log than is here.
func (e *examination) awaited() {
	all, err := readAwaits(e.path(awaitsFile))
	if err != nil {
		e.unknown("log", e.command("doctor"), "%v", err)
	}
	for _, more := range all {
		e.wrong("log", e.command("peer drop "+more.by.String())+"   (only if that peer does not say the truth)",
			"%v: nothing more is signed until a peer's copy has them", more)
	}
}

// copies: the copies of peers' logs have room for another tile.
func (e *examination) copies(ctx context.Context) {
	peers, err := e.store.Peers(ctx)
	for _, p := range peers {
		d, bad := pki.ParseDomain(p.Domain)
		if bad != nil {
			continue
		}
		if _, bytes, bad := e.store.Mirror(ctx, keylog.Origin(d)); bad == nil && bytes > witness.MaxMirror-store.MaxTile {
			e.wrong("copies", e.command("peer drop "+d.String())+"   (unless a copy that ends is enough)",
				"the copy of the log of %s has %d bytes, and %d are its bound: it is cosigned and, when that is full, copied no further", d, bytes, witness.MaxMirror)
		}
	}
	if err != nil {
		e.unknown("copies", e.command("doctor"), "%v", err)
	}
}

// regain is how a log comes back: while the node serves, from any peer.
func (e *examination) regain(ctx context.Context) string {
	peers, err := e.store.Peers(ctx)
	if err == nil && len(peers) == 0 {
		return e.command("peer add DOMAIN") + "   (of a peer from before, while the node serves)"
	}
	if !e.serves {
		return e.command("serve")
	}
	var domains []string
	for _, p := range peers {
		if d, err := pki.ParseDomain(p.Domain); err == nil {
			domains = append(domains, d.String())
		}
	}
	return e.command("status") + "   (it is asked for at " + strings.Join(domains, ", ") + " whenever one is linked)"
}
