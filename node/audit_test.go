package node

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// operatorFolder is where p3dod is built. TestMain removes it.
var operatorFolder = filepath.Join(os.TempDir(), fmt.Sprintf("p3dod-for-tests-%d", os.Getpid()))

// operatorProgram is p3dod, built once.
var operatorProgram = sync.OnceValues(func() (string, error) {
	if err := os.Mkdir(operatorFolder, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(operatorFolder, "p3dod")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/p3dod").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// keysAudit has the operator of a node type p3dod keys audit.
func (m *mesh) keysAudit(at string, args ...string) string {
	m.t.Helper()
	program, err := operatorProgram()
	must(m.t, err)
	out, err := exec.CommandContext(m.t.Context(), program, append([]string{"keys", "audit", "--dir", m.nodes[at].dir}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// fetched is what a key server answers to anybody, once it answers well.
func (m *mesh) fetched(domain, target string) (body []byte) {
	m.t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	m.until(domain+" to answer "+target, func() error {
		r, err := client.Get("https://" + m.nodes[domain].running.KeyServer + target)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", r.Status)
		}
		body, err = io.ReadAll(r.Body)
		return err
	})
	return body
}

// evidence is a folder that p3dod keys audit wrote, and is read as other tools read it.
type evidence struct {
	t      *testing.T
	dir    string
	policy torchwood.Policy
}

// audited waits until a round of audits finds something of this kind at e.test, and returns the
// evidence. looks are those at the log since it was begun to show it.
func (m *mesh) audited(t *testing.T, at, kind, words string, looks *atomic.Int64) evidence {
	t.Helper()
	began, n := time.Now(), m.nodes[at].node
	m.until(at+" to find a "+kind, func() error {
		if !m.finds(at, kind) {
			return fmt.Errorf("%d looks", looks.Load())
		}
		return nil
	})
	took, count := time.Since(began).Round(time.Millisecond), looks.Load()
	t.Logf("a %s is found after %v, at look %d; rounds are %v apart at a mean", kind, took, count, n.mirrors.every)
	if count > 2 { // one may have been on its way
		t.Errorf("found at look %d", count)
	}
	dir := t.TempDir()
	line := kind + "  e.test: " + words
	if said := m.keysAudit(at); !strings.Contains(said, line) {
		t.Errorf("p3dod keys audit says nothing like %q:\n%s", line, said)
	}
	m.keysAudit(at, "--evidence", dir)
	e := evidence{t: t, dir: filepath.Join(dir, "e.test."+kind)}
	var err error
	e.policy, err = torchwood.ParsePolicy(e.read("log.policy"))
	must(t, err)
	e.checkpoint("newest.checkpoint")
	return e
}

func (e evidence) read(name string) []byte {
	e.t.Helper()
	raw, err := os.ReadFile(filepath.Join(e.dir, name))
	must(e.t, err)
	return raw
}

func (e evidence) checkpoint(name string) tlog.Tree {
	e.t.Helper()
	c, _, err := torchwood.VerifyCheckpoint(e.read(name), e.policy)
	must(e.t, err)
	if c.Origin != "e.test/p3do/log" {
		e.t.Errorf("%s is of %s", name, c.Origin)
	}
	return c.Tree
}

// proven verifies that a leaf is in the log.
func (e evidence) proven(name string) []byte {
	e.t.Helper()
	leaf := e.read(name + ".leaf")
	must(e.t, torchwood.VerifyProof(e.policy, tlog.RecordHash(leaf), e.read(name+".proof")))
	return leaf
}

// forkEvidence verifies what p3dod keys audit writes of a fork of e.test's log.
func (m *mesh) forkEvidence(t *testing.T, at string) {
	t.Helper()
	if said := m.keysAudit(at); !strings.Contains(said, "\nfrozen  e.test: e.test signed two logs of ") {
		t.Errorf("p3dod keys audit says nothing of the fork:\n%s", said)
	}
	dir := t.TempDir()
	m.keysAudit(at, "--evidence", dir)
	e := evidence{t: t, dir: filepath.Join(dir, "e.test")}
	var heads [2]tlog.Tree
	for i, name := range []string{"first", "second"} {
		var err error
		e.policy, err = torchwood.ParsePolicy(e.read(name + ".policy"))
		must(t, err)
		heads[i] = e.checkpoint(name + ".checkpoint")
	}
	if heads[0].N != heads[1].N || heads[0].Hash == heads[1].Hash {
		t.Errorf("they do not contradict each other: %v", heads)
	}
}

// mended shows what is honest again, until nothing is found.
func (m *mesh) mended(at, kind string) {
	m.t.Helper()
	m.until(at+" to find nothing", func() error {
		if m.finds(at, kind) {
			return fmt.Errorf("a %s", kind)
		}
		return nil
	})
}

// finds tells whether a finding of that kind goes on, of e.test.
func (m *mesh) finds(at, kind string) bool {
	return m.nodes[at].node.findings.goesOn(m.nodes["e.test"].domain, kind)
}

// evil is a log as it is, beside which other answers are given, and whose looks are counted.
func (l *evilLog) evil(t testing.TB, change map[string][]byte, leaves ...string) *evilLog {
	other := l.fork().add(t, leaves...)
	other.answers, other.looks = maps.Clone(l.answers), new(atomic.Int64)
	maps.Copy(other.answers, change)
	return other
}

// annAtE is a mesh of e.test, whose user ann is, and a peer that has a copy of her card.
func annAtE(t *testing.T) (*mesh, *user) {
	t.Helper()
	m := newMesh(t, "e.test", "x.test")
	m.federate("e.test", "x.test")
	ann := m.user("ann@e.test")
	_, err := keyserver.Client{Dial: dial.Direct()}.User(t.Context(), m.endpoint("x.test"), ann.name)
	must(t, err)
	return m, ann
}

const (
	proofOfAnn = "/v1/proof/user/ann@e.test"
	proofOfE   = "/v1/proof/server/e.test"
)

// A key server that goes back to an older head is found in the next round. The evidence has both
// heads, and the way from one to the other.
func TestAuditFindsRollback(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "e.test", "x.test")
	m.federate("e.test", "x.test")
	log := m.evilLog("e.test").add(t, "one", "two", "three")
	shown := m.takeOver("e.test", log)
	m.mirrored("e.test", log.size(), "x.test")
	older := log.fork()
	older.leaves, older.looks = older.leaves[:2], new(atomic.Int64)
	shown.Store(older)
	e := m.audited(t, "x.test", witness.Rollback, fmt.Sprintf("its key server shows 2 leaves of its log, and it has signed %d", log.size()), older.looks)
	newest, was := e.checkpoint("newest.checkpoint"), e.checkpoint("shown.checkpoint")
	var proof tlog.TreeProof
	for _, line := range strings.Fields(string(e.read("proof"))) {
		h, err := tlog.ParseHash(line)
		must(t, err)
		proof = append(proof, h)
	}
	must(t, tlog.CheckTree(proof, newest.N, newest.Hash, was.N, was.Hash))
	must(t, m.nodes["x.test"].end()) // and the operator may look later
	m.nodes["x.test"].start()
	if all, err := m.nodes["x.test"].control.Findings(t.Context()); err != nil || len(all) != 1 || all[0].Kind != witness.Rollback {
		t.Errorf("%+v, %v", all, err)
	}
	shown.Store(log)
	m.mended("x.test", witness.Rollback)
	m.noted("x.test", "e.test", EventLog, 1)
}

// A key server that hides leaves under a head that it signed, or answers a record that it cannot
// prove to be in the log, is found in the next round.
func TestAuditFindsOmission(t *testing.T) {
	t.Parallel()
	m, ann := annAtE(t)
	good := map[string][]byte{proofOfAnn: m.fetched("e.test", proofOfAnn), proofOfE: m.fetched("e.test", proofOfE)}
	never := ann.card(7).Raw() // signed, and not in the log
	length := binary.BigEndian.Uint16(good[proofOfAnn])
	forged := append(binary.BigEndian.AppendUint16(nil, uint16(len(never))), never...)
	forged = append(forged, good[proofOfAnn][2+length:]...)
	log := m.evilLog("e.test")
	log.answers = good
	shown := m.takeOver("e.test", log)

	hiding := log.evil(t, nil, "one more")
	hiding.hides = true
	shown.Store(hiding)
	e := m.audited(t, "x.test", witness.Omission, fmt.Sprintf("its key server does not show the %d leaves that it has signed", hiding.size()), hiding.looks)
	if n := e.checkpoint("shown.checkpoint").N; n != hiding.size() {
		t.Errorf("evidence of %d leaves", n)
	}
	shown.Store(log)
	m.mended("x.test", witness.Omission)

	lying := log.evil(t, map[string][]byte{proofOfAnn: forged})
	shown.Store(lying)
	e = m.audited(t, "x.test", witness.Omission, "its key server answers a record with a proof that does not hold", lying.looks)
	if !bytes.Equal(e.read("answer.record"), never) {
		t.Error("another record")
	}
	if err := torchwood.VerifyProof(e.policy, tlog.RecordHash(never), e.read("answer.proof")); err == nil {
		t.Error("the proof holds")
	}
	deaf := log.evil(t, nil)
	delete(deaf.answers, proofOfAnn) // which mends nothing
	shown.Store(deaf)
	m.until("two rounds", func() error {
		if deaf.looks.Load() < 3 {
			return errors.New("they are not over")
		}
		return nil
	})
	if !m.finds("x.test", witness.Omission) {
		t.Error("who answers no more is taken for honest")
	}
	shown.Store(log)
	m.mended("x.test", witness.Omission)

	silent := log.evil(t, map[string][]byte{"/v1/user/ann@e.test": never})
	delete(silent.answers, proofOfAnn)
	shown.Store(silent)
	e = m.audited(t, "x.test", witness.Omission, "its key server answers a record, and does not prove that it is in its log", silent.looks)
	if !bytes.Equal(e.read("answer.record"), never) {
		t.Error("another record")
	}
	m.noted("x.test", "e.test", EventLog, 3)
	m.noted("x.test", "e.test", EventForked, 0)
}

// A key server that answers an older card, with a proof that holds, when the log has a newer one, is
// found in the next round. The evidence has both entries, under one label.
func TestAuditFindsStale(t *testing.T) {
	t.Parallel()
	m, ann := annAtE(t)
	old, of := m.fetched("e.test", proofOfAnn), m.fetched("e.test", proofOfE)
	must(t, ann.client.Publish(t.Context(), ann.card(2).Raw()))
	m.until("the newer card to be proven", func() error {
		if bytes.Equal(m.fetched("e.test", proofOfAnn), old) {
			return fmt.Errorf("it is the older")
		}
		return nil
	})
	log := m.evilLog("e.test")
	log.answers = map[string][]byte{proofOfAnn: m.fetched("e.test", proofOfAnn), proofOfE: of}
	shown := m.takeOver("e.test", log)
	m.mirrored("e.test", log.size(), "x.test")
	stale := log.evil(t, map[string][]byte{proofOfAnn: old})
	shown.Store(stale)
	e := m.audited(t, "x.test", witness.Stale, "its key server answers entry ", stale.looks)
	was, is := e.proven("answer"), e.proven("newer")
	if !bytes.Equal(was[9:41], is[9:41]) || bytes.Equal(was, is) || bytes.Contains(e.read("README.txt"), []byte("ann")) {
		t.Errorf("of other labels, or with a name: %x, %x", was, is)
	}
	shown.Store(log)
	m.mended("x.test", witness.Stale)
	m.noted("x.test", "e.test", EventLog, 1)
}

// A key server that does not answer audits, as one that answers only others may, is found while its node is there, and not while
// that is away.
func TestAuditFindsSilence(t *testing.T) {
	t.Parallel()
	m, _ := annAtE(t)
	x, e := m.nodes["x.test"].node, m.nodes["e.test"]
	round := func() { _ = x.mirrors.copy(t.Context(), e.domain, true) }
	m.until("a good round", func() error { return x.mirrors.copy(t.Context(), e.domain, true) })
	must(t, m.nodes["x.test"].control.Cut(t.Context(), Cut{KeyServers: true}))
	m.until("it to be found", func() error {
		round()
		if !m.finds("x.test", witness.Silent) {
			return errors.New("not yet")
		}
		return nil
	})
	if said := m.keysAudit("x.test"); !strings.Contains(said, "silent  e.test: its key server has not answered audits since 20") {
		t.Errorf("p3dod keys audit says:\n%s", said)
	}
	must(t, m.nodes["x.test"].control.Cut(t.Context(), Cut{}))
	m.until("it to be mended", func() error {
		round()
		if m.finds("x.test", witness.Silent) {
			return errors.New("it goes on")
		}
		return nil
	})
	must(t, e.end())
	m.linked("x.test", 0)
	for began := time.Now(); time.Since(began) < silentRounds*x.mirrors.every; wait(t.Context(), 50*time.Millisecond) {
		round()
	}
	if m.finds("x.test", witness.Silent) {
		t.Error("a node that is away is found silent")
	}
	m.noted("x.test", "e.test", EventLog, 1)
}

// An honest domain that publishes and goes on is accused of nothing.
func TestAuditAccusesNobody(t *testing.T) {
	t.Parallel()
	m, ann := annAtE(t)
	for serial := range uint64(5) {
		must(t, ann.client.Publish(t.Context(), ann.card(serial+2).Raw()))
		m.fetched("e.test", proofOfAnn)
		mirrors := m.nodes["x.test"].node.mirrors
		m.until("an audit", func() error {
			err := mirrors.copy(t.Context(), m.nodes["e.test"].domain, true)
			return err
		})
	}
	if all := m.nodes["x.test"].node.Findings(); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	m.noted("x.test", "e.test", EventLog, 0)
}

// One whose keys for the log were lost, and made anew, is accused of nothing: neither by who has not heard of that, nor afterwards.
func TestAuditAccusesNobodyOfLostKeys(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{labelsFile, logFile} {
		m, ann := annAtE(t)
		e, x := m.nodes["e.test"], m.nodes["x.test"].node
		e.stays(t)
		m.fetched("e.test", proofOfAnn)
		m.until("an audit", func() error { return x.mirrors.copy(t.Context(), e.domain, true) })
		before, err := x.directory.descriptor(t.Context(), e.domain)
		must(t, err)
		must(t, e.end())
		must(t, os.Remove(e.path(keysFolder, lost)))
		e.start()
		m.until("the key server to show the new keys", func() error {
			shown, err := keyserver.Client{Dial: dial.Direct()}.Server(t.Context(), m.endpoint("e.test"), e.domain)
			if err == nil && shown.Log == before.Log && shown.Labels == before.Labels {
				err = errors.New("it shows those of before")
			}
			return err
		})
		must(t, x.mirrors.audit(t.Context(), before)) // as if the descriptor had not come yet
		ann.connect("e.test")
		ann.login()
		must(t, ann.client.Publish(t.Context(), ann.card(7).Raw()))
		m.until("the new descriptor to come", func() error {
			d, err := x.directory.descriptor(t.Context(), e.domain)
			if err == nil && d.Log == before.Log && d.Labels == before.Labels {
				err = errors.New("it is that of before")
			}
			return err
		})
		m.until("another audit", func() error { return x.mirrors.copy(t.Context(), e.domain, true) })
		for _, found := range x.Findings() {
			t.Errorf("%s: %s: %s", lost, found.Kind, found.Words)
		}
	}
}

// A key server that does not come to an end with its answer holds up the log of nobody else.
func TestSlowLogHoldsUpNobody(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "e.test", "x.test", "y.test")
	m.federate("e.test", "x.test", "y.test")
	slow := m.evilLog("e.test").evil(t, nil, "one")
	slow.waits = make(chan struct{})
	defer close(slow.waits)
	m.takeOver("e.test", slow)
	m.until("x.test to look at the log of e.test", func() error {
		if slow.looks.Load() == 0 {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	before := m.evilLog("y.test").size()
	m.user("ann@y.test")
	m.mirrored("y.test", before+1, "x.test")
}

// A leaf takes the place of one of its subject and kind, and the end of a card that of this card.
func TestGaveWay(t *testing.T) {
	was := keylog.Leaf{Kind: keylog.Card, Label: keylog.Label{1}, Record: [32]byte{1}}
	for _, c := range []struct {
		leaf keylog.Leaf
		want bool
	}{
		{keylog.Leaf{Kind: keylog.Card, Label: keylog.Label{1}, Record: [32]byte{2}}, true},
		{keylog.Leaf{Kind: keylog.Ended, Label: keylog.Label{1}, Record: [32]byte{1}}, true},
		{keylog.Leaf{Kind: keylog.Ended, Label: keylog.Label{1}, Record: [32]byte{2}}, false},
		{keylog.Leaf{Kind: keylog.Challenge, Label: keylog.Label{1}, Record: [32]byte{2}}, false},
		{keylog.Leaf{Kind: keylog.Card, Label: keylog.Label{2}, Record: [32]byte{2}}, false},
	} {
		if got := (provenAnswer{in: keylog.Inclusion{Leaf: was}}).gaveWay(c.leaf); got != c.want {
			t.Errorf("%s: %t", c.leaf.Kind, got)
		}
	}
}

// What was found is bounded, outlives a restart, and is begun anew where nobody can read it.
func TestFindings(t *testing.T) {
	dir := t.TempDir()
	f, err := openFindings(dir)
	must(t, err)
	at := func(i int) witness.Finding {
		return witness.Finding{Domain: parse(t, pki.ParseDomain, fmt.Sprintf("d%d.test", i)), Kind: witness.Stale, Words: "words"}
	}
	for i := range maxFindings + 2 {
		for _, want := range []bool{true, false} {
			if fresh, err := f.add(at(i)); err != nil || fresh != want {
				t.Errorf("%d: %t, %v", i, fresh, err)
			}
		}
	}
	if fresh, err := f.add(at(0)); err != nil || !fresh {
		t.Errorf("what was forgotten for others is not told again: %t, %v", fresh, err)
	}
	must(t, f.mended(at(9).Domain, witness.Stale))
	if fresh, err := f.add(at(9)); err != nil || !fresh {
		t.Errorf("again: %t, %v", fresh, err)
	}
	must(t, f.mended(at(8).Domain, witness.Stale))
	again, err := openFindings(dir)
	must(t, err)
	if all := again.list(); len(all) != maxFindings || all[0].Domain != at(3).Domain || all[maxFindings-1].Domain != at(9).Domain {
		t.Errorf("%d findings: %+v", len(all), all)
	}
	if fresh, err := again.add(at(9)); err != nil || fresh {
		t.Errorf("after a restart: %t, %v", fresh, err)
	}
	if fresh, err := again.add(at(8)); err != nil || !fresh {
		t.Errorf("what was mended before a restart is not told again: %t, %v", fresh, err)
	}
	must(t, os.WriteFile(again.path, []byte(`[{"domain":"e.test","kind":"of later"},{"domain":"e.test","kind":"stale","mended":true}]`), 0o600))
	if f, err := openFindings(dir); err == nil || len(f.list()) != 1 || f.goesOn(parse(t, pki.ParseDomain, "e.test"), witness.Stale) {
		t.Errorf("beside a kind that is not known: %+v, %v", f.list(), err)
	}
	for _, bad := range []string{"", "{}", `[{"domain":"e.test","kind":"../x"}]`, `[{"domain":"e test","kind":"stale"}]`} {
		must(t, os.WriteFile(again.path, []byte(bad), 0o600))
		if f, err := openFindings(dir); err == nil || len(f.list()) > 0 {
			t.Errorf("%q is taken: %+v", bad, f.list())
		}
	}
}
