package node

import (
	"os"
	"path/filepath"
	"testing"

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

func lostKey(r *Rotation) { r.Lost = true }

// An authority whose key is gone is followed by the key that it had committed itself to, by that
// one's own word; everybody follows, and countersigns, without hands. It can be done twice, and
// from nothing but the offline file and the configuration; and the key after it, as always.
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
	other, err := NewOffline(m.nodes["a.test"].domain, pki.Fingerprint{1})
	must(t, err)
	m.rewrite("a.test", func(o *Offline) { *o = other })
	_, err = m.rotate("a.test", RoleCA, lostKey)
	wantErr(t, err, ErrInput)
	wantText(t, err, "is not the one that goes with the key that is lost")
	_, err = m.rotate("a.test", RoleCA, lostKey, func(r *Rotation) { r.Old = pki.Fingerprint{2} })
	wantErr(t, err, ErrInput)
	wantText(t, err, "by the database of the node")
	m.lose("a.test", true)
	_, err = m.rotate("a.test", RoleCA, lostKey, func(r *Rotation) { r.Old = pki.Fingerprint{2} })
	wantErr(t, err, ErrInput)
	wantText(t, err, "and --old is another")
	if _, err := (Rotation{Dir: m.nodes["a.test"].dir}).keys().authority(); err == nil {
		t.Error("an authority was written")
	}
	if o := m.rewrite("a.test", func(*Offline) {}); o.after != nil || o.Next.Fingerprint() == (pki.Fingerprint{}) {
		t.Error("the offline file was changed")
	}
}

// Without the database nobody is asked which key was lost, and so nobody can lie: the offline file
// knows it, or the operator has to say it. If what she said was wrong the same file serves again.
func TestRotateLostAsksNobody(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.confirmed("a.test", "b.test")
	a := m.offline("a.test")
	was, wrong := m.authority("a.test").CA().Fingerprint(), pki.Fingerprint{7}
	_, record, err := Record(a.dir)
	must(t, err)
	m.lose("a.test", true)
	record.Fingerprint = wrong // and with the successor that everybody can read
	must(t, m.dns.Set(a.domain, record))
	held := m.rewrite("a.test", func(o *Offline) { o.Key = pki.Fingerprint{} })
	_, err = m.rotate("a.test", RoleCA, lostKey)
	wantErr(t, err, ErrOld)
	say := func(key pki.Fingerprint) func(*Rotation) { return func(r *Rotation) { r.Old = key } }
	first, err := m.rotate("a.test", RoleCA, lostKey, say(wrong))
	must(t, err)
	_, err = m.rotate("a.test", RoleCA, lostKey, say(was))
	wantErr(t, err, ErrInput)
	wantText(t, err, "To try it with another key move ")
	m.lose("a.test", true)
	second, err := m.rotate("a.test", RoleCA, lostKey, say(was))
	must(t, err)
	if first.Was != wrong || second.Was != was || first.Is != second.Is || second.Is != held.Next.Fingerprint() {
		t.Errorf("%+v\n%+v", first, second)
	}
	m.again("a.test")
	m.followed("a.test", second.Is, "b.test")
}

// An offline file knows whom its successor is to follow, from when it was made; and after a theft
// the operator has to confirm it, for an older copy might put the stolen key back into office.
func TestRotateLostByTheFile(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test")
	m.offline("a.test")
	was := m.authority("a.test").CA().Fingerprint()
	m.lose("a.test", true)
	stolen := func(r *Rotation) { r.Lost, r.Stolen = true, true }
	_, err := m.rotate("a.test", RoleCA, stolen)
	wantErr(t, err, ErrOld)
	wantText(t, err, was.String())
	done, err := m.rotate("a.test", RoleCA, lostKey)
	must(t, err)
	if done.Was != was {
		t.Errorf("%+v", done)
	}
	m.lose("a.test", true) // the one that followed is stolen as well: not that one again
	next, err := m.rotate("a.test", RoleCA, stolen, func(r *Rotation) { r.Old = done.Is })
	must(t, err)
	if next.Was != done.Is || next.Is == done.Is {
		t.Errorf("%+v after %+v", next, done)
	}
}
