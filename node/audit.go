package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

const (
	// maxAudited is of how many users of a domain, of whose cards we have copies, an audit asks.
	maxAudited = 8
	// maxNewer is how many of the newest leaves of a log an audit looks through.
	maxNewer = 1 << 16
)

// An audit compares what a peer's own key server answers, with proof, with the copy that we have of
// the log: of the domain itself, and of users whose cards we have copies of. The copy is from before
// it asks, so that an honest server knows all that is in it.
type audit struct {
	n       *Node
	log     keylog.Log
	servers []string           // addresses, in an order by chance: each is asked first in some round
	at      keyserver.Endpoint // that answers
	is      witness.Case
	seen    []provenAnswer
	asked   int   // records
	silent  error // why one of them was not answered
	later   bool  // it shows a later descriptor by which its log has other keys than we know: what is proven by those says nothing to us yet
}

// whole reports whether each record that was asked for came and was proven. Only then is it over what was found
// before: who does not answer, or not of this one, mends nothing by that.
func (a *audit) whole() bool { return a.asked > 0 && len(a.seen) == a.asked }

// provenAnswer is a record that a server has proven to be in its log.
type provenAnswer struct {
	record, proof []byte
	in            keylog.Inclusion
}

// errNothing says that an answer shows nothing, neither good nor bad.
var errNothing = errors.New("node: nothing is shown")

// audit looks at what a domain's own key server answers.
func (m *mirrors) audit(ctx context.Context, d pki.SignedDescriptor) error {
	held, _, err := m.n.store.Mirror(ctx, keylog.Origin(d.Domain))
	log, ok := keylog.Of(d.Descriptor)
	if err != nil || !ok || len(d.KeyServers) == 0 {
		return notFoundIsNil(err)
	}
	users, err := m.n.store.CachedUsersOf(ctx, d.Domain.String(), maxAudited)
	if err != nil {
		return err
	}
	a := &audit{n: m.n, log: log, servers: slices.Clone(d.KeyServers), at: keyserver.Endpoint{CA: d.CA.Fingerprint()}, is: m.n.caseOf(ctx, d, held)}
	rand.Shuffle(len(a.servers), func(i, j int) { a.servers[i], a.servers[j] = a.servers[j], a.servers[i] })
	subjects := []keyserver.Subject{{Domain: d.Domain}}
	for _, text := range users {
		if name, err := pki.ParseName(text); err == nil {
			subjects = append(subjects, keyserver.Subject{Name: name})
		}
	}
	for _, of := range subjects {
		err := a.ask(ctx, of)
		if err != nil || a.later {
			return err
		}
		if !of.Domain.IsZero() && len(a.seen) == 0 {
			break // by which keys the rest would be is not known
		}
	}
	m.answers(ctx, a.is, a.silent)
	if a.whole() {
		m.n.mended(d.Domain, witness.Omission)
	}
	return a.newer(ctx)
}

// caseOf is what findings of a log begin with.
func (n *Node) caseOf(ctx context.Context, d pki.SignedDescriptor, held store.Head) witness.Case {
	tree := tlog.Tree{N: held.Size, Hash: held.Root}
	tiles := witness.NewCopy(n.store, held.Origin, nil).Held()
	return witness.Case{Descriptor: d, Held: held, Tree: torchwood.TileHashReaderWithContext(ctx, tree, tiles), Now: time.Now()}
}

// ask asks for one record. What comes and is not proven to be in the log is found.
func (a *audit) ask(ctx context.Context, of keyserver.Subject) error {
	a.asked++
	record, proof, err := a.first(ctx, of)
	if errors.Is(err, keyserver.ErrNotFound) {
		record, err = a.unproven(ctx, of)
	}
	if err != nil && (of.Name.IsZero() || !errors.Is(err, errNothing) && !errors.Is(err, keyserver.ErrNotFound)) {
		a.silent = err
	}
	if err != nil {
		return ctx.Err() // who does not answer shows nothing
	}
	claim, ok := a.claim(of, record)
	if a.later = a.isLater(of, record); !ok || a.later {
		return nil
	}
	in, err := a.verify(claim, proof)
	if err == nil {
		a.seen = append(a.seen, provenAnswer{record, proof, in})
		if head, err := headIn(a.is.Descriptor, proof); err == nil {
			a.n.sawHead(ctx, head.Checkpoint) // which may contradict others
		}
		return nil
	}
	x, err := a.is.Unproven(record, proof)
	if err == nil {
		a.n.found(ctx, x)
	}
	return err
}

// first asks the first server that answers.
func (a *audit) first(ctx context.Context, of keyserver.Subject) (record, proof []byte, err error) {
	for _, a.at.Address = range a.servers {
		if record, proof, err = a.n.client.Proof(ctx, a.at, of); err == nil || errors.Is(err, keyserver.ErrNotFound) || ctx.Err() != nil {
			break
		}
	}
	return record, proof, err
}

// unproven is a record that a server answers, and for which it has no proof, asked before and
// after: it may have been published in between.
func (a *audit) unproven(ctx context.Context, of keyserver.Subject) (record []byte, err error) {
	if of.Name.IsZero() {
		d, err := a.n.client.Server(ctx, a.at, of.Domain)
		if err != nil {
			return nil, err
		}
		record = d.Raw()
	} else {
		card, err := a.n.client.User(ctx, a.at, of.Name)
		if err != nil {
			return nil, err
		}
		record = card.Raw()
	}
	if _, _, err = a.n.client.Proof(ctx, a.at, of); errors.Is(err, keyserver.ErrNotFound) {
		return record, nil
	}
	return nil, errNothing
}

// claim is what a record wants to be in the log as. What the key of the domain has not signed, or is
// good no more, is not the log's.
func (a *audit) claim(of keyserver.Subject, record []byte) (keylog.Claim, bool) {
	d := a.is.Descriptor
	if of.Name.IsZero() {
		shown, err := pki.ParseDescriptor(record)
		same := err == nil && shown.Domain == d.Domain && shown.CA.Fingerprint() == d.CA.Fingerprint() &&
			shown.Log == d.Log && shown.Labels == d.Labels
		return keylog.Claim{Kind: keylog.Authority, Subject: d.Domain.String(), Record: d.CA.Fingerprint()}, same
	}
	card, err := d.CA.VerifyCard(record, a.is.Now)
	return keylog.Claim{Kind: keylog.Card, Subject: of.Name.String(), Record: sha256.Sum256(record)},
		err == nil && card.Certificate.Name() == of.Name
}

// isLater reports whether a record is a descriptor by the same authority, newer than ours, by which the log has another key or other
// labels. It comes to us by itself, and the next audit is by it.
func (a *audit) isLater(of keyserver.Subject, record []byte) bool {
	d := a.is.Descriptor
	if !of.Name.IsZero() {
		return false
	}
	shown, err := pki.ParseDescriptor(record)
	return err == nil && shown.Domain == d.Domain && shown.CA.Fingerprint() == d.CA.Fingerprint() && shown.Serial > d.Serial &&
		(shown.Log != d.Log || shown.Labels != d.Labels)
}

func (a *audit) verify(claim keylog.Claim, proof []byte) (keylog.Inclusion, error) {
	anybody, err := keylog.Quorum(0, nil)
	if err != nil {
		return keylog.Inclusion{}, err
	}
	return a.log.Verify(proof, claim, anybody)
}

// headIn is the head under which a proof is, with the log's signature alone. The proof is verified.
func headIn(d pki.SignedDescriptor, proof []byte) (store.Head, error) {
	_, signed, _ := strings.Cut(string(proof), "\n\n")
	return witness.HeadBy(d, []byte(signed))
}

// newer looks in our copy for entries that took the place of those that were answered.
func (a *audit) newer(ctx context.Context) error {
	held := a.is.Held
	from := held.Size
	for _, s := range a.seen {
		from = min(from, s.in.Index+1)
	}
	client, err := torchwood.NewClient(witness.NewCopy(a.n.store, held.Origin, nil).Held())
	if err != nil {
		return err
	}
	for at, raw := range client.AllEntries(ctx, tlog.Tree{N: held.Size, Hash: held.Root}, max(from, held.Size-maxNewer)) {
		leaf, err := keylog.ParseLeaf(raw)
		if err != nil {
			continue // of a kind that we do not know
		}
		for _, s := range a.seen {
			if s.in.Index < at && s.gaveWay(leaf) {
				x, err := a.is.Stale(s.record, s.proof, s.in, at, raw)
				if err == nil {
					a.n.found(ctx, x)
				}
				return err
			}
		}
	}
	if client.Err() == nil && a.whole() {
		a.n.mended(a.is.Descriptor.Domain, witness.Stale)
	}
	return client.Err()
}

// gaveWay reports whether a later leaf is of the same subject, and takes the place of what was
// answered, or ends just that: the end of an earlier card may come after the later card.
func (s provenAnswer) gaveWay(leaf keylog.Leaf) bool {
	was := s.in.Leaf
	return leaf.Label == was.Label && (leaf.Kind == was.Kind || leaf.Kind == keylog.Ended && leaf.Record == was.Record)
}

// A withheldError says that a server has signed a head, and does not show what is under it.
type withheldError struct {
	head store.Head
	err  error
}

func (e *withheldError) Error() string { return fmt.Sprintf("its leaves are not shown: %v", e.err) }
func (e *withheldError) Unwrap() error { return e.err }

// listening notes why a server did not answer.
type listening struct {
	torchwood.TileReader
	failed error
}

func (l *listening) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	data, err := l.TileReader.ReadTiles(ctx, tiles)
	if l.failed == nil {
		l.failed = err
	}
	return data, err
}

// judge tells what a server refused to show from what failed otherwise: on the way, or here.
func (l *listening) judge(head store.Head, err error) error {
	refused := errors.Is(l.failed, keyserver.ErrNotFound) || errors.Is(l.failed, keyserver.ErrBadAnswer)
	if err == nil || !refused && !errors.Is(err, witness.ErrUnfit) {
		return err
	}
	return &withheldError{head, err}
}
