package keylog

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"
)

// Kind says what a leaf commits to.
type Kind uint8

const (
	Card       Kind = 1 // a user's signed card; the subject is her name
	Authority  Kind = 2 // SubjectPublicKeyInfo of the domain's CA key: the hash is its fingerprint; the subject is the domain
	Revocation Kind = 3 // a signed revocation; the subject is the name in it
	Challenge  Kind = 4 // a user's signed word against an entry for her name, which is the subject
	Ended      Kind = 5 // the user's card that was taken away; the subject is her name
)

// String names the kind as the specification does.
func (k Kind) String() string {
	switch k {
	case Card:
		return "card"
	case Authority:
		return "authority"
	case Revocation:
		return "revocation"
	case Challenge:
		return "challenge"
	case Ended:
		return "ended"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) known() bool { return k >= Card && k <= Ended }

// LeafSize is the length of a leaf in bytes.
const LeafSize = 1 + 8 + LabelSize + 32 + 32

// maxTime is where the time of a leaf ends: the year 9999.
const maxTime = 253402300799

var errLeaf = errors.New("keylog: malformed leaf")

// Leaf is one entry of a log.
type Leaf struct {
	Kind   Kind
	Time   time.Time // when it was added, in seconds: what the domain says
	Label  Label
	Record [32]byte // SHA-256 of the record
	Labels [32]byte // public key under which the label is the subject's (vrf-r255): so a log says to all by which keys its labels are
}

// Bytes returns the 105 bytes that are hashed into the tree. A time out of bounds is written as the
// nearest good one.
func (l Leaf) Bytes() []byte {
	var b cryptobyte.Builder
	b.AddUint8(uint8(l.Kind))
	b.AddUint64(uint64(min(max(l.Time.Unix(), 0), maxTime)))
	b.AddBytes(l.Label[:])
	b.AddBytes(l.Record[:])
	b.AddBytes(l.Labels[:])
	return b.BytesOrPanic() // fixed lengths
}

// Hash is the hash of the leaf in the tree (RFC 6962, section 2.1).
func (l Leaf) Hash() tlog.Hash { return tlog.RecordHash(l.Bytes()) }

// ParseLeaf reads what Bytes wrote. A leaf of an unknown kind is refused.
func ParseLeaf(raw []byte) (l Leaf, err error) {
	input := cryptobyte.String(raw)
	var seconds uint64
	if !input.ReadUint8((*uint8)(&l.Kind)) || !l.Kind.known() ||
		!input.ReadUint64(&seconds) || seconds > maxTime ||
		!input.CopyBytes(l.Label[:]) || !input.CopyBytes(l.Record[:]) || !input.CopyBytes(l.Labels[:]) || !input.Empty() {
		return Leaf{}, errLeaf
	}
	l.Time = time.Unix(int64(seconds), 0).UTC()
	return l, nil
}
