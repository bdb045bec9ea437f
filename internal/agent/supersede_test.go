package agent

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// A superseded is a world in which ann knows bob, and his home certifies another key under his name.
type superseded struct {
	*world
	log        *worldLog
	bob, other somebody
}

func newSuperseded(t *testing.T) superseded {
	w, log, bob := newLogged(t)
	w.met(bob)
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	return superseded{w, log, bob, w.certified(w.domains["b.test"], bob.name, key)}
}

// look shows ann a card, and its place in the log under a head that some domains have cosigned now.
func (s superseded) look(who somebody, by ...string) {
	s.t.Helper()
	n := s.log.add(who.card)
	_, err := s.a.sawPlace(who.card, s.log.prove(who.card, n, by...))
	must(s.t, err)
}

// later lets time go by, and everybody say again what they say.
func (s superseded) later(d time.Duration) {
	s.now = s.now.Add(d)
	s.agree(nil)
	s.directory()
	s.learn()
}

// known is the key by which ann knows bob.
func (s superseded) known() (c contact) {
	s.t.Helper()
	must(s.t, s.a.vault.View(func(tx *vault.Tx) (err error) {
		c, _, err = load[contact](tx, prefixContact+s.bob.name.String())
		return err
	}))
	return c
}

// held tells that ann knows bob by his old key, and writes nothing to the other one.
func (s superseded) held(when string) {
	s.t.Helper()
	var changed *pki.KeyChangedError
	if err := s.write(s.other); s.known().Identity != s.bob.key.Fingerprint() || !errors.As(err, &changed) {
		s.t.Fatalf("%s: known by %s; %v", when, s.known().Identity, err)
	}
}

// Who lost her key gets another one at home. It takes the place of hers after 72 h in the log, as others
// have seen it, and ann is told.
func TestKeyIsSuperseded(t *testing.T) {
	t.Parallel()
	s := newSuperseded(t)
	s.look(s.other, "c.test", "d.test")
	s.held("at once")
	if r := s.report(s.other); r.Trust != Changed || r.Log.Known || r.Log.Ripe.Sub(s.now.Add(pki.LogPatience)).Abs() > time.Minute {
		t.Errorf("%s, %+v", r.Trust, r.Log)
	}
	s.later(pki.LogPatience - time.Hour)
	s.look(s.other, "d.test", "e.test")
	s.held("an hour before")
	s.later(2 * time.Hour)
	s.look(s.other, "d.test", "e.test")
	c := s.known()
	if err := s.write(s.other); c.Identity != s.other.key.Fingerprint() || c.Trust != pki.FirstSeen || !c.Chosen || err != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	var told *SupersededError
	if all := s.a.Warnings(); len(all) != 1 || !errors.As(all[0], &told) || told.Now != c.Identity || told.Was != s.bob.key.Fingerprint() {
		t.Errorf("told: %v", all)
	}
	var changed *pki.KeyChangedError
	if err := s.write(s.bob); !errors.As(err, &changed) {
		t.Errorf("the old key still counts: %v", err)
	}
}

// What stops the clock, or keeps it from beginning.
func TestKeyIsNotSuperseded(t *testing.T) {
	t.Parallel()
	verified := func(s superseded) {
		must(s.t, s.a.vault.Update(func(tx *vault.Tx) error { return s.a.verify(tx, s.bob.name, s.bob.key.Fingerprint()) }))
	}
	challenge := func(s superseded) {
		c, err := s.bob.key.Challenge(s.bob.cert, [32]byte{}, s.now)
		must(s.t, err)
		s.hear(c.Statement())
	}
	for what, run := range map[string]func(s superseded){
		"it was verified": func(s superseded) {
			verified(s)
			s.look(s.other, "c.test", "d.test")
			s.later(2 * pki.LogPatience)
			s.look(s.other, "c.test", "d.test")
		},
		"the home alone says so": func(s superseded) {
			s.look(s.other)
			s.later(2 * pki.LogPatience)
			s.look(s.other)
		},
		"others came late": func(s superseded) {
			_, err := s.a.sawPlace(s.other.card, s.log.prove(s.other.card, s.log.add(s.other.card), "d.test"))
			must(s.t, err)
			s.later(2 * pki.LogPatience)
			s.edit(func(p *logPlace) { p.Seen = time.Time{} }) // one is too few
			p := s.placeOf(s.other)
			if !p.Seen.IsZero() || p.evidence(s.now).State != pki.LogMissing {
				s.t.Errorf("%+v", p)
			}
		},
		"the old key was shown in between": func(s superseded) {
			s.look(s.other, "c.test", "d.test")
			s.later(pki.LogPatience)
			s.look(s.bob, "c.test", "d.test")
			again := logPlace{Identity: s.other.key.Fingerprint(), Shown: placed, Watchers: []keyserver.Witnessed{{Time: s.now}}}
			if p := again.after(s.placeOf(s.bob), s.now); !p.Seen.Equal(s.now) {
				s.t.Errorf("the clock goes on from %s", p.Seen)
			}
		},
		"he objects": func(s superseded) {
			s.look(s.other, "c.test", "d.test")
			challenge(s)
			s.later(pki.LogPatience)
			s.look(s.other, "c.test", "d.test")
		},
		"he objected, and that has just run out": func(s superseded) {
			s.look(s.other, "c.test", "d.test")
			challenge(s)
			s.now = s.now.Add(pki.ChallengeLifetime + time.Hour)
			s.later(0)
			s.look(s.other, "c.test", "d.test")
			s.edit(func(p *logPlace) { s.cosignedNow(p) })
			_, err := s.a.sawPlace(s.other.card, nil)
			must(s.t, err)
		},
		"his home is held": func(s superseded) {
			s.look(s.other, "c.test", "d.test")
			fresh := s.authority("b.test")
			s.later(pki.LogPatience)
			must(s.t, s.a.showsOtherIsHeld("b.test", fresh.CA().Fingerprint()))
			_, err := s.a.sawPlace(s.other.card, s.log.prove(s.other.card, s.log.add(s.other.card), "c.test", "d.test"))
			must(s.t, err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSuperseded(t)
			run(s)
			s.held(what)
		})
	}
}

// showsOtherIsHeld has the servers of a domain show another key.
func (a *Agent) showsOtherIsHeld(domain string, key pki.Fingerprint) error {
	of, err := pki.ParseDomain(domain)
	if err != nil {
		return err
	}
	if err := a.showsOther(of, key); err == nil {
		return errors.New("another key is taken")
	}
	return nil
}

func (s superseded) edit(f func(*logPlace)) {
	s.t.Helper()
	must(s.t, s.a.vault.Update(func(tx *vault.Tx) error {
		p, _, err := load[logPlace](tx, prefixPlace+s.bob.name.String())
		if err != nil {
			return err
		}
		f(&p)
		return save(tx, prefixPlace+s.bob.name.String(), p)
	}))
}

// cosignedNow has those who cosigned the head of a place have done so now.
func (s superseded) cosignedNow(p *logPlace) {
	for i := range p.Watchers {
		if !p.Watchers[i].Time.IsZero() {
			p.Watchers[i].Time = s.now
		}
	}
}

// As many as are wanted have to have cosigned of late, and one at least although none is wanted. What their
// clocks say sets nothing back.
func TestSeenBy(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		hours  []int // when each has cosigned; 0: not
		wanted int
		seen   bool
	}{
		{nil, 0, false}, {[]int{0}, 0, false}, {[]int{-2}, 0, true}, {[]int{-100, 0}, 1, true}, {[]int{-1, 0, 0}, 2, false},
		{[]int{-2, -100, 0}, 2, true}, {[]int{1, -2}, 2, false}, {[]int{-2, -200}, 2, false},
	} {
		p := logPlace{Shown: placed, Wanted: c.wanted}
		for _, h := range c.hours {
			w := keyserver.Witnessed{Time: now.Add(time.Duration(h) * time.Hour)}
			if h == 0 {
				w.Time = time.Time{}
			}
			p.Watchers = append(p.Watchers, w)
		}
		if got := p.seen(now); got.IsZero() == c.seen || c.seen && !got.Equal(now) {
			t.Errorf("%v of %d: %s", c.hours, c.wanted, got)
		}
	}
}
