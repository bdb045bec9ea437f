package keylog

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/pki"
)

// Origin names the log of a domain: the first line of its checkpoints, and the name of its
// key in signed notes.
func Origin(d pki.Domain) string { return d.String() + "/p3do/log" }

// WitnessName names a domain as a witness: the name of its key in cosignatures.
func WitnessName(d pki.Domain) string { return d.String() + "/p3do/witness" }

// logVerifier verifies the signatures of a domain's log (Ed25519, C2SP signed-note).
func logVerifier(d pki.Domain, key pki.LogPublic) (note.Verifier, error) {
	vkey, err := LogVKey(d, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

// LogVKey is the log's key as a line of text, as other tools take it (C2SP signed-note, vkey).
func LogVKey(d pki.Domain, key pki.LogPublic) (string, error) {
	if d.IsZero() || key.IsZero() {
		return "", errors.New("keylog: the domain has no log")
	}
	return note.NewEd25519VerifierKey(Origin(d), key.Bytes())
}

// logSigner signs as a domain's log.
type logSigner struct {
	verifier note.Verifier
	key      crypto.Signer
}

func (s logSigner) Name() string    { return s.verifier.Name() }
func (s logSigner) KeyHash() uint32 { return s.verifier.KeyHash() }
func (s logSigner) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(nil, msg, crypto.Hash(0)) // Ed25519 needs no randomness
}

// NewLogSigner makes what note.Sign needs to sign as the log of d.
func NewLogSigner(d pki.Domain, key pki.LogKey) (note.Signer, error) {
	v, err := logVerifier(d, key.Public())
	if err != nil {
		return nil, err
	}
	return logSigner{v, key.Signer()}, nil
}

// WitnessVerifier verifies the cosignatures of a domain (C2SP tlog-cosignature, Ed25519). Its
// String is the key as other tools take it.
func WitnessVerifier(d pki.Domain, key pki.WitnessPublic) (*torchwood.CosignatureVerifier, error) {
	if d.IsZero() || key.IsZero() {
		return nil, errors.New("keylog: the domain is no witness")
	}
	s, err := torchwood.NewCosignatureSigner(WitnessName(d), publicOnly(key.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("keylog: witness %s: %w", d, err)
	}
	return s.Verifier(), nil
}

// publicOnly lets torchwood make a verifier of a key that others sign with.
type publicOnly ed25519.PublicKey

func (p publicOnly) Public() crypto.PublicKey { return ed25519.PublicKey(p) }
func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("keylog: a public key signs nothing")
}
