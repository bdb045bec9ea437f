package pki

import (
	"errors"
	"fmt"
)

// A StatementKind says what a Statement is.
type StatementKind uint8

// The kinds, as they are written.
const (
	StatementView       StatementKind = 1 // CACert.VerifyView
	StatementRevocation StatementKind = 2 // ParseRevocation
	StatementSuccession StatementKind = 3 // ParseSuccession
	StatementMove       StatementKind = 4 // ParseMove

	// What is said of key logs, which this package does not read.
	StatementHead StatementKind = 5 // how far one has come: package keyserver/witness, HeadBy
	StatementFork StatementKind = 6 // that one has two histories: the same, ParseFork

	StatementChallenge StatementKind = 7 // ParseChallenge
)

// MaxHeadSize and MaxForkSize are the greatest lengths of what is said of key logs, in bytes.
const (
	MaxHeadSize = 8192
	MaxForkSize = 68 << 10
)

// MaxStatementSize is the greatest length of a marshalled Statement in bytes.
const MaxStatementSize = 1 + MaxViewSize

// A Statement is what nodes pass on to each other and to their users: a view, a revocation, a
// succession, a move, a challenge, or something about a key log, as its parser reads it.
type Statement struct {
	Kind StatementKind
	Raw  []byte
}

// Marshal writes the statement as it travels.
//
//	1  kind: 1 view, 2 revocation, 3 succession, 4 move, 5 head of a key log, 6 fork of one, 7 challenge
//	n  the statement itself
func (s Statement) Marshal() []byte {
	return append([]byte{byte(s.Kind)}, s.Raw...)
}

// ParseStatement splits what Marshal wrote. It looks at the kind and at the
// length that this kind may have, and at nothing behind: the parser of the kind
// does that. The bytes returned are those of raw, not a copy.
func ParseStatement(raw []byte) (StatementKind, []byte, error) {
	if len(raw) < 1+SignatureSize {
		return 0, nil, errors.New("pki: statement: too short for one")
	}
	kind, rest := StatementKind(raw[0]), raw[1:]
	most, known := map[StatementKind]int{
		StatementView: MaxViewSize, StatementRevocation: MaxRevocationSize, StatementSuccession: MaxSuccessionSize,
		StatementMove: MaxMoveSize, StatementHead: MaxHeadSize, StatementFork: MaxForkSize,
		StatementChallenge: MaxChallengeSize,
	}[kind]
	if !known {
		return 0, nil, fmt.Errorf("pki: statement: of unknown kind %d", kind)
	}
	if len(rest) > most {
		return 0, nil, fmt.Errorf("pki: statement: longer than %d bytes", most)
	}
	return kind, rest, nil
}
