package pki

import "slices"

// Known is what somebody has pinned of a domain, to check a revocation or a move by.
type Known struct {
	CA          CACert        // its authority
	Former      []CACert      // authorities before it whose word still counts, see [Issuers]
	Lost        []CACert      // authorities whose office the offline root took away: they say who was meant, and no more
	Root        Fingerprint   // its offline root; zero: it has none
	FormerRoots []Fingerprint // roots that handed over
}

// NewKnown is what is known of a domain whose authority is ca, without roots. The former
// authorities are all that were ever in office, in any order.
func NewKnown(ca CACert, former []CACert, all []SignedSuccession) Known {
	line := Issuers(ca, former, all)
	k := Known{CA: ca, Former: line[1:]}
	for _, was := range former {
		if !slices.ContainsFunc(line, func(good CACert) bool { return good.Fingerprint() == was.Fingerprint() }) {
			k.Lost = append(k.Lost, was)
		}
	}
	return k
}

// authorities are all that certified anybody.
func (k Known) authorities() []CACert { return slices.Concat(k.issuers(), k.Lost) }

// issuers are those whose word counts.
func (k Known) issuers() []CACert { return append([]CACert{k.CA}, k.Former...) }

// Issuers are the authorities of a domain by whose word the domain speaks: the one in office, ca,
// and then those of former, in any order, that handed over to it, the newest first, as all that is
// held of successions says. Where the offline root had to name who follows, the key before was
// lost or stolen: neither its word counts nor that of any before it, nor what they certified.
func Issuers(ca CACert, former []CACert, all []SignedSuccession) []CACert {
	line, left := []CACert{ca}, slices.Clone(former)
	for {
		i := predecessor(all, line[len(line)-1], left)
		if i < 0 {
			return line
		}
		line = append(line, left[i])
		left = slices.Delete(left, i, i+1)
	}
}

// predecessor is which of the former authorities handed over to ca by itself; -1 if none did.
func predecessor(all []SignedSuccession, ca CACert, former []CACert) int {
	found := -1
	for _, s := range all {
		if s.Office != OfficeCA || s.Domain != ca.domain || s.New() != ca.Fingerprint() {
			continue
		}
		was := slices.IndexFunc(former, func(was CACert) bool { return was.domain == ca.domain && was.Fingerprint() == s.Old })
		switch {
		case was < 0:
		case s.By == ByRoot:
			return -1
		default:
			found = was
		}
	}
	return found
}
