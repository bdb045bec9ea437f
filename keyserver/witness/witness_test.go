package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A log grows, and each of its heads is cosigned; what torchwood makes of key, lines and policy
// is what this package makes of them.
func TestCosigning(t *testing.T) {
	log := newTree("a.test", 1)
	w, s := newWitness(t, log)
	policy := must(torchwood.ParsePolicy([]byte("log " + must(keylog.LogVKey(domain("a.test"), log.key.Public())) + "\nwitness b " +
		must(keylog.WitnessVerifier(domain("b.test"), witnessKey().Public())).String() + "\nquorum b\n")))
	var last int64
	for _, size := range []int64{1, 2, 3, 7, 8, 300} {
		log.add(int(size-last), "a")
		lines := must(w.Add(t.Context(), log.request(last, size)))
		c, n, err := torchwood.VerifyCheckpoint(append(log.at(size), lines...), policy)
		if err != nil || c.N != size || c.Origin != "a.test/p3do/log" {
			t.Fatalf("%d leaves: %+v, %v", size, c, err)
		}
		at := must(torchwood.CosignatureTimestamp(n.Sigs[len(n.Sigs)-1]))
		if age := time.Since(time.Unix(at, 0)); age < -time.Second || age > time.Minute {
			t.Errorf("cosigned %v ago", age)
		}
		if h := must(s.Witnessed(t.Context(), c.Origin)); h.Size != size || !bytes.Equal(h.Checkpoint, slices.Concat(log.at(size), lines)) || !bytes.Equal(h.Descriptor, log.descriptor.Raw()) {
			t.Errorf("%d leaves are written down as %d", size, h.Size)
		}
		last = size
	}
	must(w.Add(t.Context(), log.request(last, last))) // once more, with a later time
}

// Every answer of C2SP tlog-witness, over HTTP.
func TestAnswers(t *testing.T) {
	log, strange := newTree("a.test", 1), newTree("c.test", 2)
	log.add(10, "a")
	strange.add(10, "c")
	evil := log.fork(3)
	evil.add(7, "evil")
	w, _ := newWitness(t, log)
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	ask := func(body []byte) (int, string, string) {
		resp := must(http.Post(server.URL, "", bytes.NewReader(body)))
		defer resp.Body.Close()
		var text bytes.Buffer
		must(text.ReadFrom(resp.Body))
		return resp.StatusCode, resp.Header.Get("Content-Type"), text.String()
	}
	otherKey := *log
	otherKey.key = strange.key
	bent := log.request(5, 6)
	bent[bytes.IndexByte(bent, '\n')+3] ^= 1
	for _, c := range []struct {
		what   string
		body   []byte
		status int
		text   string
	}{
		{"not begun", log.request(2, 5), 409, "0\n"},
		{"the first", log.request(0, 5), 200, ""},
		{"the same", log.request(5, 5), 200, ""},
		{"from the first on", log.request(0, 6), 409, "5\n"},
		{"from beyond", log.request(6, 7), 409, "5\n"},
		{"smaller", log.request(2, 4), 409, "5\n"},
		{"less than before", bytes.Replace(log.request(4, 4), []byte("old 4"), []byte("old 5"), 1), 400, ""},
		{"another log", strange.request(0, 5), 404, ""},
		{"another key", otherKey.request(5, 6), 403, ""},
		{"as many leaves of another tree", evil.request(5, 5), 409, "5\n"},
		{"more leaves of another tree", evil.request(5, 9), 422, ""},
		{"a bent proof", bent, 422, ""},
		{"a proof from nothing", bytes.Replace(log.request(5, 9), []byte("old 5"), []byte("old 0"), 1), 400, ""},
		{"no checkpoint", []byte("old 5\n\n"), 404, ""},
		{"nothing", nil, 400, ""},
		{"too much", make([]byte, MaxRequest+1), 400, ""},
		{"as it should be", log.request(5, 10), 200, ""},
	} {
		status, contentType, text := ask(c.body)
		if status != c.status || c.text != "" && text != c.text {
			t.Errorf("%s: %d %q, want %d %q", c.what, status, text, c.status, c.text)
		}
		if status == 409 && contentType != "text/x.tlog.size" {
			t.Errorf("%s: a size as %s", c.what, contentType)
		}
		if status == 200 && (!strings.HasPrefix(text, "— b.test/p3do/witness ") || strings.Count(text, "\n") != 1) {
			t.Errorf("%s: %q", c.what, text)
		}
	}
}

// No order of requests, of two histories by one key, from many at once, with a crash between
// any two, has two heads cosigned that contradict each other.
func TestNoTwoHistoriesAreCosigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s := must(store.Open(t.Context(), path))
	t.Cleanup(func() { s.Close() })
	logs := 0
	rapid.Check(t, func(rt *rapid.T) {
		logs++
		log := newTree(fmt.Sprintf("a%d.test", logs), 1)
		log.add(3, "a")
		evil := log.fork(3)
		log.add(17, "a")
		evil.add(17, "evil")
		var mu sync.Mutex
		cosigned := map[int64]tlog.Hash{}
		for range rapid.IntRange(1, 6).Draw(rt, "rounds") {
			w := witnessOn(s, log)
			var asking sync.WaitGroup
			for range rapid.IntRange(1, 6).Draw(rt, "at once") {
				from := []*tree{log, evil}[rapid.IntRange(0, 1).Draw(rt, "which")]
				a, b := rapid.Int64Range(0, 20).Draw(rt, "old"), rapid.Int64Range(1, 20).Draw(rt, "new")
				body := from.request(min(a, b), b)
				asking.Go(func() {
					if _, err := w.Add(t.Context(), body); err == nil {
						mu.Lock()
						defer mu.Unlock()
						root := tlog.Hash(from.head(b).Root)
						if was, ok := cosigned[b]; ok && was != root {
							cosigned[-1] = root
						}
						cosigned[b] = root
					}
				})
			}
			asking.Wait()
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				s.Close()
				s = must(store.Open(t.Context(), path))
			}
		}
		of := func(tr *tree, n int64) tlog.Hash { return must(tlog.TreeHash(n, tr)) }
		var good, bad bool
		for size, root := range cosigned {
			if size < 0 {
				rt.Fatal("two heads of as many leaves were cosigned")
			}
			good = good || size > 3 && root == of(log, size)
			bad = bad || size > 3 && root == of(evil, size)
		}
		if good && bad {
			rt.Fatalf("two histories were cosigned: %v", cosigned)
		}
	})
}

// A witness that dies right before or right after a write becomes durable has told nobody of a
// head that it does not know when it is back, and goes on from there.
func TestDeathsBetweenWrites(t *testing.T) {
	type death struct {
		dir      string
		answered int64 // leaves of the last head that was cosigned by then
	}
	log := newTree("a.test", 1)
	log.add(12, "a")
	path, answered := filepath.Join(t.TempDir(), "node.db"), int64(0)
	var deaths []death
	die := func(uint64) {
		d := death{t.TempDir(), answered}
		for _, end := range []string{"", "-wal"} {
			must(0, os.WriteFile(filepath.Join(d.dir, "node.db"+end), must(os.ReadFile(path+end)), 0o600))
		}
		deaths = append(deaths, d)
	}
	s := must(store.Config{Path: path, Writing: die, Durable: die}.Open(t.Context()))
	defer s.Close()
	w := witnessOn(s, log)
	for to := range int64(12) {
		must(w.Add(t.Context(), log.request(answered, to+1)))
		answered = to + 1
	}
	if len(deaths) != 24 {
		t.Fatalf("%d places to die at", len(deaths))
	}
	for i, d := range deaths {
		back := must(store.Open(t.Context(), filepath.Join(d.dir, "node.db")))
		h, err := back.Witnessed(t.Context(), "a.test/p3do/log")
		if d.answered > 0 && err != nil || h.Size < d.answered || h.Size > d.answered+1 || i%2 == 1 && h.Size != d.answered+1 {
			t.Errorf("death %d: %d leaves are known, %d were cosigned: %v", i, h.Size, d.answered, err)
		}
		must(witnessOn(back, log).Add(t.Context(), log.request(h.Size, 12)))
		must(0, back.Close())
	}
}

// Many ask for different heads at once, and over HTTP some give up: all that is cosigned is on
// one way, and the row that stays is the greatest.
func TestManyAtOnce(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(40, "a")
	w, s := newWitness(t, log)
	var asking sync.WaitGroup
	var mu sync.Mutex
	var most int64
	for to := range int64(40) {
		asking.Go(func() {
			old := int64(0)
			for {
				_, err := w.Add(t.Context(), log.request(min(old, to+1), to+1))
				var conflict *ConflictError
				if errors.As(err, &conflict) && conflict.Size <= to+1 {
					old = conflict.Size
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					most = max(most, to+1)
				}
				return
			}
		})
	}
	asking.Wait()
	if h := must(s.Witnessed(t.Context(), "a.test/p3do/log")); h.Size != 40 || most != 40 {
		t.Errorf("%d leaves are written down, %d cosigned", h.Size, most)
	}
}

// Others are told of a head when it is judged: of one that is cosigned when that is on the disk, of one that is
// refused too, and of nothing that the log did not sign.
func TestSeenAfterJudged(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(9, "a")
	w, s := newWitness(t, log)
	var seen []int64
	w.config.Seen = func(ctx context.Context, checkpoint []byte) {
		h, _, err := OpenHead(checkpoint, log.verifier())
		held, _ := s.Witnessed(ctx, h.Origin)
		if err != nil || !bytes.Equal(checkpoint, h.Checkpoint) {
			t.Errorf("%v:\n%s", err, checkpoint)
		}
		seen = append(seen, h.Size, held.Size)
	}
	for _, body := range [][]byte{log.request(0, 4), log.request(4, 6), log.request(4, 9), []byte("old 6\n\n"), log.request(6, 6)} {
		_, _ = w.Add(t.Context(), body)
	}
	if want := []int64{4, 4, 6, 6, 9, 6, 6, 6}; !slices.Equal(seen, want) {
		t.Errorf("seen, and written down by then: %v, want %v", seen, want)
	}
}

// A log that lost its key goes on with another that the domain names, from where it was; with
// the new key, too, it cannot tell another history.
func TestAnotherLogKey(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(5, "a")
	w, _ := newWitness(t, log)
	must(w.Add(t.Context(), log.request(0, 5)))
	was := log.request(5, 5)
	next := newTree("z.test", 9)
	log.describe(next.key, must(pki.NewWitnessKey(bytes.NewReader(make([]byte, 32)))), 2)
	evil := log.fork(2)
	log.add(2, "a")
	evil.add(5, "evil")
	if _, err := w.Add(t.Context(), was); !errors.Is(err, ErrSignature) {
		t.Errorf("by the lost key: %v", err)
	}
	if _, err := w.Add(t.Context(), evil.request(5, 7)); !errors.Is(err, ErrProof) {
		t.Errorf("another history: %v", err)
	}
	must(w.Add(t.Context(), log.request(5, 7)))
}

// What the log did not sign is dropped: cosignatures of others, and lines of anybody.
func TestOnlyTheLogsSignatureIsKept(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(1, "a")
	more := must(note.Sign(&note.Note{Text: strings.SplitAfter(string(log.at(1)), "\n\n")[0][:len(strings.SplitAfter(string(log.at(1)), "\n\n")[0])-1]},
		must(signer(keylog.Origin(domain("a.test")), log.key)), must(Signer(domain("b.test"), witnessKey()))))
	h, _, err := OpenHead(more, log.verifier())
	if err != nil || !bytes.Equal(h.Checkpoint, log.at(1)) {
		t.Errorf("%v\n%s", err, h.Checkpoint)
	}
	for what, text := range map[string]string{
		"another origin":    "b.test/p3do/log\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		"a wrong empty log": "a.test/p3do/log\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"no root":           "a.test/p3do/log\n1\n",
		"a loose base64":    "a.test/p3do/log\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
	} {
		if _, _, err := OpenHead(log.sign(text), log.verifier()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := OpenHead(log.sign("a.test/p3do/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"), log.verifier()); err != nil {
		t.Errorf("the empty log: %v", err)
	}
}

// What a log publishes with all the cosignatures that it may have is read, as readers of keys do;
// a head, which has none, has less room.
func TestCheckpointWithAllCosignaturesIsRead(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(3, "a")
	text, _, _ := strings.Cut(string(log.at(3)), "\n\n")
	by := []note.Signer{must(signer(keylog.Origin(log.descriptor.Domain), log.key))}
	for i := range keylog.MaxCosignatures {
		by = append(by, must(signer(fmt.Sprintf("%0250d/p3do/witness", i), log.key)))
	}
	signed := must(note.Sign(&note.Note{Text: text + "\n"}, by...))
	h, _, err := OpenHead(signed, log.verifier())
	if len(signed) <= pki.MaxHeadSize || err != nil || string(h.Checkpoint) != string(log.at(3)) {
		t.Errorf("%d bytes are read as\n%s%v", len(signed), h.Checkpoint, err)
	}
	long := log.sign(text + "\n" + strings.Repeat("x", pki.MaxHeadSize) + "\n")
	if _, _, err := OpenHead(long, log.verifier()); len(long) > MaxCheckpoint || !errors.Is(err, ErrMalformed) {
		t.Errorf("a head of %d bytes: %v", len(long), err)
	}
}

// A head of more leaves than a log can have is no head: arithmetic on such trees does not end.
func TestHeadsAreBounded(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(1, "a")
	for _, size := range []uint64{keylog.MaxLeaves + 1, 1<<62 + 1, 1<<63 - 1} {
		signed := log.sign(fmt.Sprintf("%s\n%d\n%s\n", keylog.Origin(log.descriptor.Domain), size, must(tlog.TreeHash(1, log))))
		if _, err := HeadBy(log.descriptor, signed); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d leaves: %v", size, err)
		}
	}
}
