package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/pki"
)

// succeeds lets a new key follow that of an authority, by the old one.
func (w *world) succeeds(old *pki.Authority) (*pki.Authority, pki.SignedSuccession) {
	w.t.Helper()
	next, err := pki.NewSuccessor(rand.Reader)
	must(w.t, err)
	fresh, signed, err := next.Succeed(rand.Reader, w.now, old, pki.Fingerprint{})
	must(w.t, err)
	return fresh, signed
}

// A home that changed its key twice while its user was away is hers as before, by what its own
// servers tell of that before she logs in. A key that nobody handed over to is not, and neither
// is one of two.
func TestHomeSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test")
	home, old := domainOf(t, "a.test"), w.domains["a.test"]
	second, first := w.succeeds(old)
	third, then := w.succeeds(second)
	thief := w.authority("a.test")
	is := func(key *pki.Authority, all ...pki.SignedSuccession) bool {
		t.Helper()
		yes, err := w.a.isHeir(home, key.CA().Fingerprint(), all)
		must(t, err)
		return yes
	}
	if is(thief) || is(thief, first, then) || is(third, then) || is(second, first, then) {
		t.Error("taken for the heir")
	}
	if moved, err := w.a.inherit(w.descriptor(thief)); moved || err != nil || w.standing("a.test").pin.Key != w.key("a.test") {
		t.Errorf("a thief: %v, %v", moved, err)
	}
	if !is(third, first, then) {
		t.Error("the heir is none")
	}
	moved, err := w.a.inherit(w.descriptor(third))
	must(t, err)
	s := w.standing("a.test")
	if !moved || s.pin.Key != third.CA().Fingerprint() || len(s.pin.Former) != 2 || s.held() {
		t.Errorf("moved %v: %+v", moved, s.pin)
	}
	ca, err := w.a.authority(home)
	must(t, err)
	if ca.Fingerprint() != third.CA().Fingerprint() {
		t.Error("judged by another key")
	}
	fourth, one := w.succeeds(third)
	_, other := w.succeeds(third)
	if is(fourth, one, other) {
		t.Error("one of two was taken for the heir")
	}
}

// Without a word of a hand-over another key stays another key.
func TestReachHeir(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test")
	home, thief := domainOf(t, "a.test"), w.authority("a.test")
	shown, tried := thief.CA().Fingerprint(), 0
	_, err := w.a.reachHeir(t.Context(), home, func(context.Context) (*link.Conn, error) {
		tried++
		return nil, pki.CheckPin(w.key("a.test"), shown, home.String())
	})
	var changed *pki.KeyChangedError
	if !errors.As(err, &changed) || changed.Shown != shown || tried != 1 {
		t.Errorf("tried %d times: %v", tried, err)
	}
}

// Where the key servers of a domain are that shows another key its descriptor says, and who told of that
// key; DNS is not asked.
func TestHeirAsksNoDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test")
	w.a.cfg.DNS = "127.0.0.1:53"
	w.a.cfg.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		w.dialed = append(w.dialed, address)
		return nil, errors.New("nobody is there")
	}
	home, shown := domainOf(t, "a.test"), w.authority("a.test").CA().Fingerprint()
	changed := pki.CheckPin(w.key("a.test"), shown, home.String())
	altered := &HomeError{Domain: home, Cause: &DNSAlteredError{Domain: home, Shown: shown, at: []string{"127.0.0.1:2", "127.0.0.1:3"}}}
	for _, why := range []error{changed, altered} {
		_, err := w.a.reachHeir(t.Context(), home, func(context.Context) (*link.Conn, error) { return nil, why })
		if !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
	}
	if got := strings.Join(w.dialed, " "); got != "127.0.0.1:2 127.0.0.1:2 127.0.0.1:3" {
		t.Errorf("dialed %s", got)
	}
}
