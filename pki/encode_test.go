package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"
)

// What is written here is what crypto/x509 writes from the same fields.
func TestSameBytesAsCryptoX509(t *testing.T) {
	w := newWorld(t)
	for what, c := range map[string]struct {
		cert, parent *x509.Certificate
		signer       ed25519.PrivateKey
	}{
		"domain":     {w.home.ca.cert, w.home.ca.cert, w.home.domain.domain},
		"federation": {w.home.root, w.home.root, w.home.federation.federation},
		"cross":      {w.cross.cert, w.home.root, w.home.federation.federation},
		"user":       {w.annCert.cert, w.home.ca.cert, w.home.domain.domain},
		"link":       {w.linkCert.cert, w.peer.ca.cert, w.peer.domain.domain},
	} {
		template := &x509.Certificate{
			SerialNumber: c.cert.SerialNumber, RawSubject: c.cert.RawSubject,
			NotBefore: c.cert.NotBefore, NotAfter: c.cert.NotAfter, ExtraExtensions: c.cert.Extensions,
		}
		der := must[[]byte](t)(x509.CreateCertificate(w.rand, template, c.parent, c.cert.PublicKey, c.signer))
		if !bytes.Equal(der, c.cert.Raw) {
			t.Errorf("%s:\n%x, and crypto/x509\n%x", what, c.cert.Raw, der)
		}
	}
	name := mustName(t, "ann@a.test")
	template := &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{subjectAltName(tagMail, name.String())}}
	der := must[[]byte](t)(x509.CreateCertificateRequest(w.rand, template, w.ann.identity))
	request := must[UserRequest](t)(NewUserRequest(w.rand, w.ann, name))
	if !bytes.Equal(der, request.DER()) {
		t.Errorf("request:\n%x, and crypto/x509\n%x", request.DER(), der)
	}
	parsed := must[*x509.CertificateRequest](t)(x509.ParseCertificateRequest(request.DER()))
	if err := parsed.CheckSignature(); err != nil || len(parsed.EmailAddresses) != 1 {
		t.Errorf("crypto/x509 reads %v: %v", parsed.EmailAddresses, err)
	}
}

// From 2050 on, certificates write the century (RFC 5280, section 4.1.2.5).
func TestAuthorityIn2050(t *testing.T) {
	now := time.Date(2049, 12, 31, 23, 0, 0, 0, time.UTC)
	a := must[*Authority](t)(NewAuthority(testRand(3), mustDomain(t, "a.test"), now))
	ca := must[CACert](t)(ParseCACert(a.CA().DER()))
	if !ca.NotAfter().Equal(now.Add(CALifetime)) {
		t.Errorf("it ends at %v", ca.NotAfter())
	}
}
