package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// Whose home is down, and DNS altered, is warned, and goes to her entry; it is no other key of the
// home that anybody but DNS shows.
func TestHomeDownAndDNSAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	forger, err := dnstxt.Listen("127.0.0.1:0", "test")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); forger.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	must(t, forger.Set(domainOf(t, "a.test"), dnstxt.Record{Fingerprint: pki.Fingerprint{9}, KeyServers: []string{"127.0.0.1:3"}}))
	w.a.cfg.DNS = forger.Addr()
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		return save(tx, keyEntry, entry{}.use(domainOf(t, "c.test"), w.now))
	}))
	err = w.a.connect(t.Context())
	var home *HomeError
	var changed *pki.KeyChangedError
	if !errors.As(err, &home) || home.Entry != domainOf(t, "c.test") || errors.As(err, &changed) {
		t.Errorf("connect: %v", err)
	}
	var altered *DNSAlteredError
	if warnings := w.a.Warnings(); len(warnings) != 1 || !errors.As(warnings[0], &altered) || altered.Shown != (pki.Fingerprint{9}) {
		t.Errorf("warnings: %v", warnings)
	}
}

// registered makes ann one whom her home has registered.
func (w *world) registered() {
	w.t.Helper()
	ann := w.certified(w.domains["a.test"], w.a.self.name, w.a.self.key)
	must(w.t, w.a.vault.Update(func(tx *vault.Tx) error {
		return save(tx, keyIdentity, identity{Name: ann.name, Root: w.a.self.root, Certificate: ann.cert, Published: w.now})
	}))
}

// Who she is can be told while her home shows another key, by that which signed for her.
func TestSelfWhileHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	w.registered()
	must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(w.authority("a.test"))}))
	if !w.standing("a.test").held() {
		t.Fatal("the home is not held")
	}
	self, err := w.a.Self()
	if err != nil || self.Name != w.a.self.name || self.HomeKey != w.key("a.test") || len(self.Authority) == 0 || self.Expires.IsZero() {
		t.Errorf("%+v: %v", self, err)
	}
}

// Nothing that acknowledges a letter goes to somebody whose home nobody confirms, and what is
// left at our home for it counts as anybody's.
func TestUnconfirmedIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test", "e.test")
	w.agree(func(_ string, s *pki.Sighting) {
		if s.Domain == domainOf(t, "b.test") {
			*s = pki.Sighting{Domain: s.Domain, DNS: s.DNS}
		}
	})
	w.directory()
	item := func(bob somebody, left bool, by string) {
		t.Helper()
		w.met(bob)
		m := message.Content{Name: bob.name, At: w.now, Text: "hello"}
		body := session.Item{Body: []byte(bob.name.String())}
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			c, _, err := load[contact](tx, prefixContact+bob.name.String())
			must(t, err)
			c.Seal, c.Auth, c.Theirs = make([]byte, pki.SealSize), make([]byte, message.AuthSize), make([]byte, 32)
			done, copies, err := w.a.received(tx, body, m, c)
			must(t, err)
			h, held, err := load[heldItem](tx, heldKey(body))
			if done || len(copies) > 0 || held != left || h.By != by {
				t.Errorf("%s: done %v, %d copies, held %v as by %q", bob.name, done, len(copies), held, h.By)
			}
			return err
		}))
	}
	item(w.user(w.domains["b.test"]), true, "")
	stated := w.user(w.domains["c.test"])
	must(t, w.a.keepDescriptors([]pki.SignedDescriptor{w.descriptor(w.authority("c.test"))}))
	item(stated, true, stated.name.String())
}

// What is wrong with her own name is told once, and again when it is something else.
func TestWarnedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test")
	for _, c := range []struct {
		shown pki.Fingerprint
		told  int
	}{{pki.Fingerprint{1}, 1}, {pki.Fingerprint{1}, 0}, {pki.Fingerprint{2}, 1}, {pki.Fingerprint{}, 0}, {pki.Fingerprint{2}, 1}} {
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyWatched, watched{At: w.now, Shown: c.shown}) }))
		must(t, w.a.warnOfOwn())
		if told := w.a.Warnings(); len(told) != c.told {
			t.Errorf("%s: %v", c.shown, told)
		}
	}
}

// That an objection was taken is told once, whoever else takes it then.
func TestObjectionIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	cert := w.certified(w.domains["a.test"], w.a.self.name, w.a.self.key).cert
	c, err := w.a.self.key.Challenge(cert, [32]byte{}, w.a.now())
	must(t, err)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyScanned, scanned{Strange: []strange{{Number: 4}}}) }))
	for _, step := range []struct {
		at   []pki.Domain
		told int
		text string
	}{
		{nil, 1, "was not taken by any server yet"}, {nil, 0, ""},
		{domains(t, "b.test"), 1, "was handed to b.test"}, {domains(t, "b.test", "a.test"), 0, ""},
	} {
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyObjection, objection{Raw: c.Raw(), At: step.at}) }))
		must(t, w.a.warnOfOwn())
		told := w.a.Warnings()
		if len(told) != step.told || len(told) > 0 && !strings.Contains(told[0].Error(), step.text) {
			t.Errorf("at %v: %v", step.at, told)
		}
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		return save(tx, keyScanned, scanned{Name: parsedName(t, "ann@b.test"), Read: true, Objected: 9})
	}))
	if r, _, err := w.a.beginScan(); err != nil || r.scanned.Read || r.scanned.Objected != 0 || r.scanned.Name != w.a.self.name {
		t.Errorf("what was read of a log before a move counts: %+v, %v", r.scanned, err)
	}
}

// What is no card of ours is looked at, too: what was seen before stays, and it is not asked for
// again at once.
func TestWatchedInVain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	for name, raw := range map[string][]byte{
		"no card":       {1},
		"another's":     w.user(w.domains["a.test"]).card.Raw(),
		"not by a.test": w.certified(w.authority("a.test"), w.a.self.name, w.a.self.key).card.Raw(),
	} {
		before := watched{At: w.now, Shown: pki.Fingerprint{1}}
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyWatched, before) }))
		w.now = w.now.Add(time.Minute)
		must(t, w.a.watching(raw))
		must(t, w.a.vault.View(func(tx *vault.Tx) error {
			seen, _, err := load[watched](tx, keyWatched)
			if !seen.At.Equal(w.now) || seen.Shown != before.Shown {
				t.Errorf("%s: %+v", name, seen)
			}
			return err
		}))
	}
}

// A folder of an earlier version is said to be that.
func TestEarlierFolder(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	a, err := NewKeyonly(cfg)
	must(t, err)
	must(t, a.vault.Update(func(tx *vault.Tx) error { tx.Put(keyIdentity, []byte(`{"v":1,"r":{"seed":"AA=="}}`)); return nil }))
	must(t, a.Close())
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrEarlier) {
		t.Error(err)
	}
}

// Words that were restored with a name mistyped are not lost: the right name is still to be had.
func TestRestoredUnderAnotherName(t *testing.T) {
	t.Parallel()
	text, err := keyonly(t).BackupWords()
	must(t, err)
	wrong, err := pki.ParseName("ann@typo.test")
	must(t, err)
	right, err := pki.ParseName("ann@a.test")
	must(t, err)
	for _, refused := range []bool{false, true} {
		b, err := RestoreWords(fresh(t), text, wrong)
		must(t, err)
		if refused { // by a server that there is
			must(t, b.unremember())
			if who, begun := b.Restored(); begun || who != "key:"+b.self.key.Fingerprint().String() {
				t.Errorf("then: %s, %v", who, begun)
			}
		}
		if err := b.begin(t.Context(), right); !errors.Is(err, ErrNoDNS) { // as far as it goes without a network
			t.Errorf("refused %v: %v", refused, err)
		}
		id, err := b.remember(right)
		if must(t, err); id.Name != right || !id.Restored {
			t.Errorf("refused %v: %+v", refused, id)
		}
		must(t, b.Close())
	}
}

// A newer invitation takes the place of one that led nowhere, and of none by which a home has
// registered somebody.
func TestInvitedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test")
	believe := func(key byte) error {
		other := invitation.Known{Domain: domainOf(t, "b.test"), Key: pki.Fingerprint{key}}
		i, err := invitation.New(rand.Reader, invitation.Known{Domain: w.a.home(), Key: pki.Fingerprint{key}}, []invitation.Known{other})
		must(t, err)
		w.a.cfg.Invite = &i
		return w.a.believe()
	}
	for _, key := range []byte{1, 2} {
		must(t, believe(key))
		must(t, w.a.vault.View(func(tx *vault.Tx) error {
			p, _, err := loadPin(tx, w.a.home())
			list, _, failed := load[[]listed](tx, keyList)
			if p.Key != (pki.Fingerprint{key}) || len(list) != 1 || list[0].Key != p.Key {
				t.Errorf("%d: %+v, %v", key, p, list)
			}
			return errors.Join(err, failed)
		}))
	}
	w.registered()
	var changed *pki.KeyChangedError
	if err := believe(3); !errors.As(err, &changed) {
		t.Errorf("registered: %v", err)
	}
}
