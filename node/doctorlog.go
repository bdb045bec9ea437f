package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// keyLog: the database has all that was signed in the domain's key log.
func (e *examination) keyLog(ctx context.Context) {
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
