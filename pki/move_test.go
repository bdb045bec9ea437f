package pki

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// annAt is a certificate for ann's key at b.test.
func (w *world) annAt(t testing.TB, name string) UserCert {
	t.Helper()
	a := map[string]*Authority{"a.test": w.home, "b.test": w.peer}[mustName(t, name).Domain().String()]
	return w.user(t, a, w.ann, name)
}

// move is that from ann@a.test to ann@b.test.
func (w *world) move(t testing.TB) Move {
	t.Helper()
	return must[Move](t)(w.ann.SignMove(w.annCert.DER(), w.annAt(t, "ann@b.test").DER(), 7, testNow))
}

func (w *world) peerKnown() Known { return Known{CA: w.peer.CA()} }

func TestMoveRoundTrip(t *testing.T) {
	w := newWorld(t)
	m := w.move(t)
	back, err := ParseMove(m.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if back.From() != w.annCert.Name() || back.To() != mustName(t, "ann@b.test") || back.Key() != w.ann.Public() || back.Serial != 7 ||
		!back.Issued.Equal(testNow) || back.Leaves() != m.Leaves() || !bytes.Equal(back.Raw(), m.Raw()) {
		t.Errorf("came back as %+v", back)
	}
	if err := back.Check(w.known(), w.peerKnown()); err != nil {
		t.Error(err)
	}
}

// Nobody but who has the key moves a name, and nobody but its home gives the new one.
func TestWhoMayMove(t *testing.T) {
	w := newWorld(t)
	der, at := w.annCert.DER(), w.annAt(t, "ann@b.test").DER()
	bobs := w.user(t, w.peer, w.bob, "ann@b.test").DER()
	for name, c := range map[string]struct {
		key      IdentityKey
		from, to []byte
		serial   uint64
		want     string
	}{
		"ann":                        {w.ann, der, at, 1, ""},
		"bob moves ann":              {w.bob, der, at, 1, "of another key"},
		"to a name of bob's":         {w.ann, der, bobs, 1, "of two keys"},
		"bob, to a name of his":      {w.bob, der, bobs, 1, "of two keys"},
		"to the same name":           {w.ann, at, at, 1, "leads to the name"},
		"serial 0":                   {w.ann, der, at, 0, "serial"},
		"too great a serial":         {w.ann, der, at, math.MaxInt64 + 1, "serial"},
		"a certificate of a link":    {w.ann, der, w.linkCert.DER(), 1, "user certificate"},
		"no certificate of the past": {w.ann, nil, at, 1, "signing a move"},
	} {
		_, err := c.key.SignMove(c.from, c.to, c.serial, testNow)
		if (err == nil) != (c.want == "") || err != nil && c.want != "user certificate" && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, key := range []signer{w.bob.identity, w.home.domain.domain, w.peer.domain.domain, w.offline.offline, w.revoker.revoker} {
		if _, err := ParseMove(sealStatement(key, LabelMove, w.move(t).body())); err == nil {
			t.Error("a move is good that another key signed")
		}
	}
	if _, err := (IdentityKey{}).SignMove(der, at, 1, testNow); err == nil {
		t.Error("no key moves")
	}
}

// Whose certificates they are, a case for each home.
func TestMoveIsOfTheHomes(t *testing.T) {
	w := newWorld(t)
	good := w.move(t)
	heir, _, err := w.successor.Succeed(w.rand, testNow, w.home, Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	stranger := must[*Authority](t)(NewAuthority(w.rand, w.peer.Domain(), testNow))
	impostor := must[*Authority](t)(NewAuthority(w.rand, w.home.Domain(), testNow))
	at := w.annAt(t, "ann@b.test").DER()
	forgedNew := must[Move](t)(w.ann.SignMove(w.annCert.DER(), w.user(t, stranger, w.ann, "ann@b.test").DER(), 1, testNow))
	forgedOld := must[Move](t)(w.ann.SignMove(w.user(t, impostor, w.ann, "eve@a.test").DER(), at, 1, testNow))
	misissued := must[Move](t)(w.ann.SignMove(w.forgeAnn(t, w.home.CA().Fingerprint()), at, 1, testNow))
	for name, c := range map[string]struct {
		m        Move
		from, to Known
		good     bool
	}{
		"as it is":                             {good, w.known(), w.peerKnown(), true},
		"the old home has handed over":         {good, Known{CA: heir.CA(), Former: []CACert{w.home.CA()}}, w.peerKnown(), true},
		"the old home has another key":         {good, Known{CA: heir.CA()}, w.peerKnown(), false},
		"nothing is known of the old home":     {good, Known{}, w.peerKnown(), false},
		"nothing is known of the new home":     {good, w.known(), Known{}, false},
		"the homes exchanged":                  {good, w.peerKnown(), w.known(), false},
		"the new home did not sign":            {forgedNew, w.known(), w.peerKnown(), false},
		"the old home did not sign":            {forgedOld, w.known(), w.peerKnown(), false},
		"the new home signed for the old home": {misissued, w.known(), w.peerKnown(), false},
	} {
		if err := c.m.Check(c.from, c.to); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if forgedOld.CheckTo(w.peerKnown()) != nil || forgedNew.CheckTo(w.peerKnown()) == nil {
		t.Error("who asks for the new home only is told of the other one")
	}
}

// Certificates that have run out show who is meant as well as others do.
func TestMoveOutlivesItsCertificates(t *testing.T) {
	w := newWorld(t)
	late := testNow.Add(CALifetime + 24*time.Hour)
	m := must[Move](t)(w.ann.SignMove(w.annCert.DER(), w.annAt(t, "ann@b.test").DER(), 9, late))
	back := must[Move](t)(ParseMove(m.Raw()))
	if err := back.Check(w.known(), w.peerKnown()); err != nil {
		t.Error(err)
	}
}

func TestMoveLabels(t *testing.T) {
	w := newWorld(t)
	for _, label := range []Label{LabelRevocation, LabelCard, LabelLogin, "move v2"} {
		if _, err := ParseMove(sealStatement(w.ann.identity, label, w.move(t).body())); err == nil {
			t.Errorf("under %q: accepted", label)
		}
	}
	if _, err := ParseRevocation(w.move(t).Raw()); err == nil {
		t.Error("a move is read as a revocation")
	}
}

func TestEveryBitOfAMoveCounts(t *testing.T) {
	judge := func(b []byte) error { _, err := ParseMove(b); return err }
	raw := newWorld(t).move(t).Raw()
	flipEach(t, raw, 1, judge)
	cutEach(t, raw, 1, judge)
	if judge(make([]byte, MaxMoveSize+1)) == nil {
		t.Error("too long a move is one")
	}
}

// The longest names of the domain with the most labels can be moved.
func TestTheLongestNameMoves(t *testing.T) {
	w := newWorld(t)
	text := strings.Repeat("a.", 126) + "a"
	a := must[*Authority](t)(NewAuthority(w.rand, mustDomain(t, text), testNow))
	from := w.user(t, a, w.ann, strings.Repeat("a", 64)+"@"+text)
	to := w.user(t, a, w.ann, strings.Repeat("b", 64)+"@"+text)
	m := must[Move](t)(w.ann.SignMove(from.DER(), to.DER(), 1, testNow))
	t.Logf("a move of %d bytes; from ann@a.test %d", len(m.Raw()), len(w.move(t).Raw()))
	must[Move](t)(ParseMove(m.Raw()))
}

// moves are made without signatures: who follows them has parsed them before.
func (w *world) moves(t testing.TB, key IdentityKey, ways ...string) (all []Move) {
	t.Helper()
	for _, way := range ways {
		var from, to string
		var serial uint64
		if _, err := fmt.Sscanf(way, "%s %s %d", &from, &to, &serial); err != nil {
			t.Fatal(err)
		}
		named := func(name string) UserCert { return UserCert{name: mustName(t, name+"@a.test"), key: key.Public()} }
		all = append(all, Move{Serial: serial, from: named(from), to: named(to)})
	}
	return all
}

func TestFollow(t *testing.T) {
	w := newWorld(t)
	others := w.moves(t, w.bob, "a x 90", "c x 91", "d x 92")
	for name, c := range map[string]struct {
		ways []string
		from string
		want string
	}{
		"none":                         {nil, "a", "a"},
		"one":                          {[]string{"a c 1"}, "a", "c"},
		"of another name":              {[]string{"b c 1"}, "a", "a"},
		"two in turn":                  {[]string{"c d 2", "a c 1"}, "a", "d"},
		"the second was made before":   {[]string{"c d 1", "a c 2"}, "a", "c"},
		"and back":                     {[]string{"a c 1", "c a 2"}, "a", "a"},
		"and back, known there":        {[]string{"a c 1", "c a 2"}, "c", "a"},
		"and back, and there again":    {[]string{"a c 3", "c a 2"}, "a", "c"},
		"stays there":                  {[]string{"a c 3", "c a 2"}, "c", "c"},
		"round in a circle":            {[]string{"a c 1", "c d 2", "d a 3"}, "c", "a"},
		"the newer of two":             {[]string{"a c 1", "a d 2"}, "a", "d"},
		"the newer of two, first":      {[]string{"a d 2", "a c 1"}, "a", "d"},
		"two at a time lead nowhere":   {[]string{"a c 5", "c d 5"}, "a", "c"},
		"round and on, where it began": {[]string{"a e 4", "c d 2", "d a 3"}, "c", "e"},
	} {
		steps := Follow(mustName(t, c.from+"@a.test"), w.ann.Public(), append(w.moves(t, w.ann, c.ways...), others...))
		at := mustName(t, c.from+"@a.test")
		for _, m := range steps {
			if m.From() != at {
				t.Errorf("%s: a step from %s, not from %s", name, m.From(), at)
			}
			at = m.To()
		}
		if at != mustName(t, c.want+"@a.test") || len(steps) > 0 && c.want == c.from {
			t.Errorf("%s: leads to %s by %d steps, want %s", name, at, len(steps), c.want)
		}
	}
}

// However moves are made and mixed, following ends, at a name that the newest of the moves
// that lead on does not leave, and in whatever order they came.
func TestFollowLaws(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		letter := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		var all []Move
		for range rapid.IntRange(0, 40).Draw(t, "moves") {
			from, to := letter.Draw(t, "from"), letter.Draw(t, "to")
			if from == to {
				continue
			}
			named := func(n string) UserCert { return UserCert{name: Name{n, Domain{"a.test"}}, key: w.ann.Public()} }
			all = append(all, Move{Serial: rapid.Uint64Range(1, 30).Draw(t, "serial"), from: named(from), to: named(to)})
		}
		start := Name{letter.Draw(t, "start"), Domain{"a.test"}}
		steps := Follow(start, w.ann.Public(), all)
		at, serial := start, uint64(0)
		for _, m := range steps {
			if m.From() != at || m.Serial <= serial {
				t.Fatalf("%v of %v", steps, all)
			}
			at, serial = m.To(), m.Serial
		}
		if len(steps) > 0 && at == start || len(steps) > MaxMoves {
			t.Fatalf("%d steps from %s to %s", len(steps), start, at)
		}
		for _, m := range all {
			if len(steps) > 0 && len(steps) < MaxMoves && m.From() == at && m.Serial > serial {
				t.Fatalf("stopped at %s, which it left at %d", at, m.Serial)
			}
		}
		if len(all) > 1 && unique(all) {
			mixed := rapid.Permutation(all).Draw(t, "mixed")
			if other := Follow(start, w.ann.Public(), mixed); fmt.Sprint(names(other)) != fmt.Sprint(names(steps)) {
				t.Fatalf("another order leads elsewhere")
			}
		}
	})
}

// unique tells whether no two moves from a name have one serial: whoever has the key can make
// those, and then leads himself astray.
func unique(all []Move) bool {
	seen := make(map[string]bool)
	for _, m := range all {
		key := fmt.Sprint(m.From(), m.Serial)
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func names(all []Move) (list []string) {
	for _, m := range all {
		list = append(list, m.To().String())
	}
	return list
}

// Sixteen are followed, and no more.
func TestFollowIsBounded(t *testing.T) {
	w := newWorld(t)
	var ways []string
	for i := range 3 * MaxMoves {
		ways = append(ways, fmt.Sprintf("n%d n%d %d", i, i+1, i+1))
	}
	if n := len(Follow(mustName(t, "n0@a.test"), w.ann.Public(), w.moves(t, w.ann, ways...))); n != MaxMoves {
		t.Errorf("%d steps", n)
	}
}

// What a move leaves is a name of a key, whoever else has that name or whatever else that key.
func TestWhatAMoveLeaves(t *testing.T) {
	w := newWorld(t)
	seen := make(map[[sha256.Size]byte]int)
	for i, m := range append(w.moves(t, w.ann, "a c 1", "a d 2", "c a 3"), w.moves(t, w.bob, "a c 1")...) {
		seen[m.Leaves()] += 1 << i
	}
	if len(seen) != 3 {
		t.Errorf("%v", seen)
	}
}
