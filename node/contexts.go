package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// This file is the contexts that the node speaks on. Each has a name, which only its operator sees; each peer hears one of
// them, and what it says is said again on that one. So the peers of a context are in one cell, and a node with several is a
// gateway between theirs.

const (
	// FirstContext is the name of the context that every node has, and that peers hear unless another is named.
	FirstContext = "0"

	contextPrefix = "context-"
	contextFile   = contextPrefix + FirstContext
	contextSize   = 16 + 32 + 32 + 4
	formerSize    = 32 + 32 + 4 + 8
	maxName       = 24 // characters in the name of a context
)

// checkContextName: a to z, 0 to 9 and hyphens between, at most 24.
func checkContextName(name string) error {
	other := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') }
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, other) || strings.Trim(name, "-") != name {
		return fmt.Errorf("%w: %q is no name for a context: a to z, 0 to 9 and hyphens between, at most %d", ErrInput, name, maxName)
	}
	return nil
}

// contexts returns the node's contexts, the first one first, their hints moved on to the present and the older hints
// gone from the disk, and their names. The first one is made if it is missing.
func (k keyring) contexts(now time.Time) (own []mor.OwnContext, names map[string]mor.ContextID, err error) {
	files, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("node: looking for contexts: %w", err)
	}
	all := []string{FirstContext}
	for _, f := range files {
		if name, is := contextName(f.Name()); is && name != FirstContext {
			all = append(all, name)
		}
	}
	names = make(map[string]mor.ContextID)
	for _, name := range all {
		c, err := k.context(name, now)
		if err != nil {
			return nil, nil, err
		}
		own, names[name] = append(own, c), c.ID
	}
	return own, names, nil
}

// contextName is the name of the context whose file that is.
func contextName(file string) (name string, is bool) {
	name, is = strings.CutPrefix(file, contextPrefix)
	return name, is && checkContextName(name) == nil
}

// context returns one of them. The first one is made if it is missing.
func (k keyring) context(name string, now time.Time) (mor.OwnContext, error) {
	raw, err := k.read(contextPrefix + name)
	var c mor.OwnContext
	if errors.Is(err, fs.ErrNotExist) {
		c, err = mor.NewContext(rand.Reader, now)
	} else if err == nil {
		c, err = parseContext(raw)
	}
	if err != nil {
		return mor.OwnContext{}, err
	}
	c = c.Advance(now)
	return c, k.writeContext(name, c)
}

func (k keyring) writeContext(name string, c mor.OwnContext) error {
	raw := slices.Concat(c.ID[:], c.Key.Seed(), c.Hint[:])
	raw = binary.BigEndian.AppendUint32(raw, uint32(c.Epoch))
	for _, f := range c.Former {
		raw = append(append(raw, f.Key.Seed()...), f.Hint[:]...)
		raw = binary.BigEndian.AppendUint32(raw, uint32(f.Epoch))
		raw = binary.BigEndian.AppendUint64(raw, uint64(f.Until.Unix()))
	}
	return k.write(contextPrefix+name, raw)
}

func parseContext(raw []byte) (mor.OwnContext, error) {
	if len(raw) < contextSize || (len(raw)-contextSize)%formerSize != 0 || len(raw) > contextSize+mor.MaxFormer*formerSize {
		return mor.OwnContext{}, fmt.Errorf("node: the context file has %d bytes, not %d", len(raw), contextSize)
	}
	key, err := onion.ParseContextPrivateKey(raw[16:48])
	if err != nil {
		return mor.OwnContext{}, fmt.Errorf("node: context key: %w", err)
	}
	c := mor.OwnContext{
		ID: mor.ContextID(raw[:16]), Key: key, Hint: onion.Hint(raw[48:80]),
		Epoch: onion.Epoch(binary.BigEndian.Uint32(raw[80:])),
	}
	for raw = raw[contextSize:]; len(raw) > 0; raw = raw[formerSize:] {
		key, err := onion.ParseContextPrivateKey(raw[:32])
		if err != nil {
			return mor.OwnContext{}, fmt.Errorf("node: former context key: %w", err)
		}
		c.Former = append(c.Former, mor.FormerKey{
			Key: key, Hint: onion.Hint(raw[32:64]), Epoch: onion.Epoch(binary.BigEndian.Uint32(raw[64:])),
			Until: time.Unix(int64(binary.BigEndian.Uint64(raw[68:])), 0),
		})
	}
	return c, nil
}

// contexts returns our contexts as they are to be written down now, by name.
func (l *loop) contexts(now time.Time) map[string]mor.OwnContext {
	own := make(map[string]mor.OwnContext, len(l.names))
	for _, c := range l.router.Contexts() {
		own[l.nameOf(c.ID)] = c.Advance(now)
	}
	return own
}

// nameOf is the name of a context of ours.
func (l *loop) nameOf(id mor.ContextID) string {
	for name, named := range l.names {
		if named == id {
			return name
		}
	}
	return ""
}

// context is the name of our context that a peer hears.
func (p *peers) context(domain pki.Domain) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name := p.hears[domain]; name != "" {
		return name
	}
	return FirstContext
}

// hearing lists the peers that hear a context of ours.
func (p *peers) hearing(name string) (all []pki.Domain) {
	for domain := range p.known() {
		if p.context(domain) == name {
			all = append(all, domain)
		}
	}
	slices.SortFunc(all, func(a, b pki.Domain) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// bind has a peer, or who is to be one, hear another context of ours from its next link on, and ends that which it has.
func (p *peers) bind(ctx context.Context, domain pki.Domain, name string) error {
	there, err := ask(ctx, p.n.loop, func(l *loop, _ time.Time) bool { _, is := l.names[name]; return is })
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("%w: there is no context %q; p3dod context add %s makes one", ErrInput, name, name)
	case p.context(domain) == name:
		return nil
	}
	row, err := p.n.store.Peer(ctx, domain.String())
	if row.Context = name; err == nil {
		err = p.n.store.PutPeer(ctx, row)
	}
	if notFoundIsNil(err) != nil {
		return err
	}
	p.mu.Lock()
	p.hears[domain] = name
	p.mu.Unlock()
	return p.endLink(ctx, domain)
}

// AddContext makes another context of ours. Nobody hears it before a peer is bound to it.
func (n *Node) AddContext(ctx context.Context, name string) error {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	if err := checkContextName(name); err != nil {
		return err
	}
	c, err := mor.NewContext(rand.Reader, time.Now())
	if err != nil {
		return err
	}
	held, err := ask(ctx, n.loop, func(l *loop, now time.Time) map[string]mor.OwnContext { return l.contexts(now) })
	if _, had := held[name]; had {
		return fmt.Errorf("%w: there is a context %q already", ErrInput, name)
	}
	if len(held) >= mor.MaxOwn {
		return fmt.Errorf("%w: there are %d contexts already, and no room for more", ErrInput, len(held))
	}
	if err == nil {
		err = n.keys.writeContext(name, c) // first: it must be known after a crash
	}
	if err != nil {
		return err
	}
	_, err = ask(ctx, n.loop, func(l *loop, _ time.Time) bool {
		l.names[name] = c.ID
		return l.router.AddContext(c)
	})
	n.tell()
	return err
}

// DropContext ends a context of ours that no peer hears, but the first.
func (n *Node) DropContext(ctx context.Context, name string) error {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	if name == FirstContext {
		return fmt.Errorf("%w: the context %s stays", ErrInput, FirstContext)
	}
	if hearing := n.peers.hearing(name); len(hearing) > 0 {
		return fmt.Errorf("%w: peers hear the context %s: %s; p3dod peer add DOMAIN --context NAME has one hear another",
			ErrInput, name, pki.JoinDomains(hearing, ", "))
	}
	had, err := ask(ctx, n.loop, func(l *loop, _ time.Time) bool {
		id, is := l.names[name]
		delete(l.names, name)
		return is && l.router.DropContext(id)
	})
	if err == nil && !had {
		err = fmt.Errorf("%w: there is no context %q", ErrInput, name)
	}
	if err != nil {
		return err
	}
	n.tell()
	return os.Remove(filepath.Join(n.keys.dir, contextPrefix+name))
}

// AddPeerOn is AddPeer for one that hears another context than the first. One that is a peer already hears that from now on.
func (n *Node) AddPeerOn(ctx context.Context, domain, name string) (PeerStatus, error) {
	d, err := pki.ParseDomain(domain)
	if err != nil {
		return PeerStatus{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := n.peers.bind(ctx, d, name); err != nil {
		return PeerStatus{}, err
	}
	return n.AddPeer(ctx, domain)
}

// handleContexts answers for the contexts.
func (n *Node) handleContexts(mux *http.ServeMux) {
	mux.HandleFunc("POST /contexts", func(w http.ResponseWriter, r *http.Request) {
		respond(w, struct{}{}, n.AddContext(r.Context(), r.FormValue("name")))
	})
	mux.HandleFunc("POST /contexts/drop", func(w http.ResponseWriter, r *http.Request) {
		respond(w, struct{}{}, n.DropContext(r.Context(), r.FormValue("name")))
	})
	mux.HandleFunc("POST /peers/bound", func(w http.ResponseWriter, r *http.Request) {
		peer, err := n.AddPeerOn(r.Context(), r.FormValue("domain"), r.FormValue("context"))
		respond(w, peer, err)
	})
}
