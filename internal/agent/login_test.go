package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// A visitor is a user of a.test for whom single domains are not there, when she says so.
type visitor struct {
	*Agent
	t    *testing.T
	cfg  Config
	door *doors
}

// doors dial no address of the domains that are away.
type doors struct {
	of   map[string]string // addresses, to their domains
	away []string
}

func (d *doors) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if slices.Contains(d.away, d.of[address]) {
		return nil, errors.New("cut off")
	}
	return dial.Direct()(ctx, network, address)
}

func (m *mesh) visitor(t *testing.T) *visitor {
	t.Helper()
	v := &visitor{t: t, door: &doors{of: make(map[string]string)}}
	v.cfg = m.config(t)
	for _, domain := range []string{"a.test", "b.test", "c.test", "d.test"} {
		_, record, err := node.Record(filepath.Join(m.dir, domain))
		must(t, err)
		d, err := (&keyserver.Client{Dial: dial.Direct()}).Server(
			t.Context(), keyserver.Endpoint{Address: record.KeyServers[0], CA: record.Fingerprint}, domainOf(t, domain))
		must(t, err)
		for _, address := range append(d.Links, d.KeyServers...) {
			v.door.of[address] = domain
		}
	}
	v.cfg.Dial = v.door.dial
	var err error
	v.Agent, err = New(t.Context(), v.cfg, m.name(t, "a.test"))
	must(t, err)
	t.Cleanup(func() { must(t, v.Close()) })
	return v
}

// without has these domains be away from now on, and ends the link.
func (v *visitor) without(away ...string) {
	v.disconnect()
	v.door.away = away
}

// later makes it some time ago that she connected, and fetched what waited elsewhere.
func (v *visitor) later() {
	v.t.Helper()
	v.since = v.since.Add(-entryEvery)
	must(v.t, v.vault.Update(func(tx *vault.Tx) error {
		e, _, err := load[entry](tx, keyEntry)
		e.Fetched = e.Fetched.Add(-entryEvery)
		for i := range e.Left {
			e.Left[i].Fetched = e.Left[i].Fetched.Add(-entryEvery)
		}
		return errors.Join(err, save(tx, keyEntry, e))
	}))
}

// via logs in at a node.
func (v *visitor) via(domain string) LoggedIn {
	v.t.Helper()
	in, err := v.Login(v.t.Context(), domainOf(v.t, domain))
	must(v.t, err)
	if in.Through.String() != domain || in.Name != v.self.name || in.Home != v.home() {
		v.t.Errorf("through %s: %+v", domain, in)
	}
	return in
}

// connects connects, and says where that leads.
func (v *visitor) connects() string {
	v.t.Helper()
	must(v.t, v.Connect(v.t.Context()))
	return v.through.String()
}

// at are the servers to which letters for her go, by what she says now.
func (v *visitor) at() (spools []pki.Domain) {
	v.t.Helper()
	must(v.t, v.vault.View(func(tx *vault.Tx) (err error) { spools, err = v.spools(tx); return err }))
	return spools
}

// reads waits until something has come, and wants it to be these texts. Each time that nothing has,
// it is some time later for her.
func (v *visitor) reads(texts ...string) {
	v.t.Helper()
	var got []string
	for end := time.Now().Add(patience); ; v.later() {
		_, err := v.round(v.t.Context(), firstBackoff)
		must(v.t, err)
		for _, m := range shown(v.t, v.Agent) {
			got = append(got, m.Text)
		}
		if len(got) >= len(texts) || time.Now().After(end) {
			break
		}
	}
	if !slices.Equal(got, texts) {
		v.t.Errorf("read %q, want %q", got, texts)
	}
}

// While her home is away a user is connected through her entry, and says that letters go there
// first; when it is back she is at home again, and has what came to the entry all the same.
func TestReturnsHome(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	ann := m.visitor(t)
	if in, err := ann.Login(t.Context(), pki.Domain{}); err != nil || in.Through != in.Home || in.Path != session.PathHome || !in.Online {
		t.Errorf("at home: %+v, %v", in, err)
	}
	if got := fmt.Sprint(ann.at()); got != "[a.test]" {
		t.Errorf("before, letters go to %s", got)
	}
	ann.without("a.test")
	in := ann.via("c.test")
	if in.Path != session.PathCache || !slices.Contains(in.Confirmed, domainOf(t, "d.test")) || in.Gone {
		t.Errorf("%+v", in)
	}
	if got := fmt.Sprint(ann.at()); got != "[c.test a.test]" {
		t.Errorf("at c.test, letters go to %s", got)
	}
	send(t, ann.Agent, bob.self.name, "I am at c.test", mor.StoredThere)
	if texts := read(t, bob); !slices.Equal(texts, []string{"I am at c.test"}) {
		t.Fatalf("bob read %q", texts)
	}
	s, err := bob.Send(t.Context(), ann.self.name, "so I write there", Way{}) // what she wrote is newer than her card
	must(t, err)
	if last := s.Route[len(s.Route)-1].String(); last != "c.test" {
		t.Fatalf("it went to %s", last)
	}
	wait(t, bob, s, mor.StoredThere)
	ann.without()
	ann.reads("so I write there")
	if at := ann.connects(); at != "a.test" {
		t.Errorf("then connected through %s", at)
	}
	if got := fmt.Sprint(ann.at()); got != "[a.test c.test]" {
		t.Errorf("at home, letters go to %s", got)
	}
	wait(t, bob, s, mor.Acknowledged) // which she did while she fetched it, and it does not say that she is there
	must(t, bob.vault.View(func(tx *vault.Tx) error {
		c, _, err := load[contact](tx, prefixContact+ann.self.name.String())
		if got := fmt.Sprint(c.Spools); got != "[a.test c.test]" {
			t.Errorf("then bob takes her to be at %s", got)
		}
		return err
	}))
	card, err := bob.look(t.Context(), ann.self.name)
	must(t, err)
	if got := fmt.Sprint(card.Spools); got != "[a.test c.test]" {
		t.Errorf("her card says %s", got)
	}
}

// The entry is for when the home is not there, and not before; if neither is, both are named.
func TestEntryIsSecond(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann := m.visitor(t)
	ann.via("c.test")
	again := func(want string, away ...string) {
		t.Helper()
		ann.without(away...)
		if at := ann.connects(); at != want {
			t.Errorf("without %s connected through %s", away, at)
		}
	}
	again("a.test")
	again("a.test", "c.test")
	again("c.test", "a.test")
	ann.without("a.test", "c.test")
	err := ann.Connect(t.Context())
	var home *HomeError
	if !errors.As(err, &home) || home.Domain != ann.home() || home.Entry != domainOf(t, "c.test") || home.Name != ann.self.name || len(home.Knowing) == 0 {
		t.Errorf("neither: %v, %+v", err, home)
	}
	var entry *EntryError
	if _, err := ann.Login(t.Context(), domainOf(t, "c.test")); !errors.As(err, &entry) || entry.Domain != domainOf(t, "c.test") {
		t.Errorf("logging in there: %v", err)
	}
	var none *NoServerError
	if _, err := ann.Login(t.Context(), domainOf(t, "nowhere.test")); !errors.As(err, &none) {
		t.Errorf("logging in nowhere: %v", err)
	}
	if e, _, err := ann.entry(); err != nil || e.Domain != domainOf(t, "c.test") {
		t.Errorf("the entry is %s, %v", e.Domain, err)
	}
	again("a.test")

	// While it stays away, a link to the entry is good for a while, and then is left for home.
	again("c.test", "a.test")
	ann.door.away = nil
	if at := ann.connects(); at != "c.test" {
		t.Errorf("with a link, connected through %s", at)
	}
	ann.later()
	if at := ann.connects(); at != "a.test" {
		t.Errorf("after a while, connected through %s", at)
	}
}

// Another entry loses nothing that waits at the one before: with the home dead, and with it alive.
func TestAnotherEntry(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	ann := m.visitor(t)
	ann.without("a.test")
	ann.via("c.test")
	send(t, ann.Agent, bob.self.name, "at c.test", mor.StoredThere)
	read(t, bob)
	ann.without("a.test", "c.test")
	ann.via("d.test")
	if s := send(t, bob, ann.self.name, "first", mor.StoredThere); s.Route[len(s.Route)-1].String() != "c.test" {
		t.Fatalf("it went over %s", s.Route)
	}
	ann.reads() // c.test does not answer, which is no error
	ann.door.away = []string{"a.test"}
	ann.later()
	ann.reads("first")
	if at := ann.connects(); at != "d.test" {
		t.Errorf("connected through %s", at)
	}
	ann.without()
	send(t, bob, ann.self.name, "second", mor.StoredThere)
	ann.reads("second")
	if at := ann.connects(); at != "a.test" {
		t.Errorf("with the home there, connected through %s", at)
	}
}

// No more than four nodes are asked for letters beside the home, and none for longer than letters
// are kept there; who comes back to one has it once.
func TestEntriesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var e entry
	use := func(domain string, want string) {
		t.Helper()
		now = now.Add(24 * time.Hour)
		e = e.use(domainOf(t, domain), now)
		got := e.Domain.String()
		for _, s := range e.Left {
			got += " " + s.Domain.String()
		}
		if got != want {
			t.Errorf("after %s: %s, want %s", domain, got, want)
		}
	}
	use("c.test", "c.test")
	use("d.test", "d.test c.test")
	e.Told = domains(t, "a.test")
	use("d.test", "d.test c.test")
	if len(e.Told) != 1 {
		t.Error("forgot what it has told")
	}
	use("c.test", "c.test d.test")
	if len(e.Told) != 0 {
		t.Error("another entry, and nothing to tell")
	}
	use("e.test", "e.test c.test d.test")
	use("f.test", "f.test e.test c.test d.test")
	use("g.test", "g.test f.test e.test c.test")

	for _, x := range []struct {
		after  time.Duration
		abroad bool
		want   string
	}{
		{0, true, "[f.test e.test c.test]"}, {0, true, "[]"}, {0, false, "[g.test]"},
		{entryEvery, false, "[g.test f.test e.test c.test]"}, {entryEvery - 1, false, "[]"},
		{entryKept - 2*24*time.Hour, false, "[g.test f.test]"}, {2 * 24 * time.Hour, false, "[]"},
	} {
		now = now.Add(x.after)
		if got := fmt.Sprint(e.due(now, x.abroad)); got != x.want {
			t.Errorf("%v later due at %s, want %s", x.after, got, x.want)
		}
	}
	use("h.test", "h.test")
}

// A certificate that has run out is shown to another node as it is, which judges whether the home
// is gone; there is no card by it. What the home did not sign is not shown to anybody.
func TestCertificateEndedAtAnEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test", "c.test")
	w.directory()
	home := w.domains["a.test"]
	ann, other := w.certified(home, w.a.self.name, w.a.self.key), w.certified(w.domains["c.test"], w.user(w.domains["c.test"]).name, w.a.self.key)
	id := identity{Name: ann.name, Certificate: ann.cert}
	for _, later := range []time.Duration{0, pki.UserLifetime + time.Hour, 300 * 24 * time.Hour} {
		w.now = w.now.Add(later)
		cert, err := w.a.ownCertificate(id, home.CA())
		must(t, err)
		if cert.Key() != ann.key.Public() || string(cert.DER()) != string(ann.cert) {
			t.Errorf("after %v: another certificate", later)
		}
		w.a.through, w.a.base = domainOf(t, "c.test"), domainOf(t, "c.test") // with no link: what is asked on it would panic
		must(t, w.a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyEntry, entry{}.use(w.a.base, w.now)) }))
		if later > 0 {
			must(t, w.a.publish(t.Context(), id, cert))
		}
	}
	if _, err := w.a.ownCertificate(identity{Certificate: other.cert}, home.CA()); err == nil {
		t.Error("took what c.test signed for that of a.test")
	}
}

// A home that is there renews a certificate, and while it is there no entry takes an old one.
func TestOldCertificateAtAnEntry(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann := m.visitor(t)
	ann.door.away = []string{"a.test"}
	secret, err := os.ReadFile(filepath.Join(m.dir, "a.test", "keys", "authority"))
	must(t, err)
	home, err := pki.ParseAuthority(secret)
	must(t, err)
	request, err := pki.NewUserRequest(rand.Reader, ann.self.key, ann.self.name)
	must(t, err)
	old, err := home.SignUser(rand.Reader, time.Now().Add(-2*time.Minute), request, time.Minute)
	must(t, err)
	must(t, ann.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		id.Certificate = old.DER()
		return errors.Join(err, save(tx, keyIdentity, id))
	}))
	_, err = ann.Login(t.Context(), domainOf(t, "c.test"))
	var refused *session.Error
	if !errors.As(err, &refused) || refused.Code != session.Refused {
		t.Errorf("an old one: %v", err)
	}
	ann.without()
	if at := ann.connects(); at != "a.test" {
		t.Errorf("connected through %s", at)
	}
	ann.without("a.test")
	ann.via("c.test")
}
