package keylog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/pki"
)

const vectorsFile = "../../docs/spec/vectors/keylog.json"

// vector is one row of the file: the fields of its kind are set.
type vector struct {
	Comment string `json:"comment"`
	Kind    string `json:"kind"`
	Expect  string `json:"expect"`
	Reason  string `json:"reason,omitempty"`

	Leaf     golden.Octets `json:"leaf,omitempty"`
	LeafKind uint8         `json:"leaf_kind,omitempty"`
	Time     int64         `json:"time,omitempty"`
	Label    golden.Octets `json:"label,omitempty"`
	Record   golden.Octets `json:"record,omitempty"` // SHA-256 of it
	Hash     golden.Octets `json:"hash,omitempty"`

	Labels     golden.Octets `json:"labels,omitempty"`
	Subject    string        `json:"subject,omitempty"`
	LabelProof golden.Octets `json:"label_proof,omitempty"`

	Domain    string        `json:"domain,omitempty"`
	Key       golden.Octets `json:"key,omitempty"`
	VKey      string        `json:"vkey,omitempty"`
	Quorum    int           `json:"quorum,omitempty"`
	Witnesses []vectorPeer  `json:"witnesses,omitempty"`
	Now       int64         `json:"now,omitempty"`
	Note      string        `json:"note,omitempty"`
	Size      int64         `json:"size,omitempty"`
	Root      golden.Octets `json:"root,omitempty"`

	Proof string `json:"proof,omitempty"`
	Index int64  `json:"index,omitempty"`

	Path    string `json:"path,omitempty"`
	Entries bool   `json:"entries,omitempty"`
	Level   int    `json:"level,omitempty"`
	Width   int    `json:"width,omitempty"`
}

type vectorPeer struct {
	Domain string        `json:"domain"`
	Key    golden.Octets `json:"key"`
	VKey   string        `json:"vkey"`
}

// fixedCosigner signs at a time of its own, from the specification: torchwood's takes the clock's.
type fixedCosigner struct {
	note.Verifier
	key ed25519.PrivateKey
	at  time.Time
}

func (c fixedCosigner) Sign(msg []byte) ([]byte, error) {
	sig := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.at.Unix(), msg))
	return append(binary.BigEndian.AppendUint64(nil, uint64(c.at.Unix())), sig...), nil
}

// fixture is a log of 11 leaves with two witnesses, from a seed.
type fixture struct {
	*world
	cosigners [2]fixedCosigner
	peers     []vectorPeer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{world: newWorld(t, "the vectors of P3DO keylog, 1", 11)}
	for i, text := range []string{"b.test", "c.test"} {
		seed := make([]byte, 32)
		_, err := f.rand.Read(seed)
		must(t, err)
		key, err := pki.ParseWitnessKey(seed)
		must(t, err)
		v, err := WitnessVerifier(domain(t, text), key.Public())
		must(t, err)
		f.witnesses = append(f.witnesses, Witness{domain(t, text), key.Public()})
		f.cosigners[i] = fixedCosigner{v, ed25519.NewKeyFromSeed(seed), now.Add(-time.Hour)}
		f.peers = append(f.peers, vectorPeer{text, key.Public().Bytes(), v.String()})
	}
	return f
}

func (f *fixture) cosigned(t *testing.T, signed []byte, at time.Time, by ...int) []byte {
	t.Helper()
	for _, i := range by {
		text, _, _ := bytes.Cut(signed, []byte("\n\n"))
		c := f.cosigners[i]
		c.at = at
		raw, err := note.Sign(&note.Note{Text: string(text) + "\n"}, c)
		must(t, err)
		n, err := note.Open(raw, note.VerifierList(c))
		must(t, err)
		signed, err = Cosigned(signed, n.Sigs...)
		must(t, err)
	}
	return signed
}

func (f *fixture) note(t *testing.T, comment string, signed []byte, q int, reason string) vector {
	t.Helper()
	vkey, err := LogVKey(f.log.Domain, f.log.Key)
	must(t, err)
	v := vector{
		Comment: comment, Kind: "checkpoint", Expect: "accept", Domain: "a.test", Key: f.log.Key.Bytes(), VKey: vkey,
		Quorum: q, Witnesses: f.peers, Now: now.Unix(), Note: string(signed),
	}
	if v.Reason = reason; reason != "" {
		v.Expect = "refuse"
		return v
	}
	tree := f.tree(t)
	v.Size, v.Root = tree.N, tree.Hash[:]
	return v
}

func (f *fixture) proof(t *testing.T, comment string, proof []byte, c Claim, reason string) vector {
	t.Helper()
	v := f.note(t, comment, nil, 2, reason)
	v.Kind, v.Note, v.Proof, v.Size, v.Root = "proof", "", string(proof), 0, nil
	v.Labels, v.LeafKind, v.Subject, v.Record = f.log.Labels[:], uint8(c.Kind), c.Subject, c.Record[:]
	if reason == "" {
		v.Index = 4
	}
	return v
}

func makeVectors(t *testing.T) []vector {
	t.Helper()
	f := newFixture(t)
	plain := f.checkpoint(t)
	both := f.cosigned(t, plain, now.Add(-time.Hour), 0, 1)
	proof := f.prove(t, 4, both)
	altered := func(old, new string) []byte { return bytes.Replace(proof, []byte(old), []byte(new), 1) }
	other, nobody := claim(4), claim(4)
	other.Record[0] ^= 1
	nobody.Subject = "nobody@a.test"
	wrongKind := claim(4)
	wrongKind.Kind = Revocation
	rows := append(f.leafVectors(), f.labelVectors()...)
	rows = append(rows,
		f.note(t, "the log's own signature, and no witness is wanted", plain, 0, ""),
		f.note(t, "both witnesses", both, 2, ""),
		f.note(t, "one of two is enough", f.cosigned(t, plain, now, 1), 1, ""),
		f.note(t, "one, and two are wanted", f.cosigned(t, plain, now, 1), 2, "quorum"),
		f.note(t, "one of the two is too old", f.cosigned(t, f.cosigned(t, plain, now, 0), now.Add(-Freshness-time.Hour), 1), 2, "quorum"),
		f.note(t, "one of the two is from the future", f.cosigned(t, f.cosigned(t, plain, now, 0), now.Add(time.Hour), 1), 2, "quorum"),
		f.note(t, "the witnesses alone", without(t, both, f.signer.Name()), 2, "checkpoint"),
		f.note(t, "another number of leaves", bytes.Replace(both, []byte("\n11\n"), []byte("\n12\n"), 1), 2, "checkpoint"),
		f.note(t, "an extension line", f.extended(t), 0, "checkpoint"),
		f.proof(t, "the card of u4", proof, claim(4), ""),
		f.proof(t, "another card", proof, other, "proof"),
		f.proof(t, "another name", proof, nobody, "proof"),
		f.proof(t, "another kind", proof, wrongKind, "proof"),
		f.proof(t, "another place", altered("index 4\n", "index 5\n"), claim(4), "proof"),
		f.proof(t, "another spelling of the place", altered("index 4\n", "index 04\n"), claim(4), "proof"),
		f.proof(t, "no hashes", way(proof), claim(4), "proof"),
		f.proof(t, "not cosigned", f.prove(t, 4, plain), claim(4), "quorum"),
	)
	return append(rows, pathVectors()...)
}

// extended is signed by the log, and has a line more than there may be.
func (f *fixture) extended(t *testing.T) []byte {
	t.Helper()
	tree := f.tree(t)
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\nmore\n", f.signer.Name(), tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))}, f.signer)
	must(t, err)
	return signed
}

func (f *fixture) leafVectors() (rows []vector) {
	for kind := Card; kind <= Ended; kind++ {
		l := f.leaves[kind]
		raw := append([]byte{uint8(kind)}, l.Bytes()[1:]...)
		hash := sha256.Sum256(append([]byte{0}, raw...)) // RFC 6962
		rows = append(rows, vector{
			Comment: "a leaf: " + kind.String(), Kind: "leaf", Expect: "accept", Leaf: raw, LeafKind: uint8(kind),
			Time: l.Time.Unix(), Label: l.Label[:], Record: l.Record[:], Labels: l.Labels[:], Hash: hash[:],
		})
	}
	good := f.leaves[0].Bytes()
	for _, bad := range []struct {
		comment string
		raw     []byte
	}{
		{"kind 0", append([]byte{0}, good[1:]...)}, {"kind 6", append([]byte{6}, good[1:]...)},
		{"too short", good[:len(good)-1]}, {"too long", append(bytes.Clone(good), 0)},
		{"a time after the year 9999", append([]byte{1, 0, 0, 0, 0x3a, 0xff, 0xf4, 0x41, 0x80}, good[9:]...)},
	} {
		rows = append(rows, vector{Comment: bad.comment, Kind: "leaf", Expect: "refuse", Reason: "malformed", Leaf: bad.raw})
	}
	return rows
}

func (f *fixture) labelVectors() (rows []vector) {
	for _, subject := range []string{"ann@a.test", "a.test"} {
		label, proof := f.labels.Label(subject)
		rows = append(rows, vector{Comment: "the label of " + subject, Kind: "label", Expect: "accept",
			Labels: f.log.Labels[:], Subject: subject, LabelProof: proof[:], Label: label[:]})
	}
	_, proof := f.labels.Label("ann@a.test")
	return append(rows, vector{Comment: "it is another's", Kind: "label", Expect: "refuse", Reason: "proof",
		Labels: f.log.Labels[:], Subject: "bob@a.test", LabelProof: proof[:]})
}

func pathVectors() (rows []vector) {
	for _, t := range []Tile{{Width: 256}, {Level: 2, Index: 1234067, Width: 8}, {Entries: true, Index: 7, Width: 256}, {Entries: true, Index: 1000, Width: 255}} {
		rows = append(rows, vector{Comment: "a tile", Kind: "path", Expect: "accept", Path: t.Path(),
			Entries: t.Entries, Level: t.Level, Index: t.Index, Width: t.Width})
	}
	for _, path := range []string{"tile/0/0", "tile/0/000.p/256", "tile/0/000.p/0", "tile/6/000", "tile/entries/1000", "tile/8/0/000"} {
		rows = append(rows, vector{Comment: "none", Kind: "path", Expect: "refuse", Reason: "malformed", Path: path})
	}
	return rows
}

func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors(t)) }

func TestVectorsHold(t *testing.T) {
	var rows []vector
	golden.Read(t, vectorsFile, &rows)
	if len(rows) < 30 {
		t.Fatalf("%d vectors", len(rows))
	}
	for _, v := range rows {
		if reason, err := v.judge(t); (err == nil) != (v.Expect == "accept") || reason != v.Reason {
			t.Errorf("%s, %s: %v (%s), want %s %s", v.Kind, v.Comment, err, reason, v.Expect, v.Reason)
		}
	}
}

func (v vector) judge(t *testing.T) (reason string, err error) {
	t.Helper()
	switch v.Kind {
	case "leaf":
		l, err := ParseLeaf(v.Leaf)
		if err != nil {
			return "malformed", err
		}
		hash := l.Hash()
		return "", same(l, Leaf{Kind(v.LeafKind), time.Unix(v.Time, 0).UTC(), Label(v.Label), [32]byte(v.Record), [32]byte(v.Labels)}, bytes.Equal(hash[:], v.Hash))
	case "label":
		label, err := VerifyLabel([32]byte(v.Labels), v.Subject, LabelProof(v.LabelProof))
		if err != nil {
			return "proof", err
		}
		return "", same(label, Label(v.Label), true)
	case "path":
		tile, err := ParseTilePath(v.Path)
		if err != nil {
			return "malformed", err
		}
		return "", same(tile, Tile{v.Entries, v.Level, v.Index, v.Width}, true)
	}
	return v.judgeSigned(t)
}

func (v vector) judgeSigned(t *testing.T) (string, error) {
	t.Helper()
	log := Log{Domain: domain(t, v.Domain)}
	var err error
	log.Key, err = pki.ParseLogPublic(v.Key)
	must(t, err)
	vkey, err := LogVKey(log.Domain, log.Key)
	must(t, err)
	must(t, same(vkey, v.VKey, true))
	var witnesses []Witness
	for _, w := range v.Witnesses {
		key, err := pki.ParseWitnessPublic(w.Key)
		must(t, err)
		witnesses = append(witnesses, Witness{domain(t, w.Domain), key})
	}
	quorum, err := Quorum(v.Quorum, witnesses)
	must(t, err)
	policy := Fresh(quorum, time.Unix(v.Now, 0))
	if v.Kind == "checkpoint" {
		head, err := log.Open([]byte(v.Note), policy)
		if err != nil {
			return reasonOf(err), err
		}
		return "", same(head.Tree, tlog.Tree{N: v.Size, Hash: tlog.Hash(v.Root)}, true)
	}
	log.Labels = [32]byte(v.Labels)
	in, err := log.Verify([]byte(v.Proof), Claim{Kind(v.LeafKind), v.Subject, [32]byte(v.Record)}, policy)
	if err != nil {
		return reasonOf(err), err
	}
	return "", same(in.Index, v.Index, true)
}

func same[T comparable](got, want T, too bool) error {
	if got != want || !too {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}

func reasonOf(err error) string {
	for reason, of := range map[string]error{"quorum": ErrQuorum, "checkpoint": ErrCheckpoint, "proof": ErrProof} {
		if errors.Is(err, of) {
			return reason
		}
	}
	return "another"
}
