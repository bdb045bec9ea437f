package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// A liar signs two logs of one leaf each, by that authority, its descriptor and a log key.
type liar struct {
	*worldLog
	by *pki.Authority
}

// head is one of them, which some domains have cosigned now.
func (l liar) head(leaf byte, by ...string) store.Head {
	t := l.w.t
	t.Helper()
	now := l.w.logs[l.domain.String()]
	l.w.logs[l.domain.String()] = l.worldLog
	d := l.w.descriptor(l.by)
	l.w.logs[l.domain.String()] = now
	signer, err := keylog.NewLogSigner(l.domain, l.log)
	must(t, err)
	raw, err := keylog.Sign(tlog.Tree{N: 1, Hash: tlog.Hash{leaf}}, signer)
	must(t, err)
	h, err := witness.HeadBy(d, raw)
	must(t, err)
	for _, domain := range by {
		s, err := torchwood.NewCosignatureSigner(keylog.WitnessName(domainOf(t, domain)), l.w.logs[domain].witness.Signer())
		must(t, err)
		text, _, _ := cutNote(h.Checkpoint)
		one, err := note.Sign(&note.Note{Text: text}, s)
		must(t, err)
		opened, err := note.Open(one, note.VerifierList(s.Verifier()))
		must(t, err)
		h.Checkpoint, err = keylog.Cosigned(h.Checkpoint, opened.Sigs[0])
		must(t, err)
	}
	return h
}

// fork is the evidence, as it travels.
func (l liar) fork(by ...string) []byte {
	l.w.t.Helper()
	f, err := witness.NewFork([2]store.Head{l.head(1, by...), l.head(2, by...)}, nil)
	must(l.w.t, err)
	return pki.Statement{Kind: pki.StatementFork, Raw: f.Marshal()}.Marshal()
}

// hear hands out a statement.
func (w *world) hears(raw []byte) {
	w.feed = append(w.feed, raw)
	w.learn()
}

// A domain whose log has two histories is frozen: whom ann knows there she writes to, with a warning; nobody
// new, and no other key of the domain, is believed, until she says the words of that.
func TestForkFreezes(t *testing.T) {
	t.Parallel()
	w, log, bob := newLogged(t)
	w.met(bob)
	eve := w.user(w.domains["b.test"])
	n := log.add(eve.card)
	_, err := w.a.sawPlace(eve.card, log.prove(eve.card, n, "d.test", "e.test"))
	must(t, err)
	if err := w.write(eve); err != nil || len(w.a.Warnings()) > 0 {
		t.Fatalf("before: %v", err)
	}
	old := w.key("b.test")
	w.hears(liar{log, w.domains["b.test"]}.fork())
	var forked *ForkedError
	if told := w.a.Warnings(); len(told) != 1 || !errors.As(told[0], &forked) || forked.Domain != log.domain {
		t.Errorf("told %v", told)
	}
	if s := w.standing("b.test"); s.verdict.Row != pki.RowForked || s.verdict.Send != pki.SendWarned || s.pin.Key != old {
		t.Errorf("%+v", s.verdict)
	}
	if err := w.write(bob); err != nil || len(w.a.Warnings()) != 1 {
		t.Errorf("who is known: %v", err)
	}
	if r := w.report(bob); !errors.As(r.Problem(), &forked) || r.Trust != Vouched || r.Log.State != "forked" {
		t.Errorf("who is known: %s, %v, %+v", r.Trust, r.Problem(), r.Log)
	}
	var trust *TrustError
	if err := w.write(eve); !errors.As(err, &trust) || trust.Verdict.Row != pki.RowForked {
		t.Errorf("who is new: %v", err)
	}
	if c, err := w.wrote(eve); err != nil || !c.Provisional || w.trust(eve).Trust != Unconfirmed {
		t.Errorf("who is new, by a letter: %+v, %v", c, err)
	}
	w.hears(liar{log, w.domains["b.test"]}.fork()) // again
	w.now = w.now.Add(time.Hour)
	w.domains["b.test"] = w.authority("b.test")
	next := w.keepLog("b.test")
	w.agree(nil)
	w.directory()
	if s := w.standing("b.test"); s.pin.Key != old || s.verdict.Row != pki.RowForked {
		t.Fatalf("it has moved by itself: %+v", s.verdict)
	}
	if err := w.accepts("b.test"); err != nil {
		t.Fatal(err)
	}
	w.directory()
	if s := w.standing("b.test"); s.pin.Key != w.key("b.test") || s.verdict.Row == pki.RowForked || !s.confirmed() {
		t.Errorf("accepted: %+v", s.verdict)
	}
	w.hears(liar{log, w.domains["b.test"]}.fork())
	if s := w.standing("b.test"); s.fork != nil {
		t.Error("a former log key freezes it again")
	}
	w.hears(liar{next, w.domains["b.test"]}.fork())
	if s := w.standing("b.test"); s.fork == nil {
		t.Error("another fork does not freeze it")
	}
}

// accepts has ann say the words of the key that a domain shows now.
func (w *world) accepts(domain string) error {
	owns, err := words.Fingerprint(words.Of(w.key(domain)))
	must(w.t, err)
	return w.a.acceptKey(Subject{Domain: domainOf(w.t, domain)}, pki.Fingerprint{}, owns)
}

// Evidence counts by what ann knows herself: by whose word it is, and which log key is in office, or who of
// her list has cosigned.
func TestForkHasToConvince(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		fork func(w *world, log *worldLog) []byte
		want bool
	}{
		"by the key in office":           {func(w *world, log *worldLog) []byte { return liar{log, w.domains["b.test"]}.fork() }, true},
		"by another authority":           {func(w *world, log *worldLog) []byte { return liar{log, w.authority("b.test")}.fork() }, false},
		"by another log key":             {func(w *world, log *worldLog) []byte { return formerLiar(w).fork() }, false},
		"by it, and our home cosigned":   {func(w *world, log *worldLog) []byte { return formerLiar(w).fork("a.test") }, false},
		"by it, and one of the list did": {func(w *world, log *worldLog) []byte { return formerLiar(w).fork("d.test") }, true},
		"one bit is another": {func(w *world, log *worldLog) []byte {
			raw := liar{log, w.domains["b.test"]}.fork()
			raw[len(raw)/2] ^= 1
			return raw
		}, false},
		"of a domain that is not known": {func(w *world, log *worldLog) []byte {
			return liar{w.keepLog("x.test"), w.authority("x.test")}.fork()
		}, false},
	} {
		w, log, _ := newLogged(t)
		w.hears(c.fork(w, log))
		s := w.standing("b.test")
		if (s.fork != nil) != c.want || (s.verdict.Row == pki.RowForked) != c.want {
			t.Errorf("%s: row %d, %+v", what, s.verdict.Row, s.fork)
		}
		if left := keysOf(t, w.a, prefixForked); (len(left) > 0) != c.want {
			t.Errorf("%s: %v", what, left)
		}
	}
}

// formerLiar is a liar by a log key that b.test names no more.
func formerLiar(w *world) liar {
	was := *w.logs["b.test"]
	var err error
	was.log, err = pki.NewLogKey(rand.Reader)
	must(w.t, err)
	return liar{&was, w.domains["b.test"]}
}

// So many domains are frozen, and the evidence of some is kept; those of contacts always are.
func TestForksAreBounded(t *testing.T) {
	t.Parallel()
	w, log, bob := newLogged(t)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		for i := range maxForked {
			one := forked{Says: "two"}
			if i < maxForkProofs {
				one.Proof = []byte("proof")
			}
			if err := save(tx, fmt.Sprintf("%sx%d.test", prefixForked, i), one); err != nil {
				return err
			}
		}
		return nil
	}))
	w.hears(liar{log, w.domains["b.test"]}.fork())
	if s := w.standing("b.test"); s.fork != nil {
		t.Error("one more of nobody is kept")
	}
	w.met(bob)
	w.hears(liar{log, w.domains["b.test"]}.fork())
	if s := w.standing("b.test"); s.fork == nil || len(s.fork.Proof) > 0 || !strings.Contains(s.fork.Says, "b.test") {
		t.Errorf("that of a contact is not kept, or with its evidence: %+v", s.fork)
	}
}
