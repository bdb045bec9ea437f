package agent

import (
	"crypto/x509"
	"fmt"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A MisissuedError says that a domain has certified a name of another one.
type MisissuedError struct {
	Name   pki.Name
	By     pki.Domain
	Letter bool // it was found in a letter
}

func (e *MisissuedError) Error() string {
	text := fmt.Sprintf("%s may not sign for %s", e.By, e.Name.Domain())
	if e.Letter {
		text = fmt.Sprintf("a letter says that it is from %s: %s", e.Name, text)
	}
	return text
}

// forged tells of a certificate that was to be by the authority of a name's home, and is by that
// of another domain; nil if it is by none that we know. Anybody may have made it: it counts only
// if that other domain has signed it indeed.
func (a *Agent) forged(name pki.Name, issuer pki.Fingerprint, certificate []byte) (*MisissuedError, error) {
	ca, ok, err := a.signer(issuer)
	if err != nil || !ok || ca.Domain() == name.Domain() {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil
	}
	parent, err := x509.ParseCertificate(ca.DER())
	if err != nil || leaf.CheckSignatureFrom(parent) != nil {
		return nil, err
	}
	return &MisissuedError{Name: name, By: ca.Domain(), Letter: true}, nil
}

// signer is the authority of that key, of whatever domain in the directory.
func (a *Agent) signer(key pki.Fingerprint) (ca pki.CACert, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		return tx.Range(prefixServer, func(_ string, raw []byte) error {
			d, err := a.parsed(raw)
			if err == nil && d.CA.Fingerprint() == key {
				ca, ok = d.CA, true
			}
			return err
		})
	})
	return ca, ok, err
}
