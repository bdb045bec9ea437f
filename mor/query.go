package mor

import (
	"crypto/sha256"
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Specification constants of look-ups through the mesh (docs/spec/mor.md, "Look-ups").
const (
	// QueryVersion is the first byte of a query and of a finding.
	QueryVersion = 1
	// MaxProofSize is the greatest length in bytes of the proof in a finding.
	MaxProofSize = 2048

	// ProofOfLog is the kind of a proof that the card is in the key log of its domain: docs/spec/keylog.md, "Proofs".
	ProofOfLog = 1

	queryByName  = 1
	queryByKey   = 2
	queryObject  = 3
	findingFound = 1
	findingNone  = 2
	noProof      = 0
)

// ErrQuery is returned for a payload that is not a query of this version.
var ErrQuery = errors.New("mor: malformed query")

// ErrFinding is returned for a reply that is not a finding of this version.
var ErrFinding = errors.New("mor: malformed finding")

// QueryMailbox is the address that stands for "look this up" at every server, and is no mailbox:
// SHA-256("p3do look-up v1").
func QueryMailbox() onion.Mailbox { return sha256.Sum256([]byte("p3do look-up v1")) }

// A Query asks for the card of one name, or of one identity key, and for nothing like it; or hands in a
// challenge, whose answer is the one that is held then of its key under its name.
type Query struct {
	Name pki.Name        // zero: by Key
	Key  pki.Fingerprint // of an identity key; not looked at if there is a Name
	SURB onion.SURB      // the way back

	Challenge []byte // signed and unjudged, at most pki.MaxChallengeSize bytes: then it is that which is asked; empty: none
}

// Marshal returns the onion.PayloadSize bytes of q:
//
//	version  1      QueryVersion
//	kind     1      1 the card of a name, 2 the card of an identity key, 3 a challenge is handed in
//	surb  4864
//	length   2      of what is asked for
//	asked    n      1: the name as text; 2: the fingerprint, 32 bytes; 3: the challenge, 1 to 4096 bytes
//	zero  6280 - n
func (q Query) Marshal() []byte {
	kind, asked := uint8(queryByName), []byte(q.Name.String())
	switch {
	case len(q.Challenge) > 0:
		kind, asked = queryObject, q.Challenge
	case q.Name.IsZero():
		kind, asked = queryByKey, q.Key[:]
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, onion.PayloadSize))
	b.AddUint8(QueryVersion)
	b.AddUint8(kind)
	b.AddBytes(q.SURB.Bytes())
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(asked) })
	return padded(b.BytesOrPanic()) // unreachable panic: a name has at most pki.MaxNameSize bytes, and a challenge pki.MaxChallengeSize
}

// ParseQuery is the inverse of [Query.Marshal].
func ParseQuery(payload []byte) (q Query, err error) {
	var version, kind uint8
	var surb []byte
	var asked cryptobyte.String
	s := cryptobyte.String(payload)
	ok := len(payload) == onion.PayloadSize && s.ReadUint8(&version) && s.ReadUint8(&kind) &&
		s.ReadBytes(&surb, onion.SURBSize) && s.ReadUint16LengthPrefixed(&asked) && allZero(s)
	if !ok || version != QueryVersion {
		return Query{}, ErrQuery
	}
	if q.SURB, err = onion.ParseSURB(surb); err != nil {
		return Query{}, ErrQuery
	}
	switch {
	case kind == queryByName && len(asked) <= pki.MaxNameSize:
		q.Name, err = pki.ParseName(string(asked))
	case kind == queryByKey && len(asked) == len(q.Key):
		q.Key = pki.Fingerprint(asked)
	case kind == queryObject && len(asked) > 0 && len(asked) <= pki.MaxChallengeSize:
		q.Challenge = asked
	default:
		err = ErrQuery
	}
	if err != nil {
		return Query{}, ErrQuery
	}
	return q, nil
}

// A Finding is the answer to a Query. That there is none has the size of a card.
type Finding struct {
	Card  []byte // signed and unjudged, at most pki.MaxCardSize bytes, or a challenge; empty: there is none here
	Proof Proof
}

// A Proof is what a server shows for a finding beside its signature. Whoever does not know a kind
// passes it over.
type Proof struct {
	Kind  uint8  // 0: there is none; ProofOfLog
	Bytes []byte // at most MaxProofSize
}

// Marshal returns the onion.PayloadSize bytes of f:
//
//	version  1      QueryVersion
//	status   1      1 found, 2 none
//	length   2      of the card; none: 0
//	card     n
//	kind     1      of the proof; 0: there is none
//	length   2      of the proof
//	proof    m
//	zero  11141 - n - m
//
// It refuses what would not be parsed with ErrFinding.
func (f Finding) Marshal() ([]byte, error) {
	if !f.valid() {
		return nil, ErrFinding
	}
	status := uint8(findingFound)
	if len(f.Card) == 0 {
		status = findingNone
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, onion.PayloadSize))
	b.AddUint8(QueryVersion)
	b.AddUint8(status)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(f.Card) })
	b.AddUint8(f.Proof.Kind)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(f.Proof.Bytes) })
	return padded(b.BytesOrPanic()), nil // unreachable panic: both lengths were looked at
}

func (f Finding) valid() bool {
	return len(f.Card) <= pki.MaxCardSize && len(f.Proof.Bytes) <= MaxProofSize &&
		(f.Proof.Kind != noProof || len(f.Proof.Bytes) == 0)
}

// ParseFinding is the inverse of [Finding.Marshal].
func ParseFinding(payload []byte) (f Finding, err error) {
	var version, status uint8
	var card, proof cryptobyte.String
	s := cryptobyte.String(payload)
	ok := len(payload) == onion.PayloadSize && s.ReadUint8(&version) && s.ReadUint8(&status) &&
		s.ReadUint16LengthPrefixed(&card) && s.ReadUint8(&f.Proof.Kind) && s.ReadUint16LengthPrefixed(&proof) && allZero(s)
	f.Card, f.Proof.Bytes = card, proof
	switch {
	case !ok || version != QueryVersion || !f.valid(),
		status != findingFound && status != findingNone,
		(status == findingFound) != (len(card) > 0):
		return Finding{}, ErrFinding
	}
	return f, nil
}

// padded is b with zeros behind it, onion.PayloadSize bytes in all.
func padded(b []byte) []byte { return append(b, make([]byte, onion.PayloadSize-len(b))...) }

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
