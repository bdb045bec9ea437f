package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/pki"
)

// lose has the key of a domain lost while it does not serve, and all of its folder but the
// configuration if that is so.
func (m *mesh) lose(domain string, all bool) {
	m.t.Helper()
	n := m.nodes[domain]
	must(m.t, n.end())
	if !all {
		must(m.t, os.Remove(filepath.Join(n.dir, keysFolder, authorityFile)))
		return
	}
	must(m.t, os.RemoveAll(filepath.Join(n.dir, keysFolder)))
	for _, file := range []string{"", "-wal", "-shm"} {
		must(m.t, os.RemoveAll(filepath.Join(n.dir, databaseFile+file)))
	}
}

func lostKey(r *Rotation) { r.Lost, r.Dial = true, dial.Direct() }

// An authority whose key is gone is followed by the key that it had committed itself to, by that
// one's own word; everybody follows, and countersigns, without hands. It can be done twice, and
// from nothing but the offline file, the configuration and DNS; and the key after it, as always.
func TestRotateLost(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	a := m.nodes["a.test"]
	was := m.authority("a.test").CA().Fingerprint()
	if _, err := m.rotate("a.test", RoleCA, lostKey); err == nil {
		t.Error("it serves")
	}
	must(t, a.end())
	_, err := m.rotate("a.test", RoleCA, lostKey)
	wantErr(t, err, ErrInput)
	wantText(t, err, "is not lost")

	m.lose("a.test", false)
	o, err := ReadOffline(a.file, a.words)
	must(t, err)
	first, err := m.rotate("a.test", RoleCA, lostKey)
	must(t, err)
	if first.Was != was || first.Is != o.Next.Fingerprint() {
		t.Errorf("%+v", first)
	}
	m.rewrite("a.test", func(now *Offline) { // as if it had ended before that
		after := now.Next
		now.after, now.Next = &after, o.Next
	})
	if again, err := m.rotate("a.test", RoleCA, lostKey); err != nil || !again.Resumed || again.Is != first.Is {
		t.Errorf("%+v %v", again, err)
	}
	m.again("a.test")
	m.followed("a.test", first.Is, "b.test", "c.test")
	m.mutual("b.test", "a.test", first.Is)
	m.mutual("a.test", "b.test", m.authority("b.test").CA().Fingerprint())

	second, err := m.rotate("a.test", RoleCA)
	must(t, err)
	m.followed("a.test", second.Is, "b.test", "c.test")
	_, record, err := Record(a.dir)
	must(t, err)
	must(t, m.dns.Set(a.domain, record))

	m.lose("a.test", true)
	third, err := m.rotate("a.test", RoleCA, lostKey)
	must(t, err)
	if third.Was != second.Is {
		t.Errorf("%+v", third)
	}
	m.again("a.test")
	m.followed("a.test", third.Is, "b.test", "c.test")
	m.quiet("a.test", "b.test", "c.test")
}

// An offline file that does not go with the key that is lost is refused, and nothing is written.
func TestRotateLostByAnother(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test")
	m.offline("a.test")
	m.lose("a.test", false)
	other, err := NewOffline(m.nodes["a.test"].domain)
	must(t, err)
	m.rewrite("a.test", func(o *Offline) { *o = other })
	for _, all := range []bool{false, true} {
		if all {
			m.lose("a.test", true)
		}
		_, err = m.rotate("a.test", RoleCA, lostKey)
		wantErr(t, err, ErrInput)
		wantText(t, err, "is not the one that goes with the key that is lost")
	}
	if _, err := (Rotation{Dir: m.nodes["a.test"].dir}).keys().authority(); err == nil {
		t.Error("an authority was written")
	}
	if o := m.rewrite("a.test", func(*Offline) {}); o.after != nil || o.Next.Fingerprint() == (pki.Fingerprint{}) {
		t.Error("the offline file was changed")
	}
}
