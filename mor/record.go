package mor

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Specification constants of context records (docs/spec/mor.md, "Records").
const (
	// RecordLabel is the label under which an owner signs its records.
	RecordLabel pki.Label = "context record v1"
	// RecordLifetime is how long an owner's record holds.
	RecordLifetime = 24 * time.Hour
	// MaxDepth is how many Asks a record may travel: its owner's answer is the first.
	MaxDepth = 3
	// MaxLeads is how many servers a record may name.
	MaxLeads = 64

	recordVersion  = 1
	maxRecordBytes = 4096
)

// ErrRecord is returned for a context record that is malformed, unsigned, expired or
// signed by somebody who is not its owner.
var ErrRecord = errors.New("mor: bad context record")

// A ContextID names a context for as long as its owner keeps it, whatever its keys:
// 16 random bytes. It is not secret, but leaves no link.
type ContextID [16]byte

// String returns the 22 characters of unpadded base64url.
func (id ContextID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// A Record is what an owner tells of its context, to those who may Ask (row M8).
type Record struct {
	ID        ContextID
	Owner     pki.Domain
	Key       onion.ContextKey
	Hint      onion.Hint  // of Epoch; later epochs follow by Hint.Next, earlier ones do not
	Epoch     onion.Epoch // the first epoch that this record can speak of
	NotBefore time.Time
	NotAfter  time.Time
	Own       int              // the first Own of Leads are keys of the owner itself
	Leads     []onion.ServerID // servers that this context is a route to, at most MaxLeads
}

// Covers reports whether r speaks of epoch e: from r.Epoch until [RecordLifetime] and two
// epochs after it.
func (r Record) Covers(e onion.Epoch) bool {
	return e >= r.Epoch && e-r.Epoch <= onion.Epoch(RecordLifetime/onion.EpochLength)+2
}

// HintAt returns the hint of r for epoch e; false if r does not cover it.
func (r Record) HintAt(e onion.Epoch) (onion.Hint, bool) {
	if !r.Covers(e) {
		return onion.Hint{}, false
	}
	h := r.Hint
	for at := r.Epoch; at < e; at++ {
		h = h.Next()
	}
	return h, true
}

// Sign returns the bytes of r with its owner's signature:
//
//	version    1
//	id        16
//	owner      1 + n   domain name
//	key       32       X25519 public key
//	hint      32       secret
//	epoch      4
//	notbefore  8       Unix seconds
//	notafter   8       Unix seconds
//	own        1
//	leads      1 + 32 n
//	signature 64       over all before it, label RecordLabel, by the owner's domain key
//
// sign is the owner's [pki.Authority] Sign method.
func (r Record) Sign(sign func(label pki.Label, message []byte) []byte) ([]byte, error) {
	if len(r.Leads) > MaxLeads || r.Own > len(r.Leads) || r.Own < 0 {
		return nil, fmt.Errorf("%w: %d leads, %d of them own", ErrRecord, len(r.Leads), r.Own)
	}
	var b cryptobyte.Builder
	b.AddUint8(recordVersion)
	b.AddBytes(r.ID[:])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.Owner.String())) })
	key := r.Key.Bytes()
	b.AddBytes(key[:])
	b.AddBytes(r.Hint[:])
	b.AddUint32(uint32(r.Epoch))
	b.AddUint64(uint64(r.NotBefore.Unix()))
	b.AddUint64(uint64(r.NotAfter.Unix()))
	b.AddUint8(uint8(r.Own))
	b.AddUint8(uint8(len(r.Leads)))
	for _, id := range r.Leads {
		b.AddBytes(id[:])
	}
	body, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return append(body, sign(RecordLabel, body)...), nil
}

// An Authorities finds the certificate authority of a domain; false if it is not known.
type Authorities func(pki.Domain) (pki.CACert, bool)

// ParseRecord reads a signed record and verifies it under its owner's domain key. An
// owner that authorities does not know is refused, and so is what is not valid at now.
func ParseRecord(raw []byte, authorities Authorities, now time.Time) (Record, error) {
	r, err := verifyRecord(raw, authorities)
	if err != nil {
		return Record{}, err
	}
	if err := r.valid(now); err != nil {
		return Record{}, err
	}
	return r, nil
}

// verifyRecord reads a record that its owner has signed, whenever it is valid.
func verifyRecord(raw []byte, authorities Authorities) (Record, error) {
	r, signature, err := readRecord(raw)
	if err != nil {
		return Record{}, err
	}
	ca, ok := authorities(r.Owner)
	switch {
	case !ok:
		return Record{}, fmt.Errorf("%w: %s is not known here", ErrRecord, r.Owner)
	case !ca.Key().Verify(RecordLabel, raw[:len(raw)-len(signature)], signature):
		return Record{}, fmt.Errorf("%w: not signed by %s", ErrRecord, r.Owner)
	}
	return r, nil
}

func (r Record) valid(now time.Time) error {
	switch {
	case now.Before(r.NotBefore) || !now.Before(r.NotAfter) || !r.Covers(onion.EpochAt(now)):
		return fmt.Errorf("%w: %s's record is not valid now", ErrRecord, r.Owner)
	case r.NotAfter.Sub(r.NotBefore) > 2*RecordLifetime:
		return fmt.Errorf("%w: %s's record holds for too long", ErrRecord, r.Owner)
	}
	return nil
}

// placeIn reads whose record of which context raw is, as far as that goes. The owner is as it stands there.
func placeIn(raw []byte) (id ContextID, owner []byte, ok bool) {
	s := cryptobyte.String(raw)
	var version uint8
	ok = s.ReadUint8(&version) && s.CopyBytes(id[:]) && s.ReadUint8LengthPrefixed((*cryptobyte.String)(&owner))
	return id, owner, ok
}

func readRecord(raw []byte) (r Record, signature []byte, err error) {
	var (
		s                   = cryptobyte.String(raw)
		version, own, leads uint8
		owner               cryptobyte.String
		key                 []byte
		from, until         uint64
	)
	ok := len(raw) <= maxRecordBytes &&
		s.ReadUint8(&version) && version == recordVersion && s.CopyBytes(r.ID[:]) &&
		s.ReadUint8LengthPrefixed(&owner) && s.ReadBytes(&key, 32) && s.CopyBytes(r.Hint[:]) &&
		s.ReadUint32((*uint32)(&r.Epoch)) && s.ReadUint64(&from) && s.ReadUint64(&until) &&
		s.ReadUint8(&own) && s.ReadUint8(&leads) && leads <= MaxLeads && own <= leads
	for i := 0; ok && i < int(leads); i++ {
		var id onion.ServerID
		ok = s.CopyBytes(id[:])
		r.Leads = append(r.Leads, id)
	}
	if !ok || !s.ReadBytes(&signature, 64) || !s.Empty() || from > 1<<40 || until > 1<<40 {
		return Record{}, nil, fmt.Errorf("%w: malformed", ErrRecord)
	}
	r.Own, r.NotBefore, r.NotAfter = int(own), time.Unix(int64(from), 0), time.Unix(int64(until), 0)
	if r.Owner, err = pki.ParseDomain(string(owner)); err != nil {
		return Record{}, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Key, err = onion.ParseContextKey(key); err != nil {
		return Record{}, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, signature, nil
}
