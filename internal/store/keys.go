package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// KeyKind says what a signed key is for.
type KeyKind string

const (
	KeyUser       KeyKind = "user"       // Raw is the user's certificate
	KeyLink       KeyKind = "link"       // Raw is the node's own link certificate
	KeyCross      KeyKind = "cross"      // Raw is the cross-certificate that introduces a peer
	KeyDescriptor KeyKind = "descriptor" // Raw is the own server descriptor; needs Serial
)

// SignedKey is something that the domain signed.
type SignedKey struct {
	Kind        KeyKind
	Subject     string   // user name or domain, at most MaxSubject bytes
	Fingerprint [32]byte // of the key; for a descriptor that of the CA that signed it
	Raw         []byte   // what was signed, 1 to MaxRaw bytes
	Card        []byte   // users only, at most MaxRaw bytes; empty as long as there is none
	Serial      uint64   // of the card or descriptor, below 2^63
	NotAfter    time.Time

	// Entry goes into the domain's log in the same transaction, if its record is not there yet.
	// Nil: nothing is logged.
	Entry *Entry
}

func (k SignedKey) check() error {
	if k.Entry != nil {
		if err := k.Entry.check(); err != nil {
			return err
		}
	}
	switch k.Kind {
	case KeyUser, KeyLink, KeyCross, KeyDescriptor:
	default:
		return fmt.Errorf("store: key kind %q is unknown", k.Kind)
	}
	if k.Kind != KeyUser && len(k.Card) > 0 {
		return errors.New("store: only users have cards")
	}
	return checkRecord(k.Subject, k.Serial, k.Raw, k.Card)
}

// checkRecord holds the bounds; the first of the records must not be empty.
func checkRecord(subject string, serial uint64, records ...[]byte) error {
	if len(subject) == 0 || len(records[0]) == 0 {
		return errors.New("store: empty subject or record")
	}
	if len(subject) > MaxSubject || serial > math.MaxInt64 {
		return ErrTooLarge
	}
	for _, r := range records {
		if len(r) > MaxRaw {
			return ErrTooLarge
		}
	}
	return nil
}

// AddSigned puts what the domain signed into the key ring and into the key
// server's tables, both or neither (K5). A user name that has another key on
// record is refused with [ErrOtherKey]. A card or descriptor must have a
// greater serial than the one on record, else [ErrOldSerial] (the very same
// bytes again are fine); a user's certificate without a card leaves the card
// on record as it is.
func (s *Store) AddSigned(ctx context.Context, k SignedKey) error {
	if err := k.check(); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		k, err := putServed(ctx, q, k)
		if err != nil {
			return err
		}
		return putSigned(ctx, q, k)
	})
}

// putSigned writes the ring's copy, and the log.
func putSigned(ctx context.Context, q *db.Queries, k SignedKey) error {
	if err := putRing(ctx, q, k); err != nil || k.Entry == nil {
		return err
	}
	_, err := appendLog(ctx, q, *k.Entry)
	return err
}

func putRing(ctx context.Context, q *db.Queries, k SignedKey) error {
	return q.PutRing(ctx, db.PutRingParams{
		Kind: string(k.Kind), Subject: k.Subject, Fingerprint: k.Fingerprint[:],
		Raw: k.Raw, Card: notNil(k.Card), Serial: int64(k.Serial), NotAfter: k.NotAfter.Unix(),
	})
}

// putServed writes the key server's copy and returns what holds now.
func putServed(ctx context.Context, q *db.Queries, k SignedKey) (SignedKey, error) {
	switch k.Kind {
	case KeyUser:
		return putHomeUser(ctx, q, k)
	case KeyDescriptor:
		_, err := replaceServer(ctx, q, Server{
			Domain: k.Subject, CA: k.Fingerprint, Serial: k.Serial,
			Descriptor: k.Raw, NotAfter: k.NotAfter, Origin: Home,
		}, MaxServers)
		return k, err
	default:
		return k, q.PutCertificate(ctx, db.PutCertificateParams{
			Kind: string(k.Kind), Subject: k.Subject, Fingerprint: k.Fingerprint[:],
			Raw: k.Raw, NotAfter: k.NotAfter.Unix(),
		})
	}
}

// CertificateByFingerprint returns the link or cross certificate of that key,
// the one that lasts longest, or [ErrNotFound].
func (s *Store) CertificateByFingerprint(ctx context.Context, fp [32]byte) (SignedKey, error) {
	c, err := s.read.CertificateByFingerprint(oneRow(ctx), fp[:])
	if err != nil {
		return SignedKey{}, notFound(err)
	}
	return SignedKey{
		Kind: KeyKind(c.Kind), Subject: c.Subject, Fingerprint: fp,
		Raw: c.Raw, NotAfter: time.Unix(c.NotAfter, 0),
	}, nil
}

// KeyRef names one signed key.
type KeyRef struct {
	Kind        KeyKind
	Subject     string
	Fingerprint [32]byte
}

// RingDiff is where key ring and key server differ. A record that both hold
// with different bytes is in both lists.
type RingDiff struct {
	OnlyRing   []KeyRef
	OnlyServer []KeyRef
}

// Same reports that there is no difference.
func (d RingDiff) Same() bool { return len(d.OnlyRing) == 0 && len(d.OnlyServer) == 0 }

// CompareRing compares the key ring with the key server's own records (copies
// of foreign ones are not in the ring) as they were at one moment (K5).
func (s *Store) CompareRing(ctx context.Context) (RingDiff, error) {
	tx, err := s.readDB.BeginTx(ctx, nil) // one snapshot for all four queries
	if err != nil {
		return RingDiff{}, fmt.Errorf("store: comparing ring: %w", err)
	}
	defer tx.Rollback()
	return compareRing(ctx, s.read.WithTx(tx))
}

func compareRing(ctx context.Context, q *db.Queries) (d RingDiff, err error) {
	ring, err := q.OnlyInRing(ctx)
	if err != nil {
		return d, err
	}
	for _, r := range ring {
		d.OnlyRing = append(d.OnlyRing, KeyRef{KeyKind(r.Kind), r.Subject, fp32(r.Fingerprint)})
	}
	users, err := q.UsersNotInRing(ctx)
	if err != nil {
		return d, err
	}
	for _, u := range users {
		d.OnlyServer = append(d.OnlyServer, KeyRef{KeyUser, u.Name, fp32(u.Fingerprint)})
	}
	servers, err := q.ServersNotInRing(ctx)
	if err != nil {
		return d, err
	}
	for _, v := range servers {
		d.OnlyServer = append(d.OnlyServer, KeyRef{KeyDescriptor, v.Domain, fp32(v.CA)})
	}
	certs, err := q.CertificatesNotInRing(ctx)
	for _, c := range certs {
		d.OnlyServer = append(d.OnlyServer, KeyRef{KeyKind(c.Kind), c.Subject, fp32(c.Fingerprint)})
	}
	return d, err
}

// fp32 reads a column that only this package writes, always with 32 bytes.
func fp32(b []byte) (fp [32]byte) {
	copy(fp[:], b)
	return fp
}
