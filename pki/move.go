package pki

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxMoveSize is the greatest length of a move in bytes. That from ann@a.test to
	// ann@c.test has about 970.
	MaxMoveSize = 8192
	// MaxMoves is how many moves of one key are followed, one after the other.
	MaxMoves = 16

	moveVersion = 1
)

// A Move says that a person has another name from now on: the identity key of one name
// signs that it has the other. Neither home has a say in it. It is good once it is parsed;
// whether its certificates are the homes', Check tells.
type Move struct {
	Serial uint64    // 1 to 2^63-1; of two moves of one key the greater is the newer
	Issued time.Time // whole seconds, UTC

	from UserCert // names the name that is left
	to   UserCert // names the new name; of the same identity key
	raw  []byte
}

// SignMove says that who has the key leaves the name in one certificate for that in another.
// Both are DER, and of this key; they may have run out. The serial is to be greater than that
// of any move of this key before.
func (k IdentityKey) SignMove(from, to []byte, serial uint64, now time.Time) (Move, error) {
	m := Move{Serial: serial, Issued: seconds(now)}
	var err error
	if m.from, err = parseUserCert(from); err == nil {
		m.to, err = parseUserCert(to)
	}
	if err == nil {
		err = m.check()
	}
	if err == nil && m.Key() != k.Public() {
		err = errors.New("the certificates are of another key")
	}
	if err != nil {
		return Move{}, fmt.Errorf("pki: signing a move: %w", err)
	}
	if m.raw = sealStatement(k.identity, LabelMove, m.body()); len(m.raw) > MaxMoveSize {
		return Move{}, fmt.Errorf("pki: signing a move: longer than %d bytes", MaxMoveSize)
	}
	return m, nil
}

// ParseMove reads a move of at most MaxMoveSize bytes, and verifies the signature of the
// identity key in it.
func ParseMove(raw []byte) (Move, error) {
	m, err := parseMove(raw)
	if err != nil {
		return Move{}, fmt.Errorf("pki: move: %w", err)
	}
	return m, nil
}

func parseMove(raw []byte) (m Move, err error) {
	body, signature, err := splitStatement(raw, MaxMoveSize)
	if err != nil {
		return Move{}, err
	}
	if err := m.read(body); err != nil {
		return Move{}, err
	}
	if err := m.check(); err != nil {
		return Move{}, err
	}
	if !verifyStatement(m.Key().identity, LabelMove, body, signature) {
		return Move{}, errSignature
	}
	m.raw = bytes.Clone(raw)
	return m, nil
}

// check holds the rules that the layout alone does not.
func (m Move) check() error {
	switch {
	case m.Serial == 0 || m.Serial > math.MaxInt64:
		return errors.New("its serial is not between 1 and 2^63-1")
	case m.Issued.Unix() < 0 || m.Issued.Unix() > lastSecond:
		return errors.New("its time is not between 1970 and 9999")
	case m.from.key != m.to.key:
		return errors.New("its certificates are of two keys")
	case m.from.name == m.to.name:
		return errors.New("it leads to the name that it leaves")
	}
	return nil
}

// Check returns nil if the key has had both names: each certificate is signed by the authority
// of its domain or a former one, at whatever time. The old home may be gone, the certificate
// with it; what it signed says who is meant.
func (m Move) Check(from, to Known) error {
	err := m.CheckTo(to)
	if err == nil {
		err = m.from.checkSigned(from.authorities())
	}
	if err != nil {
		return fmt.Errorf("pki: move from %s to %s: %w", m.From(), m.To(), err)
	}
	return nil
}

// CheckTo returns nil if the new home has given the key the new name. It is what who has pinned
// the key asks: that it has the old name she knows.
func (m Move) CheckTo(to Known) error { return m.to.checkSigned(to.authorities()) }

// From returns the name that is left.
func (m Move) From() Name { return m.from.name }

// To returns the new name.
func (m Move) To() Name { return m.to.name }

// Key returns the identity key, which is that of both names.
func (m Move) Key() IdentityPublic { return m.from.key }

// Leaves identifies what is left: the name, by the key. Of two moves that leave the same, the
// one of the greater serial counts, and the other says nothing any more.
func (m Move) Leaves() [sha256.Size]byte {
	return Leaving(m.From(), m.Key())
}

// Leaving is what Leaves returns of a move of that key from that name.
func Leaving(name Name, key IdentityPublic) [sha256.Size]byte {
	return sha256.Sum256(append(key.Bytes(), name.String()...))
}

// Raw returns the bytes that ParseMove reads.
func (m Move) Raw() []byte { return bytes.Clone(m.raw) }

// Statement returns the move as it travels.
func (m Move) Statement() Statement { return Statement{Kind: StatementMove, Raw: m.Raw()} }

// Follow returns the moves by which a key went from a name to the one that it has now: none if
// it is still that, or is that again. Each step is the newest from its name, and newer than the
// step before, so that who comes back to a name stays there; there are at most MaxMoves.
// Moves of other keys do not count. The order of all does not.
func Follow(name Name, key IdentityPublic, all []Move) (steps []Move) {
	at := name
	for serial := uint64(0); len(steps) < MaxMoves; {
		var next Move
		for _, m := range all {
			if m.Key() == key && m.From() == at && m.Serial > max(serial, next.Serial) {
				next = m
			}
		}
		if next.Serial == 0 {
			break
		}
		steps, at, serial = append(steps, next), next.To(), next.Serial
	}
	if at == name {
		return nil
	}
	return steps
}

// body writes what is signed.
//
//	1     version, 1
//	8     serial
//	8     issued, seconds since 1970
//	2+n   certificate of the name that is left, DER
//	2+n   certificate of the new name, DER, of the same key
//
// The signature of that key follows, 64 bytes, with the label "move v1".
func (m Move) body() []byte {
	var b cryptobyte.Builder
	b.AddUint8(moveVersion)
	b.AddUint64(m.Serial)
	addTime(&b, m.Issued)
	addBytes16(&b, m.from.DER())
	addBytes16(&b, m.to.DER())
	return b.BytesOrPanic()
}

// read takes the fields that body wrote.
func (m *Move) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var from, to []byte
	if !input.ReadUint8(&version) || version != moveVersion || !input.ReadUint64(&m.Serial) || !readTime(&input, &m.Issued) ||
		!readBytes16(&input, &from) || !readBytes16(&input, &to) || !input.Empty() {
		return errMalformed
	}
	var err error
	if m.from, err = parseUserCert(from); err == nil {
		m.to, err = parseUserCert(to)
	}
	return err
}
