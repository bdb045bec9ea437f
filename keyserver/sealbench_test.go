package keyserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// federation has real witnesses cosign the log of a.test, each at a key server of its own, over TLS.
type federation struct {
	log   LogConfig
	at    []Endpoint
	mu    sync.Mutex // guards what is in peers
	peers []witness.Peer
}

func newFederation(b testing.TB, config LogConfig, domains ...string) *federation {
	f := &federation{log: config}
	for _, text := range domains {
		key, err := pki.NewWitnessKey(rand.Reader)
		must(b, err)
		signer, err := witness.Signer(domain(b, text), key)
		must(b, err)
		peer := newWorld(b, text, func(c *Config) {
			c.Witness = witness.Door{Store: c.Store, Witness: witness.New(witness.Config{Store: c.Store, Signer: signer, Log: f.logOf})}
		})
		verifier, err := keylog.WitnessVerifier(domain(b, text), key.Public())
		must(b, err)
		f.peers = append(f.peers, witness.Peer{Verifier: verifier, Ask: func(ctx context.Context, r witness.Request) ([]byte, error) {
			return peer.client.Cosign(ctx, peer.endpoint, r)
		}})
		f.at = append(f.at, peer.endpoint)
	}
	return f
}

func (f *federation) logOf(_ context.Context, origin string) (d pki.SignedDescriptor, ok bool) {
	d.Domain, d.Log = f.log.Domain, f.log.Key.Public()
	return d, origin == keylog.Origin(f.log.Domain)
}

func (f *federation) cosign(ctx context.Context, tree tlog.Tree, signed []byte, prove func(int64) (tlog.TreeProof, error), take func(note.Signature)) {
	f.mu.Lock()
	peers := append([]witness.Peer(nil), f.peers...)
	f.mu.Unlock()
	olds, _ := witness.Gather(ctx, store.Head{Origin: keylog.Origin(f.log.Domain), Size: tree.N, Root: tree.Hash, Checkpoint: signed}, prove, peers, take)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, old := range olds {
		f.peers[i].Old = old
	}
}

// One card, from when it is published until its log has a checkpoint that two of three witnesses have cosigned, each
// at a key server of its own; and in the same run the least that it takes: what is written to a disk three times, one
// after the other, and a question of that size to one of these servers. A user waits for less than 500 ms.
func BenchmarkSealed(b *testing.B) {
	var f *federation
	w := &logged{}
	w.world = newWorld(b, "a.test", func(c *Config) {
		config := logConfig(b, c.Store, c.CA.Domain(), nil)
		f = newFederation(b, config, "b.test", "c.test", "d.test")
		config.Cosign, config.Quorum = f.cosign, func() int { return 2 }
		var err error
		w.log, err = OpenLog(context.Background(), config)
		must(b, err)
		c.Log = w.log
	})
	run(b, w.log)
	file, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	must(b, err)
	defer file.Close()
	client, request := insecure(b), make([]byte, 512)
	var floor, cards time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		card := newPerson(b, w.authority, fmt.Sprintf("u%d@a.test", n)).card(b, 1)
		began := time.Now()
		for range 3 {
			_, err := file.Write(card.Raw())
			must(b, err)
			must(b, file.Sync())
		}
		resp, err := client.Post("https://"+f.at[n%3].Address+witness.AddCheckpoint, "", bytes.NewReader(request))
		must(b, err)
		_, err = io.Copy(io.Discard, resp.Body)
		must(b, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			b.Fatal(resp.Status)
		}
		floor += time.Since(began)
		time.Sleep(sealPause) // as between two people
		b.StartTimer()
		began = time.Now()
		must(b, w.server.PublishCard(context.Background(), card))
		w.sealed(b)
		cards += time.Since(began)
		n++
	}
	b.ReportMetric(float64(cards.Milliseconds())/float64(n), "ms/card")
	b.ReportMetric(cards.Seconds()/floor.Seconds(), "x-floor")
}
