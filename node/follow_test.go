package node

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// Who does not answer is asked again soon, without news; an answer to an earlier question is passed
// by, and takes nobody past what came after it.
func TestAsksAgain(t *testing.T) {
	m := newMesh(t, "a.test")
	z := m.rawPeers("a.test", "z.test")[0]
	view := func(serial uint64) []byte {
		v, err := m.authority("z.test").SignView(pki.View{Serial: 1<<50 + serial, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
		must(t, err)
		return v.Statement().Marshal()
	}
	for range 3 { // the link's beginning has news of its own
		z.asked()
	}
	since := int64(0)
	for range 5 { // a question may have crossed the answer
		z.say(peerMessage{Statements: &statementPage{Since: 7, Statements: [][]byte{view(1)}, Last: 1000}})
		z.say(peerMessage{Statements: &statementPage{Since: 0, Statements: [][]byte{view(2)}, Last: 2, More: true}})
		if since = z.asked(); since != 0 {
			break
		}
	}
	if since != 2 {
		t.Errorf("asked from %d", since)
	}
	row, err := m.nodes["a.test"].node.store.Statement(t.Context(), uint8(pki.StatementView), "z.test", [32]byte{})
	if must(t, err); row.Serial != 1<<50+2 {
		t.Errorf("the late one is taken: %d", row.Serial-1<<50)
	}
}

// A statement of a domain that becomes known while it is judged is asked for again.
func TestKnownMeanwhile(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	n := m.nodes["a.test"].node
	view, err := m.authority("b.test").SignView(pki.View{Serial: 1, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	must(t, err)
	raw := view.Statement().Marshal()
	at := &cursor{missed: make(map[pki.Domain]uint64)}
	then := n.directory.now()
	if _, err := n.accept(t.Context(), raw); !errors.Is(err, errUnknownDomain) {
		t.Fatal(err)
	}
	m.federate("a.test", "b.test")
	miss(at, raw, then)
	if !n.knowsMore(at) {
		t.Error("it is missed for ever")
	}
	at = &cursor{missed: make(map[pki.Domain]uint64)}
	miss(at, raw, n.directory.now())
	if n.knowsMore(at) {
		t.Error("it is asked for again and again")
	}
	p, _ := n.beliefs.pin(view.Domain)
	_, err = rand.Read(p.root[:])
	must(t, err)
	d, err := n.directory.descriptor(t.Context(), view.Domain)
	must(t, err)
	must(t, n.bench.pin(t.Context(), d, p, p, nil))
	if !n.knowsMore(at) {
		t.Error("what is pinned beside the key is no news")
	}
}

// Domains that are pinned have their own bounds only; those that are not have one together as well.
func TestRoomOfPinned(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.line("a.test", "b.test", "c.test")
	m.confirmed("a.test", "b.test", "c.test")
	n := m.nodes["a.test"].node
	for domain, all := range map[string]int64{"a.test": 0, "b.test": 0, "c.test": 0, "x.test": maxMoveBytes} {
		if room := n.room(parse(t, pki.ParseDomain, domain), 7, maxMoveBytes); room.Each != 7 || room.All != all {
			t.Errorf("%s: %+v", domain, room)
		}
	}
}
