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
	if !ok || len(kept.Waiting) != 1 || kept.Said || len(kept.Card) > 0 || !kept.Denied.IsZero() {
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
		older      bool
		doubted    bool // others are asked at once
	}{
		{"nothing elsewhere", []said{{nil, other}}, nil, false, false, false, false},
		{"nothing at home", []said{{nil, home}}, nil, false, true, false, true},
		{"a copy", []said{{old, other}}, old, true, false, false, false},
		{"another's card elsewhere", []said{{eve, other}}, nil, false, false, false, false},
		{"a forged card elsewhere", []said{{forged, other}}, nil, false, false, false, false},
		{"no card elsewhere", []said{{[]byte("card"), other}}, nil, false, false, false, false},
		{"an older copy after a newer", []said{{newer.Raw(), other}, {old, other}}, newer.Raw(), true, false, false, false},
		{"a newer copy after an older", []said{{old, other}, {newer.Raw(), other}}, newer.Raw(), true, false, false, false},
		{"a copy, and home", []said{{newer.Raw(), other}, {old, home}}, old, false, false, false, false},
		{"home, and a copy", []said{{old, home}, {newer.Raw(), other}}, old, false, false, false, false},
		{"nothing at home, a copy", []said{{nil, home}, {old, other}}, old, true, true, false, true},
		{"nothing at home, a forged copy", []said{{nil, home}, {forged, other}}, nil, false, true, false, true},
		{"nothing at home, and then a card", []said{{nil, home}, {old, home}}, old, false, false, false, true},
		{"a forged card at home, which is evidence", []said{{forged, home}}, forged, false, false, false, false},
	} {
		q, r := question{Name: bob.name}, mor.Question{Copies: 1, Others: domains(t, "c.test", "d.test"), Next: w.now.Add(time.Minute)}
		for _, s := range test.said {
			must(t, w.a.vault.View(func(tx *vault.Tx) error { return w.a.heard(tx, &q, &r, mor.Finding{Card: s.card}, s.by) }))
		}
		if atOnce := r.Copies == 2 && r.Next.Equal(w.now); atOnce != test.doubted {
			t.Errorf("%s: %d copies, the next at %s", test.what, r.Copies, r.Next)
		}
		if !bytes.Equal(q.Card, test.card) || q.Away != test.away || !q.Denied.IsZero() != test.none || !q.Older.IsZero() != test.older || !q.Said {
			t.Errorf("%s: %+v", test.what, q)
		}
	}
}

// A card older than one that was seen of the same key is believed from nobody; a newer one elsewhere is
// taken in its place.
func TestOlderCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	home, other := domainOf(t, "b.test"), domainOf(t, "c.test")
	cards := make([]pki.SignedCard, 4) // by serial
	for serial := 1; serial < len(cards); serial++ {
		var err error
		cards[serial], err = pki.SignCard(bob.key, pki.Card{
			Certificate: bob.card.Certificate, Serial: uint64(serial), Issued: w.now, Expires: w.now.Add(pki.CardLifetime), Spools: bob.card.Spools,
		})
		must(t, err)
	}
	must(t, w.a.sawDevices(cards[2]))
	for _, test := range []struct {
		what  string
		card  int
		by    pki.Domain
		taken bool
		older bool
	}{
		{"an older copy", 1, other, false, false},
		{"the copy that was seen", 2, other, true, false},
		{"a newer copy", 3, other, true, false},
		{"an older card at home", 1, home, false, true},
		{"the card that was seen", 2, home, true, false},
		{"a newer card", 3, home, true, false},
	} {
		q, r := question{Name: bob.name}, mor.Question{Others: domains(t, "c.test", "d.test")}
		must(t, w.a.vault.View(func(tx *vault.Tx) error {
			return w.a.heard(tx, &q, &r, mor.Finding{Card: cards[test.card].Raw()}, test.by)
		}))
		if (len(q.Card) > 0) != test.taken || !q.Older.IsZero() != test.older || (r.Copies > 0) != test.older {
			t.Errorf("%s: %d bytes, older %s, %d copies", test.what, len(q.Card), q.Older, r.Copies)
		}
	}
	var silence *SilentError
	if err := w.a.notOlder(cards[1]); !errors.As(err, &silence) || !silence.Older || !strings.Contains(err.Error(), "older card") {
		t.Errorf("%v", err)
	}
	must(t, errors.Join(w.a.notOlder(cards[2]), w.a.notOlder(cards[3]), w.a.notOlder(w.certified(w.domains["b.test"], bob.name, w.user(w.domains["b.test"]).key).card)))
}

// What a home has denied stands when others have not said otherwise, or not in time.
func TestDenied(t *testing.T) {
	t.Parallel()
	now, others := time.Now(), domains(t, "c.test", "d.test")
	name := somebodyAt(t, "b.test")
	for what, test := range map[string]struct {
		q    question
		want bool
	}{
		"nobody denies":        {question{Name: name, Others: others, Copies: 1}, false},
		"others are not asked": {question{Name: name, Others: others, Copies: 2, Denied: now}, false},
		"one has not answered": {question{Name: name, Others: others, Copies: 4, Denied: now, Asked: others[:1]}, false},
		"they have answered":   {question{Name: name, Others: others, Copies: 4, Denied: now}, true},
		"one has a copy":       {question{Name: name, Others: others, Copies: 4, Denied: now, Card: []byte("card")}, false},
		"they are too late":    {question{Name: name, Others: others, Copies: 3, Denied: now.Add(-doubtTime), Asked: others[:1]}, true},
		"there are no others":  {question{Name: name, Copies: 2, Denied: now}, true},
	} {
		if got := test.q.settled(test.q.Denied, now); got != test.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

func somebodyAt(t *testing.T, domain string) pki.Name {
	t.Helper()
	name, err := pki.ParseName("bob@" + domain)
	must(t, err)
	return name
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
