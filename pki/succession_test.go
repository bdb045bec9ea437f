package pki

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// successions is one of each kind, from a.test's authority or root to others.
func (w *world) successions(t testing.TB) map[string]SignedSuccession {
	t.Helper()
	was := Commitment{Domain: w.home.Domain(), Key: w.home.CA().Fingerprint()}
	next := Fingerprint{9}
	_, old, err := w.successor.Succeed(w.rand, testNow, w.home, next)
	if err != nil {
		t.Fatal(err)
	}
	_, alone, err := w.successor.SucceedAlone(w.rand, testNow, was, next)
	if err != nil {
		t.Fatal(err)
	}
	_, rooted, err := w.successor.SucceedByRoot(w.rand, testNow, was, Fingerprint{}, w.offline)
	if err != nil {
		t.Fatal(err)
	}
	second := must[OfflineRoot](t)(NewOfflineRoot(w.rand))
	root := must[SignedSuccession](t)(w.offline.Succeed(w.home.Domain(), second, testNow))
	return map[string]SignedSuccession{"old": old, "alone": alone, "rooted": rooted, "root": root}
}

func TestSuccessionRoundTrip(t *testing.T) {
	w := newWorld(t)
	for name, s := range w.successions(t) {
		back, err := ParseSuccession(s.Raw())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(back.Raw(), s.Raw()) || !bytes.Equal(back.body(), s.body()) || back.New() != s.New() ||
			back.Signer() != s.Signer() || back.Says() != s.Says() || !back.Issued.Equal(testNow) || back.Domain != w.home.Domain() {
			t.Errorf("%s: %+v came back as %+v", name, s, back)
		}
		if s.Office == OfficeCA && (back.CA.Domain() != w.home.Domain() || back.New() != w.successor.Fingerprint()) {
			t.Errorf("%s: the new authority is %s of %s", name, back.New(), back.CA.Domain())
		}
	}
}

// Whose signatures a succession bears, and whose it must.
func TestSuccessionSigners(t *testing.T) {
	w := newWorld(t)
	made := w.successions(t)
	keys := map[string]signer{
		"old": w.home.domain.domain, "new": w.successor.successor, "root": w.offline.offline,
		"federation": w.home.federation.federation, "b.test": w.peer.domain.domain,
	}
	for _, c := range []struct {
		name, signer, possession string
		by                       By
		good                     bool
	}{
		{"the old key", "old", "new", ByOld, true},
		{"the new key alone", "new", "new", ByCommitted, true},
		{"the root", "root", "new", ByRoot, true},
		{"the new key, as the old one", "new", "new", ByOld, false},
		{"the root, as the old one", "root", "new", ByOld, false},
		{"the federation key, as the old one", "federation", "new", ByOld, false},
		{"b.test, as the old one", "b.test", "new", ByOld, false},
		{"the old key, as the new one", "old", "new", ByCommitted, false},
		{"the root, as the new one", "root", "new", ByCommitted, false},
		{"the old key, as the root", "old", "new", ByRoot, false},
		{"the new key, as the root", "new", "new", ByRoot, false},
		{"the old key, without the new", "old", "old", ByOld, false},
		{"the old key, with another new", "old", "b.test", ByOld, false},
		{"the root, without the new", "root", "root", ByRoot, false},
		{"as an identity", "old", "new", ByIdentity, false},
		{"as an authority", "old", "new", ByAuthority, false},
	} {
		s := made["old"].Succession
		s.By, s.signer = c.by, publicPoint(keys[c.signer])
		raw := sealStatement(keys[c.signer], LabelSuccession, sealStatement(keys[c.possession], LabelPossession, s.body()))
		if _, err := ParseSuccession(raw); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Who signs under which label, and that the one is never taken for the other.
func TestSuccessionLabels(t *testing.T) {
	w := newWorld(t)
	s := w.successions(t)["alone"] // one key signs both
	key := w.successor.successor
	for name, labels := range map[string][2]Label{
		"exchanged": {LabelSuccession, LabelPossession}, "possession twice": {LabelPossession, LabelPossession},
		"succession twice": {LabelSuccession, LabelSuccession}, "a descriptor": {LabelPossession, LabelDescriptor},
		"a revocation": {LabelPossession, LabelRevocation},
	} {
		raw := sealStatement(key, labels[1], sealStatement(key, labels[0], s.body()))
		if _, err := ParseSuccession(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	half := sealStatement(key, LabelPossession, s.body())
	if _, err := ParseSuccession(half); err == nil {
		t.Error("possession alone is accepted")
	}
}

func TestSuccessionRefuses(t *testing.T) {
	w := newWorld(t)
	made := w.successions(t)
	other := must[*Authority](t)(NewAuthority(w.rand, mustDomain(t, "c.test"), testNow))
	for name, change := range map[string]func(*Succession){
		"before 1970":                func(s *Succession) { s.Issued = time.Unix(-1, 0) },
		"after 9999":                 func(s *Succession) { s.Issued = time.Unix(lastSecond+1, 0) },
		"of another domain":          func(s *Succession) { s.Domain = w.peer.Domain() },
		"of no domain":               func(s *Succession) { s.Domain = Domain{} },
		"commits to the old key":     func(s *Succession) { s.Next = s.Old },
		"commits to itself":          func(s *Succession) { s.Next = s.New() },
		"follows itself":             func(s *Succession) { s.Old = s.New() },
		"an authority of another":    func(s *Succession) { s.CA = other.CA() },
		"no authority":               func(s *Succession) { s.CA = CACert{} },
		"office 0":                   func(s *Succession) { s.Office = 0 },
		"office 3":                   func(s *Succession) { s.Office = 3 },
		"an authority's as a root's": func(s *Succession) { s.Office = OfficeRoot },
		"no signer":                  func(s *Succession) { s.signer = point{} },
		"the old key is another":     func(s *Succession) { s.Old = Fingerprint{1} },
		"committed, by the old key":  func(s *Succession) { s.By = ByCommitted },
		"the root, which is the next": func(s *Succession) {
			s.By = ByRoot
			s.Next = w.offline.Fingerprint()
			s.signer = w.offline.Public().offline
		},
	} {
		s := made["old"].Succession
		change(&s)
		signed := w.home.domain.domain
		if s.signer == w.offline.Public().offline {
			signed = w.offline.offline
		}
		if _, err := s.sign(w.successor.successor, signed); err == nil {
			t.Errorf("%s: signed", name)
		}
		if s.Office == OfficeCA && s.CA.cert == nil {
			s.CA = w.home.CA() // there is nothing to write otherwise
		}
		raw := sealStatement(signed, LabelSuccession, sealStatement(w.successor.successor, LabelPossession, s.body()))
		if _, err := ParseSuccession(raw); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

// A root hands over to a root, by itself alone.
func TestRootSuccessionRefuses(t *testing.T) {
	w := newWorld(t)
	second := must[OfflineRoot](t)(NewOfflineRoot(w.rand))
	good := must[SignedSuccession](t)(w.offline.Succeed(w.home.Domain(), second, testNow)).Succession
	for name, change := range map[string]func(*Succession){
		"commits to another": func(s *Succession) { s.Next = Fingerprint{1} },
		"by a root, as such": func(s *Succession) { s.By = ByRoot },
		"by commitment":      func(s *Succession) { s.By = ByCommitted; s.signer = second.Public().offline },
		"by the authority":   func(s *Succession) { s.signer = w.home.CA().key.domain },
	} {
		s := good
		change(&s)
		keys := map[point]signer{
			w.offline.Public().offline: w.offline.offline, second.Public().offline: second.offline,
			w.home.CA().key.domain: w.home.domain.domain,
		}
		raw := sealStatement(keys[s.signer], LabelSuccession, sealStatement(second.offline, LabelPossession, s.body()))
		if _, err := ParseSuccession(raw); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	if _, err := w.offline.Succeed(w.home.Domain(), w.offline, testNow); err == nil {
		t.Error("a root follows itself")
	}
	if _, err := w.offline.Succeed(Domain{}, second, testNow); err == nil {
		t.Error("a root of no domain")
	}
}

func TestEveryBitOfASuccessionCounts(t *testing.T) {
	w := newWorld(t)
	for _, s := range w.successions(t) {
		judge := func(b []byte) error { _, err := ParseSuccession(b); return err }
		flipEach(t, s.Raw(), 1, judge)
		cutEach(t, s.Raw(), 1, judge)
	}
}

// The authority that succeeds works, keeps what it is to keep, and says what it committed to.
func TestSuccessorsTakeOffice(t *testing.T) {
	w := newWorld(t)
	third := must[Successor](t)(NewSuccessor(w.rand))
	home := must[*Authority](t)(w.home.Commit(w.successor.Fingerprint(), w.offline.Fingerprint()))
	heir, said, err := w.successor.Succeed(w.rand, testNow, home, third.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	want := Commitment{
		Domain: home.Domain(), Key: w.successor.Fingerprint(), Next: third.Fingerprint(), Root: w.offline.Fingerprint(),
	}
	if heir.Commitment() != want || said.CA.Fingerprint() != want.Key || said.Old != home.CA().Fingerprint() {
		t.Errorf("%+v, want %+v", heir.Commitment(), want)
	}
	back := must[*Authority](t)(ParseAuthority(heir.Marshal()))
	if back.Commitment() != want {
		t.Errorf("from its file: %+v", back.Commitment())
	}
	// The federation key stays, and with it what it has countersigned.
	if _, err := heir.VerifyPeerUser(w.cross, w.bobCert.DER(), testNow); err != nil {
		t.Errorf("it does not know its cross-certificate: %v", err)
	}
	cert := w.user(t, heir, w.ann, "ann@a.test")
	if _, err := said.CA.VerifyUser(cert.DER(), testNow); err != nil {
		t.Errorf("what it signs does not verify under the certificate in the succession: %v", err)
	}
	d := w.descriptor(t).Descriptor
	d.CA = CACert{}
	signed := must[SignedDescriptor](t)(heir.SignDescriptor(d))
	if signed.Next != third.Fingerprint() || signed.Root != w.offline.Fingerprint() {
		t.Error("its descriptor does not state what it committed to")
	}
	alone, _, err := w.successor.SucceedAlone(w.rand, testNow, home.Commitment(), Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone.VerifyPeerUser(w.cross, w.bobCert.DER(), testNow); err == nil {
		t.Error("the federation key came from nowhere")
	}
}

func TestSucceedRefuses(t *testing.T) {
	w := newWorld(t)
	was := w.home.Commitment()
	for name, f := range map[string]func() error{
		"no key": func() error {
			_, _, err := Successor{}.Succeed(w.rand, testNow, w.home, Fingerprint{})
			return err
		},
		"no root": func() error {
			_, _, err := w.successor.SucceedByRoot(w.rand, testNow, was, Fingerprint{}, OfflineRoot{})
			return err
		},
		"no domain": func() error {
			_, _, err := w.successor.SucceedAlone(w.rand, testNow, Commitment{Key: was.Key}, Fingerprint{})
			return err
		},
		"commits to itself": func() error {
			_, _, err := w.successor.Succeed(w.rand, testNow, w.home, w.successor.Fingerprint())
			return err
		},
		"commits to the old key": func() error {
			_, _, err := w.successor.Succeed(w.rand, testNow, w.home, was.Key)
			return err
		},
		"no randomness": func() error {
			_, _, err := w.successor.SucceedAlone(strings.NewReader(""), testNow, was, Fingerprint{})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: succeeded", name)
		}
	}
	key := w.home.CA().Fingerprint()
	for name, c := range map[string][2]Fingerprint{
		"itself as next": {key, {}}, "itself as root": {{}, key}, "one key for both": {{7}, {7}},
	} {
		if _, err := w.home.Commit(c[0], c[1]); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
}

// A descriptor with what it commits to, to the octet, and no other version.
func TestDescriptorCommits(t *testing.T) {
	w := newWorld(t)
	home := must[*Authority](t)(w.home.Commit(w.successor.Fingerprint(), w.offline.Fingerprint()))
	good := w.descriptor(t).Descriptor
	signed := must[SignedDescriptor](t)(home.SignDescriptor(good))
	back := must[SignedDescriptor](t)(ParseDescriptor(signed.Raw()))
	if back.Next != w.successor.Fingerprint() || back.Root != w.offline.Fingerprint() {
		t.Errorf("next %s, root %s", back.Next, back.Root)
	}
	key := w.home.CA().Fingerprint()
	for name, change := range map[string]func(*Descriptor){
		"itself as next":   func(d *Descriptor) { d.Next = key },
		"itself as root":   func(d *Descriptor) { d.Root = key },
		"one key for both": func(d *Descriptor) { d.Next, d.Root = Fingerprint{7}, Fingerprint{7} },
	} {
		d := good
		change(&d)
		if _, err := ParseDescriptor(sealStatement(w.home.domain.domain, LabelDescriptor, d.body())); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	old := good.body()
	old[0] = 1
	if _, err := ParseDescriptor(sealStatement(w.home.domain.domain, LabelDescriptor, old)); err == nil {
		t.Error("version 1 is parsed")
	}
}
