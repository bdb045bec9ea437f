package pki

import (
	"bytes"
	"testing"
)

// A statement is split into what was put in, and nothing else is one.
func TestStatementEnvelope(t *testing.T) {
	w := newWorld(t)
	view := must[SignedView](t)(w.home.SignView(w.view(t)))
	revocation := must[Revocation](t)(w.ann.RevokeKey(w.annCert.DER(), testNow))
	_, succession, err := w.successor.Succeed(w.rand, testNow, w.home, Fingerprint{})
	if err != nil {
		t.Fatal(err)
	}
	for kind, s := range map[StatementKind]Statement{
		StatementView: view.Statement(), StatementRevocation: revocation.Statement(), StatementSuccession: succession.Statement(),
		StatementMove: w.move(t).Statement(), StatementHead: {StatementHead, make([]byte, 100)}, StatementFork: {StatementFork, make([]byte, 100)},
		StatementChallenge: w.challenge(t).Statement(),
	} {
		raw := s.Marshal()
		got, inner, err := ParseStatement(raw)
		if err != nil || got != kind || !bytes.Equal(inner, s.Raw) || raw[0] != byte(kind) {
			t.Errorf("kind %d: %d, %v", kind, got, err)
		}
	}
	for name, raw := range map[string][]byte{
		"nothing":               nil,
		"a kind alone":          {1},
		"shorter than any":      make([]byte, SignatureSize),
		"kind 0":                make([]byte, 100),
		"kind 8":                append([]byte{8}, make([]byte, 100)...),
		"too long a challenge":  append([]byte{7}, make([]byte, MaxChallengeSize+1)...),
		"too long a head":       append([]byte{5}, make([]byte, MaxHeadSize+1)...),
		"too long a fork":       append([]byte{6}, make([]byte, MaxForkSize+1)...),
		"too long a view":       append([]byte{1}, make([]byte, MaxViewSize+1)...),
		"too long a revocation": append([]byte{2}, make([]byte, MaxRevocationSize+1)...),
		"too long a succession": append([]byte{3}, make([]byte, MaxSuccessionSize+1)...),
		"too long a move":       append([]byte{4}, make([]byte, MaxMoveSize+1)...),
	} {
		if _, _, err := ParseStatement(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
