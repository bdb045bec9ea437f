package witness

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/pki"
)

const (
	logSuffix     = "/p3do/log"
	witnessSuffix = "/p3do/witness"
)

// Origin is the name of a domain's log, in its checkpoints.
func Origin(domain pki.Domain) string { return domain.String() + logSuffix }

// Name is under which a domain cosigns.
func Name(domain pki.Domain) string { return domain.String() + witnessSuffix }

// DomainOf is whose log that is.
func DomainOf(origin string) (pki.Domain, error) {
	text, ok := strings.CutSuffix(origin, logSuffix)
	if !ok {
		return pki.Domain{}, fmt.Errorf("witness: %.80q is the name of no log", origin)
	}
	return pki.ParseDomain(text)
}

// LogVerifier verifies what a log signs.
func LogVerifier(domain pki.Domain, key pki.LogPublic) (note.Verifier, error) {
	vkey, err := LogKey(domain, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}

// LogKey is the key of a log as text, C2SP signed-note: what other people's tools want.
func LogKey(domain pki.Domain, key pki.LogPublic) (string, error) {
	return note.NewEd25519VerifierKey(Origin(domain), key.Bytes())
}

// Verifier verifies what a domain cosigns.
func Verifier(domain pki.Domain, key pki.WitnessPublic) (*torchwood.CosignatureVerifier, error) {
	return torchwood.NewCosignatureVerifier(Key(domain, key))
}

// Key is the key of a witness as text, C2SP tlog-cosignature.
func Key(domain pki.Domain, key pki.WitnessPublic) string {
	const cosignature = 4 // C2SP signed-note: timestamped Ed25519 cosignatures
	typed := append([]byte{cosignature}, key.Bytes()...)
	hash := sha256.Sum256(append([]byte(Name(domain)+"\n"), typed...))
	return fmt.Sprintf("%s+%08x+%s", Name(domain), binary.BigEndian.Uint32(hash[:]), base64.StdEncoding.EncodeToString(typed))
}

// Signer cosigns for a domain.
func Signer(domain pki.Domain, key pki.WitnessKey) (*torchwood.CosignatureSigner, error) {
	return torchwood.NewCosignatureSigner(Name(domain), key.Signer())
}
