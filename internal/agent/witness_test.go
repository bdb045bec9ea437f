package agent

import (
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// list is whose word counts.
func (w *world) list() (all []string) {
	w.t.Helper()
	must(w.t, w.a.vault.View(func(tx *vault.Tx) error {
		list, _, err := load[[]listed](tx, keyList)
		for _, l := range list {
			all = append(all, l.Domain.String())
		}
		return err
	}))
	return all
}

// A home that turned hostile cannot have domains of its own making counted, and so confirms nothing
// by them; whom two others have pinned, or the user herself has verified, counts.
func TestHomeSeedsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
	const month = 30 * 24 * time.Hour
	w.says("a.test", w.sees("b.test", w.key("b.test"), month), w.sees("c.test", w.key("c.test"), month))
	w.directory()
	if got := w.list(); !slices.Equal(got, []string{"b.test", "c.test"}) {
		t.Fatalf("at first sight: %v", got)
	}
	for _, puppet := range []string{"x.test", "y.test", "z.test"} {
		w.domains[puppet] = w.authority(puppet)
	}
	vouches := []pki.Sighting{w.sees("z.test", w.key("z.test"), month)}
	w.says("a.test", w.sees("x.test", w.key("x.test"), 2*month), w.sees("y.test", w.key("y.test"), 2*month), vouches[0])
	w.says("x.test", vouches...)
	w.says("y.test", vouches...)
	w.directory()
	zoe := w.user(w.domains["z.test"])
	if got := w.list(); !slices.Equal(got, []string{"b.test", "c.test"}) || w.write(zoe) == nil {
		t.Errorf("the home has its own counted: %v", got)
	}
	w.now = w.now.Add(pki.ViewLifetime + time.Hour) // nobody on the list says anything any more
	w.says("a.test", w.sees("x.test", w.key("x.test"), 2*month), w.sees("y.test", w.key("y.test"), 2*month))
	w.directory()
	if got := w.list(); !slices.Equal(got, []string{"b.test", "c.test"}) {
		t.Errorf("the home has others silenced, and its own counted: %v", got)
	}
	w.says("b.test", w.sees("d.test", w.key("d.test"), month))
	w.says("c.test", w.sees("d.test", w.key("d.test"), month))
	w.directory()
	if got := w.list(); !slices.Equal(got, []string{"b.test", "c.test", "d.test"}) {
		t.Errorf("whom two of the list vouch for: %v", got)
	}
	w.verifies("x.test")
	if got := w.list(); !slices.Contains(got, "x.test") {
		t.Errorf("whom she has verified: %v", got)
	}
}

// The home names those whose word counts only if nobody does yet: neither beside one whom an invitation
// names, nor beside one whom the user has verified.
func TestHomeSeedsNobody(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for name, c := range map[string]struct{ invited, want []string }{
		"by nobody":     {nil, []string{"c.test", "d.test"}},
		"by one domain": {[]string{"b.test"}, []string{"b.test"}},
		"by two":        {[]string{"b.test", "c.test"}, []string{"b.test", "c.test"}},
	} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
		must(t, w.a.vault.Update(func(tx *vault.Tx) error {
			for _, domain := range c.invited {
				if _, err := w.a.enlist(tx, maxList, listed{domainOf(t, domain), w.key(domain)}); err != nil {
					return err
				}
			}
			return nil
		}))
		w.says("a.test", w.sees("c.test", w.key("c.test"), month), w.sees("d.test", w.key("d.test"), month))
		w.directory()
		if got := w.list(); !slices.Equal(got, c.want) {
			t.Errorf("invited %s: %v", name, got)
		}
	}
}

// verifies has the user verify domains by their words.
func (w *world) verifies(domains ...string) {
	w.t.Helper()
	for _, domain := range domains {
		owns, err := words.Fingerprint(words.Of(w.key(domain)))
		must(w.t, err)
		must(w.t, w.a.acceptKey(Subject{Domain: domainOf(w.t, domain)}, pki.Fingerprint{}, owns))
	}
}

// A mesh that is minutes old is not seen whole: while those whom the home has named are too few for a
// quorum it goes on, for a day.
func TestHomeSeedsAYoungMesh(t *testing.T) {
	t.Parallel()
	for later, want := range map[time.Duration][]string{
		time.Minute: {"b.test", "c.test", "d.test"}, seedTime: {"b.test"}, -time.Minute: {"b.test", "c.test", "d.test"},
	} {
		w := newWorld(t, "a.test", "b.test", "c.test", "d.test")
		w.says("a.test", w.sees("b.test", w.key("b.test"), time.Hour))
		w.directory()
		w.now = w.now.Add(later)
		w.says("a.test", w.sees("b.test", w.key("b.test"), 3*time.Hour), w.sees("c.test", w.key("c.test"), 2*time.Hour), w.sees("d.test", w.key("d.test"), 2*time.Hour))
		w.directory()
		if got := w.list(); !slices.Equal(got, want) {
			t.Errorf("%v later: %v", later, got)
		}
	}
}

// A mesh of two was too small for a quorum. A home that is taken months later names nobody all the
// same, not even when that one has gone from the list, or in a folder of an earlier version; the mesh
// grows by whom the user verifies: of two such domains the word counts.
func TestHomeSeedsASmallMeshOnce(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for name, later := range map[string]func(*world, *vault.Tx) error{
		"months later":       func(*world, *vault.Tx) error { return nil },
		"the other has gone": func(_ *world, tx *vault.Tx) error { return save(tx, keyList, []listed{}) },
		"earlier version":    func(_ *world, tx *vault.Tx) error { tx.Delete(keySeeded); return nil },
	} {
		w := newWorld(t, "a.test", "b.test")
		w.says("a.test", w.sees("b.test", w.key("b.test"), month))
		w.directory()
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return later(w, tx) }))
		had := w.list()
		w.now = w.now.Add(pki.ViewLifetime / 2)
		for _, domain := range []string{"x.test", "y.test", "z.test"} {
			w.domains[domain] = w.authority(domain)
		}
		w.says("a.test", w.sees("x.test", w.key("x.test"), 2*month), w.sees("y.test", w.key("y.test"), 2*month))
		vouch := w.sees("z.test", w.key("z.test"), month)
		w.says("x.test", vouch)
		w.says("y.test", vouch)
		w.directory()
		zoe := w.user(w.domains["z.test"])
		if got := w.list(); !slices.Equal(got, had) || w.write(zoe) == nil {
			t.Errorf("%s: the home has its own counted: %v", name, got)
		}
		w.verifies("x.test", "y.test")
		w.directory()
		if got := w.list(); !slices.Equal(got, append(had, "x.test", "y.test", "z.test")) {
			t.Errorf("%s: whom she has verified, and whom they vouch for: %v", name, got)
		}
		must(t, w.write(zoe))
	}
}
