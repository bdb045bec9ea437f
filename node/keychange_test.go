package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// relog has a domain's log go on by another key, and waits until others know. It returns the
// descriptor that named the key before.
func (m *mesh) relog(domain string, by ...string) pki.SignedDescriptor {
	m.t.Helper()
	n := m.nodes[domain]
	was, err := n.node.directory.descriptor(m.t.Context(), n.domain)
	must(m.t, err)
	must(m.t, n.end())
	must(m.t, os.Remove(filepath.Join(n.dir, keysFolder, logFile)))
	m.again(domain)
	for _, at := range by {
		m.until(at+" to hear of the other log key", func() error {
			if is, _ := m.nodes[at].node.directory.find(n.domain); is.log != n.node.logging.log.Public() {
				return errors.New("it knows the former one")
			}
			return nil
		})
	}
	return was
}

// rekeyed is a log that goes on by the key that its domain has now.
func (m *mesh) rekeyed(l *evilLog) *evilLog {
	m.t.Helper()
	of, err := keyring{filepath.Join(m.nodes[l.domain.String()].dir, keysFolder)}.logging()
	must(m.t, err)
	other := l.fork()
	other.key = of.log
	return other
}

// A log that changes its key and its history at once is found out all the same, by what peers
// cosigned before, in a head of as many leaves and of more.
func TestForkOverAnotherLogKey(t *testing.T) {
	for name, leaves := range map[string][]string{
		"as many": {"one", "two", "drei"}, "more": {"one", "zwei", "drei", "vier", "fünf"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t, "e.test", "x.test", "y.test")
			m.federate("e.test", "x.test", "y.test")
			m.settled("x.test", "y.test", "e.test")
			base := m.evilLog("e.test")
			m.relog("e.test", "x.test", "y.test")
			log := m.rekeyed(base)
			m.takeOverAgain("e.test", log, leaves)
		})
	}
}

// takeOverAgain shows peers a log, then has its domain name another key, and shows another log by
// that.
func (m *mesh) takeOverAgain(domain string, log *evilLog, leaves []string) {
	t := m.t
	t.Helper()
	first := log.fork().add(t, "one", "two", "three")
	for _, at := range []string{"x.test", "y.test"} {
		_, err := m.cosigns(at, first)
		must(t, err)
	}
	was := m.relog(domain, "x.test", "y.test")
	second := m.rekeyed(log).add(t, leaves...)
	m.takeOver(domain, second)
	if _, err := m.cosigns("x.test", second); err == nil {
		t.Error("another history is cosigned")
	}
	m.forked(domain, "x.test", "y.test")
	f, err := witness.ParseFork(m.held("y.test", pki.StatementFork)[0].Raw)
	must(t, err)
	if f.Descriptors[0].Log != was.Log && f.Descriptors[1].Log != was.Log || f.Descriptors[0].Log == f.Descriptors[1].Log {
		t.Error("it is not by two keys")
	}
}

// headsBy are two heads of as many leaves that contradict each other, by a key that a descriptor
// names.
func headsBy(t testing.TB, d pki.SignedDescriptor, log *evilLog) (heads [2]store.Head) {
	t.Helper()
	for i := range heads {
		h, err := witness.HeadBy(d, log.fork().add(t, fmt.Sprint("way ", i)).head(t))
		must(t, err)
		heads[i] = h
	}
	return heads
}

// Who stole a log key when another had taken its place proves nothing by it, alone or beside what
// the domain signs now. By the key in office it would.
func TestFormerLogKeyFreezesNobody(t *testing.T) {
	m := newMesh(t, "e.test", "x.test", "y.test")
	m.federate("e.test", "x.test", "y.test")
	m.settled("x.test", "y.test", "e.test")
	stolen := m.evilLog("e.test")
	was := m.relog("e.test", "x.test", "y.test")
	x, e := m.nodes["x.test"].node, m.nodes["e.test"].node
	is, err := e.directory.descriptor(t.Context(), e.cfg.Domain)
	must(t, err)
	now := m.rekeyed(stolen)
	good, err := witness.HeadBy(is, now.fork().add(t, "true").head(t))
	must(t, err)
	thief := headsBy(t, was, stolen)
	for _, heads := range [][2]store.Head{thief, {thief[0], good}} {
		f, err := witness.NewFork(heads, nil)
		must(t, err)
		for _, at := range []*Node{x, e} {
			if fresh, err := at.acceptFork(t.Context(), f.Marshal()); fresh || !errors.Is(err, witness.ErrUnwitnessed) || at.frozen(e.cfg.Domain) {
				t.Errorf("frozen by a former key: %v, %v", fresh, err)
			}
		}
	}
	f, err := witness.NewFork(headsBy(t, is, now), nil)
	must(t, err)
	if fresh, err := x.acceptFork(t.Context(), f.Marshal()); err != nil || !fresh || !x.frozen(e.cfg.Domain) {
		t.Errorf("by the key in office: %v, %v", fresh, err)
	}
}

// A fork that was proven under the authority before is one under the next, for who had taken it
// and for who hears of it only then. What the offline root had to replace proves nothing.
func TestForksAcrossAuthorities(t *testing.T) {
	m := newMesh(t, "e.test", "x.test", "y.test")
	m.federate("e.test", "x.test", "y.test")
	m.confirmed("e.test", "x.test", "y.test")
	x, domain := m.nodes["x.test"].node, m.nodes["e.test"].domain
	was, err := x.directory.descriptor(t.Context(), domain)
	must(t, err)
	f, err := witness.NewFork(headsBy(t, was, m.evilLog("e.test")), nil)
	must(t, err)
	done, err := m.rotate("e.test", RoleCA)
	must(t, err)
	m.followed("e.test", done.Is, "x.test", "y.test")
	fresh, err := x.acceptFork(t.Context(), f.Marshal())
	if err != nil || !fresh {
		t.Fatalf("by the authority before: %v, %v", fresh, err)
	}
	x.tell()
	m.forked("e.test", "x.test", "y.test")

	m2 := newMesh(t, "e.test", "x.test", "y.test")
	m2.federate("e.test", "x.test", "y.test")
	m2.confirmed("e.test", "x.test", "y.test")
	x, y := m2.nodes["x.test"].node, m2.nodes["y.test"].node
	if was, err = x.directory.descriptor(t.Context(), domain); err != nil {
		t.Fatal(err)
	}
	f, err = witness.NewFork(headsBy(t, was, m2.evilLog("e.test")), nil)
	must(t, err)
	done, err = m2.rotate("e.test", RoleCA, func(r *Rotation) { r.Stolen = true })
	must(t, err)
	m2.followed("e.test", done.Is, "x.test", "y.test")
	for _, at := range []*Node{x, y} {
		if _, err := at.acceptFork(t.Context(), f.Marshal()); !errors.Is(err, witness.ErrAuthority) || at.frozen(domain) {
			t.Errorf("by a key that was stolen: %v", err)
		}
	}
}
