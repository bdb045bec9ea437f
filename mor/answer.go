package mor

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// MaxAnswered is how many records one answer may hold.
const MaxAnswered = 128

// An Answered is one record in the answer to an Ask, as its owner signed it, with the
// number of Asks it has then travelled (1 for the owner's own).
type Answered struct {
	Depth uint8   // 1..MaxDepth
	Way   []uint8 // the gateways to it, in their order: where in the answer their records stand; fewer than Depth
	Raw   []byte

	Beyond bool // its owner, a gateway, speaks on it in another cell than where what is under its key is to be said
}

// fits reports whether a keeps the bounds.
func (a Answered) fits() bool {
	return 1 <= a.Depth && a.Depth <= MaxDepth && len(a.Way) < int(a.Depth) && len(a.Raw) <= maxRecordBytes
}

// overGateways reports whether the gateways to a stand before it in an answer, are nearer, and are gateways.
func (a Answered) overGateways(before []Answered) bool {
	for _, i := range a.Way {
		if int(i) >= len(before) || before[i].Depth >= a.Depth || !before[i].Beyond {
			return false
		}
	}
	return true
}

// checkAnswer refuses what is beyond the bounds, and ways over what is not there.
func checkAnswer(records []Answered) error {
	if len(records) > MaxAnswered {
		return fmt.Errorf("mor: %d records in one answer, at most %d", len(records), MaxAnswered)
	}
	for i, r := range records {
		if !r.fits() || !r.overGateways(records[:i]) {
			return fmt.Errorf("mor: a record of %d bytes after %d Asks over %d gateways in an answer", len(r.Raw), r.Depth, len(r.Way))
		}
	}
	return nil
}

// MarshalAnswer returns an answer's bytes:
//
//	count      1      0 to 128, then for each record
//	depth      1      1 to 3
//	beyond     1      1: its owner speaks on it in another cell than where it is reached; else 0
//	gateways   1      0 to depth - 1, then
//	           n      each, the place in this answer of a record that stands before this one, is nearer, and beyond
//	length     2
//	record     n
func MarshalAnswer(records []Answered) ([]byte, error) {
	if err := checkAnswer(records); err != nil {
		return nil, err
	}
	size := 1
	for _, r := range records {
		size += 5 + len(r.Way) + len(r.Raw)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, size))
	b.AddUint8(uint8(len(records)))
	for _, r := range records {
		b.AddUint8(r.Depth)
		b.AddUint8(map[bool]uint8{true: 1}[r.Beyond])
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.Way) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.Raw) })
	}
	return b.Bytes()
}

// ParseAnswer is the inverse of [MarshalAnswer]; the records in it are still unjudged.
func ParseAnswer(raw []byte) ([]Answered, error) {
	s := cryptobyte.String(raw)
	var count uint8
	if !s.ReadUint8(&count) || count > MaxAnswered {
		return nil, fmt.Errorf("%w: malformed answer", ErrRecord)
	}
	records := make([]Answered, 0, count)
	for range count {
		var a Answered
		var beyond uint8
		var way, record cryptobyte.String
		if !s.ReadUint8(&a.Depth) || !s.ReadUint8(&beyond) || beyond > 1 || !s.ReadUint8LengthPrefixed(&way) || !s.ReadUint16LengthPrefixed(&record) {
			return nil, fmt.Errorf("%w: malformed answer", ErrRecord)
		}
		if a.Raw, a.Beyond = record, beyond == 1; len(way) > 0 {
			a.Way = way
		}
		records = append(records, a)
	}
	if err := checkAnswer(records); err != nil || !s.Empty() {
		return nil, fmt.Errorf("%w: malformed answer", ErrRecord)
	}
	return records, nil
}
