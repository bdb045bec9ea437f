package pki

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"time"
)

// A NotHandedError says that a domain did not come from one key to another by the word of each that went.
type NotHandedError struct {
	Why string // a clause
}

func (e *NotHandedError) Error() string { return "pki: " + e.Why }

// HandedOver are the hand-overs by which a domain came from the key was to the key is, in order, as
// somebody judges them who knows one of the two and nothing else: of the first key by its own
// signature, of each that follows as [Commitment.Heirs] says. Where the offline root has spoken of
// one of them, a key on the way was lost or stolen, and there is no way: an error is a *[NotHandedError].
func HandedOver(all []SignedSuccession, domain Domain, was, is Fingerprint) (way []SignedSuccession, err error) {
	at := was
	for _, heir := range (Commitment{Domain: domain, Key: was}).Heirs(all) {
		if at == is {
			break
		}
		if err := rooted(all, domain, at, heir.Key); err != nil {
			return nil, err
		}
		way, at = append(way, ownWord(all, domain, at, heir.Key)), heir.Key
	}
	if at == is {
		return way, nil
	}
	if err := rooted(all, domain, at, is); err != nil {
		return nil, err
	}
	return nil, &NotHandedError{fmt.Sprintf("%s has not handed over by its own word, or to two", at)}
}

// rooted says that the offline root has named who follows a key, or whom another follows.
func rooted(all []SignedSuccession, domain Domain, was, is Fingerprint) error {
	for _, s := range all {
		if s.Office == OfficeCA && s.By == ByRoot && s.Domain == domain && (s.Old == was || s.New() == is) {
			return &NotHandedError{fmt.Sprintf("the offline root of %s put %s in the place of %s: what that signed counts no more", domain, s.New(), s.Old)}
		}
	}
	return nil
}

// ownWord is the hand-over of one key of a line to the next: by its signature, if there is that.
func ownWord(all []SignedSuccession, domain Domain, was, is Fingerprint) (own SignedSuccession) {
	for _, s := range all {
		if s.Office == OfficeCA && s.Domain == domain && s.Old == was && s.New() == is && own.By != ByOld {
			own = s
		}
	}
	return own
}

// VerifyCard is [CACert.VerifyCard] of a card that the key certified which handed over by this word
// of its own, as long after that as its last certificates may last. The certificate of that authority
// is not needed: its key is in the succession.
func (s SignedSuccession) VerifyCard(raw []byte, now time.Time) (SignedCard, error) {
	card, err := parseCard(raw)
	if err == nil {
		err = s.vouchUser(card.Certificate, now)
	}
	if err == nil {
		err = checkNow(card.Issued, card.Expires, now)
	}
	if err != nil {
		return SignedCard{}, fmt.Errorf("pki: card by a former authority: %w", err)
	}
	return SignedCard{Card: card, raw: bytes.Clone(raw)}, nil
}

func (s SignedSuccession) vouchUser(user UserCert, now time.Time) error {
	switch {
	case s.Office != OfficeCA || s.By != ByOld || user.issuer != s.Old:
		return errOtherKey
	case now.Sub(s.Issued) >= UserLifetime:
		return fmt.Errorf("%w: its authority handed over on %s", ErrTime, s.Issued.Format(time.DateOnly))
	}
	if err := mayName(s.Domain, user.name.domain); err != nil {
		return err
	}
	if err := checkTime(user.cert, now); err != nil {
		return err
	}
	if !ed25519.Verify(s.signer[:], user.cert.RawTBSCertificate, user.cert.Signature) {
		return errSignature
	}
	return nil
}
