package witness

import (
	"fmt"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// DomainOf is whose log that is.
func DomainOf(origin string) (pki.Domain, error) {
	text, _, _ := strings.Cut(origin, "/")
	domain, err := pki.ParseDomain(text)
	if err != nil || keylog.Origin(domain) != origin {
		return pki.Domain{}, fmt.Errorf("witness: %.80q is the name of no log", origin)
	}
	return domain, nil
}

// Signer cosigns for a domain.
func Signer(domain pki.Domain, key pki.WitnessKey) (*torchwood.CosignatureSigner, error) {
	return torchwood.NewCosignatureSigner(keylog.WitnessName(domain), key.Signer())
}

// LogVerifier verifies what a log signs.
func LogVerifier(domain pki.Domain, key pki.LogPublic) (note.Verifier, error) {
	vkey, err := keylog.LogVKey(domain, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(vkey)
}
