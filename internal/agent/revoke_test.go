package agent

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// linkOf is where the node of a domain waits for links.
func (m *mesh) linkOf(t testing.TB, domain string) string {
	t.Helper()
	running, err := node.ReadRunning(filepath.Join(m.dir, domain))
	must(t, err)
	return running.Link
}

// hears has somebody read what is said of keys until she stands as wanted.
func hears(t testing.TB, a *Agent, of pki.Name, what string, want func(Standing) bool) {
	t.Helper()
	var s Standing
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		must(t, a.refreshDirectory(t.Context(), 0))
		var err error
		s, err = a.Standing(of)
		must(t, err)
		if want(s) {
			return
		}
	}
	t.Fatalf("%s is never %s: %s", of, what, s)
}

// met are ann@a.test and bob@b.test, who have written to each other.
func (m *mesh) met(t testing.TB) (ann, bob *Agent) {
	t.Helper()
	ann, _ = m.user(t, "a.test")
	bob, _ = m.user(t, "b.test")
	send(t, bob, ann.self.name, "hello", mor.StoredThere)
	if got := read(t, ann); len(got) != 1 {
		t.Fatalf("read %q", got)
	}
	send(t, ann, bob.self.name, "hello yourself", mor.StoredThere)
	if got := read(t, bob); len(got) != 1 {
		t.Fatalf("read %q", got)
	}
	return ann, bob
}

// wantRefused fails unless a node refused with these words.
func wantRefused(t testing.TB, err error, text string) {
	t.Helper()
	var refused *session.Error
	if !errors.As(err, &refused) || refused.Code != session.Refused || refused.Text != text {
		t.Errorf("err = %v, want %s", err, text)
	}
}

// A home ends a name, and cannot end the person: nobody logs in under it, and who knows her
// knows her by the same key, and can write to her.
func TestHomeEndsAName(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob := m.met(t)
	name := ann.self.name
	control, err := node.NewControl(filepath.Join(m.dir, "a.test"))
	must(t, err)
	_, err = control.RevokeUser(t.Context(), name.String())
	must(t, err)
	hears(t, bob, name, "ended", func(s Standing) bool { return s.Ended })
	for what, prepare := range map[string]func(){
		"with her last card": func() {},
		"without it": func() {
			must(t, bob.vault.Update(func(tx *vault.Tx) error { tx.Delete(prefixCard + name.String()); return nil }))
		},
	} {
		prepare()
		if _, err := bob.Send(t.Context(), name, "are you there?", Way{}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s, err := bob.Standing(name)
	must(t, err)
	if s.Trust != Vouched || !s.Ended || len(bob.Trouble()) > 0 {
		t.Errorf("she is %s", s)
	}
	must(t, bob.vault.View(func(tx *vault.Tx) error {
		c, _, err := load[contact](tx, prefixContact+name.String())
		if c.Identity != ann.self.key.Fingerprint() {
			t.Error("another key is pinned")
		}
		return err
	}))
	stranger, _ := m.user(t, "c.test")
	var nobody *NoUserError
	if _, err := stranger.Send(t.Context(), name, "hello", Way{}); !errors.As(err, &nobody) {
		t.Errorf("whoever did not know her: %v", err)
	}
	ann.disconnect()
	want := "a.test has ended the name " + name.String()
	wantRefused(t, ann.Connect(t.Context()), want)
	_, err = ann.Login(t.Context(), domainOf(t, "c.test"))
	wantRefused(t, err, want)
}

// She ends her key with her folder while her home does not answer; all others refuse it, she is
// told by her own folder, and who knows her writes to her no more.
func TestRevokeOwnKey(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob := m.met(t)
	home, off := m.linkOf(t, "a.test"), &cut{off: true}
	off.pass = func(address string) bool { return address != home }
	ann.cfg.Dial = off.dial
	in, err := ann.Revoke(t.Context(), pki.Domain{})
	must(t, err)
	if in.Name != ann.self.name || in.Key != ann.self.key.Fingerprint() || len(in.At) != handedTo {
		t.Errorf("handed in: %+v", in)
	}
	for _, at := range in.At {
		if at.String() == "a.test" {
			t.Error("at a home that does not answer")
		}
	}
	wrong, err := ann.Own()
	must(t, err)
	if wrong == nil || !wrong.Revoked {
		t.Errorf("her folder says %v", wrong)
	}
	hears(t, bob, ann.self.name, "revoked", func(s Standing) bool { return s.Trust == Revoked })
	var trust *TrustError
	if _, err := bob.Send(t.Context(), ann.self.name, "hello", Way{}); !errors.As(err, &trust) || trust.Verdict.Row != pki.RowRevoked {
		t.Errorf("written to: %v", err)
	}
	off.set(false)
	again, err := ann.Revoke(t.Context(), domainOf(t, "a.test")) // nothing more
	must(t, err)
	if len(again.At) != 1 {
		t.Errorf("handed in: %+v", again)
	}
	for _, at := range []string{"a.test", "b.test", "c.test"} {
		_, err := ann.Login(t.Context(), domainOf(t, at))
		wantRefused(t, err, "the key of "+ann.self.name.String()+" was revoked")
	}
}

// The file of the revocation key is enough, without a folder.
func TestRevokeByFile(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, cfg := m.user(t, "a.test")
	file, err := ann.Revocable()
	must(t, err)
	raw, err := file.Marshal()
	must(t, err)
	file, err = ParseRevocable(raw)
	must(t, err)
	r, err := file.Revoke(time.Now())
	must(t, err)
	for what, c := range map[string]struct {
		dns, at string
		off     bool
		want    error
	}{
		"no DNS": {"", "c.test", false, ErrNoDNS}, "nobody answers": {cfg.DNS, "c.test", true, ErrNotHandedIn},
	} {
		if _, err := HandIn(t.Context(), Config{DNS: c.dns, Dial: (&cut{off: c.off}).dial}, domainOf(t, c.at), r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var nowhere *NoServerError
	door := Config{DNS: cfg.DNS, Dial: cfg.Dial}
	if _, err := HandIn(t.Context(), door, domainOf(t, "x.test"), r); !errors.As(err, &nowhere) {
		t.Errorf("no server: %v", err)
	}
	namesake, err := pki.NewAuthority(rand.Reader, ann.home(), time.Now())
	must(t, err)
	untrue, err := namesake.RevokeName(file.Certificate, time.Now())
	must(t, err)
	var refused *session.Error
	if _, err := HandIn(t.Context(), door, domainOf(t, "c.test"), untrue); !errors.As(err, &refused) || refused.Code != session.Refused {
		t.Errorf("one that does not hold: %v", err)
	}
	in, err := HandIn(t.Context(), door, domainOf(t, "c.test"), r)
	must(t, err)
	if in.Name != ann.self.name || len(in.At) != 1 || in.At[0].String() != "c.test" {
		t.Errorf("handed in: %+v", in)
	}
	_, err = ann.Login(t.Context(), domainOf(t, "c.test"))
	wantRefused(t, err, "the key of "+ann.self.name.String()+" was revoked")
}
