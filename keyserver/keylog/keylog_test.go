package keylog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestLeafGoesThereAndBack(t *testing.T) {
	w := newWorld(t, "leaf", 1)
	for _, l := range w.leaves {
		raw := l.Bytes()
		if len(raw) != LeafSize {
			t.Errorf("a leaf of %d bytes", len(raw))
		}
		again, err := ParseLeaf(raw)
		if err != nil || again != l {
			t.Errorf("%v came back as %v: %v", l, again, err)
		}
		for _, bad := range [][]byte{nil, raw[1:], append(slices.Clone(raw), 0), append([]byte{0}, raw[1:]...), append([]byte{6}, raw[1:]...), append([]byte{1, 0xff}, raw[2:]...)} {
			if _, err := ParseLeaf(bad); err == nil {
				t.Errorf("%x is a leaf", bad)
			}
		}
	}
}

// Who has a proof knows whose label it is; it is no proof for anybody else, nor under another key.
func TestLabelIsOneSubjects(t *testing.T) {
	w, other := newWorld(t, "label", 0), newWorld(t, "other", 0)
	label, proof := w.labels.Label("ann@a.test")
	if got, err := VerifyLabel(w.log.Labels, "ann@a.test", proof); err != nil || got != label {
		t.Fatal(got, err)
	}
	if again, same := w.labels.Label("ann@a.test"); again != label || same != proof {
		t.Error("one subject has two labels, or two proofs")
	}
	bad := proof
	bad[40] ^= 1
	_, foreign := other.labels.Label("ann@a.test")
	for what, err := range map[string]error{
		"another subject": second(VerifyLabel(w.log.Labels, "bob@a.test", proof)),
		"another key":     second(VerifyLabel(other.log.Labels, "ann@a.test", proof)),
		"another's proof": second(VerifyLabel(w.log.Labels, "ann@a.test", foreign)),
		"an altered one":  second(VerifyLabel(w.log.Labels, "ann@a.test", bad)),
		"no key":          second(VerifyLabel([32]byte{0xff}, "ann@a.test", proof)),
		"zeros":           second(VerifyLabel(w.log.Labels, "ann@a.test", LabelProof{})),
	} {
		if !errors.Is(err, errLabel) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", w.labels, w.labels, w.labels); strings.Count(text, "secret") != 3 {
		t.Errorf("a key prints as %s", text)
	}
}

func second[T any](_ T, err error) error { return err }

func TestCheckpointNeedsLogAndQuorum(t *testing.T) {
	w := newWorld(t, "checkpoint", 5)
	for _, text := range []string{"b.test", "c.test", "d.test"} {
		w.witness(t, text)
	}
	signed := w.checkpoint(t)
	if again := w.checkpoint(t); !bytes.Equal(signed, again) {
		t.Error("one tree has two checkpoints")
	}
	two := w.cosign(t, signed, 0, 2)
	stranger := newWorld(t, "another log", 5)
	rows := []struct {
		what   string
		signed []byte
		q      int
		log    Log
		want   error
	}{
		{"alone, none wanted", signed, 0, w.log, nil},
		{"alone", signed, 1, w.log, ErrQuorum},
		{"two of three", two, 2, w.log, nil},
		{"three wanted", two, 3, w.log, ErrQuorum},
		{"one twice", w.cosign(t, signed, 0, 0), 2, w.log, ErrQuorum},
		{"witnesses only", without(t, two, w.signer.Name()), 2, w.log, ErrCheckpoint},
		{"by another log key", stranger.checkpoint(t), 0, w.log, ErrCheckpoint},
		{"of another domain", signed, 0, Log{domain(t, "b.test"), w.log.Key, w.log.Labels}, ErrCheckpoint},
		{"altered", bytes.Replace(two, []byte("\n5\n"), []byte("\n6\n"), 1), 2, w.log, ErrCheckpoint},
		{"nothing", nil, 0, w.log, ErrCheckpoint},
		{"too long", append(slices.Clone(two), make([]byte, MaxCheckpointSize)...), 2, w.log, ErrCheckpoint},
		{"no log", signed, 0, Log{Domain: w.log.Domain}, ErrCheckpoint},
	}
	for _, row := range rows {
		head, err := row.log.Open(row.signed, w.quorum(t, row.q))
		if !errors.Is(err, row.want) || err == nil && head.Tree != w.tree(t) {
			t.Errorf("%s: %v, want %v", row.what, err, row.want)
		}
	}
}

// Extensions are none of ours: whoever signs one has another program, or means harm.
func TestCheckpointHasOneForm(t *testing.T) {
	w := newWorld(t, "form", 2)
	for what, c := range map[string]torchwood.Checkpoint{
		"extension": {Origin: Origin(w.log.Domain), Tree: w.tree(t), Extension: "more\n"},
		"huge":      {Origin: Origin(w.log.Domain), Tree: tlog.Tree{N: MaxLeaves + 1}},
		"elsewhere": {Origin: "elsewhere", Tree: w.tree(t)},
	} {
		signed, err := note.Sign(&note.Note{Text: c.String()}, w.signer)
		must(t, err)
		if _, err := w.log.Open(signed, nil); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// without leaves out the signatures of one name.
func without(t *testing.T, signed []byte, name string) []byte {
	t.Helper()
	var out []byte
	for line := range bytes.Lines(signed) {
		if !bytes.HasPrefix(line, []byte("— "+name+" ")) {
			out = append(out, line...)
		}
	}
	return out
}

func TestOldCosignaturesDoNotCount(t *testing.T) {
	w := newWorld(t, "fresh", 3)
	w.witness(t, "b.test")
	signed, real := w.cosign(t, w.checkpoint(t), 0), time.Now()
	for age, want := range map[time.Duration]error{
		0: nil, Freshness - time.Minute: nil, Freshness + time.Minute: ErrQuorum,
		-Skew + time.Minute: nil, -Skew - time.Minute: ErrQuorum,
	} {
		if _, err := w.log.Open(signed, Fresh(w.quorum(t, 1), real.Add(age))); !errors.Is(err, want) {
			t.Errorf("%v after the cosignature: %v, want %v", age, err, want)
		}
	}
	again := w.cosign(t, signed, 0)
	if bytes.Count(again, []byte("— ")) != 2 {
		t.Errorf("a witness that signs again is there twice:\n%s", again)
	}
}

func TestQuorumNamesEachOnce(t *testing.T) {
	w := newWorld(t, "quorum", 1)
	w.witness(t, "b.test")
	w.witness(t, "b.test") // another key of the same domain
	for what, err := range map[string]error{
		"one domain twice": second(Quorum(1, w.witnesses)),
		"one key twice":    second(Quorum(1, []Witness{w.witnesses[0], {domain(t, "c.test"), w.witnesses[0].Key}})),
		"too many":         second(Quorum(2, w.witnesses[:1])),
		"negative":         second(Quorum(-1, w.witnesses[:1])),
		"no key":           second(Quorum(1, []Witness{{Domain: w.log.Domain}})),
	} {
		if err == nil {
			t.Errorf("%s is a quorum", what)
		}
	}
}

func TestQuorumTakesNoWordOfTheLogItself(t *testing.T) {
	w := newWorld(t, "alone", 5)
	w.witness(t, "b.test")
	w.witness(t, w.log.Domain.String())
	for q, want := range map[int]error{1: ErrQuorum, 2: ErrQuorum} {
		if _, err := w.log.Open(w.cosign(t, w.checkpoint(t), 0, 1), Fresh(w.quorum(t, q), time.Now())); !errors.Is(err, want) {
			t.Errorf("with a witness of its own, %d wanted: %v", q, err)
		}
	}
	w.witnesses = w.witnesses[:1]
	if _, err := w.log.Open(w.cosign(t, w.checkpoint(t), 0), w.quorum(t, 1)); err != nil {
		t.Error(err)
	}
}

func TestManyCosignaturesAreBounded(t *testing.T) {
	w := newWorld(t, "many", 1)
	signed := w.checkpoint(t)
	for i := range MaxCosignatures + 3 {
		w.witness(t, fmt.Sprintf("w%d.test", i))
		signed = w.cosign(t, signed, i)
	}
	if n := bytes.Count(signed, []byte("— ")); n != 1+MaxCosignatures {
		t.Errorf("%d signatures", n)
	}
	head, err := w.log.Open(signed, w.quorum(t, MaxCosignatures))
	must(t, err)
	if at, ok := CosignedAt(head.Sigs[1]); !ok || time.Since(at) > time.Minute {
		t.Errorf("cosigned at %v (%v)", at, ok)
	}
	if _, ok := CosignedAt(head.Sigs[0]); ok {
		t.Error("the log's own signature tells a time")
	}
}

// A proof is one of C2SP: torchwood takes it, knowing the leaf alone.
func TestProofsOfEveryLeaf(t *testing.T) {
	for n := 1; n <= 33; n++ {
		w := newWorld(t, "proofs", n)
		w.witness(t, "b.test")
		signed := w.cosign(t, w.checkpoint(t), 0)
		for i := 0; i < n; i += 1 + n/5 {
			proof := w.prove(t, i, signed)
			in, err := w.log.Verify(proof, claim(i), w.quorum(t, 1))
			must(t, err)
			if in.Index != int64(i) || in.Leaf != w.leaves[i] || in.Head.N != int64(n) {
				t.Fatalf("leaf %d of %d was proven as %+v", i, n, in)
			}
			must(t, torchwood.VerifyProof(mustPolicy(t, w.log), w.leaves[i].Hash(), proof))
		}
	}
}

func TestBadProofs(t *testing.T) {
	w := newWorld(t, "bad proofs", 9)
	w.witness(t, "b.test")
	signed := w.cosign(t, w.checkpoint(t), 0)
	good := w.prove(t, 3, signed)
	change := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	other := claim(3)
	other.Kind = Revocation
	stranger := newWorld(t, "another log", 9)
	rows := []struct {
		what  string
		proof []byte
		claim Claim
		log   Log
		want  error
	}{
		{"good", good, claim(3), w.log, nil},
		{"another record", good, Claim{Card, "u3@a.test", [32]byte{1}}, w.log, ErrProof},
		{"another name", good, claim(4), w.log, ErrProof},
		{"another kind", good, other, w.log, ErrProof},
		{"another leaf's place", change("index 3\n", "index 2\n"), claim(3), w.log, ErrProof},
		{"out of the tree", change("index 3\n", "index 9\n"), claim(3), w.log, ErrProof},
		{"no index", change("index 3\n", ""), claim(3), w.log, ErrProof},
		{"negative", change("index 3\n", "index -3\n"), claim(3), w.log, ErrProof},
		{"another spelling", change("index 3\n", "index +3\n"), claim(3), w.log, ErrProof},
		{"no extra", change("extra ", "extras "), claim(3), w.log, ErrProof},
		{"no way", way(good), claim(3), w.log, ErrProof},
		{"no checkpoint", good[:len(good)-len(signed)], claim(3), w.log, ErrCheckpoint},
		{"no cosignature", w.prove(t, 3, w.checkpoint(t)), claim(3), w.log, ErrQuorum},
		{"another log", stranger.prove(t, 3, stranger.checkpoint(t)), claim(3), w.log, ErrCheckpoint},
		{"other labels", good, claim(3), Log{w.log.Domain, w.log.Key, stranger.log.Labels}, ErrProof},
		{"nothing", nil, claim(3), w.log, ErrProof},
		{"too long", append(slices.Clone(good), make([]byte, MaxProofSize)...), claim(3), w.log, ErrProof},
	}
	for _, row := range rows {
		if _, err := row.log.Verify(row.proof, row.claim, w.quorum(t, 1)); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.what, err, row.want)
		}
	}
}

// way leaves out the hashes of a proof.
func way(proof []byte) []byte {
	lines := bytes.SplitAfter(proof, []byte("\n"))
	end := slices.IndexFunc(lines, func(l []byte) bool { return len(l) == 1 })
	return bytes.Join(append(slices.Clone(lines[:3]), lines[end:]...), nil)
}

func TestTilePaths(t *testing.T) {
	for path, want := range map[string]Tile{
		"tile/0/000":                {Level: 0, Width: 256},
		"tile/1/x001/234.p/5":       {Level: 1, Index: 1234, Width: 5},
		"tile/entries/001":          {Entries: true, Index: 1, Width: 256},
		"tile/entries/x001/234.p/9": {Entries: true, Index: 1234, Width: 9},
	} {
		if got, err := ParseTilePath(path); err != nil || got != want || got.Path() != path {
			t.Errorf("%s: %+v %v", path, got, err)
		}
	}
	for _, path := range []string{
		"", "tile/", "tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/05", "tile/6/000", "tile/-1/000", "tile/data/000",
		"tile/00/000", "tile/0/1000", "tile/0/x000/001", "tile/entries/x999/x999/x999/x999/999", "tile/0/x999/x999/x999/999", "tile/8/0/000",
	} {
		if got, err := ParseTilePath(path); err == nil {
			t.Errorf("%s is the path of %+v", path, got)
		}
	}
	full, part := Tile{Width: 256}, Tile{Level: 1, Width: 2}
	if full.In(255) || !full.In(256) || part.In(511) || !part.In(512) || (Tile{Entries: true, Index: 1, Width: 1}).In(256) {
		t.Error("a tile is said to be in a tree that is too small, or not in its own")
	}
}

func FuzzLeaf(f *testing.F) {
	f.Add(newWorld(f, "fuzz", 1).leaves[0].Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if l, err := ParseLeaf(raw); err == nil && !bytes.Equal(l.Bytes(), raw) {
			t.Errorf("%x came back as %x", raw, l.Bytes())
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	w := newWorld(f, "fuzz", 3)
	w.witness(f, "b.test")
	signed := w.checkpoint(f)
	f.Add(signed)
	f.Add(w.cosign(f, signed, 0))
	tree := w.tree(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if head, err := w.log.Open(raw, nil); err == nil && head.Tree != tree {
			t.Errorf("a checkpoint that nobody signed: %v", head)
		}
		if out, err := Cosigned(raw); err == nil && len(out) > len(raw) {
			t.Errorf("%q grew to %q", raw, out)
		}
	})
}

func FuzzProof(f *testing.F) {
	w := newWorld(f, "fuzz", 3)
	w.witness(f, "b.test")
	good := w.prove(f, 1, w.checkpoint(f))
	f.Add(good)
	f.Add(w.prove(f, 1, w.cosign(f, w.checkpoint(f), 0)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if in, err := w.log.Verify(raw, claim(1), nil); err == nil && (in.Index != 1 || in.Leaf != w.leaves[1]) {
			t.Errorf("%+v was proven", in)
		}
	})
}

func FuzzTilePath(f *testing.F) {
	f.Add("tile/0/000")
	f.Add("tile/entries/x001/234.p/9")
	f.Fuzz(func(t *testing.T, path string) {
		if tile, err := ParseTilePath(path); err == nil && tile.Path() != path {
			t.Errorf("%q came back as %q", path, tile.Path())
		}
	})
}

// What a client does with each answer, under two cosignatures in a log of 10 000.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, "bench", 10_000)
	w.witness(b, "b.test")
	w.witness(b, "c.test")
	signed := w.cosign(b, w.checkpoint(b), 0, 1)
	proof, policy := w.prove(b, 4711, signed), Fresh(w.quorum(b, 2), time.Now())
	b.ReportMetric(float64(len(proof)), "bytes")
	for b.Loop() {
		if _, err := w.log.Verify(proof, claim(4711), policy); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLabel(b *testing.B) {
	w := newWorld(b, "bench", 0)
	for b.Loop() {
		w.labels.Label("ann@a.test")
	}
}

// Of a proof it is told who says to have cosigned, and nothing of what is none.
func TestCosignersAreNamed(t *testing.T) {
	w := newWorld(t, "cosigners", 3)
	for _, text := range []string{"b.test", "c.test"} {
		w.witness(t, text)
	}
	if got := Cosigners(w.prove(t, 1, w.cosign(t, w.checkpoint(t), 1, 0))); len(got) != 2 || got[0] != domain(t, "c.test") || got[1] != domain(t, "b.test") {
		t.Errorf("cosigners %v", got)
	}
	if !IsProof(w.prove(t, 1, w.checkpoint(t))) || IsProof([]byte("nothing")) {
		t.Error("what is a proof is not told from what is none")
	}
	if got := append(Cosigners(w.prove(t, 1, w.checkpoint(t))), Cosigners([]byte("nothing"))...); got != nil {
		t.Errorf("cosigners %v of none", got)
	}
}

// A proof that is too long loses cosignatures, the last first, and proves as much without them.
func TestProofsAreShortened(t *testing.T) {
	w := newWorld(t, "short", 9)
	var all []int
	for i := range MaxCosignatures {
		w.witness(t, fmt.Sprintf("w%d.test", i))
		all = append(all, i)
	}
	long, bare := w.prove(t, 1, w.cosign(t, w.checkpoint(t), all...)), w.prove(t, 1, w.checkpoint(t))
	for _, most := range []int{len(long), len(long) - 1, 2048, len(bare) + 1, len(bare)} {
		short := Shorten(long, most)
		in, err := w.log.Verify(short, claim(1), w.quorum(t, 0))
		if err != nil || len(short) > most || len(in.Head.Sigs) != 1+len(Cosigners(short)) || len(long) > most && len(short)+200 < min(most, len(long)) {
			t.Errorf("%d bytes of %d: %v", len(short), most, err)
		}
	}
	if n := len(Cosigners(Shorten(long, 2048))); n < 5 {
		t.Errorf("%d cosignatures in 2048 bytes", n)
	}
	if !bytes.Equal(Shorten(bare, len(bare)), bare) || Shorten(bare, len(bare)-1) != nil || Shorten(long, len(bare)-1) != nil || Shorten([]byte("none"), 99) != nil {
		t.Error("what cannot be shortened is, or the bare proof is not kept")
	}
}
