package pki

import "slices"

// A Commitment is what somebody has pinned of a domain beside its key: what that key had
// said of its own end. It is learnt once: whoever steals the key can say it anew, and is
// not heard.
type Commitment struct {
	Domain Domain
	Key    Fingerprint // of its authority
	Next   Fingerprint // of the only key that may follow; zero: not known; Key itself: none may but by Root
	Root   Fingerprint // of its offline root; zero: not known
}

// Learn adds what a descriptor of the same key says, where nothing is known yet.
func (c Commitment) Learn(d SignedDescriptor) Commitment {
	if d.Domain != c.Domain || d.CA.Fingerprint() != c.Key {
		return c
	}
	if c.Next.IsZero() {
		c.Next = d.Next
	}
	if c.Root.IsZero() {
		c.Root = d.Root
	}
	return c
}

// Heirs are the authorities that follow the pinned one by right, in order, each with what
// is to be pinned of it; the last is in office. There are none if nobody has followed.
//
// The order of the list does not count. From a key K goes over to N if
//
//   - the offline root says so; or else
//   - K had committed to N, and N, or K, says so; or
//   - K had committed to none, and says so itself.
//
// If by one of these K has two heirs, it has none: one of them is a thief's, and nobody
// can tell which. Nor does the line ever return to a key that it has left.
func (c Commitment) Heirs(all []SignedSuccession) []Commitment {
	return c.line(all)[1:]
}

// Admits reports whether a succession is worth keeping beside all that are held: whether
// it counts for a key in the line, or leads to one from another; one by the offline root only
// if that is in its line. So a thief cannot fill the store, nor whoever makes keys for a
// domain that is not his.
func (c Commitment) Admits(all []SignedSuccession, s SignedSuccession) bool {
	if s.Domain != c.Domain {
		return false
	}
	roots := c.Roots(all)
	if s.Office == OfficeRoot {
		return slices.Contains(roots, s.Old) || slices.Contains(roots, s.New())
	}
	if s.By == ByRoot && !slices.Contains(roots, s.Signer()) {
		return false
	}
	leads := false
	for _, held := range c.line(all) {
		if held.Key == s.Old {
			return held.counts(s.Succession)
		}
		leads = leads || held.Key == s.New()
	}
	return leads
}

// line is the pinned key and its heirs, each with the root that is in office now.
func (c Commitment) line(all []SignedSuccession) []Commitment {
	roots := c.Roots(all)
	c.Root = roots[len(roots)-1]
	line := []Commitment{c}
	for {
		heir, ok := line[len(line)-1].heir(all)
		if !ok || slices.ContainsFunc(line, func(was Commitment) bool { return was.Key == heir.Key }) {
			return line
		}
		line = append(line, heir)
	}
}

// heir is who follows c at once: whom the root names, or else whom the key does.
func (c Commitment) heir(all []SignedSuccession) (Commitment, bool) {
	var rooted, others []Succession
	for _, s := range all {
		switch {
		case !c.counts(s.Succession):
		case s.By == ByRoot:
			rooted = append(rooted, s.Succession)
		default:
			others = append(others, s.Succession)
		}
	}
	if len(rooted) > 0 {
		return c.follow(rooted)
	}
	return c.follow(others)
}

// counts reports whether s is by somebody who may say who follows c.
func (c Commitment) counts(s Succession) bool {
	if s.Office != OfficeCA || s.Domain != c.Domain || s.Old != c.Key {
		return false
	}
	switch s.By {
	case ByRoot:
		return s.Signer() == c.Root
	case ByOld:
		return c.Next.IsZero() || s.New() == c.Next
	default:
		return s.New() == c.Next
	}
}

// follow is the one heir that they name, if they name one.
func (c Commitment) follow(named []Succession) (Commitment, bool) {
	if len(named) == 0 {
		return Commitment{}, false
	}
	heir := Commitment{Domain: c.Domain, Key: named[0].New(), Next: named[0].Next, Root: c.Root}
	for _, s := range named[1:] {
		if s.New() != heir.Key {
			return Commitment{}, false
		}
		if s.Next != named[0].Next {
			heir.Next = heir.Key // it has committed to two: to none that can be
		}
	}
	return heir, true
}

// Roots are the pinned root, those before it, each of which handed over to the next with the
// next one's word for it, and those that follow, each named by the one before and no other by
// that. The last is in office.
func (c Commitment) Roots(all []SignedSuccession) []Fingerprint {
	roots := []Fingerprint{c.Root}
	for {
		heir, ok := c.heirOfRoot(roots[len(roots)-1], all)
		if !ok || slices.Contains(roots, heir) {
			break
		}
		roots = append(roots, heir)
	}
	for {
		was, ok := c.formerRoot(roots, all)
		if !ok {
			return roots
		}
		roots = slices.Insert(roots, 0, was)
	}
}

// formerRoot is one that is not among roots yet and handed over to the first of them.
func (c Commitment) formerRoot(roots []Fingerprint, all []SignedSuccession) (was Fingerprint, ok bool) {
	for _, s := range all {
		if s.Office == OfficeRoot && s.Domain == c.Domain && s.New() == roots[0] && !slices.Contains(roots, s.Old) {
			return s.Old, true
		}
	}
	return Fingerprint{}, false
}

func (c Commitment) heirOfRoot(root Fingerprint, all []SignedSuccession) (heir Fingerprint, ok bool) {
	for _, s := range all {
		if s.Office != OfficeRoot || s.Domain != c.Domain || s.Old != root {
			continue
		}
		if ok && s.New() != heir {
			return Fingerprint{}, false
		}
		heir, ok = s.New(), true
	}
	return heir, ok
}
