package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A worldLog is the key log of a domain of a world, and its keys.
type worldLog struct {
	w       *world
	domain  pki.Domain
	log     pki.LogKey
	witness pki.WitnessKey
	labels  keylog.LabelKey
	leaves  []keylog.Leaf
	hashes  []tlog.Hash
}

// keepLog has a domain keep a log, and watch others', from its next descriptor on.
func (w *world) keepLog(domain string) *worldLog {
	w.t.Helper()
	l := &worldLog{w: w, domain: domainOf(w.t, domain)}
	var err error
	l.log, err = pki.NewLogKey(rand.Reader)
	must(w.t, err)
	l.witness, err = pki.NewWitnessKey(rand.Reader)
	must(w.t, err)
	for l.labels.IsZero() {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret)
		secret[31] &= 0x0f // below the order of the group, mostly
		l.labels, _ = keylog.ParseLabelKey(secret)
	}
	if w.logs == nil {
		w.logs = make(map[string]*worldLog)
	}
	w.logs[domain] = l
	return l
}

// add logs a card, and returns the number of its leaf.
func (l *worldLog) add(card pki.SignedCard) int {
	label, _ := l.labels.Label(card.Certificate.Name().String())
	leaf := keylog.Leaf{Kind: keylog.Card, Time: l.w.now.UTC().Truncate(time.Second), Label: label, Record: sha256.Sum256(card.Raw()), Labels: l.labels.Public()}
	more, err := tlog.StoredHashesForRecordHash(int64(len(l.leaves)), leaf.Hash(), l.reader())
	must(l.w.t, err)
	l.leaves, l.hashes = append(l.leaves, leaf), append(l.hashes, more...)
	return len(l.leaves) - 1
}

func (l *worldLog) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, l.hashes[i])
		}
		return out, nil
	})
}

// prove shows that a card is leaf i, under a head that some domains have cosigned.
func (l *worldLog) prove(card pki.SignedCard, i int, by ...string) []byte {
	t, size := l.w.t, int64(len(l.leaves))
	t.Helper()
	root, err := tlog.TreeHash(size, l.reader())
	must(t, err)
	signer, err := keylog.NewLogSigner(l.domain, l.log)
	must(t, err)
	signed, err := keylog.Sign(tlog.Tree{N: size, Hash: root}, signer)
	must(t, err)
	for _, domain := range by {
		s, err := torchwood.NewCosignatureSigner(keylog.WitnessName(domainOf(t, domain)), l.w.logs[domain].witness.Signer())
		must(t, err)
		text, _, _ := cutNote(signed)
		one, err := note.Sign(&note.Note{Text: text}, s)
		must(t, err)
		opened, err := note.Open(one, note.VerifierList(s.Verifier()))
		must(t, err)
		signed, err = keylog.Cosigned(signed, opened.Sigs[0])
		must(t, err)
	}
	way, err := tlog.ProveRecord(size, int64(i), l.reader())
	must(t, err)
	_, label := l.labels.Label(card.Certificate.Name().String())
	return keylog.Prove(l.leaves[i], label, int64(i), way, signed)
}

// cutNote is the text of a signed note.
func cutNote(signed []byte) (text string, sigs []note.Signature, err error) {
	_, err = note.Open(signed, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return unverified.Note.Text, unverified.Note.UnverifiedSigs, nil
	}
	return "", nil, err
}

// logged is a world of domains that all keep logs and see each other, and a user of b.test.
func newLogged(t *testing.T) (*world, *worldLog, somebody) {
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	for _, domain := range sorted(w.domains) {
		w.keepLog(domain)
	}
	w.agree(nil)
	w.directory()
	w.learn()
	return w, w.logs["b.test"], w.user(w.domains["b.test"])
}

// The key of somebody who is met now is to be in the log of her home, as enough have seen who watch it;
// one that is known goes on without.
func TestNewKeysAreLogged(t *testing.T) {
	t.Parallel()
	w, log, bob := newLogged(t)
	eve := w.user(w.domains["b.test"])
	log.add(eve.card)
	n := log.add(bob.card)
	other := w.keepLog("c.test") // of keys that no descriptor names
	other.domain = log.domain
	other.add(bob.card)
	w.logs["c.test"] = w.logs["d.test"] // whose signatures come under a name that is not theirs
	strange := log.prove(bob.card, n, "c.test")
	for _, test := range []struct {
		what  string
		proof []byte
		shown placing
		state pki.LogState
	}{
		{"two of three", log.prove(bob.card, n, "d.test", "e.test"), placed, pki.LogCurrent},
		{"two of three, and our home", log.prove(bob.card, n, "a.test", "d.test", "e.test"), placed, pki.LogCurrent},
		{"one", log.prove(bob.card, n, "d.test"), placed, pki.LogMissing},
		{"one, our home and its own", log.prove(bob.card, n, "a.test", "b.test", "d.test"), placed, pki.LogMissing},
		{"nobody", log.prove(bob.card, n), placed, pki.LogMissing},
		{"somebody by a key that is not his", strange, placed, pki.LogMissing},
		{"no proof", nil, unplaced, pki.LogMissing},
		{"no proof at all", []byte("proof"), misplaced, pki.LogMissing},
		{"another's", log.prove(eve.card, 0, "d.test", "e.test"), misplaced, pki.LogMissing},
		{"another log", other.prove(bob.card, 0, "d.test", "e.test"), misplaced, pki.LogMissing},
	} {
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { tx.Delete(prefixPlace + bob.name.String()); return nil }))
		enough, err := w.a.sawPlace(bob.card, test.proof)
		must(t, err)
		p := w.placeOf(bob)
		if state := p.evidence(w.now).State; p.Shown != test.shown || state != test.state || enough != (state == pki.LogCurrent) {
			t.Errorf("%s: %s, %d, enough %t", test.what, p.Shown, state, enough)
		}
		var trust *TrustError
		err = w.write(bob)
		if held := errors.As(err, &trust) && trust.Verdict.Row == pki.RowUnproven; held == enough || err != nil && !held {
			t.Errorf("%s: %v", test.what, err)
		}
		if r := w.report(bob); (r.Trust == Unconfirmed) == enough || (r.Problem() == nil) != enough || r.Log.Known {
			t.Errorf("%s: %s, %v, %+v", test.what, r.Trust, r.Problem(), r.Log)
		}
	}
	w.met(bob)
	enough, err := w.a.sawPlace(bob.card, nil)
	must(t, err)
	if err := w.write(bob); err != nil || !enough {
		t.Errorf("a key that is known: %v, enough %t", err, enough)
	}
	if r := w.report(bob); r.Trust != Vouched || r.Problem() != nil || r.Log.State != "missing" || !r.Log.Known {
		t.Errorf("%s, %v, %+v", r.Trust, r.Problem(), r.Log)
	}
}

func (w *world) placeOf(s somebody) (p logPlace) {
	w.t.Helper()
	must(w.t, w.a.vault.View(func(tx *vault.Tx) (err error) {
		p, _, err = load[logPlace](tx, prefixPlace+s.name.String())
		return err
	}))
	return p
}

// report is what check tells of somebody whose card was just shown.
func (w *world) report(s somebody) Report {
	w.t.Helper()
	r, err := w.a.report(Subject{s.name, s.name.Domain()}, s.key.Fingerprint())
	must(w.t, err)
	return r
}

// What the proof of one key shows says nothing of another under the same name, and a log that nobody has
// seen for a week is stale.
func TestPlaceIsOfOneKey(t *testing.T) {
	t.Parallel()
	w, log, bob := newLogged(t)
	n := log.add(bob.card)
	_, err := w.a.sawPlace(bob.card, log.prove(bob.card, n, "c.test", "d.test", "e.test"))
	must(t, err)
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	second := w.certified(w.domains["b.test"], bob.name, key)
	if err := w.write(second); err == nil {
		t.Error("another key is taken by the proof of the first")
	}
	if r := w.report(bob); r.Log.State != "current" || r.Log.Entry != 1 || r.Log.Entries != 1 || r.Log.Wanted != 2 || fmt.Sprint(r.Log.Cosigned) != "[c.test d.test e.test]" ||
		w.now.Sub(r.Log.Head).Abs() > time.Minute {
		t.Errorf("%+v", r.Log)
	}
	if _, err = w.a.sawPlace(bob.card, nil); err != nil || w.write(bob) != nil {
		t.Errorf("a copy without a proof takes back what was shown: %v", err)
	}
	for after, want := range map[time.Duration]pki.LogState{pki.LogFreshness - time.Hour: pki.LogCurrent, pki.LogFreshness + time.Hour: pki.LogStale} {
		if got := w.placeOf(bob).evidence(w.now.Add(after)).State; got != want {
			t.Errorf("after %s: %d, want %d", after, got, want)
		}
	}
	if got := w.placeOf(bob).evidence(w.now.Add(-time.Hour)).State; got != pki.LogMissing {
		t.Errorf("cosigned in an hour: %d", got)
	}
}

// A domain that keeps no log is judged without one; one that kept a log is not, though it names none now.
func TestLogIsNotDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	if _, err := w.a.sawPlace(bob.card, nil); err != nil || w.write(bob) != nil || w.report(bob).Log.State != "none" {
		t.Errorf("without a log: %v, %+v", err, w.report(bob).Log)
	}
	w.keepLog("b.test")
	w.directory()
	if err := w.write(bob); err == nil {
		t.Error("it keeps a log now, and nothing was shown")
	}
	delete(w.logs, "b.test")
	w.directory()
	r := w.report(bob)
	if err := w.write(bob); err == nil || !r.Log.Dropped || r.Log.State != "missing" {
		t.Errorf("a log that was dropped: %v, %+v", err, r.Log)
	}
}

// Through the mesh and to the node alike, a key comes with its place in the log of its home, and those who
// are known to watch it have cosigned.
func TestLookedUpWithProof(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	for _, direct := range []bool{false, true} {
		ann.cfg.Direct = direct
		var l *LogReport
		eventually(t, ann, func() bool { // witnesses that were slow sign the next head
			r, err := ann.Check(t.Context(), Subject{bob.self.name, bob.home()})
			must(t, err)
			l = r.Log
			return l.State == "current" && len(l.Cosigned) > 0
		})
		if l.Entry == 0 || l.Entry > l.Entries || len(l.Watchers) != 2 || l.Wanted != 1 || time.Since(l.Head).Abs() > time.Hour {
			t.Errorf("direct %t: %+v", direct, l)
		}
	}
	send(t, ann, bob.self.name, "hello", mor.StoredThere)
}

// Whoever has us look up many does not fill the folder; what is known of contacts stays.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	w, _, bob := newLogged(t)
	w.met(bob)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		for i := range maxPlaces - 1 {
			if err := save(tx, fmt.Sprintf("%suser%d@c.test", prefixPlace, i), logPlace{Shown: unplaced}); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, who := range []somebody{bob, bob, w.user(w.domains["b.test"])} {
		_, err := w.a.sawPlace(who.card, nil)
		must(t, err)
	}
	if left := keysOf(t, w.a, prefixPlace); len(left) != 2 || w.placeOf(bob).Shown != unplaced {
		t.Errorf("%d are left", len(left))
	}
}

// A letter alone pins nobody: its writer's key is to be in the log of her home, and nobody is to object. Until
// then she is unconfirmed, and a key that the log shows takes the place of hers.
func TestLettersPinNobody(t *testing.T) {
	t.Parallel()
	w, log, bob := newLogged(t)
	c, err := w.wrote(bob)
	if err != nil || c.Trust != pki.Untrusted || !c.Provisional || w.trust(bob).Trust != Unconfirmed {
		t.Fatalf("by a letter: %+v, %v, %s", c, err, w.trust(bob))
	}
	if known, err := w.a.pinned(bob.name, c.Identity); known || err != nil || c.author(bob.name) != "@b.test" {
		t.Errorf("pinned %t, %v, by %q", known, err, c.author(bob.name))
	}
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	other := w.certified(w.domains["b.test"], bob.name, key)
	var changed *pki.KeyChangedError
	if _, err := w.wrote(other); !errors.As(err, &changed) {
		t.Errorf("a letter by another key: %v", err)
	}
	n := log.add(bob.card)
	for _, by := range [][]string{{"d.test"}, {"d.test", "e.test"}} {
		if _, err := w.a.sawPlace(bob.card, log.prove(bob.card, n, by...)); err != nil {
			t.Fatal(err)
		}
		want := map[int]Trust{1: Unconfirmed, 2: Vouched}[len(by)]
		if c, err := w.wrote(bob); err != nil || c.Provisional != (len(by) == 1) || w.trust(bob).Trust != want {
			t.Errorf("cosigned by %v: %+v, %v, %s", by, c, err, w.trust(bob))
		}
	}
	if _, err := w.wrote(other); !errors.As(err, &changed) || w.trust(bob).Trust != Vouched {
		t.Errorf("another key when hers is pinned: %v, %s", err, w.trust(bob))
	}

	thief := w.user(w.domains["b.test"])
	hers, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	owner := w.certified(w.domains["b.test"], thief.name, hers)
	_, err = w.wrote(thief)
	must(t, err)
	n = log.add(owner.card)
	_, err = w.a.sawPlace(owner.card, log.prove(owner.card, n, "d.test", "e.test"))
	must(t, err)
	if c, err := w.wrote(owner); err != nil || c.Identity != owner.key.Fingerprint() || c.Trust != pki.FirstSeen {
		t.Errorf("the key that the log shows: %+v, %v", c, err)
	}
}

// Who is known by a letter is not pinned while the owner of another key objects; of a domain without a log
// she is pinned at once, unless somebody does.
func TestChallengedLettersPinNobody(t *testing.T) {
	t.Parallel()
	for _, logs := range []bool{true, false} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
		for _, domain := range sorted(w.domains) {
			if logs {
				w.keepLog(domain)
			}
		}
		w.agree(nil)
		w.directory()
		bob := w.user(w.domains["b.test"])
		key, err := pki.NewIdentityKey(rand.Reader)
		must(t, err)
		owner := w.certified(w.domains["b.test"], bob.name, key)
		objects, err := owner.key.Challenge(owner.cert, [32]byte{}, w.now)
		must(t, err)
		w.feed = append(w.feed, objects.Statement().Marshal())
		w.learn()
		if logs {
			log := w.logs["b.test"]
			n := log.add(bob.card)
			_, err = w.a.sawPlace(bob.card, log.prove(bob.card, n, "d.test", "e.test"))
			must(t, err)
		}
		if c, err := w.wrote(bob); err != nil || !c.Provisional || w.trust(bob).Trust != Unconfirmed {
			t.Errorf("with a log %t: %+v, %v, %s", logs, c, err, w.trust(bob))
		}
		if easy := w.user(w.domains["b.test"]); !logs {
			if c, err := w.wrote(easy); err != nil || c.Provisional || c.Trust != pki.FirstSeen || w.trust(easy).Trust != Vouched {
				t.Errorf("without a log: %+v, %v", c, err)
			}
		}
	}
}

// A home that parts with its peers has its log seen by no fewer: as many as ever were are wanted, and those
// who countersigned it still count, until its key is accepted anew. Who says so alone makes nobody wanted.
func TestWantedWatchersDoNotSink(t *testing.T) {
	t.Parallel()
	w, log, bob := newLogged(t)
	part := func(by string, s *pki.Sighting) {
		if s.Domain == log.domain {
			s.Standing = pki.Countersigned
		}
	}
	later := func() {
		w.now = w.now.Add(time.Hour)
		w.agree(part)
		w.directory()
	}
	later()
	n := log.add(bob.card)
	states := func(when string, want map[string]pki.LogState) {
		t.Helper()
		for by, state := range want {
			must(t, w.a.vault.Update(func(tx *vault.Tx) error { tx.Delete(prefixPlace + bob.name.String()); return nil }))
			_, err := w.a.sawPlace(bob.card, log.prove(bob.card, n, strings.Fields(by)...))
			must(t, err)
			if got := w.placeOf(bob).evidence(w.now).State; got != state {
				t.Errorf("%s, cosigned by %q: %d, want %d", when, by, got, state)
			}
		}
	}
	states("they part", map[string]pki.LogState{"": pki.LogMissing, "d.test": pki.LogMissing, "d.test e.test": pki.LogCurrent})
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		s, err := w.a.judged(tx, log.domain)
		return errors.Join(err, w.a.verifyDomain(tx, s, s.pin.Key))
	}))
	later()
	states("accepted anew", map[string]pki.LogState{"": pki.LogCurrent})
}

// The number that is wanted goes with the domain when its key is handed over.
func TestWantedGoesWithTheDomain(t *testing.T) {
	t.Parallel()
	w, log, _ := newLogged(t)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		s, err := w.a.judged(tx, log.domain)
		must(t, err)
		if s.pin.Wanted != quorum {
			t.Errorf("wanted %d", s.pin.Wanted)
		}
		d, _, err := w.a.serverOf(tx, log.domain)
		must(t, err)
		must(t, w.a.adopt(tx, s, pki.Pin{Key: pki.Fingerprint{7}, Trust: pki.Vouched}, d))
		if p, _, err := loadPin(tx, log.domain); err != nil || p.Wanted != quorum {
			t.Errorf("wanted %d of the next key, %v", p.Wanted, err)
		}
		return nil
	}))
}
