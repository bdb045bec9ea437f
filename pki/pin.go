package pki

import (
	"crypto/subtle"
	"fmt"
)

// A Pin remembers which key stood for a subject when it was first trusted, and why it is.
type Pin struct {
	Subject string      // whom it is about: a domain or a name, for people to read
	Key     Fingerprint // of the domain key or of the identity key
	Trust   Trust       // in Key

	Former []Fingerprint // keys that handed over, each to the next and the last to Key
}

// Check returns nil if shown is the pinned key, and a *KeyChangedError if not.
func (p Pin) Check(shown Fingerprint) error { return CheckPin(p.Key, shown, p.Subject) }

// CheckPin compares two fingerprints in constant time. It returns nil if they
// are the same, and a *KeyChangedError about subject if not: another key is
// then never accepted here, only by somebody who judges more evidence.
func CheckPin(pinned, shown Fingerprint, subject string) error {
	if subtle.ConstantTimeCompare(pinned[:], shown[:]) == 1 {
		return nil
	}
	return &KeyChangedError{Subject: subject, Pinned: pinned, Shown: shown}
}

// A KeyChangedError says that a subject showed another key than the pinned
// one. Commands exit with status 4 on it, having sent nothing.
type KeyChangedError struct {
	Subject string      // a domain or a name
	Pinned  Fingerprint // the key that was trusted
	Shown   Fingerprint // the key that was shown instead
}

func (e *KeyChangedError) Error() string {
	return fmt.Sprintf("pki: the key of %s changed: pinned %s, shown %s", e.Subject, e.Pinned, e.Shown)
}
