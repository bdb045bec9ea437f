package pki

import (
	"golang.org/x/crypto/cryptobyte"
)

const (
	// ExporterSize is the length of the exporter of a TLS connection that a
	// login is bound to, in bytes.
	ExporterSize = 32

	// ExporterLabel is the label to call tls.ConnectionState's
	// ExportKeyingMaterial with, and no context (RFC 8446, section 7.5).
	ExporterLabel = "EXPORTER-p3do-user-login-v1"
)

// SignLogin proves to the other end of a TLS connection that its user holds
// the key. The proof is 64 bytes and good on that one connection only: nothing
// that could be used elsewhere is handed over. Like Sign, it returns nil for the
// zero Name.
func (k IdentityKey) SignLogin(exporter [ExporterSize]byte, name Name) []byte {
	if name.IsZero() {
		return nil
	}
	return k.Sign(LabelLogin, loginMessage(exporter, name))
}

// VerifyLogin reports whether proof is that of SignLogin for the connection
// with this exporter and for the name of the certificate, by its key.
func (c UserCert) VerifyLogin(exporter [ExporterSize]byte, proof []byte) bool {
	return c.key.VerifyLogin(exporter, c.name, proof)
}

// VerifyLogin reports whether proof is that of SignLogin for the connection
// with this exporter and for name. Whether the key may bear the name a
// certificate tells: see UserCert.VerifyLogin.
func (p IdentityPublic) VerifyLogin(exporter [ExporterSize]byte, name Name, proof []byte) bool {
	return !name.IsZero() && p.Verify(LabelLogin, loginMessage(exporter, name), proof)
}

// loginMessage returns what a login signs.
//
//	32   exporter
//	2+n  name
func loginMessage(exporter [ExporterSize]byte, name Name) []byte {
	var b cryptobyte.Builder
	b.AddBytes(exporter[:])
	addBytes16(&b, []byte(name.String()))
	return b.BytesOrPanic()
}
