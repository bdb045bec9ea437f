package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// revocableLabel begins the file of a revocation key.
const revocableLabel = "p3do revocation key v1"

// MaxRevocable is how long the file of a revocation key is, in bytes, that is read.
const MaxRevocable = 8192

// ErrNoRevocable: the file is not that of a revocation key.
var ErrNoRevocable = errors.New("this is not the file of a revocation key")

// A Revocable is all that it takes to end an identity key without having it: to be kept away
// from the folder, for the day on which that is gone. Whoever finds it can end the key, and
// nothing else.
type Revocable struct {
	Label       string   `json:"what"`
	Name        pki.Name `json:"name"`
	Words       string   `json:"words"`       // the revocation key, 24 of package words' second kind
	Binding     []byte   `json:"binding"`     // the identity key's word for it
	Certificate []byte   `json:"certificate"` // one that the identity key had, in DER
}

// Revocable returns what ends the user's identity key. Errors: ErrNoHome if it was never
// certified: then nobody else knows it.
func (a *Agent) Revocable() (Revocable, error) {
	if a.self.linked() {
		return Revocable{}, ErrDevice
	}
	id, _, err := a.identity()
	if err != nil {
		return Revocable{}, err
	}
	if len(id.Certificate) == 0 {
		return Revocable{}, ErrNoHome
	}
	r, ok, err := a.revoker()
	if err != nil || !ok || len(r.Seed) != words.SecretSize {
		return Revocable{}, errors.Join(err, errors.New("agent: the folder has no revocation key"))
	}
	return Revocable{revocableLabel, id.Name, words.Revocation([words.SecretSize]byte(r.Seed)), r.Binding, id.Certificate}, nil
}

// Marshal returns the file.
func (r Revocable) Marshal() ([]byte, error) {
	raw, err := json.MarshalIndent(r, "", "  ")
	return append(raw, '\n'), err
}

// ParseRevocable reads what Marshal wrote. Errors: ErrNoRevocable, and those of
// words.ParseRevocation.
func ParseRevocable(raw []byte) (r Revocable, err error) {
	if len(raw) > MaxRevocable || strictjson.Unmarshal(raw, &r) != nil || r.Label != revocableLabel {
		return Revocable{}, ErrNoRevocable
	}
	_, err = words.ParseRevocation(r.Words)
	return r, err
}

// Revoke ends the identity key: the revocation is to be handed to any node.
func (r Revocable) Revoke(now time.Time) (pki.Revocation, error) {
	seed, err := words.ParseRevocation(r.Words)
	if err != nil {
		return pki.Revocation{}, err
	}
	key, err := pki.ParseRevocationKey(seed[:])
	if err != nil {
		return pki.Revocation{}, fmt.Errorf("agent: %w", err)
	}
	return key.RevokeKey(r.Certificate, r.Binding, now)
}
