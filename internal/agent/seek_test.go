package agent

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// asking are the keys of all that is in the folder of look-ups.
func asking(t *testing.T, a *Agent) []string {
	t.Helper()
	return append(keysOf(t, a, prefixAsking), keysOf(t, a, prefixAsked)...)
}

// A look-up goes through the mesh, or to the node if that is wanted, with the same outcome; nothing of it
// is left in the folder.
func TestLookedUp(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	eve, _ := m.user(t, "a.test")
	nobody := m.name(t, "b.test")
	for _, direct := range []bool{false, true} {
		ann.cfg.Direct = direct
		for _, of := range []*Agent{bob, eve} {
			card, err := ann.look(t.Context(), of.self.name)
			must(t, err)
			if card.Certificate.Key() != of.self.public {
				t.Errorf("the card of %s", card.Certificate.Name())
			}
		}
		var none *NoUserError
		if _, err := ann.look(t.Context(), nobody); !errors.As(err, &none) || none.Homeless() {
			t.Errorf("direct %t: %v", direct, err)
		}
	}
	if left := asking(t, ann); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if n := ann.Counts(); n.Unasked > 0 {
		t.Errorf("counted %+v", n)
	}
}

// An answer that another program on the same folder fetches comes to the one that waits for it.
func TestAnswerFetchedByAnother(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, anns := m.user(t, "a.test")
	bob, _ := m.user(t, "b.test")
	other := open(t, anns)
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() {
		if err := other.Follow(ctx, func() error { return nil }); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	for range 3 {
		_, err := ann.look(t.Context(), bob.self.name)
		must(t, err)
	}
	cancel()
	following.Wait()
	if left := asking(t, ann); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A text of another that comes while a look-up waits is left for whoever fetches messages.
func TestLookupLeavesMessages(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob := m.met(t)
	send(t, bob, ann.self.name, "meanwhile", mor.StoredThere)
	_, err := ann.look(t.Context(), bob.self.name)
	must(t, err)
	if got := read(t, ann); len(got) != 1 || got[0] != "meanwhile" {
		t.Errorf("read %q", got)
	}
}

// Answers that nobody waits for are dropped, and use nothing up.
func TestStrayFindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	bob := w.user(w.domains["b.test"])
	id, stray, waited := mor.MessageID{1}, onion.SURBID{2}, onion.SURBID{3}
	q := question{Name: bob.name, Begun: w.now, Waiting: []waiting{{ID: waited[:], Keys: make([]byte, 8)}}, Asked: domains(t, "b.test")}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return q.save(tx, id) }))
	for what, reply := range map[string]struct {
		id   onion.SURBID
		ours bool
	}{"over a SURB of nobody": {stray, false}, "that does not open": {waited, true}} {
		ours, err := w.a.finding(reply.id, bytes.Repeat([]byte{7}, onion.BodySize))
		must(t, err)
		if ours != reply.ours {
			t.Errorf("%s: ours is %t", what, ours)
		}
	}
	kept, ok, err := w.a.questionOf(id)
	must(t, err)
	if !ok || len(kept.Waiting) != 1 || kept.Said || len(kept.Card) > 0 || kept.None {
		t.Errorf("kept %+v", kept)
	}
	must(t, w.a.endQuestion(id))
	if left := asking(t, w.a); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// The home's word counts before a copy, a copy only if it holds, and the newest of several; that there is
// none is the home's to say.
func TestHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	newer, err := pki.SignCard(bob.key, pki.Card{
		Certificate: bob.card.Certificate, Serial: 2, Issued: w.now, Expires: w.now.Add(pki.CardLifetime), Spools: bob.card.Spools,
	})
	must(t, err)
	forged := w.certified(w.authority("b.test"), bob.name, bob.key).card.Raw()
	old, eve := bob.card.Raw(), w.user(w.domains["b.test"]).card.Raw()
	home, other := domainOf(t, "b.test"), domainOf(t, "c.test")
	type said struct {
		card []byte
		by   pki.Domain
	}
	for _, test := range []struct {
		what       string
		said       []said
		card       []byte
		away, none bool
	}{
		{"nothing elsewhere", []said{{nil, other}}, nil, false, false},
		{"nothing at home", []said{{nil, home}}, nil, false, true},
		{"a copy", []said{{old, other}}, old, true, false},
		{"another's card elsewhere", []said{{eve, other}}, nil, false, false},
		{"a forged card elsewhere", []said{{forged, other}}, nil, false, false},
		{"no card elsewhere", []said{{[]byte("card"), other}}, nil, false, false},
		{"an older copy after a newer", []said{{newer.Raw(), other}, {old, other}}, newer.Raw(), true, false},
		{"a newer copy after an older", []said{{old, other}, {newer.Raw(), other}}, newer.Raw(), true, false},
		{"a copy, and home", []said{{newer.Raw(), other}, {old, home}}, old, false, false},
		{"home, and a copy", []said{{old, home}, {newer.Raw(), other}}, old, false, false},
		{"a forged card at home, which is evidence", []said{{forged, home}}, forged, false, false},
	} {
		q := question{Name: bob.name}
		for _, s := range test.said {
			must(t, w.a.vault.View(func(tx *vault.Tx) error { return w.a.heard(tx, &q, mor.Finding{Card: s.card}, s.by) }))
		}
		if !bytes.Equal(q.Card, test.card) || q.Away != test.away || q.None != test.none || !q.Said {
			t.Errorf("%s: %+v", test.what, q)
		}
	}
}

// Look-ups of programs that have ended are forgotten after a while, and the oldest of too many.
func TestQuestionsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	bob := w.user(w.domains["b.test"])
	begin := func(n byte, ago time.Duration) {
		surb := onion.SURBID{n}
		q := question{Name: bob.name, Begun: w.now.Add(-ago), Waiting: []waiting{{ID: surb[:]}}, Asked: domains(t, "b.test")}
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return q.save(tx, mor.MessageID{n}) }))
	}
	for n := range byte(maxQuestions) {
		begin(n, time.Duration(n)*time.Second)
	}
	for n := range byte(5) {
		begin(100+n, questionKept+time.Second)
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return makeRoom(tx, w.now) }))
	if left := keysOf(t, w.a, prefixAsking); len(left) != maxQuestions-1 {
		t.Errorf("%d are left", len(left))
	}
	if left := keysOf(t, w.a, prefixAsked); len(left) != maxQuestions-1 {
		t.Errorf("%d SURBs are left", len(left))
	}
	if _, ok, _ := w.a.questionOf(mor.MessageID{maxQuestions - 1}); ok {
		t.Error("the oldest is left")
	}
}

// A mesh of too few servers carries no look-up, and nobody is asked in its place.
func TestLookupWithoutWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		tx.Delete(prefixServer + "d.test")
		return save(tx, keyFetched, w.now) // so that the node, of which there is none, is not asked for more
	}))
	_, err := w.a.seek(t.Context(), bob.name)
	var way *WayError
	var lacking *mor.RouteError
	if !errors.As(err, &way) || !errors.As(err, &lacking) || !strings.Contains(err.Error(), "cannot be looked up through the mesh: ") {
		t.Errorf("%v", err)
	}
	if left := asking(t, w.a); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	// If there was a way before, it is waited for until there is one again.
	id, q := mor.MessageID{1}, question{Name: bob.name, Begun: w.now, Copies: 1}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return q.save(tx, id) }))
	w.a.claimed = map[pki.Name]int64{{}: int64(mor.DayAt(w.now))}
	must(t, w.a.askCopy(t.Context(), id, &q))
	if kept, _, err := w.a.questionOf(id); err != nil || kept.Copies != 1 || !kept.Next.After(w.now) {
		t.Errorf("%d copies, the next at %s: %v", kept.Copies, kept.Next, err)
	}
}

// That nobody answers is like a node's word that there is no answer now; if nobody at all did, it says
// nothing of the home.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	bob := w.user(w.domains["b.test"])
	for _, said := range []bool{false, true} {
		err := error(&SilentError{Name: bob.name, After: time.Second, Said: said})
		var refused *session.Error
		if !errors.As(err, &refused) || refused.Code != session.Unavailable || !passing(err) {
			t.Errorf("%v is %v", err, refused)
		}
		must(t, w.a.answered(bob.name, false, err))
		must(t, w.a.vault.View(func(tx *vault.Tx) error {
			away, err := w.a.silent(tx, bob.name.Domain())
			if away != said {
				t.Errorf("said %t: away %t", said, away)
			}
			return err
		}))
	}
}
