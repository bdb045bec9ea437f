package interop

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	theirnote "github.com/transparency-dev/formats/note"
	theirs "github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Our client has the witness of transparency-dev, as b.test behind a key server's TLS, cosign heads of our log: the
// first, one after it, and one for which it has to be told first how far the witness is. What is no continuation is refused.
func TestTheirWitnessCosignsOurLog(t *testing.T) {
	w := world{must(pki.ParseDomain("a.test")), must(pki.ParseDomain("b.test")), must(pki.NewLogKey(rand.Reader)), must(pki.NewWitnessKey(rand.Reader))}
	server := w.before(t, w.theirs(t))
	peer := witness.Peer{Verifier: w.cosigns(), Ask: func(ctx context.Context, r witness.Request) ([]byte, error) {
		return keyserver.Client{Dial: dial.Direct()}.Cosign(ctx, server, r)
	}}
	var tree tree
	for _, step := range []struct {
		grow int
		old  int64
	}{{3, 0}, {200, 3}, {1, 0}} {
		tree.grow(step.grow)
		peer.Old = step.old
		olds, errs := w.gather(t, &tree, peer)
		if errs[0] != nil || olds[0] != tree.size {
			t.Errorf("after %d leaves: %d, %v", step.grow, olds[0], errs[0])
		}
	}
	other := treeOf("another", 210)
	peer.Old = tree.size
	if _, errs := w.gather(t, &other, peer); errs[0] == nil {
		t.Error("another history is cosigned")
	}
}

// gather asks for a cosignature of the whole tree; one that comes is good, or it is an error.
func (w world) gather(t *testing.T, tree *tree, by witness.Peer) (olds []int64, errs []error) {
	t.Helper()
	text := fmt.Sprintf("%s\n%d\n%s\n", keylog.Origin(w.home), tree.size, must(tlog.TreeHash(tree.size, tree)))
	head := store.Head{Origin: keylog.Origin(w.home), Size: tree.size, Root: must(tlog.TreeHash(tree.size, tree))}
	head.Checkpoint = must(note.Sign(&note.Note{Text: text}, must(keylog.NewLogSigner(w.home, w.log))))
	prove := func(old int64) (tlog.TreeProof, error) { return tlog.ProveTree(tree.size, old, tree) }
	return witness.Gather(t.Context(), head, prove, []witness.Peer{by}, func(sig note.Signature) {
		if _, err := note.Open(must(witness.Merge(head.Checkpoint, sig)), note.VerifierList(w.cosigns())); err != nil {
			t.Error(err)
		}
	})
}

// A tree keeps all hashes of a log.
type tree struct {
	hashes []tlog.Hash
	size   int64
	way    string
}

func treeOf(way string, leaves int) tree {
	t := tree{way: way}
	t.grow(leaves)
	return t
}

func (t *tree) grow(leaves int) {
	for range leaves {
		t.hashes = append(t.hashes, must(tlog.StoredHashes(t.size, fmt.Appendf(nil, "%s %d", t.way, t.size), t))...)
		t.size++
	}
}

// ReadHashes implements tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) (hashes []tlog.Hash, err error) {
	for _, i := range indexes {
		hashes = append(hashes, t.hashes[i])
	}
	return hashes, nil
}

// witness is theirs, and knows our log.
func (w world) theirs(t *testing.T) *theirs.HTTPHandler {
	t.Helper()
	made, err := theirs.New(t.Context(), theirs.Opts{
		Persistence: &memory{}, Signers: []note.Signer{w.cosigner()},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			log, err := witness.LogVerifier(w.home, w.log.Public())
			return log, origin == keylog.Origin(w.home), err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return theirs.NewHTTPHandler(made)
}

// cosigner has the witness's key in their hands.
func (w world) cosigner() note.Signer {
	vkey := strings.Split(w.cosigns().String(), "+") // name, hash, key
	seed := append([]byte{cosignatureV1}, w.by.Seed()...)
	return must(theirnote.NewSignerForCosignatureV1("PRIVATE+KEY+" + vkey[0] + "+" + vkey[1] + "+" + base64.StdEncoding.EncodeToString(seed)))
}

// cosignatureV1 is the type of a key that cosigns (C2SP tlog-cosignature).
const cosignatureV1 = 4

// memory keeps the checkpoint of one log.
type memory struct {
	mu         sync.Mutex
	checkpoint []byte
}

func (*memory) Init(context.Context) error { return nil }

func (m *memory) Latest(context.Context, string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checkpoint, nil
}

func (m *memory) Update(_ context.Context, _ string, next func([]byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	updated, err := next(m.checkpoint)
	if err == nil {
		m.checkpoint = updated
	}
	return err
}

// before is a key server's TLS, and its targets, before their witness.
func (w world) before(t *testing.T, handler *theirs.HTTPHandler) keyserver.Endpoint {
	authority := must(pki.NewAuthority(rand.Reader, w.here, time.Now()))
	key := must(pki.NewLinkKey(rand.Reader))
	link := must(authority.SignLink(rand.Reader, time.Now(), key.Public(), pki.LinkLifetime))
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+witness.AddCheckpoint, handler.AddCheckpoint)
	front := httptest.NewUnstartedServer(mux)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{*keyserver.Certificate(link, key, authority.CA())}, MinVersion: tls.VersionTLS13}
	front.StartTLS()
	t.Cleanup(front.Close)
	return keyserver.Endpoint{Address: front.Listener.Addr().String(), CA: authority.CA().Fingerprint()}
}
