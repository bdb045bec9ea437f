package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	vrf "filippo.io/mostly-harmless/vrf-r255"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// A keptLog is the log of a home that shows what it likes.
type keptLog struct {
	t      *testing.T
	key    pki.LogKey
	labels keylog.LabelKey
	reader keylog.Log
	leaves []keylog.Leaf
	hide   int // an entry that it does not show; -1: none
	most   int // entries of a page
	asked  []int64
}

func newKeptLog(t *testing.T) *keptLog {
	t.Helper()
	key, err := pki.NewLogKey(rand.Reader)
	must(t, err)
	labels, err := keylog.ParseLabelKey(vrf.GenerateKey().Bytes())
	must(t, err)
	l := &keptLog{t: t, key: key, labels: labels, hide: -1, most: 3}
	l.reader = keylog.Log{Domain: domainOf(t, "a.test"), Key: key.Public(), Labels: labels.Public()}
	return l
}

func (l *keptLog) add(kind keylog.Kind, name, record string) {
	label, _ := l.labels.Label(name)
	l.leaves = append(l.leaves, keylog.Leaf{Kind: kind, Time: time.Now(), Label: label, Record: sha256.Sum256([]byte(record)), Labels: l.labels.Public()})
}

func (l *keptLog) page(_ context.Context, first int64) (p session.LogPart, err error) {
	l.asked = append(l.asked, first)
	var f keylog.Frontier
	for _, leaf := range l.leaves {
		f.Add(leaf)
	}
	signer, err := keylog.NewLogSigner(l.reader.Domain, l.key)
	must(l.t, err)
	p.Checkpoint, err = keylog.Sign(tlog.Tree{N: f.N(), Hash: f.Root()}, signer)
	must(l.t, err)
	for i, leaf := range l.leaves[min(int(first), len(l.leaves)):] {
		if i < l.most && int(first)+i != l.hide {
			p.Entries = append(p.Entries, leaf.Bytes()...)
		}
	}
	_, proof := l.labels.Label("ann@a.test")
	p.Label = proof[:]
	return p, nil
}

// reads is what ann finds, who has signed these cards and goes on from where she was.
func (l *keptLog) reads(was scanned, mine ...string) (scanned, []strange, error) {
	r := reader{log: l.reader, kept: true, scanned: was, now: time.Now()}
	for _, card := range mine {
		sum := sha256.Sum256([]byte(card))
		r.mine = append(r.mine, hex.EncodeToString(sum[:]))
	}
	done, err := r.read(l.t.Context(), l.page, annAt(l.t))
	if err == nil && !done {
		err = errLongLog
	}
	if err == nil {
		r.confirm()
	}
	return r.scanned, r.ahead.Found, err
}

func annAt(t *testing.T) pki.Name {
	t.Helper()
	name, err := pki.ParseName("ann@a.test")
	must(t, err)
	return name
}

// All entries are read and compared with what is signed; those for our name that we did not make are
// found, each once, wherever we had stopped.
func TestScanFindsWhatWeDidNotMake(t *testing.T) {
	t.Parallel()
	l := newKeptLog(t)
	for _, name := range []string{"bob@a.test", "ann@a.test", "carol@a.test", "bob@a.test", "ann@a.test"} {
		l.add(keylog.Card, name, "card of "+name)
	}
	s, found, err := l.reads(scanned{}, "card of ann@a.test")
	must(t, err)
	if len(found) > 0 || !s.Own || !slices.Equal(l.asked, []int64{0, 3}) {
		t.Fatalf("%+v, asked for %v", s, l.asked)
	}
	l.add(keylog.Card, "ann@a.test", "card of ann@a.test") // ours
	l.add(keylog.Card, "ann@a.test", "card of a thief")
	l.add(keylog.Revocation, "ann@a.test", "no card")
	l.add(keylog.Card, "dan@a.test", "card of a thief")
	s, found, err = l.reads(s, "card of ann@a.test")
	must(t, err)
	want := sha256.Sum256([]byte("card of a thief"))
	if len(found) != 1 || found[0].Number != 6 || found[0].Record != hex.EncodeToString(want[:]) {
		t.Fatalf("%+v", found)
	}
	l.asked = nil
	if _, found, err = l.reads(s, "card of ann@a.test"); err != nil || len(found) > 0 || !slices.Equal(l.asked, []int64{9}) {
		t.Errorf("again: %+v, %v, asked for %v", found, err, l.asked)
	}
}

// A home that leaves out an entry, or shows another history, or labels of another key, is found out, and
// nothing of what it showed counts.
func TestScanOfALyingHome(t *testing.T) {
	t.Parallel()
	for what, lie := range map[string]func(*keptLog){
		"an entry is left out":      func(l *keptLog) { l.hide = 3 },
		"the last is left out":      func(l *keptLog) { l.hide = 4 },
		"history is another":        func(l *keptLog) { l.leaves[0].Record[0] ^= 1 },
		"another log signs":         func(l *keptLog) { l.key = newKeptLog(l.t).key },
		"labels are of another key": func(l *keptLog) { l.labels = newKeptLog(l.t).labels },
	} {
		l := newKeptLog(t)
		for range 3 {
			l.add(keylog.Card, "bob@a.test", "card")
		}
		was, _, err := l.reads(scanned{})
		must(t, err)
		if what == "labels are of another key" {
			was = scanned{}
		}
		l.add(keylog.Card, "ann@a.test", "of a thief")
		l.add(keylog.Card, "bob@a.test", "of bob")
		lie(l)
		if _, _, err := l.reads(was); !errors.Is(err, keylog.ErrCheckpoint) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// At a real home a user finds her own cards, and none that is strange, though another folder with her key
// publishes one; until there is one of which nobody knows who made it: she is told, and her key objects, once.
func TestScanAtHome(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	look := func(what string, want func(scanned) bool) scanned {
		t.Helper()
		var s scanned
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			must(t, ann.Connect(t.Context()))
			ann.scanned = nil
			must(t, ann.scan(t.Context()))
			must(t, ann.vault.View(func(tx *vault.Tx) (err error) {
				s, _, err = load[scanned](tx, keyScanned)
				return err
			}))
			if want(s) {
				return s
			}
		}
		t.Fatalf("%s: it never comes to that: %+v", what, s)
		return s
	}
	s := look("the first", func(s scanned) bool { return s.Read && s.Own })
	if wrong, err := ann.Own(); err != nil || wrong != nil || len(s.Strange) > 0 {
		t.Fatalf("strange: %+v, %v, %v", s, wrong, err)
	}
	must(t, ann.client.Publish(t.Context(), cardElsewhere(t, ann)))
	s = look("of another folder", func(scanned) bool {
		return len(keysOf(t, ann, keyTwin)) > 0 // others use this home, too, so its log grows anyway
	})
	if wrong, err := ann.Own(); err != nil || wrong != nil || len(s.Strange) > 0 {
		t.Fatalf("of another folder with her key: %+v, %v, %v", s, wrong, err)
	}
	must(t, ann.vault.Update(func(tx *vault.Tx) error { // as if neither folder had made the first
		mine, _, err := load[[]string](tx, keyOwnCards)
		must(t, err)
		tx.Delete(keyTwin)
		tx.Delete(keyScanned)
		return save(tx, keyOwnCards, mine[len(mine)-1:])
	}))
	s = look("of nobody", func(s scanned) bool { return len(s.Strange) > 0 && s.Objected > 0 })
	wrong, err := ann.Own()
	if err != nil || wrong == nil || wrong.Entry != s.Strange[len(s.Strange)-1].Number+1 {
		t.Errorf("%v, %v", wrong, err)
	}
}

// cardElsewhere is a card that another folder with her key signs now.
func cardElsewhere(t *testing.T, a *Agent) []byte {
	t.Helper()
	id, _, err := a.identity()
	must(t, err)
	ca, err := a.authority(a.home())
	must(t, err)
	certificate, err := a.ownCertificate(id, ca)
	must(t, err)
	now := time.Now()
	card, err := a.sign(pki.Card{
		Certificate: certificate, Serial: uint64(now.Add(time.Hour).UnixMilli()), Issued: now, Expires: now.Add(pki.CardLifetime), Spools: []pki.Domain{a.home()},
	})
	must(t, err)
	return card.Raw()
}
