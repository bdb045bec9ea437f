package pki

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// line makes the successions of a.test by letters: what these tests need of them is who
// names whom, and not the signatures, which have been verified before.
type letter = byte

func key(l letter) Fingerprint {
	if l == 0 {
		return Fingerprint{}
	}
	return lettered[l].Fingerprint()
}

// lettered are authorities of a.test, by a letter; the roots have capitals.
var lettered = func() map[letter]DomainPublic {
	all := make(map[letter]DomainPublic)
	for _, l := range []letter("KNOPXYRSTV") {
		all[l] = DomainPublic{point{l, l}}
	}
	return all
}()

var lineDomain = Domain{"a.test"}

// hands is a succession of the authority from old to new, which commits to next.
func hands(by By, old, new, next letter, root letter) SignedSuccession {
	s := Succession{
		Office: OfficeCA, By: by, Domain: lineDomain, Old: key(old), Next: key(next),
		CA: CACert{domain: lineDomain, key: lettered[new]},
	}
	switch by {
	case ByOld:
		s.signer = lettered[old].domain
	case ByCommitted:
		s.signer = lettered[new].domain
	case ByRoot:
		s.signer = lettered[root].domain
	}
	return SignedSuccession{Succession: s}
}

// roots is a succession of the offline root.
func roots(old, new letter) SignedSuccession {
	return SignedSuccession{Succession: Succession{
		Office: OfficeRoot, By: ByOld, Domain: lineDomain, Old: key(old), Root: RootPublic{lettered[new].domain}, signer: lettered[old].domain,
	}}
}

func elsewhere(s SignedSuccession) SignedSuccession {
	s.Domain = Domain{"b.test"}
	return s
}

// Who follows, a case for each signer and each commitment.
func TestHeirs(t *testing.T) {
	type list = []SignedSuccession
	for _, c := range []struct {
		name       string
		next, root letter
		all        list
		want       string // the letters of the heirs
		wantNext   letter // of the last one
	}{
		{"nobody says anything", 'N', 'R', nil, "", 0},
		// The old key.
		{"the old key, committed to none", 0, 0, list{hands(ByOld, 'K', 'N', 'O', 0)}, "N", 'O'},
		{"the old key, as it had committed to", 'N', 0, list{hands(ByOld, 'K', 'N', 0, 0)}, "N", 0},
		{"the old key names another than committed: a thief", 'N', 0, list{hands(ByOld, 'K', 'X', 0, 0)}, "", 0},
		{"the thief beside the owner", 'N', 0, list{hands(ByOld, 'K', 'X', 0, 0), hands(ByOld, 'K', 'N', 0, 0)}, "N", 0},
		{"another key's word", 0, 0, list{hands(ByOld, 'O', 'N', 0, 0)}, "", 0},
		{"of another domain", 0, 0, list{elsewhere(hands(ByOld, 'K', 'N', 0, 0))}, "", 0},
		{"two heirs of the old key", 0, 0, list{hands(ByOld, 'K', 'N', 0, 0), hands(ByOld, 'K', 'X', 0, 0)}, "", 0},
		{"the same heir twice", 0, 0, list{hands(ByOld, 'K', 'N', 'O', 0), hands(ByOld, 'K', 'N', 'O', 0)}, "N", 'O'},
		// The new key alone.
		{"the committed key alone", 'N', 0, list{hands(ByCommitted, 'K', 'N', 'O', 0)}, "N", 'O'},
		{"a key that nobody committed to", 0, 0, list{hands(ByCommitted, 'K', 'X', 0, 0)}, "", 0},
		{"another than committed", 'N', 0, list{hands(ByCommitted, 'K', 'X', 0, 0)}, "", 0},
		{"both ways at once", 'N', 0, list{hands(ByCommitted, 'K', 'N', 'O', 0), hands(ByOld, 'K', 'N', 'O', 0)}, "N", 'O'},
		// The root.
		{"the root", 0, 'R', list{hands(ByRoot, 'K', 'N', 'O', 'R')}, "N", 'O'},
		{"the root against the commitment", 'N', 'R', list{hands(ByRoot, 'K', 'O', 0, 'R')}, "O", 0},
		{"the root against the old key and its commitment", 'N', 'R',
			list{hands(ByCommitted, 'K', 'N', 0, 0), hands(ByOld, 'K', 'N', 0, 0), hands(ByRoot, 'K', 'O', 0, 'R')}, "O", 0},
		{"another root", 'N', 'R', list{hands(ByRoot, 'K', 'O', 0, 'S')}, "", 0},
		{"a root, of a domain that has none", 0, 0, list{hands(ByRoot, 'K', 'O', 0, 'R')}, "", 0},
		{"two heirs of the root", 'N', 'R', list{
			hands(ByRoot, 'K', 'O', 0, 'R'), hands(ByRoot, 'K', 'X', 0, 'R'), hands(ByCommitted, 'K', 'N', 0, 0)}, "", 0},
		// Chains.
		{"two steps", 'N', 0, list{hands(ByOld, 'N', 'O', 'P', 0), hands(ByOld, 'K', 'N', 'O', 0)}, "NO", 'P'},
		{"two steps, the second by a thief of the second key", 'N', 0,
			list{hands(ByOld, 'K', 'N', 'O', 0), hands(ByOld, 'N', 'X', 0, 0)}, "N", 'O'},
		{"two steps, the second by commitment", 'N', 0, list{hands(ByOld, 'K', 'N', 'O', 0), hands(ByCommitted, 'N', 'O', 0, 0)}, "NO", 0},
		{"two steps, the second by the root", 'N', 'R', list{hands(ByOld, 'K', 'N', 'O', 0), hands(ByRoot, 'N', 'P', 0, 'R')}, "NP", 0},
		{"the first step is missing", 'N', 0, list{hands(ByOld, 'N', 'O', 0, 0)}, "", 0},
		{"the second key commits to two", 'N', 0, list{
			hands(ByOld, 'K', 'N', 'O', 0), hands(ByCommitted, 'K', 'N', 'X', 0), hands(ByOld, 'N', 'X', 0, 0), hands(ByOld, 'N', 'O', 0, 0)}, "N", 'N'},
		{"and the root mends it", 'N', 'R', list{
			hands(ByOld, 'K', 'N', 'O', 0), hands(ByCommitted, 'K', 'N', 'X', 0), hands(ByRoot, 'N', 'P', 0, 'R')}, "NP", 0},
		// Loops.
		{"back to the first", 0, 0, list{hands(ByOld, 'K', 'N', 0, 0), hands(ByOld, 'N', 'K', 0, 0)}, "N", 0},
		{"round and round", 0, 0, list{hands(ByOld, 'K', 'N', 0, 0), hands(ByOld, 'N', 'O', 0, 0), hands(ByOld, 'O', 'N', 0, 0)}, "NO", 0},
		// Roots in turn.
		{"a new root", 0, 'R', list{roots('R', 'S'), hands(ByRoot, 'K', 'N', 0, 'S')}, "N", 0},
		{"a former root has no say", 0, 'R', list{roots('R', 'S'), hands(ByRoot, 'K', 'N', 0, 'R')}, "", 0},
		{"a root that nobody named", 0, 'R', list{roots('S', 'T'), hands(ByRoot, 'K', 'N', 0, 'T')}, "", 0},
		{"a root names two: none of them", 0, 'R', list{roots('R', 'S'), roots('R', 'T'), hands(ByRoot, 'K', 'N', 0, 'S')}, "", 0},
		{"roots in a loop", 0, 'R', list{roots('R', 'S'), roots('S', 'R'), hands(ByRoot, 'K', 'N', 0, 'S')}, "N", 0},
		{"a root's succession is no authority's", 0, 'R', list{roots('K', 'N')}, "", 0},
	} {
		pinned := Commitment{Domain: lineDomain, Key: key('K'), Next: key(c.next), Root: key(c.root)}
		var want []Fingerprint
		for _, l := range []letter(c.want) {
			want = append(want, key(l))
		}
		for range 5 {
			heirs := pinned.Heirs(c.all)
			if got := keysOf(heirs); !slices.Equal(got, want) {
				t.Errorf("%s: %d heirs, want %q", c.name, len(got), c.want)
			} else if len(heirs) > 0 && heirs[len(heirs)-1].Next != key(c.wantNext) {
				t.Errorf("%s: it has committed to %s, want %q", c.name, heirs[len(heirs)-1].Next, c.wantNext)
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(c.all), func(i, j int) { c.all[i], c.all[j] = c.all[j], c.all[i] })
		}
	}
}

func keysOf(line []Commitment) (keys []Fingerprint) {
	for _, c := range line {
		keys = append(keys, c.Key)
	}
	return keys
}

// drawSuccessions is a heap of true and false ones among a few keys.
func drawSuccessions(rt *rapid.T) []SignedSuccession {
	keys, rootKeys := []letter("KNOPX"), []letter("RST")
	one := rapid.Custom(func(rt *rapid.T) SignedSuccession {
		if rapid.IntRange(0, 4).Draw(rt, "kind") == 0 {
			pair := rapid.Permutation(rootKeys).Draw(rt, "roots")
			return roots(pair[0], pair[1])
		}
		line := rapid.Permutation(keys).Draw(rt, "keys")
		next := line[2]
		if rapid.Bool().Draw(rt, "no next") {
			next = 0
		}
		by := rapid.SampledFrom([]By{ByOld, ByCommitted, ByRoot}).Draw(rt, "by")
		return hands(by, line[0], line[1], next, rapid.SampledFrom(rootKeys).Draw(rt, "root"))
	})
	return rapid.SliceOfN(one, 0, 14).Draw(rt, "successions")
}

func drawPinned(rt *rapid.T) Commitment {
	return Commitment{
		Domain: lineDomain, Key: key('K'),
		Next: key(rapid.SampledFrom([]letter{0, 'N', 'O'}).Draw(rt, "pinned next")),
		Root: key(rapid.SampledFrom([]letter{0, 'R'}).Draw(rt, "pinned root")),
	}
}

// Whatever there is: it ends, no key comes twice, the order does not count, and what is not
// admitted changes nothing.
func TestHeirsOfAnyHeap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pinned, all := drawPinned(rt), drawSuccessions(rt)
		heirs := pinned.Heirs(all)
		seen := map[Fingerprint]bool{pinned.Key: true}
		for _, heir := range heirs {
			if seen[heir.Key] || heir.Domain != lineDomain {
				rt.Fatalf("a key comes twice, or of another domain: %v", keysOf(heirs))
			}
			seen[heir.Key] = true
		}
		if again := pinned.Heirs(rapid.Permutation(all).Draw(rt, "order")); !slices.Equal(again, heirs) {
			rt.Fatalf("in another order %v, not %v", keysOf(again), keysOf(heirs))
		}
		admitted := slices.DeleteFunc(slices.Clone(all), func(s SignedSuccession) bool { return !pinned.Admits(all, s) })
		if again := pinned.Heirs(admitted); !slices.Equal(again, heirs) {
			rt.Fatalf("of what is admitted %v, not %v", keysOf(again), keysOf(heirs))
		}
		e := Evidence{}.Follow(heirs)
		if len(heirs) > 0 && (e.Rotation != heirs[len(heirs)-1].Key || len(e.Passed) != len(heirs)-1) {
			rt.Fatalf("as evidence: %+v", e)
		}
	})
}

// Who holds the key in use, and neither the committed one nor the root, names no heir,
// whatever he signs.
func TestAThiefNamesNoHeir(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pinned := Commitment{Domain: lineDomain, Key: key('K'), Next: key('N'), Root: key('R')}
		stolen := slices.DeleteFunc(drawSuccessions(rt), func(s SignedSuccession) bool {
			return s.Signer() == key('N') || s.New() == key('N') || s.Signer() == key('R')
		})
		if heirs := pinned.Heirs(stolen); len(heirs) > 0 {
			rt.Fatalf("he has named %v", keysOf(heirs))
		}
		for _, s := range stolen {
			if s.Office == OfficeCA && s.Old == key('K') && s.New() != key('N') && pinned.Admits(nil, s) {
				rt.Fatal("he fills the store")
			}
		}
	})
}

// What is admitted: what leads on, and what leads here.
func TestAdmits(t *testing.T) {
	pinned := Commitment{Domain: lineDomain, Key: key('K'), Next: key('N'), Root: key('R')}
	held := []SignedSuccession{hands(ByOld, 'K', 'N', 'O', 0), roots('R', 'S')}
	for name, c := range map[string]struct {
		s    SignedSuccession
		want bool
	}{
		"the next step":               {hands(ByOld, 'N', 'O', 0, 0), true},
		"a step to the pinned key":    {hands(ByOld, 'P', 'K', 'N', 0), true},
		"the root in office":          {hands(ByRoot, 'N', 'X', 0, 'S'), true},
		"the root's heir":             {roots('S', 'T'), true},
		"a step to the root":          {roots('V', 'R'), true},
		"a former root":               {hands(ByRoot, 'N', 'X', 0, 'R'), false},
		"another than committed":      {hands(ByOld, 'N', 'X', 0, 0), false},
		"past the committed one":      {hands(ByOld, 'K', 'O', 0, 0), false},
		"a strange root to a key":     {hands(ByRoot, 'P', 'K', 0, 'X'), false},
		"the root to the pinned key":  {hands(ByRoot, 'P', 'K', 0, 'R'), true},
		"keys that have no part here": {hands(ByOld, 'X', 'Y', 0, 0), false},
		"roots that have no part":     {roots('T', 'V'), false},
		"another domain":              {elsewhere(hands(ByOld, 'N', 'O', 0, 0)), false},
		"a root of another domain":    {elsewhere(roots('S', 'T')), false},
	} {
		if got := pinned.Admits(held, c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What a key had said of its own end is learnt once, from its own descriptors.
func TestCommitmentsAreLearntOnce(t *testing.T) {
	w := newWorld(t)
	pinned := Commitment{Domain: w.home.Domain(), Key: w.home.CA().Fingerprint()}
	say := func(a *Authority, next, root Fingerprint) SignedDescriptor {
		d := w.descriptor(t).Descriptor
		d.Domain, d.CA = Domain{}, CACert{}
		return must[SignedDescriptor](t)(must[*Authority](t)(a.Commit(next, root)).SignDescriptor(d))
	}
	if got := pinned.Learn(say(w.home, Fingerprint{}, Fingerprint{})); got != pinned {
		t.Errorf("of nothing was learnt %+v", got)
	}
	first := pinned.Learn(say(w.home, Fingerprint{1}, Fingerprint{2}))
	if first.Next != (Fingerprint{1}) || first.Root != (Fingerprint{2}) {
		t.Errorf("was learnt %+v", first)
	}
	if got := first.Learn(say(w.home, Fingerprint{3}, Fingerprint{4})); got != first {
		t.Errorf("a thief's word was learnt: %+v", got)
	}
	if got := first.Learn(say(w.home, Fingerprint{}, Fingerprint{})); got != first {
		t.Errorf("silence made it forget: %+v", got)
	}
	if got := pinned.Learn(say(w.peer, Fingerprint{3}, Fingerprint{4})); got != pinned {
		t.Errorf("it was learnt of another domain: %+v", got)
	}
	other := must[*Authority](t)(NewAuthority(w.rand, w.home.Domain(), testNow))
	if got := pinned.Learn(say(other, Fingerprint{3}, Fingerprint{4})); got != pinned {
		t.Errorf("it was learnt of another key: %+v", got)
	}
}

// The whole of it with true signatures: two rotations, a lost key, and a theft, judged.
func TestALineOfAuthorities(t *testing.T) {
	w := newWorld(t)
	second := must[Successor](t)(NewSuccessor(w.rand))
	home := must[*Authority](t)(w.home.Commit(w.successor.Fingerprint(), w.offline.Fingerprint()))
	heir, one, err := w.successor.Succeed(w.rand, testNow, home, second.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := second.SucceedAlone(w.rand, testNow, heir.Commitment(), Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	stolen := must[Successor](t)(NewSuccessor(w.rand))
	_, theft, err := stolen.Succeed(w.rand, testNow, home, Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	pinned := home.Commitment()
	if heirs := pinned.Heirs([]SignedSuccession{theft}); len(heirs) > 0 || pinned.Admits(nil, theft) {
		t.Errorf("the thief has named %v", keysOf(heirs))
	}
	heirs := pinned.Heirs([]SignedSuccession{theft, two, one})
	if want := []Fingerprint{w.successor.Fingerprint(), second.Fingerprint()}; !slices.Equal(keysOf(heirs), want) {
		t.Fatalf("the heirs are %v, want %v", keysOf(heirs), want)
	}
	e := Evidence{Domain: pinned.Domain, Pin: Pin{Key: pinned.Key, Trust: Verified}, Home: second.Fingerprint(), Quorum: 2}.Follow(heirs)
	v := Judge(e, testNow)
	pin := v.Pin(e.Pin)
	if v.Row != RowRotated || pin.Key != second.Fingerprint() || pin.Trust != Verified ||
		!slices.Equal(pin.Former, []Fingerprint{pinned.Key, w.successor.Fingerprint()}) {
		t.Errorf("%+v, pinned %+v", v, pin)
	}
	// Who still shows a key of before is late, and no liar.
	late := Evidence{Domain: pinned.Domain, Pin: pin, DNS: DNSEvidence{Key: w.successor.Fingerprint()}, Home: pinned.Key, Quorum: 2}
	if v := Judge(late, testNow); v.Send != SendAll || v.DNSAltered {
		t.Errorf("%+v", v)
	}
	// The second key is lost before it is used: the root names a third.
	third := must[Successor](t)(NewSuccessor(w.rand))
	_, rooted, err := third.SucceedByRoot(w.rand, testNow.Add(time.Hour), heir.Commitment(), Fingerprint{}, w.offline)
	if err != nil {
		t.Fatal(err)
	}
	if heirs := pinned.Heirs([]SignedSuccession{one, two, rooted}); len(heirs) != 2 || heirs[1].Key != third.Fingerprint() {
		t.Errorf("the heirs are %v", keysOf(heirs))
	}
}

// The roots before the pinned one are known by whatever handed over to it, and say nothing of who
// follows.
func TestFormerRoots(t *testing.T) {
	pinned := Commitment{Domain: lineDomain, Key: key('K'), Root: key('T')}
	for _, c := range []struct {
		all  []SignedSuccession
		want string
	}{
		{nil, "T"},
		{[]SignedSuccession{roots('R', 'S'), roots('S', 'T')}, "RST"},
		{[]SignedSuccession{roots('S', 'T'), roots('T', 'V')}, "STV"},
		{[]SignedSuccession{roots('R', 'S')}, "T"},
		{[]SignedSuccession{roots('S', 'T'), roots('T', 'S')}, "TS"},
		{[]SignedSuccession{elsewhere(roots('S', 'T'))}, "T"},
	} {
		var want []Fingerprint
		for _, l := range c.want {
			want = append(want, key(letter(l)))
		}
		if got := pinned.Roots(c.all); !slices.Equal(got, want) {
			t.Errorf("%s: %v", c.want, got)
		}
	}
	if heirs := pinned.Heirs([]SignedSuccession{roots('S', 'T'), hands(ByRoot, 'K', 'N', 0, 'S')}); len(heirs) > 0 {
		t.Error("a former root has a say")
	}
}
