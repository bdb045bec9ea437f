package node

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// An evilLog is signed by the true key of a domain, and tells what a test wants.
type evilLog struct {
	domain pki.Domain
	key    pki.LogKey
	leaves []string
	hashes []tlog.Hash

	answers map[string][]byte // by target, beside the log
	hides   bool              // its tiles
	looks   *atomic.Int64     // at its checkpoint; nil: not counted
	waits   chan struct{}     // closed when it answers; nil: at once
}

// evilLog begins with what the domain has logged by now.
func (m *mesh) evilLog(domain string) *evilLog {
	m.t.Helper()
	of, err := keyring{filepath.Join(m.nodes[domain].dir, keysFolder)}.logging()
	must(m.t, err)
	l := &evilLog{domain: m.nodes[domain].domain, key: of.log}
	ctx, reader, done := keyserver.Client{Dial: dial.Direct()}.ReadLog(m.t.Context(), m.endpoint(domain), logPrefix)
	defer done()
	checkpoint, err := reader.ReadEndpoint(ctx, "checkpoint")
	if errors.Is(err, keyserver.ErrNotFound) { // nothing
		return l
	}
	must(m.t, err)
	verifier, err := witness.LogVerifier(l.domain, l.key.Public())
	must(m.t, err)
	head, _, err := witness.OpenHead(checkpoint, verifier)
	must(m.t, err)
	client, err := torchwood.NewClient(reader)
	must(m.t, err)
	for _, leaf := range client.AllEntries(ctx, tlog.Tree{N: head.Size, Hash: head.Root}, 0) {
		l.add(m.t, string(leaf))
	}
	must(m.t, client.Err())
	return l
}

func (l *evilLog) size() int64 { return int64(len(l.leaves)) }

func (l *evilLog) add(t testing.TB, leaves ...string) *evilLog {
	t.Helper()
	for _, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(len(l.leaves)), []byte(leaf), l)
		must(t, err)
		l.hashes, l.leaves = append(l.hashes, hashes...), append(l.leaves, leaf)
	}
	return l
}

func (l *evilLog) fork() *evilLog {
	other := *l
	other.leaves, other.hashes = append([]string(nil), l.leaves...), append([]tlog.Hash(nil), l.hashes...)
	return &other
}

func (l *evilLog) ReadHashes(indexes []int64) (hashes []tlog.Hash, err error) {
	for _, i := range indexes {
		hashes = append(hashes, l.hashes[i])
	}
	return hashes, nil
}

// head signs all leaves.
func (l *evilLog) head(t testing.TB) []byte {
	t.Helper()
	root, err := tlog.TreeHash(int64(len(l.leaves)), l)
	must(t, err)
	name := keylog.Origin(l.domain)
	vkey, err := keylog.LogVKey(l.domain, l.key.Public())
	must(t, err)
	signer, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + strings.Split(vkey, "+")[1] + "+" +
		base64.StdEncoding.EncodeToString(append([]byte{1}, l.key.Seed()...)))
	must(t, err)
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", name, len(l.leaves), root)}, signer)
	must(t, err)
	return signed
}

// ServeHTTP serves the log under its prefix, as the domain's key server does.
func (l *evilLog) serve(t testing.TB, w http.ResponseWriter, path string) {
	if path == "checkpoint" {
		if l.looks != nil {
			l.looks.Add(1)
		}
		if l.waits != nil {
			<-l.waits
		}
		w.Write(l.head(t))
		return
	}
	tile, err := torchwood.ParseTilePath(path)
	if err != nil || l.hides {
		http.NotFound(w, nil)
		return
	}
	var data []byte
	if tile.L >= 0 {
		data, err = tlog.ReadTileData(tile, l)
	} else {
		for i := range tile.W {
			data, err = torchwood.AppendTileEntry(data, []byte(l.leaves[int(tile.N)*torchwood.TileWidth+i]))
		}
	}
	if err != nil {
		http.NotFound(w, nil)
		return
	}
	w.Write(data)
}

// cosigns has a node cosign the head of a log, from where the node is.
func (m *mesh) cosigns(at string, l *evilLog) ([]byte, error) {
	m.t.Helper()
	r := witness.Request{Checkpoint: l.head(m.t)}
	for {
		lines, err := keyserver.Client{Dial: dial.Direct()}.Cosign(m.t.Context(), m.endpoint(at), r)
		var conflict *witness.ConflictError
		if !errors.As(err, &conflict) || conflict.Size > l.size() || conflict.Size == r.Old {
			return lines, err
		}
		if r.Old = conflict.Size; r.Old < l.size() {
			r.Proof, err = tlog.ProveTree(l.size(), r.Old, l)
			must(m.t, err)
		}
	}
}

// forked waits until nodes have frozen a domain, each with evidence that stands by itself.
func (m *mesh) forked(domain string, by ...string) {
	m.t.Helper()
	for _, at := range by {
		m.until(at+" to see the fork of "+domain, func() error {
			if !m.nodes[at].node.frozen(m.nodes[domain].domain) {
				return errors.New("it is not frozen")
			}
			return nil
		})
		rows := m.held(at, pki.StatementFork)
		f, err := witness.ParseFork(rows[0].Raw)
		if len(rows) != 1 || err != nil || f.Domain != m.nodes[domain].domain {
			m.t.Errorf("%s: %d forks, %v", at, len(rows), err)
		}
		m.noted(at, domain, EventForked, 1)
	}
}

// A domain that shows two of its witnesses two logs of as many leaves is found out by both, by
// what they hand on to each other, and cosigned no more; who saw neither hears it too.
func TestForkIsFoundByGossip(t *testing.T) {
	m := newMesh(t, "e.test", "x.test", "y.test", "z.test")
	m.federate("e.test", "x.test", "y.test")
	m.peer("y.test", "z.test")
	m.peer("z.test", "y.test")
	m.settled("x.test", "y.test", "z.test", "e.test")
	log := m.evilLog("e.test")
	m.takeOver("e.test", log)
	first, second := log.fork().add(t, "one", "two", "drei"), log.fork().add(t, "one", "two", "three")
	lines, err := m.cosigns("x.test", first)
	must(t, err)
	v, err := keylog.WitnessVerifier(m.nodes["x.test"].domain, m.nodes["x.test"].node.logging.witness.Public())
	must(t, err)
	if _, err := note.Open(append(first.head(t), lines...), note.VerifierList(v)); err != nil {
		t.Error("what came is no cosignature:", err)
	}
	if _, err = m.cosigns("y.test", second); err != nil && !errors.Is(err, witness.ErrUnknownLog) { // it may know already
		t.Fatal(err)
	}
	began := time.Now()
	m.forked("e.test", "x.test", "y.test", "z.test")
	t.Logf("found everywhere after %v, with a pace of %v", time.Since(began).Round(time.Millisecond), m.nodes["x.test"].node.cfg.viewPace())
	m.forkEvidence(t, "z.test")
	ann := m.user("ann@z.test") // whose program judges it by itself
	page, err := ann.client.Statements(t.Context(), 0)
	must(t, err)
	if !slices.ContainsFunc(page.Statements, func(raw []byte) bool { return raw[0] == byte(pki.StatementFork) }) {
		t.Error("users are not told")
	}
	if _, err := m.cosigns("x.test", first.add(t, "more")); !errors.Is(err, witness.ErrUnknownLog) {
		t.Errorf("a log that forked is cosigned: %v", err)
	}
	judged := m.nodes["x.test"].node.judge(t.Context(), m.nodes["e.test"].domain)
	if judged.Row != pki.RowForked || judged.Send != pki.SendWarned || judged.Key.IsZero() {
		t.Errorf("judged by %+v", judged)
	}
	must(t, m.nodes["x.test"].end())
	m.nodes["x.test"].start()
	m.forked("e.test", "x.test")
}

// A log of more leaves that does not begin with what a peer has copied is found out by the copy,
// though it shows nobody two heads of as many leaves.
func TestForkIsFoundByMirror(t *testing.T) {
	m := newMesh(t, "e.test", "x.test", "y.test")
	m.federate("e.test", "x.test", "y.test")
	base := m.evilLog("e.test")
	log := base.fork().add(t, "one", "two", "three")
	shown := m.takeOver("e.test", log)
	_, err := m.cosigns("x.test", log)
	must(t, err)
	m.mirrored("e.test", log.size(), "x.test", "y.test")
	log = log.fork().add(t, "four")
	shown.Store(log)
	_, err = m.cosigns("x.test", log)
	must(t, err)
	m.mirrored("e.test", log.size(), "x.test", "y.test")
	evil := base.fork().add(t, "one", "zwei", "three", "four", "five")
	shown.Store(evil)
	if _, err = m.cosigns("x.test", evil); !errors.Is(err, witness.ErrProof) && !errors.Is(err, witness.ErrUnknownLog) {
		t.Errorf("another history is cosigned: %v", err)
	}
	m.forked("e.test", "x.test", "y.test")
	forks, err := m.nodes["x.test"].control.Forks(t.Context())
	if err != nil || len(forks) != 1 || forks[0].Domain != m.nodes["e.test"].domain {
		t.Errorf("the operator is shown %+v, %v", forks, err)
	}
}

// A key server that goes back to an older head, and so leaves out what its peers have seen, is
// told of once at each peer; nothing is frozen, and copies serve the newest.
func TestRollbackIsSeen(t *testing.T) {
	m := newMesh(t, "e.test", "x.test", "y.test")
	m.federate("e.test", "x.test", "y.test")
	older := m.evilLog("e.test").add(t, "one", "two")
	log := older.fork().add(t, "three", "four")
	shown := m.takeOver("e.test", log)
	_, err := m.cosigns("x.test", log)
	must(t, err)
	m.mirrored("e.test", log.size(), "x.test", "y.test")
	shown.Store(older)
	for _, at := range []string{"x.test", "y.test"} {
		m.noted(at, "e.test", EventLog, 1)
		m.noted(at, "e.test", EventForked, 0)
	}
	var conflict *witness.ConflictError
	if _, err := m.cosigns("x.test", older); !errors.As(err, &conflict) || conflict.Size != log.size() {
		t.Errorf("an older head is cosigned: %v", err)
	}
	ctx, reader, done := keyserver.Client{Dial: dial.Direct()}.ReadLog(t.Context(), m.endpoint("y.test"), witness.Mirror(m.nodes["e.test"].domain))
	defer done()
	checkpoint, err := reader.ReadEndpoint(ctx, "checkpoint")
	must(t, err)
	if !strings.HasPrefix(string(checkpoint), fmt.Sprintf("e.test/p3do/log\n%d\n", log.size())) {
		t.Errorf("the copy serves\n%s", checkpoint)
	}
}

// Heads that come all the time keep nobody from looking at the other logs.
func TestRollbackIsSeenInABusyMesh(t *testing.T) {
	m := newMesh(t, "e.test", "x.test")
	m.federate("e.test", "x.test")
	older := m.evilLog("e.test").add(t, "one", "two")
	log := older.fork().add(t, "three", "four")
	shown := m.takeOver("e.test", log)
	_, err := m.cosigns("x.test", log)
	must(t, err)
	m.mirrored("e.test", log.size(), "x.test")
	var busy sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer busy.Wait()
	defer stop()
	busy.Go(func() {
		for ctx.Err() == nil {
			offer(m.nodes["x.test"].node.mirrors.changed, struct{}{})
			wait(ctx, time.Millisecond)
		}
	})
	shown.Store(older)
	m.noted("x.test", "e.test", EventLog, 1)
}

// takeOver ends a node, and shows a log in its place to whoever asks its key server.
func (m *mesh) takeOver(domain string, log *evilLog) *atomic.Pointer[evilLog] {
	m.t.Helper()
	n := m.nodes[domain]
	key, err := keyring{filepath.Join(n.dir, keysFolder)}.link()
	must(m.t, err)
	cert, ca := *n.node.cert.Load(), n.node.authority().CA()
	address := n.running.KeyServer
	must(m.t, n.end())
	shown := new(atomic.Pointer[evilLog])
	shown.Store(log)
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*keyserver.Certificate(cert, key, ca)}}
	ln, err := tls.Listen("tcp", address, config)
	must(m.t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer, ok := shown.Load().answers[r.URL.Path]; ok {
			w.Write(answer)
			return
		}
		path, ok := strings.CutPrefix(r.URL.Path, logPrefix)
		if !ok {
			http.NotFound(w, r)
			return
		}
		shown.Load().serve(m.t, w, path)
	})}
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	go server.Serve(ln)
	m.t.Cleanup(func() { server.Close() })
	return shown
}

// mirrored waits until nodes have a copy of a log with so many leaves.
func (m *mesh) mirrored(domain string, leaves int64, by ...string) {
	m.t.Helper()
	for _, at := range by {
		m.until(at+" to copy the log of "+domain, func() error {
			h, _, err := m.nodes[at].node.store.Mirror(context.Background(), keylog.Origin(m.nodes[domain].domain))
			if err == nil && h.Size != leaves {
				err = fmt.Errorf("%d leaves", h.Size)
			}
			return err
		})
	}
}

// Of two proofs that come at once one is taken, and the operator is told once.
func TestForksAtOnce(t *testing.T) {
	m := newMesh(t, "e.test", "x.test")
	m.federate("e.test", "x.test")
	base := m.evilLog("e.test")
	good, evil := base.fork().add(t, "one", "two"), base.fork().add(t, "eins", "zwei", "drei")
	longer := good.fork().add(t, "three")
	d, err := m.nodes["x.test"].node.directory.descriptor(t.Context(), m.nodes["e.test"].domain)
	must(t, err)
	head := func(l *evilLog) store.Head {
		h, err := witness.HeadBy(d, l.head(t))
		must(t, err)
		return h
	}
	must(t, m.nodes["e.test"].end())
	var proofs [][]byte
	for _, h := range []store.Head{head(good), head(longer)} {
		f, err := witness.NewFork([2]store.Head{h, head(evil)}, evil)
		must(t, err)
		proofs = append(proofs, f.Marshal())
	}
	var told atomic.Int64
	var taking sync.WaitGroup
	for i := range 8 {
		taking.Go(func() {
			if fresh, err := m.nodes["x.test"].node.acceptFork(t.Context(), proofs[i%2]); fresh && err == nil {
				told.Add(1)
			}
		})
	}
	taking.Wait()
	if told.Load() != 1 {
		t.Errorf("%d are taken", told.Load())
	}
	m.noted("x.test", "e.test", EventForked, 1)
}
