package interop

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Tessera, as the log of a.test, publishes nothing that our witness, b.test, has not cosigned. When that
// has lost what it knew, Tessera hears so by 409, and proves its way from there.
func TestOurWitnessCosignsTessera(t *testing.T) {
	w := world{must(pki.ParseDomain("a.test")), must(pki.ParseDomain("b.test")), must(pki.NewLogKey(rand.Reader)), must(pki.NewWitnessKey(rand.Reader))}
	dir := t.TempDir()
	first, second := w.newDoor(t), w.newDoor(t)
	w.holds(t, first, w.grow(t, dir, first, 7), 7)
	w.holds(t, first, w.grow(t, dir, first, 300), 307)
	w.holds(t, second, w.grow(t, dir, second, 5), 312)
	if first.answers[http.StatusConflict] > 0 || second.answers[http.StatusConflict] == 0 {
		t.Errorf("answers by status: %v, then %v", first.answers, second.answers)
	}
}

// A world is a log, a witness, and their keys.
type world struct {
	home, here pki.Domain
	log        pki.LogKey
	by         pki.WitnessKey
}

// A door is our witness over HTTP; it knows one log, and counts its answers by status.
type door struct {
	database *store.Store
	witness  *witness.Witness
	answers  map[int]int
}

func (w world) newDoor(t *testing.T) *door {
	database := must(store.Open(t.Context(), filepath.Join(t.TempDir(), "node.db")))
	t.Cleanup(func() { database.Close() })
	return &door{database, witness.New(witness.Config{
		Store: database, Signer: must(witness.Signer(w.here, w.by)),
		Log: func(_ context.Context, origin string) (d pki.SignedDescriptor, ok bool) {
			d.Domain, d.Log = w.home, w.log.Public()
			return d, origin == keylog.Origin(w.home)
		},
	}), make(map[int]int)}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != witness.AddCheckpoint {
		http.NotFound(w, r)
		return
	}
	answer := &noted{w, http.StatusOK}
	d.witness.ServeHTTP(answer, r)
	d.answers[answer.status]++ // one log asks, one request at a time
}

// A noted response tells its status.
type noted struct {
	http.ResponseWriter
	status int
}

func (n *noted) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// grow opens the log in a folder with a witness, adds so many leaves, and returns the checkpoint of all.
func (w world) grow(t *testing.T, dir string, by *door, leaves int) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server := httptest.NewServer(by)
	defer server.Close()
	at := must(url.Parse(server.URL + strings.TrimSuffix(witness.AddCheckpoint, "/add-checkpoint")))
	wanted := must(tessera.NewWitness(w.cosigns().String(), at))
	appender, shutdown, log, err := tessera.NewAppender(ctx, must(posix.New(ctx, posix.Config{Path: dir})), tessera.NewAppendOptions().
		WithCheckpointSigner(must(keylog.NewLogSigner(w.home, w.log))).WithCheckpointInterval(100*time.Millisecond).
		WithBatching(64, 10*time.Millisecond).WithWitnesses(tessera.NewWitnessGroup(1, wanted), nil))
	if err != nil {
		t.Fatal(err)
	}
	var added []tessera.IndexFuture
	for i := range leaves {
		added = append(added, appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "leaf %d of %d", i, leaves))))
	}
	checkpoint := awaitAll(ctx, t, tessera.NewPublicationAwaiter(ctx, log.ReadCheckpoint, 20*time.Millisecond), added)
	if err := shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

func awaitAll(ctx context.Context, t *testing.T, await *tessera.PublicationAwaiter, added []tessera.IndexFuture) (checkpoint []byte) {
	t.Helper()
	for _, future := range added {
		var err error
		if _, checkpoint, err = await.Await(ctx, future); err != nil {
			t.Fatal(err)
		}
	}
	return checkpoint
}

func (w world) cosigns() *torchwood.CosignatureVerifier {
	return must(keylog.WitnessVerifier(w.here, w.by.Public()))
}

// holds is an error if a checkpoint is not of so many leaves, not signed by both, or not what the witness knows.
func (w world) holds(t *testing.T, by *door, checkpoint []byte, leaves int64) {
	t.Helper()
	signed, err := note.Open(checkpoint, note.VerifierList(must(witness.LogVerifier(w.home, w.log.Public())), w.cosigns()))
	if err != nil {
		t.Fatal(err)
	}
	head := must(torchwood.ParseCheckpoint(signed.Text))
	held := must(by.database.Witnessed(t.Context(), keylog.Origin(w.home)))
	if len(signed.Sigs) != 2 || head.N != leaves || held.Size != leaves || held.Root != head.Hash {
		t.Errorf("%d signatures of %d leaves, wanted %d; the witness has %d", len(signed.Sigs), head.N, leaves, held.Size)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
