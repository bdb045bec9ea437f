package pki

import (
	"fmt"
	"strings"
)

const (
	// MaxLocalSize is the greatest length of the local part of a Name in bytes
	// (RFC 5321, section 4.5.3.1.1).
	MaxLocalSize = 64

	// MaxNameSize is the greatest length of a Name as text, in bytes.
	MaxNameSize = MaxLocalSize + 1 + MaxDomainSize
)

// A Name is a user's repeatable pseudonym, as in "ann@a.test": a local part at
// the domain whose node vouches for it.
//
// Names are comparable with ==. The zero Name is no name at all.
type Name struct {
	local  string
	domain Domain
}

// ParseName reads a Name. It never rewrites: upper case, quotes, comments and
// spaces are refused, and the error quotes them.
//
//	name  = local "@" domain
//	local = 1*64(a-z / 0-9 / "." / "_" / "-")   no "." first or last, no ".."
func ParseName(text string) (Name, error) {
	fail := func(allowed string) (Name, error) {
		return Name{}, fmt.Errorf("pki: name %.80q: %s", text, allowed)
	}
	local, host, found := strings.Cut(text, "@")
	if !found {
		return fail(`want local@domain, as in "ann@a.test"`)
	}
	if !validLocal(local) {
		return fail("before the @ are 1 to 64 of a-z, 0-9, dot, _ and -, with no dot at its ends and no two dots in a row")
	}
	domain, err := ParseDomain(host)
	if err != nil {
		return Name{}, fmt.Errorf("pki: name %.80q: %w", text, err)
	}
	return Name{local, domain}, nil
}

// Local returns the part before the @.
func (n Name) Local() string { return n.local }

// Domain returns the domain that vouches for the name.
func (n Name) Domain() Domain { return n.domain }

// String returns the name as ParseName reads it, and "" for the zero Name.
func (n Name) String() string {
	if n.IsZero() {
		return ""
	}
	return n.local + "@" + n.domain.text
}

// IsZero reports whether n is no name.
func (n Name) IsZero() bool { return n == Name{} }

// MarshalText implements encoding.TextMarshaler. It refuses the zero Name.
func (n Name) MarshalText() ([]byte, error) {
	if n.IsZero() {
		return nil, fmt.Errorf("pki: there is no name to write")
	}
	return []byte(n.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by ParseName.
func (n *Name) UnmarshalText(text []byte) error {
	parsed, err := ParseName(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}

// validLocal accepts the dot-atoms of RFC 5321 over a small alphabet: quoted
// local parts are where verifiers disagree about who is named.
func validLocal(local string) bool {
	if local == "" || len(local) > MaxLocalSize {
		return false
	}
	for _, c := range []byte(local) {
		if !isLowerOrDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return local[0] != '.' && local[len(local)-1] != '.' && !strings.Contains(local, "..")
}
