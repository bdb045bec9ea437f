package keylog

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/pki"
)

// now is the time of all tests here but those with a witness, whose clock is its own.
var now = time.Unix(1795334400, 0).UTC()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func domain(t testing.TB, text string) pki.Domain {
	t.Helper()
	d, err := pki.ParseDomain(text)
	must(t, err)
	return d
}

// world is the log of a.test, with a leaf for each subject, and witnesses.
type world struct {
	rand      *rand.ChaCha8
	log       Log
	signer    note.Signer
	labels    LabelKey
	leaves    []Leaf
	hashes    []tlog.Hash
	witnesses []Witness
	cosigners []*torchwood.CosignatureSigner
}

func newWorld(t testing.TB, seed string, leaves int) *world {
	t.Helper()
	w := &world{rand: rand.NewChaCha8(sha256.Sum256([]byte(seed)))}
	key, err := pki.NewLogKey(w.rand)
	must(t, err)
	w.labels = labelKey(t, w.rand)
	w.log = Log{domain(t, "a.test"), key.Public(), w.labels.Public()}
	w.signer, err = NewLogSigner(w.log.Domain, key)
	must(t, err)
	for i := range leaves {
		w.add(t, Card, fmt.Sprintf("u%d@a.test", i), fmt.Appendf(nil, "record %d", i))
	}
	return w
}

func labelKey(t testing.TB, r *rand.ChaCha8) LabelKey {
	t.Helper()
	for {
		var secret [32]byte
		_, err := r.Read(secret[:])
		must(t, err)
		secret[31] &= 0x0f // below the order of the group
		if k, err := ParseLabelKey(secret[:]); err == nil {
			return k
		}
	}
}

func (w *world) add(t testing.TB, kind Kind, subject string, record []byte) {
	t.Helper()
	label, _ := w.labels.Label(subject)
	leaf := Leaf{kind, now.Add(time.Duration(len(w.leaves)) * time.Second), label, sha256.Sum256(record), w.labels.Public()}
	more, err := tlog.StoredHashesForRecordHash(int64(len(w.leaves)), leaf.Hash(), w.reader())
	must(t, err)
	w.leaves, w.hashes = append(w.leaves, leaf), append(w.hashes, more...)
}

func (w *world) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, w.hashes[i])
		}
		return out, nil
	})
}

func (w *world) tree(t testing.TB) tlog.Tree {
	t.Helper()
	n := int64(len(w.leaves))
	root, err := tlog.TreeHash(n, w.reader())
	must(t, err)
	return tlog.Tree{N: n, Hash: root}
}

func (w *world) checkpoint(t testing.TB) []byte {
	t.Helper()
	signed, err := Sign(w.tree(t), w.signer)
	must(t, err)
	return signed
}

// witness adds a witness. Its keys come from the seed.
func (w *world) witness(t testing.TB, text string) {
	t.Helper()
	key, err := pki.NewWitnessKey(w.rand)
	must(t, err)
	s, err := torchwood.NewCosignatureSigner(WitnessName(domain(t, text)), key.Signer())
	must(t, err)
	w.witnesses = append(w.witnesses, Witness{domain(t, text), key.Public()})
	w.cosigners = append(w.cosigners, s)
}

// cosign has some witnesses sign, by the real clock.
func (w *world) cosign(t testing.TB, signed []byte, by ...int) []byte {
	t.Helper()
	_, n, err := torchwood.VerifyCheckpoint(signed, mustPolicy(t, w.log))
	must(t, err)
	for _, i := range by {
		cosigned, err := note.Sign(&note.Note{Text: n.Text}, w.cosigners[i])
		must(t, err)
		v := w.cosigners[i].Verifier()
		c, err := note.Open(cosigned, note.VerifierList(v))
		must(t, err)
		signed, err = Cosigned(signed, c.Sigs[0])
		must(t, err)
	}
	return signed
}

func mustPolicy(t testing.TB, l Log) torchwood.Policy {
	t.Helper()
	p, err := l.policy(nil)
	must(t, err)
	return p
}

func (w *world) quorum(t testing.TB, q int) torchwood.Policy {
	t.Helper()
	p, err := Quorum(q, w.witnesses)
	must(t, err)
	return p
}

func (w *world) prove(t testing.TB, i int, signed []byte) []byte {
	t.Helper()
	way, err := tlog.ProveRecord(int64(len(w.leaves)), int64(i), w.reader())
	must(t, err)
	_, label := w.labels.Label(fmt.Sprintf("u%d@a.test", i))
	return Prove(w.leaves[i], label, int64(i), way, signed)
}

func claim(i int) Claim {
	return Claim{Card, fmt.Sprintf("u%d@a.test", i), sha256.Sum256(fmt.Appendf(nil, "record %d", i))}
}
