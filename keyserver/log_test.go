package keyserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

func TestLookUpsWithProof(t *testing.T) {
	w := newLogged(t, newCosigners(t, "b.test", "c.test", "d.test"))
	ann := w.publish(t, "ann@a.test")
	for i := range 9 {
		w.publish(t, fmt.Sprintf("u%d@a.test", i))
	}
	must(t, w.server.PublishDescriptor(t.Context(), w.descriptorWithLog(t)))
	tree := w.sealed(t)
	card, in, err := w.client.ProvenUser(t.Context(), w.endpoint, name(t, "ann@a.test"), w.by(t, 2))
	must(t, err)
	if card.Key() != ann.key.Public() || in.Index != 0 || in.Head.Tree != tree || time.Since(in.Leaf.Time) > patience {
		t.Errorf("%+v in %+v", in, tree)
	}
	_, by, err := w.client.ProvenUserByKey(t.Context(), w.endpoint, ann.key.Public().Fingerprint(), w.by(t, 2))
	must(t, err)
	if by.Leaf != in.Leaf {
		t.Error("by key it is another leaf")
	}
	d, in, err := w.client.ProvenServer(t.Context(), w.endpoint, w.authority.Domain(), w.by(t, 2).Witnesses)
	must(t, err)
	if in.Leaf.Kind != keylog.Authority || in.Leaf.Record != d.CA.Fingerprint() {
		t.Errorf("%+v", in)
	}
}

func TestProofsThatAreNone(t *testing.T) {
	w := newLogged(t, newCosigners(t, "b.test", "c.test"))
	w.publish(t, "ann@a.test")
	must(t, w.server.PublishCertificate(t.Context(), newPerson(t, w.authority, "bob@a.test").cert))
	w.sealed(t)
	ask := func(text string, by Proven) error {
		_, _, err := w.client.ProvenUser(t.Context(), w.endpoint, name(t, text), by)
		return err
	}
	other, more := w.by(t, 2), newCosigners(t, "e.test")
	other.Log.Labels = labelKey(t).Public()
	another := w.by(t, 2)
	key, err := pki.NewLogKey(rand.Reader)
	must(t, err)
	another.Log.Key = key.Public()
	stranger := Proven{w.log.Reader(), more.quorum(t, 1)}
	for what, row := range map[string]struct{ err, want error }{
		"nobody":                       {ask("carol@a.test", w.by(t, 2)), ErrNotFound},
		"somebody without a card":      {ask("bob@a.test", w.by(t, 2)), ErrNotFound},
		"somebody of another domain":   {ask("ann@b.test", w.by(t, 2)), ErrNotFound},
		"labels of another key":        {ask("ann@a.test", other), keylog.ErrProof},
		"a log of another key":         {ask("ann@a.test", another), keylog.ErrCheckpoint},
		"a witness that did not sign":  {ask("ann@a.test", stranger), keylog.ErrQuorum},
		"a server that keeps no log":   {ask("ann@a.test", w.by(t, 2)), nil},
		"a domain that is not its own": {second(w.client.ProvenServer(t.Context(), w.endpoint, domain(t, "b.test"), nil)), ErrNotFound},
	} {
		if !errors.Is(row.err, row.want) || row.want == nil && row.err != nil {
			t.Errorf("%s: %v, want %v", what, row.err, row.want)
		}
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

// While the witnesses do not answer, what is new is pending, and what is old stays proven.
func TestPendingUntilCosigned(t *testing.T) {
	c := newCosigners(t, "b.test", "c.test")
	w := newLogged(t, c)
	w.publish(t, "ann@a.test")
	old := w.sealed(t)
	w2, err := OpenLog(t.Context(), w.log.config) // another start, without witnesses
	must(t, err)
	w2.config.Cosign = func(context.Context, tlog.Tree, []byte, func(int64) (tlog.TreeProof, error), func(note.Signature)) {}
	config := w.server.config
	config.CA, config.Log = w.authority.CA(), w2
	server := New(config)
	at := w.endpoint
	at.Address = serve(t, server, w.cert)
	run(t, w2)
	must(t, server.PublishCard(t.Context(), newPerson(t, w.authority, "bob@a.test").card(t, 1)))
	for w2.heads.Load().newest.N < 2 {
		<-w2.heads.Load().next
	}
	if _, in, err := w.client.ProvenUser(t.Context(), at, name(t, "ann@a.test"), w.by(t, 2)); err != nil || in.Head.Tree != old {
		t.Errorf("ann: %+v %v", in, err)
	}
	if _, _, err := w.client.ProvenUser(t.Context(), at, name(t, "bob@a.test"), w.by(t, 2)); !errors.Is(err, keylog.ErrQuorum) {
		t.Errorf("bob: %v", err)
	}
	if _, _, err := w.client.ProvenUser(t.Context(), at, name(t, "bob@a.test"), Proven{Log: w2.Reader()}); err != nil {
		t.Errorf("bob, without witnesses: %v", err)
	}
}

// A card is in the log if and only if it was published: once for each version, and no more.
func TestPublishedIsLogged(t *testing.T) {
	w := newLogged(t, nil)
	p := newPerson(t, w.authority, "ann@a.test")
	size := func(want int64) {
		t.Helper()
		if n, err := w.store.LogSize(t.Context()); err != nil || n != want {
			t.Fatalf("%d leaves (%v), want %d", n, err, want)
		}
	}
	must(t, w.server.PublishCertificate(t.Context(), p.cert))
	size(0)
	first, newer := p.card(t, 1), p.card(t, 2)
	must(t, w.server.PublishCard(t.Context(), first))
	must(t, w.server.PublishCard(t.Context(), first))
	must(t, w.server.PublishCertificate(t.Context(), p.cert))
	size(1)
	must(t, w.server.PublishCard(t.Context(), newer))
	size(2)
	if err := w.server.PublishCard(t.Context(), first); !errors.Is(err, store.ErrOldSerial) {
		t.Fatal(err)
	}
	size(2)
	w.sealed(t)
	if _, in, err := w.client.ProvenUser(t.Context(), w.endpoint, name(t, "ann@a.test"), w.by(t, 0)); err != nil || in.Index != 1 {
		t.Errorf("%+v %v", in, err)
	}
	must(t, w.server.PublishDescriptor(t.Context(), descriptor(t, w.authority, 1)))
	must(t, w.server.PublishDescriptor(t.Context(), descriptor(t, w.authority, 2)))
	size(3)
	dropped, err := w.store.DropKey(t.Context(), "ann@a.test", p.key.Public().Fingerprint(), w.log.Ended)
	must(t, err)
	size(4)
	for _, kind := range []keylog.Kind{keylog.Card, keylog.Ended} {
		if _, err := w.store.Logged(t.Context(), uint8(kind), "ann@a.test"); dropped != 1 || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("she is deleted, and the log still has her name: %v", err)
		}
	}
	leaves := w.leaves(t)
	label, _ := w.log.config.Labels.Label("ann@a.test")
	if end := leaves[3]; end.Kind != keylog.Ended || end.Label != label || end.Record != sha256.Sum256(newer.Raw()) {
		t.Errorf("her end is %+v", end)
	}
	if _, err := w.store.DropKey(t.Context(), "", p.key.Public().Fingerprint(), w.log.Ended); err != nil {
		t.Fatal(err)
	}
	size(4)
}

// leaves are all that the log has.
func (w *logged) leaves(t testing.TB) []keylog.Leaf { return leavesOf(t, w.store) }

func leavesOf(t testing.TB, s *store.Store) (all []keylog.Leaf) {
	t.Helper()
	for {
		raws, err := s.Leaves(context.Background(), int64(len(all)), fillBatch)
		must(t, err)
		if len(raws) == 0 {
			return all
		}
		for _, raw := range raws {
			leaf, err := keylog.ParseLeaf(raw)
			must(t, err)
			all = append(all, leaf)
		}
	}
}

// A revocation of one of the domain's users is logged with the statement, once, and those that an
// older version took get their leaves.
func TestRevocationsAreLogged(t *testing.T) {
	w := newLogged(t, nil)
	ann, bob := newPerson(t, w.authority, "ann@a.test"), newPerson(t, w.authority, "bob@a.test")
	first, err := ann.key.RevokeKey(ann.cert.DER(), time.Now())
	must(t, err)
	older, err := bob.key.RevokeKey(bob.cert.DER(), time.Now())
	must(t, err)
	add := func(r pki.Revocation, e *store.Entry) {
		t.Helper()
		_, err := w.store.AddStatement(t.Context(), revocationRow(r, e), store.Room{Each: 10})
		must(t, err)
	}
	add(first, w.log.Said(keylog.Revocation, first.Name(), first.Raw()))
	add(first, w.log.Said(keylog.Revocation, first.Name(), first.Raw()))
	add(older, nil)
	must(t, w.log.Fill(t.Context()))
	must(t, w.log.Fill(t.Context()))
	leaves := w.leaves(t)
	if len(leaves) != 2 {
		t.Fatalf("%+v", leaves)
	}
	for i, r := range []pki.Revocation{first, older} {
		label, _ := w.log.config.Labels.Label(r.Name().String())
		if l := leaves[i]; l.Kind != keylog.Revocation || l.Label != label || l.Record != sha256.Sum256(r.Raw()) {
			t.Errorf("%s: %+v", r.Name(), l)
		}
	}
}

func revocationRow(r pki.Revocation, e *store.Entry) store.Statement {
	return store.Statement{Kind: uint8(pki.StatementRevocation), Issuer: r.Domain().String(), ID: r.Ends(), Serial: 1, Raw: r.Raw(), Entry: e}
}

// What an older version published gets its leaves at the first start with a log.
func TestOlderFileIsFilled(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	for i := range 2*fillBatch + 3 { // some of whom have cards
		must(t, w.server.PublishCertificate(t.Context(), newPerson(t, w.authority, fmt.Sprintf("c%d@a.test", i)).cert))
		if i%100 == 0 {
			w.publish(t, fmt.Sprintf("u%d@a.test", i))
		}
	}
	must(t, w.server.PublishDescriptor(t.Context(), descriptor(t, w.authority, 1)))
	l, err := OpenLog(t.Context(), logConfig(t, w.store, w.authority.Domain(), nil))
	must(t, err)
	for range 2 {
		must(t, l.Fill(t.Context()))
		if n, err := w.store.LogSize(t.Context()); err != nil || n != 7 {
			t.Fatalf("%d leaves (%v), want those of 6 cards and a key", n, err)
		}
	}
	lost := l.config // the key of the labels was lost: all have leaves under the new one
	lost.Labels = labelKey(t)
	l, err = OpenLog(t.Context(), lost)
	must(t, err)
	for range 2 {
		must(t, l.Fill(t.Context()))
		if n, err := w.store.LogSize(t.Context()); err != nil || n != 14 {
			t.Fatalf("%d leaves (%v), want as many again", n, err)
		}
	}
	e, err := w.store.Logged(t.Context(), uint8(keylog.Card), "u0@a.test")
	must(t, err)
	if _, err := keylog.VerifyLabel(lost.Labels.Public(), "u0@a.test", keylog.LabelProof(e.Proof)); err != nil {
		t.Error(err)
	}
}

// transport speaks TLS with a server whoever that is: what it says is verified otherwise.
func transport(address string) *http.Transport {
	return &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	}}
}

// Other people's tools read the log: torchwood's client, over HTTP, checks all of it.
func TestTorchwoodReadsTheLog(t *testing.T) {
	w := newLogged(t, newCosigners(t, "b.test", "c.test"))
	const n = 2*keylog.TileWidth + 5
	entries := make([]store.Entry, n)
	for i := range entries {
		entries[i] = *w.log.entry(keylog.Card, fmt.Sprintf("u%d@a.test", i), sha256.Sum256(fmt.Append(nil, i)))
	}
	if fresh, err := w.store.AppendLog(t.Context(), entries...); err != nil || fresh != n {
		t.Fatal(fresh, err)
	}
	w.log.kick()
	w.sealed(t)
	tr := transport(w.endpoint.Address)
	defer tr.CloseIdleConnections()
	fetcher, err := torchwood.NewTileFetcher("https://a.test/v1/log", torchwood.WithHTTPClient(&http.Client{Transport: tr}), torchwood.WithUserAgent("test (of the log)"))
	must(t, err)
	client, err := torchwood.NewClient(fetcher)
	must(t, err)
	signed, err := fetcher.ReadEndpoint(t.Context(), "checkpoint")
	must(t, err)
	head, err := w.log.Reader().Open(signed, w.cosigners.quorum(t, 2))
	must(t, err)
	read := 0
	for i, raw := range client.AllEntries(t.Context(), head.Tree, 0) {
		if leaf, err := keylog.ParseLeaf(raw); err != nil || !bytes.Equal(raw, entries[i].Leaf) || leaf.Kind != keylog.Card {
			t.Fatalf("leaf %d: %v", i, err)
		}
		read++
	}
	if err := client.Err(); err != nil || read != n {
		t.Fatalf("%d leaves read: %v", read, err)
	}
	_, way, err := client.Entry(t.Context(), head.Tree, 300)
	must(t, err)
	must(t, tlog.CheckRecord(way, head.N, head.Hash, 300, tlog.RecordHash(entries[300].Leaf)))
}

// asked asks a server without a network.
func asked(s *Server, target string) *httptest.ResponseRecorder { return askedWith(s, target, "") }

// askedWith asks as somebody who has what an ETag is of.
func askedWith(s *Server, target, tag string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RequestURI = target
	r.Header.Set("If-None-Match", tag)
	out := httptest.NewRecorder()
	s.ServeHTTP(out, r)
	return out
}

func TestTilesAreCached(t *testing.T) {
	w := newLogged(t, nil)
	for i := range 3 {
		w.publish(t, fmt.Sprintf("u%d@a.test", i))
	}
	w.sealed(t)
	for target, want := range map[string]struct {
		status, size int
		cache        string
	}{
		"/v1/log/checkpoint":              {200, -1, "no-cache"},
		"/v1/log/tile/0/000.p/3":          {200, 3 * 32, forever},
		"/v1/log/tile/0/000.p/2":          {200, 2 * 32, forever},
		"/v1/log/tile/entries/000.p/3":    {200, 3 * (2 + keylog.LeafSize), forever},
		"/v1/log/tile/0/000.p/4":          {404, -1, "no-store"},
		"/v1/log/tile/0/000":              {404, -1, "no-store"},
		"/v1/log/tile/1/000.p/1":          {404, -1, "no-store"},
		"/v1/log/tile/entries/001":        {404, -1, "no-store"},
		"/v1/log/tile/0/x000/000.p/3":     {404, -1, "no-store"},
		"/v1/log/tile/entries/000.p/3/":   {404, -1, "no-store"},
		"/v1/log/tile/entries/000.p/3?":   {404, -1, "no-store"},
		"/v1/log/Checkpoint":              {404, -1, "no-store"},
		"/v1/log":                         {404, -1, "no-store"},
		"/v1/proof/user/u0@a.test":        {200, -1, "no-store"},
		"/v1/proof/user/U0@a.test":        {404, -1, "no-store"},
		"/v1/proof/servers/a.test":        {404, -1, "no-store"},
		"/v1/proof/successions/a.test":    {404, -1, "no-store"},
		"/v1/proof/proof/user/u0@a.test":  {404, -1, "no-store"},
		"/v1/proof/log/checkpoint":        {404, -1, "no-store"},
		"/v1/proof/user/u0@a.test/more":   {404, -1, "no-store"},
		"/v1/log/tile/entries/../0/000":   {404, -1, "no-store"},
		"/v1/log/tile/entries/000.p/0003": {404, -1, "no-store"},
	} {
		out := asked(w.server, target)
		if out.Code != want.status || want.size >= 0 && out.Body.Len() != want.size || out.Header().Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d, %d bytes, %q", target, out.Code, out.Body.Len(), out.Header())
		}
		if out.Code == 404 && out.Body.String() != "Not Found\n" {
			t.Errorf("%s: another 404: %q", target, out.Body)
		}
	}
}

// Ten thousand names are asked for: only those that are asked for exactly are learnt. Who has all
// leaves, and guesses every name, finds nobody in them.
func TestNamesAreNotEnumerated(t *testing.T) {
	w := newLogged(t, nil)
	there := map[string]bool{}
	for _, text := range []string{"u17@a.test", "u4711@a.test", "u9999@a.test"} {
		w.publish(t, text)
		there[text] = true
	}
	w.sealed(t)
	var labels []keylog.Label
	leaves, err := w.store.Leaves(t.Context(), 0, 256)
	must(t, err)
	for _, raw := range leaves {
		leaf, err := keylog.ParseLeaf(raw)
		must(t, err)
		labels = append(labels, leaf.Label)
	}
	guess := labelKey(t)
	for i := range 10_000 {
		text := fmt.Sprintf("u%d@a.test", i)
		out := asked(w.server, "/v1/proof/user/"+text)
		if hit := out.Code == 200; hit != there[text] || !hit && (out.Code != 404 || out.Body.String() != "Not Found\n" || out.Header().Get("Cache-Control") != "no-store") {
			t.Fatalf("%s: %d %q", text, out.Code, out.Body)
		}
		if i%100 > 0 && !there[text] {
			continue // a label costs much
		}
		if label, _ := guess.Label(text); slices.Contains(labels, label) || slices.Contains(labels, keylog.Label(sha256.Sum256([]byte(text)))) {
			t.Fatalf("%s is in the log for everybody to see", text)
		}
	}
}

// Add, and see it under a quorum of cosignatures: less than half a second.
func TestSealedSoon(t *testing.T) {
	c := newCosigners(t, "b.test", "c.test", "d.test")
	c.deaf = 1 // and one of three is dead
	w := newLogged(t, c)
	w.publish(t, "first@a.test")
	w.sealed(t)
	var all []time.Duration
	for i := range 11 {
		card := newPerson(t, w.authority, fmt.Sprintf("u%d@a.test", i)).card(t, 1)
		start := time.Now()
		must(t, w.server.PublishCard(t.Context(), card))
		w.sealed(t)
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	t.Logf("from publishing to a cosigned checkpoint: median %v, at most %v", all[len(all)/2], all[len(all)-1])
}

func appendOne(t testing.TB, l *Log, text string) error {
	t.Helper()
	_, err := l.config.Store.AppendLog(t.Context(), *l.Said(keylog.Challenge, name(t, text), []byte(text)))
	return err
}

// A log that is started anew goes on where it was, and signs the same for the same leaves.
func TestLogGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	st, err := store.Open(t.Context(), path)
	must(t, err)
	config := logConfig(t, st, domain(t, "a.test"), nil)
	l, err := OpenLog(t.Context(), config)
	must(t, err)
	must(t, appendOne(t, l, "ann@a.test"))
	_, _, err = l.seal(t.Context())
	must(t, err)
	first, cosigned, _ := l.Published()
	if !bytes.Equal(first, cosigned) {
		t.Error("where no quorum is wanted, a checkpoint is pending")
	}
	must(t, st.Close())
	config.Store, err = store.Open(t.Context(), path)
	must(t, err)
	defer config.Store.Close()
	if l, err = OpenLog(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := l.Published(); !bytes.Equal(again, first) {
		t.Errorf("%s, and before %s", again, first)
	}
	must(t, appendOne(t, l, "bob@a.test"))
	_, _, err = l.seal(t.Context())
	must(t, err)
	old, now := l.heads.Load().newest.Tree, tlog.Tree{}
	must(t, appendOne(t, l, "carol@a.test"))
	_, _, err = l.seal(t.Context())
	must(t, err)
	now = l.heads.Load().newest.Tree
	proof, err := l.Consistency(t.Context(), old.N, now.N)
	must(t, err)
	must(t, tlog.CheckTree(proof, now.N, now.Hash, old.N, old.Hash))
	if _, err := l.Consistency(t.Context(), now.N+1, now.N); err == nil {
		t.Error("a tree continues one that is longer")
	}
}
