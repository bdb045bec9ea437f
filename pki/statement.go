package pki

import (
	"crypto/ed25519"
)

// A Label says what kind of statement a signature is about, so that none can
// be shown as one of another kind. It is 1 to 64 of a-z, 0-9, space, "." and
// "-", by custom a few words and a version.
type Label string

// The labels of the statements that this package makes itself.
const (
	LabelDescriptor Label = "server descriptor v1" // Authority.SignDescriptor
	LabelCard       Label = "user card v1"         // SignCard
	LabelLogin      Label = "user login v1"        // IdentityKey.SignLogin
	LabelView       Label = "server view v1"       // Authority.SignView
	LabelRevoker    Label = "revocation key v1"    // IdentityKey.BindRevoker
	LabelRevocation Label = "revocation v1"        // RevokeKey, RevokeName
	LabelPossession Label = "succession key v1"    // by the new key, in a Succession
	LabelSuccession Label = "succession v1"        // by the signer of a Succession
	LabelMove       Label = "move v1"              // IdentityKey.SignMove
	LabelDevice     Label = "device login v1"      // DeviceKey.SignLogin
	LabelChallenge  Label = "challenge v1"         // IdentityKey.Challenge
)

// SignatureSize is the length of a statement's signature in bytes.
const SignatureSize = ed25519.SignatureSize

const maxLabelStatement = 64

// valid holds the zero byte out of labels: it ends them.
func (l Label) valid() bool {
	if l == "" || len(l) > maxLabelStatement {
		return false
	}
	for _, c := range []byte(l) {
		if !isLowerOrDigit(c) && c != ' ' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// statement returns the bytes that are signed.
//
//	5   "p3do "
//	n   label, 1 to 64 bytes
//	1   zero
//	m   message
//
// The first byte is "p" (0x70). What the same keys sign as X.509 begins with
// 0x30, and what TLS 1.3 lets them sign with 0x20: none is ever another.
func statement(label Label, message []byte) []byte {
	b := make([]byte, 0, 5+len(label)+1+len(message))
	b = append(b, "p3do "...)
	b = append(b, label...)
	b = append(b, 0)
	return append(b, message...)
}

func signStatement(private ed25519.PrivateKey, label Label, message []byte) []byte {
	if !label.valid() || len(private) != ed25519.PrivateKeySize {
		return nil
	}
	return ed25519.Sign(private, statement(label, message))
}

func verifyStatement(key point, label Label, message, signature []byte) bool {
	return label.valid() && key != point{} && ed25519.Verify(key[:], statement(label, message), signature)
}
