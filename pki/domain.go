package pki

import (
	"fmt"
	"strings"
)

const (
	// MaxDomainSize is the greatest length of a domain in bytes (RFC 1035,
	// section 2.3.4, as text without the final dot).
	MaxDomainSize = 253

	// maxLabelSize is the greatest length of one label (RFC 1035, section 2.3.4).
	maxLabelSize = 63
)

// A Domain is the DNS name that a node answers for, in the one spelling that
// P3DO knows: lower case, letters, digits and hyphens, two labels or more, no
// final dot. International names are written as A-labels ("xn--...").
//
// Domains are comparable with ==. The zero Domain is no domain at all.
type Domain struct{ text string }

// ParseDomain reads a Domain. It never rewrites: whatever is not canonical is
// refused, and the error quotes it.
//
//	domain = label 1*("." label)            at most 253 bytes
//	label  = 1*63(a-z / 0-9 / "-")          no "-" first or last
//
// The last label must not be all digits, so that no IP address is a domain.
func ParseDomain(text string) (Domain, error) {
	fail := func(allowed string) (Domain, error) {
		return Domain{}, fmt.Errorf("pki: domain %.80q: %s", text, allowed)
	}
	if len(text) > MaxDomainSize {
		return fail("longer than 253 bytes")
	}
	labels := strings.Split(text, ".")
	if len(labels) < 2 {
		return fail(`want at least two labels, as in "a.test"`)
	}
	for _, label := range labels {
		if !validLabel(label) {
			return fail("a label is 1 to 63 of a-z, 0-9 and -, with no - at its ends; write international names as xn--...")
		}
	}
	if allDigits(labels[len(labels)-1]) {
		return fail("the last label is all digits; an IP address is not a domain")
	}
	return Domain{text}, nil
}

// String returns the domain as ParseDomain reads it.
func (d Domain) String() string { return d.text }

// IsZero reports whether d is no domain.
func (d Domain) IsZero() bool { return d.text == "" }

// MarshalText implements encoding.TextMarshaler. It refuses the zero Domain.
func (d Domain) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, fmt.Errorf("pki: there is no domain to write")
	}
	return []byte(d.text), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by ParseDomain.
func (d *Domain) UnmarshalText(text []byte) error {
	parsed, err := ParseDomain(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// labels returns the labels from left to right.
func (d Domain) labels() []string { return strings.Split(d.text, ".") }

// validLabel accepts one LDH label in lower case.
func validLabel(label string) bool {
	if label == "" || len(label) > maxLabelSize {
		return false
	}
	for _, c := range []byte(label) {
		if !isLowerOrDigit(c) && c != '-' {
			return false
		}
	}
	return label[0] != '-' && label[len(label)-1] != '-'
}

func allDigits(label string) bool {
	for _, c := range []byte(label) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func isLowerOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}

// JoinDomains writes domains as text: ", " between them, and last before the last one, as in
// "a.test, b.test and c.test" with " and ".
func JoinDomains(domains []Domain, last string) string {
	var b strings.Builder
	for i, d := range domains {
		switch {
		case i > 0 && i == len(domains)-1:
			b.WriteString(last)
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(d.String())
	}
	return b.String()
}
