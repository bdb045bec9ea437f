package node

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// A single peer that says a wrong key of a domain does not keep the operator from adding it. An
// older word of a peer takes nothing back, and that of who is no peer any more counts nothing.
func TestOnePeersWord(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "c.test", "z.test")
	m.federate("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	a, z := m.nodes["a.test"], m.nodes["z.test"]
	fake, err := pki.NewAuthority(rand.Reader, z.domain, time.Now())
	must(t, err)
	now := time.Now()
	says := func(serial uint64, key pki.Fingerprint) pki.View {
		v, err := m.authority("b.test").SignView(pki.View{Serial: serial, Issued: now, Expires: now.Add(time.Hour), Sightings: []pki.Sighting{
			{Domain: z.domain, Key: key, Since: now.Truncate(time.Second), Standing: pki.Seen},
		}})
		must(t, err)
		a.node.beliefs.look(v.View)
		return v.View
	}
	wrong := says(1<<50, fake.CA().Fingerprint())
	says(1<<49, pki.Fingerprint{7})
	if all := a.node.peersVouches(z.domain, now); len(all) != 1 || all[0].Key != fake.CA().Fingerprint() {
		t.Errorf("the vouches are %v", all)
	}
	if v := a.node.judge(t.Context(), z.domain); v.Login || v.Key == fake.CA().Fingerprint() {
		t.Errorf("one word is enough: %+v", v)
	}
	must(t, a.node.peers.drop(t.Context(), m.nodes["c.test"].domain)) // then one is all that there are
	_, err = a.control.AddPeer(t.Context(), z.domain)
	must(t, err)
	if p, _ := a.node.beliefs.pin(z.domain); p.Key != m.authority("z.test").CA().Fingerprint() {
		t.Errorf("pinned is %s", p.Key)
	}
	must(t, a.node.peers.drop(t.Context(), wrong.Domain))
	a.node.beliefs.look(wrong)
	for _, v := range a.node.peersVouches(z.domain, now) {
		if v.Peer == wrong.Domain {
			t.Error("who was dropped is heard")
		}
	}
}

// The only peer that a node has is not believed against DNS: neither of a domain of which nothing
// is pinned, nor in place of a pin. With DNS it is.
func TestOnlyPeerAgainstDNS(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, z := m.nodes["a.test"].node, parse(t, pki.ParseDomain, "z.test")
	now, real, fake := time.Now(), pki.Fingerprint{1}, pki.Fingerprint{2}
	serial := uint64(1 << 50)
	says := func(vouched, dns pki.Fingerprint) pki.Verdict {
		t.Helper()
		serial++
		v, err := m.authority("b.test").SignView(pki.View{Serial: serial, Issued: now, Expires: now.Add(time.Hour), Sightings: []pki.Sighting{
			{Domain: z, Key: vouched, Since: now.Truncate(time.Second), Standing: pki.Seen},
		}})
		must(t, err)
		a.beliefs.look(v.View)
		_, err = a.beliefs.see(t.Context(), nil, z, func(s *store.Sighting) bool { s.DNS = dns; return true })
		must(t, err)
		return a.judge(t.Context(), z)
	}
	for _, pin := range []pki.Fingerprint{{}, real} {
		if !pin.IsZero() {
			a.beliefs.setPin(z, pinned{Pin: pki.Pin{Subject: "z.test", Key: pin, Trust: pki.FirstSeen}, since: now})
		}
		if v := says(fake, real); v.Key == fake || v.Login && pin.IsZero() {
			t.Errorf("pinned %v: %+v", pin, v)
		}
		if v := says(real, real); v.Key != real || !v.Login {
			t.Errorf("pinned %v: with DNS it is not believed: %+v", pin, v)
		}
	}
	if v := says(real, fake); v.Key != real || !v.Login || len(v.For) != 1 {
		t.Errorf("DNS alone: %+v", v)
	}
}

// Of a domain that is refused nothing is kept, whoever hands on its descriptor.
func TestStrangersAreForgotten(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"].node
	x, err := pki.NewAuthority(rand.Reader, parse(t, pki.ParseDomain, "x.test"), time.Now())
	must(t, err)
	d, err := a.directory.own(time.Now())
	must(t, err)
	d.Serial, d.CA, d.Next, d.Root = 1, x.CA(), pki.Fingerprint{}, pki.Fingerprint{}
	signed, err := x.SignDescriptor(d)
	must(t, err)
	if _, err := a.directory.take(t.Context(), signed); err == nil {
		t.Error("it is taken")
	}
	if _, err := a.directory.discover(t.Context(), x.Domain()); err == nil {
		t.Error("it is found")
	}
	rows, err := a.store.Sightings(t.Context())
	must(t, err)
	a.beliefs.mu.Lock()
	defer a.beliefs.mu.Unlock()
	if len(rows) != 0 || len(a.beliefs.seen) != 0 {
		t.Errorf("%d are kept, %d known", len(rows), len(a.beliefs.seen))
	}
}

// A pin without a time, and a folder of an earlier version, are told apart from garbage.
func TestEarlierVersion(t *testing.T) {
	if since := sinceOf(pinned{}); since.Unix() != 0 {
		t.Errorf("since %s", since)
	}
	k := keyring{t.TempDir()}
	must(t, k.write(authorityFile, []byte{1, 2, 3}))
	_, err := k.authority()
	wantErr(t, err, pki.ErrEarlier)
}
