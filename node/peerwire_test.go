package node

import (
	"errors"
	"testing"
)

var peerMessages = []peerMessage{
	{Hello: &hello{Contexts: []contextID{{1}, {2}}, Cross: []byte("certificate")}},
	{Ask: &query{contextID{3}}},
	{Answer: &answer{contextID{4}, []byte("records")}},
	{News: &news{}},
	{Cross: &crossing{[]byte("certificate")}},
	{Since: &sinceQuery{5}},
	{Statements: &statementPage{Statements: [][]byte{[]byte("statement"), {1}}, Last: 5, More: true}},
}

// Whatever a peer says is refused without a word of it, or is one of seven messages.
func TestPeerMessageMutants(t *testing.T) {
	for _, m := range peerMessages {
		seed, err := m.marshal()
		must(t, err)
		if rewritable(t, seed) == 0 {
			t.Errorf("%s is refused", seed)
		}
		for raw := range mutants(string(seed), 2000) {
			rewritable(t, raw)
		}
	}
}

// rewritable returns 0 if raw is refused, and 1 if it is a message; then marshal writes it.
func rewritable(t *testing.T, raw []byte) int {
	t.Helper()
	m, err := parsePeerMessage(raw)
	if err != nil {
		if !errors.Is(err, errPeerMessage) || err.Error() != errPeerMessage.Error() {
			t.Errorf("err = %v", err)
		}
		return 0
	}
	again, err := m.marshal()
	must(t, err)
	if _, err := parsePeerMessage(again); err != nil {
		t.Errorf("%s became %s", raw, again)
	}
	return 1
}

func FuzzPeerMessage(f *testing.F) {
	for _, m := range peerMessages {
		seed, err := m.marshal()
		must(f, err)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { rewritable(t, raw) })
}
