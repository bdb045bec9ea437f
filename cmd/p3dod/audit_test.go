package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// aLog is a log of e.test: the hashes of some leaves, signed by the key of the log.
type aLog struct {
	t      *testing.T
	key    pki.LogKey
	d      pki.SignedDescriptor
	hashes []tlog.Hash
	leaves int64
}

func newLog(t *testing.T) *aLog {
	t.Helper()
	domain, err := pki.ParseDomain("e.test")
	fatal(t, err)
	authority, err := pki.NewAuthority(rand.Reader, domain, time.Now())
	fatal(t, err)
	l := &aLog{t: t}
	l.describe(authority, 1)
	return l
}

// describe has an authority name another key of the log.
func (l *aLog) describe(authority *pki.Authority, serial uint64) {
	t := l.t
	t.Helper()
	log, err := pki.NewLogKey(rand.Reader)
	fatal(t, err)
	by, err := pki.NewWitnessKey(rand.Reader)
	fatal(t, err)
	d, err := authority.SignDescriptor(pki.Descriptor{
		Serial: serial, Issued: time.Now(), Expires: time.Now().Add(time.Hour), ServerKeys: []pki.ServerKey{{}},
		Links: []string{"127.0.0.1:1"}, KeyServers: []string{"127.0.0.1:2"}, Log: log.Public(), Witness: by.Public(), Labels: [32]byte{1},
	})
	fatal(t, err)
	l.key, l.d = log, d
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *aLog) ReadHashes(at []int64) (hashes []tlog.Hash, err error) {
	for _, i := range at {
		hashes = append(hashes, l.hashes[i])
	}
	return hashes, nil
}

// head signs a log of these leaves.
func (l *aLog) head(leaves ...string) store.Head {
	l.t.Helper()
	l.hashes, l.leaves = nil, 0
	for _, leaf := range leaves {
		hashes, err := tlog.StoredHashes(l.leaves, []byte(leaf), l)
		fatal(l.t, err)
		l.hashes, l.leaves = append(l.hashes, hashes...), l.leaves+1
	}
	root, err := tlog.TreeHash(l.leaves, l)
	fatal(l.t, err)
	signer, err := keylog.NewLogSigner(l.d.Domain, l.key)
	fatal(l.t, err)
	signed, err := keylog.Sign(tlog.Tree{N: l.leaves, Hash: root}, signer)
	fatal(l.t, err)
	h, err := witness.HeadBy(l.d, signed)
	fatal(l.t, err)
	return h
}

// What is written of a fork is verified by torchwood and x/mod alone: two notes by the log's key,
// and a proof that they contradict each other; also over a change of the log's key, or of the
// domain's, with a cosignature under the head before.
func TestEvidenceIsForOtherTools(t *testing.T) {
	l := newLog(t)
	first := l.head("one", "two")
	for i, second := range [][]string{{"one", "zwei"}, {"one", "zwei", "three", "four", "five"}, {"one", "drei"}, {"one", "drei", "vier"}} {
		if i >= 2 {
			next, err := pki.NewAuthority(rand.Reader, l.d.Domain, time.Now())
			fatal(t, err)
			l.describe(next, uint64(i))
			first.Checkpoint = cosigned(t, first.Checkpoint)
		}
		heads := [2]store.Head{first, l.head(second...)}
		f, err := witness.NewFork(heads, l)
		fatal(t, err)
		dir := filepath.Join(t.TempDir(), "e.test")
		files, err := f.Files()
		fatal(t, err)
		fatal(t, writeFiles(dir, files))
		read := func(name string) []byte {
			t.Helper()
			raw, err := os.ReadFile(filepath.Join(dir, name))
			fatal(t, err)
			return raw
		}
		var trees [2]tlog.Tree
		for i, name := range []string{"first", "second"} {
			policy, err := torchwood.ParsePolicy(read(name + ".policy"))
			fatal(t, err)
			c, _, err := torchwood.VerifyCheckpoint(read(name+".checkpoint"), policy)
			fatal(t, err)
			if trees[i] = c.Tree; c.Origin != "e.test/p3do/log" {
				t.Errorf("of %s", c.Origin)
			}
		}
		if again, err := witness.ParseFork(read("fork")); err != nil || again.Domain != l.d.Domain || !bytes.Contains(read("README.txt"), []byte(again.String())) {
			t.Errorf("%+v, %v", again, err)
		}
		if trees[0].N == trees[1].N {
			if trees[0].Hash == trees[1].Hash {
				t.Error("they do not contradict each other")
			}
			continue
		}
		lines := strings.Fields(string(read("proof")))
		root, err := tlog.ParseHash(lines[0])
		fatal(t, err)
		var proof tlog.TreeProof
		for _, line := range lines[1:] {
			h, err := tlog.ParseHash(line)
			fatal(t, err)
			proof = append(proof, h)
		}
		fatal(t, tlog.CheckTree(proof, trees[1].N, trees[1].Hash, trees[0].N, root))
		if root == trees[0].Hash {
			t.Error("they do not contradict each other")
		}
		if text := forksText([]witness.Fork{f}); !strings.HasPrefix(text, "frozen  e.test: e.test signed ") {
			t.Error(text)
		}
	}
}

// cosigned adds the cosignature of another domain to a checkpoint.
func cosigned(t *testing.T, checkpoint []byte) []byte {
	t.Helper()
	by, err := pki.NewWitnessKey(rand.Reader)
	fatal(t, err)
	domain, err := pki.ParseDomain("x.test")
	fatal(t, err)
	signer, err := witness.Signer(domain, by)
	fatal(t, err)
	text, lines, _ := bytes.Cut(checkpoint, []byte("\n\n"))
	signed, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
	fatal(t, err)
	_, line, _ := bytes.Cut(signed, []byte("\n\n"))
	return slices.Concat(text, []byte("\n\n"), lines, line)
}
