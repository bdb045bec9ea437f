package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// rotate changes a key of a domain, with the file that its operator took away.
func (m *mesh) rotate(domain string, key Role, change ...func(*Rotation)) (Rotated, error) {
	m.t.Helper()
	n := m.offline(domain)
	r := Rotation{Dir: n.dir, Key: key, Offline: n.file, Words: n.words}
	for _, f := range change {
		f(&r)
	}
	return r.Run(m.t.Context())
}

// offline writes what the operator of a domain took away into a file, if there is none yet.
func (m *mesh) offline(domain string) *member {
	m.t.Helper()
	n := m.nodes[domain]
	if n.words == "" {
		n.words, n.file = NewWords(), filepath.Join(m.t.TempDir(), "offline.age")
		must(m.t, CreateOffline(n.file, n.words, n.kept))
	}
	return n
}

// followed waits until all of some domains know another by that key, and believe it.
func (m *mesh) followed(domain string, key pki.Fingerprint, by ...string) {
	m.t.Helper()
	for _, at := range by {
		m.until(at+" to follow", func() error {
			p, _ := m.nodes[at].node.beliefs.pin(m.nodes[domain].domain)
			if ca, _ := m.nodes[at].node.directory.authority(m.nodes[domain].domain); p.Key != key || ca.Fingerprint() != key {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
}

// quiet fails if somebody has noted something about a domain but that its key was pinned, or
// has given way.
func (m *mesh) quiet(domain string, at ...string) {
	m.t.Helper()
	for _, at := range at {
		if odd := append(m.events(at, domain, EventDNS), m.events(at, domain, EventHome)...); len(odd) > 0 {
			m.t.Errorf("%s is alarmed: %+v", at, odd)
		}
	}
}

// An authority hands over while its node serves: again and again, whoever is linked with it or
// not follows and countersigns without hands, and nobody is alarmed, before and after DNS names
// the new key. A peer that was away follows when it comes back.
func TestRotateAuthority(t *testing.T) {
	t.Parallel()
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.line(append(domains, "a.test")...) // a ring, in which d.test is no peer of b.test
	m.confirmed(domains...)
	b, others := m.nodes["b.test"], []string{"a.test", "c.test", "d.test"}
	for range 2 {
		was := m.authority("b.test").CA().Fingerprint()
		done, err := m.rotate("b.test", RoleCA)
		must(t, err)
		if now := m.authority("b.test"); done.Was != was || done.Is == was || now.CA().Fingerprint() != done.Is || b.node.authority().CA().Fingerprint() != done.Is {
			t.Fatalf("%+v", done)
		}
		m.followed("b.test", done.Is, others...)
		for _, at := range []string{"a.test", "c.test"} {
			m.mutual(at, "b.test", done.Is)
			m.mutual("b.test", at, m.authority(at).CA().Fingerprint())
		}
		_, record, err := Record(b.dir)
		must(t, err)
		if c := m.authority("b.test").Commitment(); record.Fingerprint != done.Is || record.Next != c.Next || c.Next.IsZero() || c.Root.IsZero() {
			t.Errorf("%+v %+v", record, c)
		}
		must(t, m.dns.Set(b.domain, record))
		m.looked("d.test", "b.test")
		m.quiet("b.test", others...)
	}
	if e := m.events("b.test", "b.test", EventRotated); len(e) != 2 {
		t.Errorf("%+v", e)
	}
	if diff, err := b.node.store.CompareRing(t.Context()); err != nil || !diff.Same() {
		t.Errorf("%+v %v", diff, err)
	}
	m.settled(domains...)
}

// mutual waits until a has countersigned that key of b, and b knows.
func (m *mesh) mutual(a, b string, key pki.Fingerprint) {
	m.t.Helper()
	m.until(a+" to countersign "+b, func() error {
		row, err := m.nodes[b].node.store.Peer(m.t.Context(), a)
		must(m.t, err)
		given, _ := m.nodes[a].node.peers.crossOf(m.nodes[b].domain)
		received, err := pki.ParseCrossCert(row.Received)
		if err != nil || given.Fingerprint() != key || received.Fingerprint() != key {
			return errors.New("not yet")
		}
		return nil
	})
}

// Whoever was away while an authority handed over, and has no other to ask, follows all the same
// by what the domain's own key server tells.
func TestRotateWhileAway(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	must(t, a.end())
	done, err := m.rotate("b.test", RoleCA)
	must(t, err)
	_, record, err := Record(b.dir)
	must(t, err)
	must(t, m.dns.Set(b.domain, record))
	a.start()
	m.followed("b.test", done.Is, "a.test")
	m.linked("a.test", 1)
	m.mutual("a.test", "b.test", done.Is)
	m.quiet("b.test", "a.test")
}

// What the former authority certified is good until it runs out, at home and elsewhere. After
// the offline root had to name who follows it is not; everybody follows then, too.
func TestFormerCertificates(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	ann := m.user("ann@a.test")
	former := m.authority("a.test")
	done, err := m.rotate("a.test", RoleCA)
	must(t, err)
	m.followed("a.test", done.Is, "b.test", "c.test")
	if _, err := ann.visit("a.test", former); err != nil {
		t.Errorf("at home: %v", err)
	}
	if _, err := ann.visit("c.test", former); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	done, err = m.rotate("a.test", RoleCA, func(r *Rotation) { r.Stolen = true })
	must(t, err)
	m.followed("a.test", done.Is, "b.test", "c.test")
	for _, at := range []string{"b.test", "c.test"} {
		m.mutual(at, "a.test", done.Is)
		m.mutual("a.test", at, m.authority(at).CA().Fingerprint())
	}
	for _, at := range []string{"a.test", "c.test"} {
		if _, err := ann.visit(at, former); err == nil {
			t.Errorf("taken at %s", at)
		}
	}
	m.quiet("a.test", "b.test", "c.test")
}

// A hand-over that was ended in its midst, wherever, leaves the old authority or the new one,
// and another try brings it to its end; the domain has one heir.
func TestRotateBroken(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	a := m.nodes["a.test"]
	first := m.authority("a.test").CA().Fingerprint()

	// The file says who comes after the successor, and the node ends when it has kept the word,
	// and not yet taken office.
	m.offline("a.test")
	next, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	m.rewrite("a.test", func(o *Offline) { o.after = &next })
	old := m.authority("a.test")
	fresh, word, err := a.kept.Next.Succeed(rand.Reader, time.Now(), old, next.Fingerprint())
	must(t, err)
	must(t, a.node.store.AddFormer(t.Context(), "a.test", first, old.CA().DER()))
	_, err = a.node.accept(t.Context(), word.Statement().Marshal())
	must(t, err)
	must(t, a.end())

	m.again("a.test")
	if is := a.node.authority().CA().Fingerprint(); is != first {
		t.Errorf("%s is in office", is)
	}
	m.followed("a.test", first, "b.test")
	done, err := m.rotate("a.test", RoleCA)
	must(t, err)
	if done.Is != fresh.CA().Fingerprint() || done.Resumed {
		t.Errorf("%+v", done)
	}
	m.followed("a.test", done.Is, "b.test")
	if p, _ := m.nodes["b.test"].node.beliefs.pin(a.domain); p.next != next.Fingerprint() {
		t.Error("the new key has committed to nothing that can be")
	}

	// The node has done it, and the command ended before the file was written.
	m.rewrite("a.test", func(o *Offline) { o.Next, o.after = a.kept.Next, &next })
	again, err := m.rotate("a.test", RoleCA)
	must(t, err)
	if !again.Resumed || again.Is != done.Is {
		t.Errorf("%+v", again)
	}
	third, err := m.rotate("a.test", RoleCA)
	must(t, err)
	if third.Is != next.Fingerprint() {
		t.Errorf("%+v", third)
	}
	m.followed("a.test", third.Is, "b.test")
	m.quiet("a.test", "b.test")

	// The file of the authority was written, and the rest was not: it is made at the start.
	must(t, a.end())
	o, err := ReadOffline(a.file, a.words)
	must(t, err)
	fresh, _, err = o.Next.Succeed(rand.Reader, time.Now(), m.authority("a.test"), pki.Fingerprint{})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a.dir, keysFolder, authorityFile), fresh.Marshal(), 0o600))
	m.again("a.test")
	d, err := (keyserver.Client{Dial: m.nodes["b.test"].node.dial}).Server(t.Context(), m.endpoint("a.test"), a.domain)
	if must(t, err); d.CA.Fingerprint() != fresh.CA().Fingerprint() {
		t.Error("the old descriptor is still there")
	}
}

// again starts the node of a domain anew, where it was.
func (m *mesh) again(domain string) {
	m.t.Helper()
	n := m.nodes[domain]
	path := filepath.Join(n.dir, ConfigFile)
	c, err := ReadConfig(path)
	must(m.t, err)
	c.Listen = Listen{Link: n.running.Link, KeyServer: n.running.KeyServer}
	must(m.t, os.WriteFile(path, []byte(c.Text()), 0o600))
	n.start()
}

// rewrite changes what is in the file that the operator of a domain took away.
func (m *mesh) rewrite(domain string, change func(*Offline)) Offline {
	m.t.Helper()
	n := m.nodes[domain]
	o, err := ReadOffline(n.file, n.words)
	must(m.t, err)
	change(&o)
	must(m.t, o.write(n.file, n.words))
	return o
}

// Another offline root follows by the word of the one before; it may then end names and, if
// need be, name who follows the authority.
func TestRotateRoot(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	was := m.authority("a.test").Commitment()
	done, err := m.rotate("a.test", RoleOffline)
	must(t, err)
	if is := m.authority("a.test").Commitment(); done.Was != was.Root || done.Is != is.Root || is.Root == was.Root || is.Next != was.Next {
		t.Errorf("%+v %+v", done, is)
	}
	stolen, err := m.rotate("a.test", RoleCA, func(r *Rotation) { r.Stolen = true })
	must(t, err)
	m.followed("a.test", stolen.Is, "b.test")
	m.quiet("a.test", "b.test")
	b := m.nodes["b.test"].node // which has pinned the new root with the new key
	known, err := b.known(t.Context(), m.nodes["a.test"].domain)
	must(t, err)
	if known.Root != done.Is || !slices.Equal(known.FormerRoots, []pki.Fingerprint{done.Was}) || len(known.Former) != 0 || len(known.Lost) != 1 {
		t.Errorf("known is the root %v, before it %v; %d authorities, %d lost", known.Root, known.FormerRoots, len(known.Former), len(known.Lost))
	}
}

// A key hands over along the line, as far as the offline root had no hand in it.
func TestHandsOver(t *testing.T) {
	a := parse(t, pki.ParseDomain, "a.test")
	var all []pki.SignedSuccession
	root, err := pki.NewOfflineRoot(rand.Reader)
	must(t, err)
	first, err := pki.NewAuthority(rand.Reader, a, time.Now())
	must(t, err)
	first, err = first.Commit(pki.Fingerprint{}, root.Fingerprint())
	must(t, err)
	line := []*pki.Authority{first}
	for i := range 4 {
		next, err := pki.NewSuccessor(rand.Reader)
		must(t, err)
		was := line[len(line)-1]
		is, s, err := next.Succeed(rand.Reader, time.Now(), was, pki.Fingerprint{})
		if i == 1 {
			is, s, err = next.SucceedByRoot(rand.Reader, time.Now(), was.Commitment(), pki.Fingerprint{}, root)
		}
		must(t, err)
		line, all = append(line, is), append(all, s)
	}
	key := func(i int) pki.Fingerprint { return line[i].CA().Fingerprint() }
	for i, want := range [][]pki.Fingerprint{{}, {key(0)}, {}, {key(2)}, {key(3), key(2)}} {
		if got := before(all, key(i)); !slices.Equal(got, want) {
			t.Errorf("before key %d: %v, want %v", i, got, want)
		}
	}
}

// Whoever asks for another key and goes away leaves no half of a change.
func TestRotateDetached(t *testing.T) {
	m := newMesh(t, "a.test")
	n := m.nodes["a.test"].node
	mux := http.NewServeMux()
	n.handleRotate(t.Context(), mux)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, role := range []Role{RoleServer, RoleContext} {
		server, own := m.published("a.test"), n.contexts(t)
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequestWithContext(gone, http.MethodPost, "/rotate/"+string(role), nil))
		if answer.Code != http.StatusOK {
			t.Errorf("%s: %d %s", role, answer.Code, answer.Body)
		}
		if role == RoleServer && m.published("a.test") == server {
			t.Error("the descriptor has the old server key")
		}
		if role == RoleContext && n.contexts(t).Key.Public() == own.Key.Public() {
			t.Error("the router has the old context key")
		}
	}
}

// published is the server key of this period in a domain's own descriptor.
func (m *mesh) published(domain string) pki.ServerKey {
	m.t.Helper()
	d, err := m.nodes[domain].node.directory.descriptor(m.t.Context(), m.nodes[domain].domain)
	must(m.t, err)
	return d.ServerKeys[0]
}

func (n *Node) contexts(t *testing.T) mor.OwnContext {
	t.Helper()
	own, err := ask(t.Context(), n.loop, func(l *loop, _ time.Time) mor.OwnContext { return l.router.Contexts()[0] })
	must(t, err)
	return own
}

// A domain that has named no offline root so far gets one.
func TestFirstRoot(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", nil)
	plain, err := pki.NewAuthority(rand.Reader, a.domain, time.Now())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a.dir, keysFolder, authorityFile), plain.Marshal(), 0o600))
	a.start()
	r := Rotation{Dir: a.dir, Key: RoleOffline, Offline: filepath.Join(t.TempDir(), "offline.age")}
	done, err := r.Run(t.Context())
	must(t, err)
	o, err := ReadOffline(r.Offline, done.Words)
	must(t, err)
	if c := m.authority("a.test").Commitment(); c.Root != o.Root.Fingerprint() || c.Next != o.Next.Fingerprint() {
		t.Errorf("%+v", c)
	}
	d, err := a.node.directory.descriptor(t.Context(), a.domain)
	if must(t, err); d.Root != o.Root.Fingerprint() || d.Next != o.Next.Fingerprint() {
		t.Errorf("the descriptor says %s, %s", d.Root, d.Next)
	}
	_, err = r.Run(t.Context())
	wantErr(t, err, ErrWords)
	r.Words = done.Words
	r.Key = RoleCA
	_, err = r.Run(t.Context())
	must(t, err)
}

// A server key that is replaced within its week is published at once, and those before it open
// what was sent to them, also after a restart; not for ever.
func TestRotateServer(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	keys := func() []pki.ServerKey {
		d, err := a.node.directory.descriptor(t.Context(), a.domain)
		must(t, err)
		return d.ServerKeys
	}
	first := keys()
	for range maxLate {
		before := keys()
		_, err := m.rotate("a.test", RoleServer)
		must(t, err)
		if after := keys(); after[0].Period != before[0].Period || after[0].Public == before[0].Public || after[1] != first[1] {
			t.Fatal("the descriptor has not that of now, and only that, replaced")
		}
	}
	_, err := m.rotate("a.test", RoleServer)
	wantErr(t, err, ErrInput)
	k := keyring{filepath.Join(a.dir, keysFolder)}
	all, err := k.openers(time.Now())
	must(t, err)
	if len(all) != 2+maxLate || [pki.ServerKeySize]byte(all[2].Private.Public().Bytes()) != first[0].Public {
		t.Errorf("%d keys", len(all))
	}
	must(t, a.end())
	a.start()
	left, err := k.openers(time.Now().Add(2 * pki.PeriodLength))
	must(t, err)
	if files, _ := filepath.Glob(filepath.Join(k.dir, "late-*")); len(files) != 0 || len(left) != 3 {
		t.Errorf("%d keys after two periods, files %v", len(left), files)
	}
}

// ownContexts are the contexts of a node, with their secrets.
func (m *mesh) ownContexts(domain string) []mor.OwnContext {
	m.t.Helper()
	own, err := ask(m.t.Context(), m.nodes[domain].node.loop, func(l *loop, _ time.Time) []mor.OwnContext { return l.router.Contexts() })
	must(m.t, err)
	return own
}

// A context that gets another key is told of under it at once; the key before is kept, also on
// the disk.
func TestRotateContext(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a := m.nodes["a.test"]
	contexts := func() mor.OwnContext { return m.ownContexts("a.test")[0] }
	first := contexts()
	for range mor.MaxFormer {
		before := contexts()
		_, err := m.rotate("a.test", RoleContext)
		must(t, err)
		after := contexts()
		if after.ID != first.ID || after.Key.Public() == before.Key.Public() || after.Hint == before.Hint || after.Former[0].Key.Public() != before.Key.Public() {
			t.Fatalf("%d former keys", len(after.Former))
		}
	}
	_, err := m.rotate("a.test", RoleContext)
	wantErr(t, err, ErrInput)
	dropped, err := a.control.DropPeer(t.Context(), m.nodes["b.test"].domain) // which needs one more
	must(t, err)
	if later := dropped.Later; !later.Equal(contexts().Former[mor.MaxFormer-1].Until) {
		t.Errorf("b.test 's keys can be replaced at %v", later)
	}
	kept, err := keyring{filepath.Join(a.dir, keysFolder)}.context(FirstContext, time.Now())
	must(t, err)
	if len(kept.Former) != mor.MaxFormer || kept.Former[mor.MaxFormer-1].Key.Public() != first.Key.Public() || kept.Key.Public() != contexts().Key.Public() {
		t.Errorf("%d former keys on the disk", len(kept.Former))
	}
	must(t, a.end())
	a.start()
	last := contexts()
	if len(last.Former) != mor.MaxFormer {
		t.Error("the former keys are gone with a restart")
	}
	must(t, a.node.tendOnce(t.Context(), time.Now(), nil))
	if contexts().Key.Public() != last.Key.Public() {
		t.Error("a key that is needed was forgotten for another")
	}
	must(t, a.node.tendOnce(t.Context(), dropped.Later.Add(time.Second), nil)) // then the restarted node makes up for the drop
	if made := contexts(); made.Key.Public() == last.Key.Public() || made.Former[0].Key.Public() != last.Key.Public() {
		t.Error("who was dropped knows the keys still")
	}
	before := contexts()
	must(t, a.node.tendOnce(t.Context(), dropped.Later.Add(time.Minute), nil))
	if contexts().Key.Public() != before.Key.Public() {
		t.Error("a drop is answered twice")
	}
}
