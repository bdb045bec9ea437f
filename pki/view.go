package pki

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxSightings bounds the sightings of a View.
	MaxSightings = 512

	// MaxViewSize is the greatest length of a signed view in bytes. 512
	// sightings fit if their domains have 52 bytes on average.
	MaxViewSize = 65536

	// ViewLifetime is how long a view is valid by default, and MaxViewLifetime
	// the longest that is accepted.
	ViewLifetime    = 7 * 24 * time.Hour
	MaxViewLifetime = 31 * 24 * time.Hour

	viewVersion = 1
)

// A View is what a domain says of the others: which keys it has pinned for
// them, and what it saw in DNS (row K7). It is handed to peers and to users who
// have logged in, and to nobody else: it tells whom the domain deals with.
type View struct {
	Domain    Domain     // whose view it is
	Serial    uint64     // of two views of one authority, the greater serial wins
	Issued    time.Time  // whole seconds, UTC
	Expires   time.Time  // whole seconds, UTC; at most MaxViewLifetime later
	Sightings []Sighting // at most MaxSightings, ascending by domain, none of Domain itself
}

// A Sighting is what a domain says of another one. It says a key, or a DNS
// record, or both.
type Sighting struct {
	Domain   Domain
	Key      Fingerprint // that is pinned for it; zero: none
	Since    time.Time   // since when it is pinned, whole seconds, UTC, by the clock of whose view it is; the zero Time without a Key
	Standing Standing    // Seen without a Key
	DNS      Fingerprint // what its TXT record said last; zero: nothing, or it was not asked
	Secure   bool        // DNSSEC vouched for DNS; false without it
}

// A Standing is how far the countersignatures of two domains have come.
type Standing uint8

// The standings, as they are written.
const (
	Seen          Standing = iota // neither side has signed that we know of
	Countersigned                 // whose view it is has signed the other's key
	Mutual                        // and the other its key in turn
)

// String is the word that people are shown.
func (s Standing) String() string {
	return [...]string{"seen", "countersigned", "mutual"}[min(s, Mutual)]
}

// A SignedView is a view that the authority of its domain signed. Its fields
// are to be read only.
type SignedView struct {
	View
	raw []byte
}

// SignView signs what the domain says of the others. Domain is that of the
// authority; the caller leaves it empty or sets the same. Times lose their
// fractions of a second.
func (a *Authority) SignView(v View) (SignedView, error) {
	fail := func(err error) (SignedView, error) {
		return SignedView{}, fmt.Errorf("pki: signing a view: %w", err)
	}
	if !v.Domain.IsZero() && v.Domain != a.Domain() {
		return fail(fmt.Errorf("%s may not sign for %s", a.Domain(), v.Domain))
	}
	v.Domain, v.Issued, v.Expires = a.Domain(), seconds(v.Issued), seconds(v.Expires)
	v.Sightings = slices.Clone(v.Sightings)
	for i := range v.Sightings {
		v.Sightings[i].Since = seconds(v.Sightings[i].Since)
	}
	if err := v.check(); err != nil {
		return fail(err)
	}
	raw := sealStatement(a.domain.domain, LabelView, v.body())
	if len(raw) > MaxViewSize {
		return fail(fmt.Errorf("longer than %d bytes", MaxViewSize))
	}
	return SignedView{View: v, raw: raw}, nil
}

// An UnvouchedView is of the right shape, but nobody knows yet who signed it.
// CACert.VerifyView makes a SignedView of the same bytes.
type UnvouchedView struct {
	view View
	raw  []byte
}

// ParseView reads a signed view of at most MaxViewSize bytes, and checks its
// bounds. It cannot verify the signature, and does not look at the time.
func ParseView(raw []byte) (UnvouchedView, error) {
	v, _, err := parseView(raw)
	if err != nil {
		return UnvouchedView{}, fmt.Errorf("pki: view: %w", err)
	}
	return UnvouchedView{view: v, raw: bytes.Clone(raw)}, nil
}

func parseView(raw []byte) (v View, signature []byte, err error) {
	body, signature, err := splitStatement(raw, MaxViewSize)
	if err != nil {
		return View{}, nil, err
	}
	if err := v.read(body); err != nil {
		return View{}, nil, err
	}
	return v, signature, v.check()
}

// Domain returns the domain that the view claims to be of.
func (u UnvouchedView) Domain() Domain { return u.view.Domain }

// Serial returns the serial number that it claims.
func (u UnvouchedView) Serial() uint64 { return u.view.Serial }

// Raw returns the bytes that ParseView read.
func (u UnvouchedView) Raw() []byte { return bytes.Clone(u.raw) }

// VerifyView reads a signed view of this domain: ParseView, then the
// signature, then the time. An error about time is ErrTime.
func (c CACert) VerifyView(raw []byte, now time.Time) (SignedView, error) {
	v, signature, err := parseView(raw)
	if err == nil {
		err = mayName(c.domain, v.Domain)
	}
	if err == nil && !c.key.Verify(LabelView, raw[:len(raw)-SignatureSize], signature) {
		err = errSignature
	}
	if err == nil {
		err = checkNow(v.Issued, v.Expires, now)
	}
	if err != nil {
		return SignedView{}, fmt.Errorf("pki: view: %w", err)
	}
	return SignedView{View: v, raw: bytes.Clone(raw)}, nil
}

// Raw returns the bytes that CACert.VerifyView reads.
func (v SignedView) Raw() []byte { return bytes.Clone(v.raw) }

// Statement returns the view as it travels.
func (v SignedView) Statement() Statement { return Statement{Kind: StatementView, Raw: v.Raw()} }

// CheckTime returns nil if the view is valid now: from ClockSkew before it was
// issued until it expires. Else the error is ErrTime.
func (v SignedView) CheckTime(now time.Time) error {
	if err := checkNow(v.Issued, v.Expires, now); err != nil {
		return fmt.Errorf("pki: view of %s: %w", v.Domain, err)
	}
	return nil
}

// Of returns the sighting of a domain, if the view has one.
func (v View) Of(domain Domain) (Sighting, bool) {
	i, found := slices.BinarySearchFunc(v.Sightings, domain, func(s Sighting, d Domain) int {
		return cmp.Compare(s.Domain.text, d.text)
	})
	if !found {
		return Sighting{}, false
	}
	return v.Sightings[i], true
}

// Vouch returns the view as evidence about a domain: the key that is pinned
// for it, if one is.
func (v View) Vouch(of Domain) (Vouch, bool) {
	s, _ := v.Of(of)
	return Vouch{Peer: v.Domain, Key: s.Key}, !s.Key.IsZero()
}

// check holds the rules that the layout alone does not.
func (v View) check() error {
	if v.Domain.IsZero() {
		return errors.New("it is of no domain")
	}
	if err := checkSpan(v.Issued, v.Expires, MaxViewLifetime); err != nil {
		return err
	}
	if len(v.Sightings) > MaxSightings {
		return fmt.Errorf("more than %d sightings", MaxSightings)
	}
	for i, s := range v.Sightings {
		if i > 0 && v.Sightings[i-1].Domain.text >= s.Domain.text {
			return errors.New("its sightings do not ascend")
		}
		if s.Domain == v.Domain {
			return errors.New("it is about its own domain")
		}
		if err := s.check(); err != nil {
			return fmt.Errorf("sighting of %s: %w", s.Domain, err)
		}
	}
	return nil
}

func (s Sighting) check() error {
	switch {
	case s.Domain.IsZero():
		return errors.New("of no domain")
	case s.Key.IsZero() && s.DNS.IsZero():
		return errors.New("it says nothing")
	case s.Key.IsZero() && (!s.Since.IsZero() || s.Standing != Seen):
		return errors.New("there is no key, and yet something about it")
	case !s.Key.IsZero() && (s.Since.Unix() < 0 || s.Since.Unix() > lastSecond):
		return errors.New("its time is not between 1970 and 9999")
	case s.Standing > Mutual:
		return errors.New("its standing is unknown")
	case s.DNS.IsZero() && s.Secure:
		return errors.New("DNSSEC vouches for nothing")
	}
	return nil
}

// body writes what is signed, all integers big-endian.
//
//	1      version, 1
//	1+n    domain
//	8      serial
//	8      issued, seconds since 1970
//	8      expires, seconds since 1970
//	2      number of sightings, 0 to 512; for each
//	1+n      domain
//	32       fingerprint that is pinned, or zeros
//	8        since, seconds since 1970; 0 if no key is pinned
//	1        standing: 0 seen, 1 countersigned, 2 mutual
//	32       fingerprint in DNS, or zeros
//	1        DNSSEC vouches for that: 0 or 1
//
// The signature follows, 64 bytes, with the label "server view v1".
func (v View) body() []byte {
	var b cryptobyte.Builder
	b.AddUint8(viewVersion)
	addText8(&b, v.Domain.String())
	b.AddUint64(v.Serial)
	addTime(&b, v.Issued)
	addTime(&b, v.Expires)
	b.AddUint16(uint16(len(v.Sightings)))
	for _, s := range v.Sightings {
		s.write(&b)
	}
	return b.BytesOrPanic()
}

func (s Sighting) write(b *cryptobyte.Builder) {
	addText8(b, s.Domain.String())
	b.AddBytes(s.Key[:])
	if s.Key.IsZero() && s.Since.IsZero() {
		b.AddUint64(0)
	} else {
		addTime(b, s.Since)
	}
	b.AddUint8(uint8(s.Standing))
	b.AddBytes(s.DNS[:])
	secure := uint8(0)
	if s.Secure {
		secure = 1
	}
	b.AddUint8(secure)
}

// read takes the fields that body wrote.
func (v *View) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var count uint16
	if !input.ReadUint8(&version) || version != viewVersion ||
		!readDomain(&input, &v.Domain) || !input.ReadUint64(&v.Serial) ||
		!readTime(&input, &v.Issued) || !readTime(&input, &v.Expires) ||
		!input.ReadUint16(&count) || count > MaxSightings {
		return errMalformed
	}
	v.Sightings = make([]Sighting, count)
	for i := range v.Sightings {
		if !v.Sightings[i].read(&input) {
			return errMalformed
		}
	}
	if !input.Empty() {
		return errMalformed
	}
	return nil
}

func (s *Sighting) read(input *cryptobyte.String) bool {
	var secure uint8
	if !readDomain(input, &s.Domain) || !input.CopyBytes(s.Key[:]) || !readTime(input, &s.Since) ||
		!input.ReadUint8((*uint8)(&s.Standing)) || !input.CopyBytes(s.DNS[:]) || !input.ReadUint8(&secure) || secure > 1 {
		return false
	}
	if s.Key.IsZero() && s.Since.Unix() == 0 {
		s.Since = time.Time{}
	}
	s.Secure = secure == 1
	return true
}

// readDomain reads 1 byte of length and a canonical domain.
func readDomain(input *cryptobyte.String, out *Domain) bool {
	var text string
	if !readText8(input, &text) {
		return false
	}
	domain, err := ParseDomain(text)
	*out = domain
	return err == nil
}
