package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// An objection goes over the link to our home, and through the mesh to others: nobody is connected to for
// it, whoever has it has confirmed that, and nothing of the questions is left.
func TestObjectionThroughMesh(t *testing.T) {
	t.Parallel()
	m := here(t)
	cfg := m.config(t)
	var dialled atomic.Int32
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return dial.Direct()(ctx, network, address)
	}
	ann, err := New(t.Context(), cfg, m.name(t, "a.test"))
	must(t, err)
	t.Cleanup(func() { must(t, ann.Close()) })
	must(t, ann.Connect(t.Context()))
	before := dialled.Load()
	in, err := ann.Challenge(t.Context(), pki.Domain{}, false)
	must(t, err)
	if len(in.At) != handedTo || in.At[0] != ann.home() {
		t.Errorf("confirmed by %v", in.At)
	}
	if n := dialled.Load() - before; n != 0 {
		t.Errorf("%d connections were made", n)
	}
	if left := asking(t, ann); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	o, c, err := ann.objection()
	must(t, err)
	if !o.Next.IsZero() || c.Name() != ann.self.name {
		t.Errorf("%+v", o)
	}
	again, err := ann.Challenge(t.Context(), domainOf(t, "b.test"), false) // nobody takes a second one
	must(t, err)
	if _, second, err := ann.objection(); err != nil || !second.Issued.Equal(c.Issued) || len(again.At) < handedTo {
		t.Errorf("%v, %v", again.At, err)
	}
}

// While no node has confirmed an objection nobody says so; it is tried again, and told of when somebody has.
func TestObjectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, cfg := m.user(t, "a.test")
	must(t, ann.Close())
	off := new(cut)
	cfg.Dial = off.dial
	ann = open(t, cfg)
	off.set(true)
	in, err := ann.Challenge(t.Context(), pki.Domain{}, false)
	if !errors.Is(err, ErrNotTaken) || len(in.At) > 0 {
		t.Fatalf("%v, %v", in.At, err)
	}
	e := OwnKeyError{Name: ann.self.name, Entry: 3}
	if text := e.Error(); strings.Contains(text, "has objected") || !strings.Contains(text, "not taken by any server yet") {
		t.Error(text)
	}
	off.set(false)
	for deadline := time.Now().Add(patience); ; {
		_, err := ann.round(t.Context(), 100*time.Millisecond)
		must(t, err)
		o, _, err := ann.objection()
		must(t, err)
		if len(o.At) == handedTo {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("confirmed by %v", o.At)
		}
	}
	e.Handed = "a.test"
	if text := e.Error(); !strings.Contains(text, "was handed to a.test") {
		t.Error(text)
	}
}

// Only the one that we signed, or one of ours that keeps it out, counts as confirmed; tries become rarer,
// and end when enough have it.
func TestObjectionConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test")
	w.agree(nil)
	w.directory()
	bob := w.user(w.domains["b.test"])
	by := w.certified(w.domains["a.test"], w.a.self.name, w.a.self.key)
	sign := func(at time.Time) pki.Challenge {
		c, err := w.a.self.key.Challenge(by.cert, [32]byte{}, at)
		must(t, err)
		return c
	}
	ours := sign(w.a.now())
	other, err := bob.key.Challenge(bob.cert, [32]byte{}, w.a.now())
	must(t, err)
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		return save(tx, keyObjection, objection{Raw: ours.Raw(), Next: w.a.now(), Asked: domains(t, "b.test", "c.test")})
	}))
	for what, row := range map[string]struct {
		card []byte
		want bool
	}{
		"none":                 {nil, false},
		"no challenge":         {[]byte("one"), false},
		"of another":           {other.Raw(), false},
		"of ours, long ago":    {sign(w.a.now().Add(-2 * objectSame)).Raw(), false},
		"of ours, just before": {sign(w.a.now().Add(-time.Hour)).Raw(), true},
		"that which was sent":  {ours.Raw(), true},
	} {
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			must(t, save(tx, keyObjection, objection{Raw: ours.Raw(), Next: w.a.now(), Asked: domains(t, "b.test", "c.test")}))
			return w.a.objectionHeard(tx, domainOf(t, "b.test"), mor.Finding{Card: row.card})
		}))
		o, _, err := w.a.objection()
		must(t, err)
		if got := slices.Contains(o.At, domainOf(t, "b.test")); got != row.want || !slices.Equal(o.Asked, domains(t, "c.test")) {
			t.Errorf("%s: confirmed by %v, asked %v", what, o.At, o.Asked)
		}
	}
}

// An objection is signed anew after 60 days while an entry of the log is not ours, or our home shows another
// key; not before, not without reason, and not with a name that has ended.
func TestObjectionIsRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test")
	w.agree(nil)
	w.directory()
	by := w.certified(w.domains["a.test"], w.a.self.name, w.a.self.key)
	id, _, err := w.a.identity()
	must(t, err)
	id.Certificate = by.cert
	must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyIdentity, id) }))
	entry := scanned{Name: w.a.self.name, Read: true, Objected: 6, Strange: []strange{{Number: 5, Record: strings.Repeat("07", 32)}}}
	for what, row := range map[string]struct {
		ago     time.Duration
		scanned scanned
		watched watched
		renewed bool
	}{
		"early":          {objectRenewed - time.Hour, entry, watched{}, false},
		"an entry":       {objectRenewed + time.Hour, entry, watched{}, true},
		"has run out":    {pki.ChallengeLifetime + time.Hour, entry, watched{}, true},
		"another key":    {objectRenewed + time.Hour, scanned{}, watched{Shown: w.key("b.test")}, true},
		"without reason": {objectRenewed + time.Hour, scanned{}, watched{}, false},
	} {
		before, err := w.a.self.key.Challenge(by.cert, [32]byte{}, w.a.now().Add(-row.ago))
		must(t, err)
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			return errors.Join(save(tx, keyScanned, row.scanned), save(tx, keyWatched, row.watched),
				save(tx, keyObjection, objection{Raw: before.Raw(), At: domains(t, "b.test")}))
		}))
		must(t, w.a.renewObjection())
		o, _, err := recordAt[objection](w.a, keyObjection)
		must(t, err)
		c, err := pki.ParseChallenge(o.Raw)
		must(t, err)
		if renewed := c.Issued.After(before.Issued); renewed != row.renewed || renewed == (len(o.At) > 0) {
			t.Errorf("%s: renewed %t, %+v", what, renewed, o.At)
		} else if renewed && (o.Next.IsZero() || row.ago < pki.ChallengeLifetime != (len(o.Older) > 0) || row.scanned.Read != (c.Record[0] == 7)) {
			t.Errorf("%s: next %s, older %v, record %x", what, o.Next, o.Older, c.Record)
		}
	}
	must(t, w.a.vault.Update(func(tx *vault.Tx) error {
		tx.Delete(keyObjection)
		return errors.Join(save(tx, keyScanned, entry), save(tx, prefixEnded+w.a.self.name.String()+"/"+w.a.self.public.Fingerprint().String(), ended{Name: w.a.self.name}))
	}))
	must(t, w.a.renewObjection())
	if _, ok, err := recordAt[objection](w.a, keyObjection); ok || err != nil {
		t.Errorf("renewed after the name has ended: %v", err)
	}
}

// Of others as many are drawn as are still wanted, none twice; her home is asked beside them, if it is not where she
// is: it may be gone.
func TestObjectionIsForOthers(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	must(t, ann.refreshDirectory(t.Context(), 0))
	defer func(at pki.Domain) { ann.through = at }(ann.through)
	for _, row := range []struct {
		through string
		has     []pki.Domain
		home    bool
		others  int
	}{
		{"a.test", nil, false, 3}, {"a.test", domains(t, "a.test", "b.test"), false, 1},
		{"b.test", domains(t, "b.test"), true, 2}, {"b.test", domains(t, "b.test", "c.test"), true, 1}, {"b.test", domains(t, "b.test", "a.test"), false, 1},
	} {
		ann.through = domainOf(t, row.through)
		to, err := ann.objectTo(objection{At: row.has}, pki.Domain{})
		must(t, err)
		home := slices.Contains(to, ann.home())
		others := slices.DeleteFunc(slices.Clone(to), func(d pki.Domain) bool { return d == ann.home() })
		if home != row.home || len(others) != row.others || slices.ContainsFunc(to, func(d pki.Domain) bool { return d == ann.through || slices.Contains(row.has, d) }) {
			t.Errorf("at %s, had by %v: for %v", row.through, row.has, to)
		}
	}
}

// recordAt reads one record of a folder.
func recordAt[R any](a *Agent, key string) (r R, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		r, ok, err = load[R](tx, key)
		return err
	})
	return r, ok, err
}
