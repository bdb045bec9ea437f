package keylog

import (
	"errors"
	"fmt"

	vrf "filippo.io/mostly-harmless/vrf-r255"
)

const (
	// LabelSize is the length of a label in bytes.
	LabelSize = 32

	// LabelProofSize is the length of the proof of a label in bytes (C2SP vrf-r255).
	LabelProofSize = 80
)

// Label stands in a leaf for a subject: the first 32 bytes of the VRF's output for it.
type Label [LabelSize]byte

// LabelProof shows that a label is a subject's, and contains the label.
type LabelProof [LabelProofSize]byte

// LabelKey is the secret key that makes the labels of a domain.
type LabelKey struct {
	_   [0]func()
	key *vrf.PrivateKey
}

var errLabel = errors.New("keylog: the label is not the subject's")

// ParseLabelKey takes the 32 bytes of a vrf-r255 private key.
func ParseLabelKey(secret []byte) (LabelKey, error) {
	key, err := vrf.NewPrivateKey(secret)
	if err != nil {
		return LabelKey{}, errors.New("keylog: malformed key of labels")
	}
	return LabelKey{key: key}, nil
}

// String does not show the key.
func (k LabelKey) String() string { return "secret" }

// GoString does not show the key.
func (k LabelKey) GoString() string { return "secret" }

// MarshalText does not show the key.
func (k LabelKey) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// IsZero reports whether there is no key.
func (k LabelKey) IsZero() bool { return k.key == nil }

// Public returns the public half, as a descriptor names it.
func (k LabelKey) Public() [32]byte { return [32]byte(k.key.PublicKey().Bytes()) }

// Label makes the label of a subject, and its proof: always the same for one subject.
func (k LabelKey) Label(subject string) (Label, LabelProof) {
	proof := k.key.Prove([]byte(subject))
	return labelOf(proof.Hash()), LabelProof(proof.Bytes())
}

func labelOf(output []byte) Label { return Label(output[:LabelSize]) }

// VerifyLabel returns the label that proof shows to be the subject's under a domain's public key
// of labels.
func VerifyLabel(public [32]byte, subject string, proof LabelProof) (Label, error) {
	key, err := vrf.NewPublicKey(public[:])
	if err != nil {
		return Label{}, fmt.Errorf("%w: malformed key", errLabel)
	}
	p, err := vrf.NewProof(proof[:])
	if err != nil {
		return Label{}, fmt.Errorf("%w: malformed proof", errLabel)
	}
	output, err := key.Verify(p, []byte(subject))
	if err != nil {
		return Label{}, errLabel
	}
	return labelOf(output), nil
}
