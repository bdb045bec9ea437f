package dnstxt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p3do/p3do/pki"
)

const (
	// Version is the value of the tag v.
	Version = "P3DO1"
	// KeyType is the value of the tag k, the only one there is.
	KeyType = "ed25519"
	// MaxKeyServers is how many key servers a record may name.
	MaxKeyServers = 4
	// MaxSize is the greatest length in bytes of a record's text, all
	// character-strings joined, unknown tags included.
	MaxSize = 2048

	maxTags = 32 // tags in a record, unknown ones included
)

var (
	// ErrNone: the domain has no P3DO record (NXDOMAIN, no TXT, or no TXT
	// that begins with v=P3DO1).
	ErrNone = errors.New("dnstxt: no record")
	// ErrInvalid: there is an answer, and it is refused.
	ErrInvalid = errors.New("dnstxt: invalid record")
)

// A ParseError says which tag of a record is refused and what is expected of
// it. It is an ErrInvalid.
type ParseError struct {
	Tag  string // "fp", "ks", ...; empty for the record as a whole
	Want string // what is expected
}

// Error returns one line, without the text of the record.
func (e *ParseError) Error() string {
	if e.Tag == "" {
		return "dnstxt: invalid record: want " + e.Want
	}
	return "dnstxt: invalid record: tag " + e.Tag + ": want " + e.Want
}

// Unwrap returns ErrInvalid.
func (e *ParseError) Unwrap() error { return ErrInvalid }

// Missing reports whether the tag is not there at all.
func (e *ParseError) Missing() bool { return e.Want == wantThere }

// A RecordError is an answer that is refused for what the records in it say.
type RecordError struct {
	Texts []string // of the records that claim to be ours, as they came
	Cause error    // a *ParseError
}

// Error is that of the cause.
func (e *RecordError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Cause }

// A Record is what a domain publishes. A Record that Parse returned is valid;
// one made by hand is checked where it is published.
type Record struct {
	Fingerprint pki.Fingerprint // of the domain CA key, 32 bytes
	Next        pki.Fingerprint // of the key to follow it; zero: none
	KeyServers  []string        // 1 to MaxKeyServers of host:port
	Onion       string          // 56 characters and ".onion"; empty: none
	Time        time.Time       // when it was made, whole seconds, UTC; zero: unknown
}

// Parse reads the text of a record: all character-strings of the TXT record
// joined. The error is a *ParseError.
func Parse(text string) (Record, error) {
	tags, err := splitTags(text)
	if err != nil {
		return Record{}, err
	}
	var r Record
	seen := make(map[string]bool)
	for _, t := range tags[1:] {
		read, known := readers[t.name]
		if !known {
			continue
		}
		if seen[t.name] {
			return Record{}, &ParseError{t.name, "it once only"}
		}
		seen[t.name] = true
		if err := read(&r, t.value); err != nil {
			return Record{}, err
		}
	}
	for _, name := range []string{tagKeyType, tagFingerprint, tagKeyServers} {
		if !seen[name] {
			return Record{}, &ParseError{name, wantThere}
		}
	}
	return r, r.Check()
}

// Check returns a *ParseError if r could not have come out of Parse.
func (r Record) Check() error {
	if r.Fingerprint.IsZero() {
		return &ParseError{tagFingerprint, "a fingerprint that is not all zero"}
	}
	if r.Next == r.Fingerprint {
		return &ParseError{tagNext, "another fingerprint than fp"}
	}
	if err := checkKeyServers(r.KeyServers); err != nil {
		return err
	}
	if r.Onion != "" && !validOnion(r.Onion) {
		return &ParseError{tagOnion, wantOnion}
	}
	if !r.Time.IsZero() && !validTime(r.Time) {
		return &ParseError{tagTime, wantTime}
	}
	return nil
}

// Equal reports whether r and s say the same.
func (r Record) Equal(s Record) bool { return r.String() == s.String() }

// String returns the canonical text: tags in the order of the package comment,
// separated by "; ". It is what a provider's web panel wants as the value.
func (r Record) String() string {
	tags := []string{
		tagVersion + "=" + Version,
		tagKeyType + "=" + KeyType,
		tagFingerprint + "=" + r.Fingerprint.String(),
	}
	if !r.Next.IsZero() {
		tags = append(tags, tagNext+"="+r.Next.String())
	}
	tags = append(tags, tagKeyServers+"="+strings.Join(r.KeyServers, ","))
	if r.Onion != "" {
		tags = append(tags, tagOnion+"="+r.Onion)
	}
	if !r.Time.IsZero() {
		tags = append(tags, tagTime+"="+strconv.FormatInt(r.Time.Unix(), 10))
	}
	return strings.Join(tags, "; ")
}

const (
	ownerPrefix = "_p3do."
	maxString   = 255 // bytes of one character-string (RFC 1035, section 3.3)
)

// Owner returns the name at which the record of a domain is published:
// "_p3do." and the domain, without a final dot. A domain of more than 247 bytes
// has none.
func Owner(domain pki.Domain) (string, error) {
	if domain.IsZero() {
		return "", errors.New("dnstxt: no domain given")
	}
	owner := ownerPrefix + domain.String()
	if len(owner) > pki.MaxDomainSize {
		return "", fmt.Errorf("dnstxt: domain %s is too long to have a record: at most %d bytes",
			domain, pki.MaxDomainSize-len(ownerPrefix))
	}
	return owner, nil
}

// Strings returns the text cut into character-strings of at most 255 bytes.
func (r Record) Strings() []string {
	var parts []string
	for part := range slices.Chunk([]byte(r.String()), maxString) {
		parts = append(parts, string(part))
	}
	return parts
}

// ZoneLine returns the record as one line of a zone file (RFC 1035, section 5),
// with a TTL in seconds:
//
//	_p3do.a.test. 3600 IN TXT "v=P3DO1; ..." "..."
//
// Nothing in a valid record needs an escape inside the quotes.
func (r Record) ZoneLine(domain pki.Domain, ttl uint32) (string, error) {
	owner, err := Owner(domain)
	if err != nil {
		return "", err
	}
	if err := r.Check(); err != nil {
		return "", err
	}
	return fmt.Sprintf(`%s. %d IN TXT "%s"`, owner, ttl, strings.Join(r.Strings(), `" "`)), nil
}
