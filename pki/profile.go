package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Every certificate here has one profile, and a profile fixes its extensions
// to the byte. A certificate is judged by building the extensions that its
// profile wants and comparing: so nothing unknown, doubled or loosened passes.

var (
	oidDomainComponent  = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25} // RFC 4519, section 2.4
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSubjectKey       = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNameConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidAuthorityKey     = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidServerAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// The tags of GeneralName (RFC 5280, section 4.2.1.6).
var (
	tagMail = cbasn1.Tag(1).ContextSpecific()
	tagDNS  = cbasn1.Tag(2).ContextSpecific()
	tagURI  = cbasn1.Tag(6).ContextSpecific()
	tagIP   = cbasn1.Tag(7).ContextSpecific()
)

// The common names that tell a domain's two authorities apart. They hold a
// space, so that no verifier takes them for a host name.
const (
	roleDomain     = "P3DO domain CA"
	roleFederation = "P3DO federation root"
)

// The bits of KeyUsage (RFC 5280, section 4.2.1.3), from the left.
const (
	usageSignature = 0x80 // digitalSignature, bit 0
	usageCertSign  = 0x04 // keyCertSign, bit 5
)

// caProfile is what the exported, self-constrained certificate of a domain
// carries, and a cross-certificate over its key by another issuer too.
func caProfile(domain Domain, subject, issuer Fingerprint) []pkix.Extension {
	return []pkix.Extension{
		basicConstraints(0),
		keyUsage(usageCertSign),
		nameConstraints(domain),
		subjectKey(subject),
		authorityKey(issuer),
	}
}

// rootProfile is what a private federation root carries: no constraint of
// names, for Go and OpenSSL hold those of a root against the whole chain.
func rootProfile(subject Fingerprint) []pkix.Extension {
	return []pkix.Extension{
		basicConstraints(1),
		keyUsage(usageCertSign),
		subjectKey(subject),
		authorityKey(subject),
	}
}

// userProfile is what the certificate of a name carries.
func userProfile(name Name, issuer Fingerprint) []pkix.Extension {
	return []pkix.Extension{
		keyUsage(usageSignature),
		extKeyUsage(oidClientAuth),
		subjectAltName(tagMail, name.String()),
		authorityKey(issuer),
	}
}

// linkProfile is what the TLS certificate of a node carries.
func linkProfile(domain Domain, issuer Fingerprint) []pkix.Extension {
	return []pkix.Extension{
		keyUsage(usageSignature),
		extKeyUsage(oidServerAuth, oidClientAuth),
		subjectAltName(tagDNS, domain.String()),
		authorityKey(issuer),
	}
}

// sameExtensions reports whether got is want: same order, marks and bytes.
func sameExtensions(got, want []pkix.Extension) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		same := got[i].Id.Equal(want[i].Id) && got[i].Critical == want[i].Critical &&
			bytes.Equal(got[i].Value, want[i].Value)
		if !same {
			return false
		}
	}
	return true
}

// basicConstraints marks an authority with a path length that is written out:
// in crypto/x509 a zero MaxPathLen alone would mean "no limit".
func basicConstraints(pathLen int64) pkix.Extension {
	return extension(oidBasicConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Boolean(true)
			b.AddASN1Int64(pathLen)
		})
	})
}

func keyUsage(bits byte) pkix.Extension {
	return extension(oidKeyUsage, true, func(b *cryptobyte.Builder) {
		unused := byte(0)
		for bits>>unused&1 == 0 {
			unused++
		}
		b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte{unused, bits})
		})
	})
}

func extKeyUsage(usages ...asn1.ObjectIdentifier) pkix.Extension {
	return extension(oidExtKeyUsage, false, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, usage := range usages {
				b.AddASN1ObjectIdentifier(usage)
			}
		})
	})
}

// subjectAltName holds one name. It is critical, for the subject is empty
// (RFC 5280, section 4.2.1.6).
func subjectAltName(tag cbasn1.Tag, name string) pkix.Extension {
	return extension(oidSubjectAltName, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addText(b, tag, name) })
	})
}

// nameConstraints permits DNS names, mailboxes and URIs of the domain only,
// and no IP address (RFC 5280, section 4.2.1.10). Verifiers read "a.test" of
// DNS as sub-domains too, and some of them of mail: what verifies here
// compares the name once more, exactly.
func nameConstraints(domain Domain) pkix.Extension {
	return extension(oidNameConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				addSubtree(b, tagDNS, domain.String())
				addSubtree(b, tagMail, domain.String())
				addSubtree(b, tagURI, domain.String())
			})
			b.AddASN1(cbasn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				addSubtree(b, tagIP, string(make([]byte, 4+4)))   // 0.0.0.0/0
				addSubtree(b, tagIP, string(make([]byte, 16+16))) // ::/0
			})
		})
	})
}

// subjectKey is the whole fingerprint of the key (RFC 7093, section 2, leaves
// the method open; RFC 5280 proposes SHA-1).
func subjectKey(key Fingerprint) pkix.Extension {
	return extension(oidSubjectKey, false, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(key[:])
	})
}

func authorityKey(key Fingerprint) pkix.Extension {
	return extension(oidAuthorityKey, false, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addText(b, cbasn1.Tag(0).ContextSpecific(), string(key[:]))
		})
	})
}

// extension builds one extension. Nothing here can fail: all values are of
// fixed or checked sizes.
func extension(id asn1.ObjectIdentifier, critical bool, value cryptobyte.BuilderContinuation) pkix.Extension {
	var b cryptobyte.Builder
	value(&b)
	return pkix.Extension{Id: id, Critical: critical, Value: b.BytesOrPanic()}
}

func addSubtree(b *cryptobyte.Builder, tag cbasn1.Tag, base string) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addText(b, tag, base) })
}

func addText(b *cryptobyte.Builder, tag cbasn1.Tag, text string) {
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

// authoritySubject returns the distinguished name of a domain's authority in
// DER: the labels as domainComponents, the last one first (RFC 2247), and the
// role as common name.
func authoritySubject(domain Domain, role string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		labels := domain.labels()
		for i := len(labels) - 1; i >= 0; i-- {
			addAttribute(b, oidDomainComponent, cbasn1.IA5String, labels[i])
		}
		addAttribute(b, oidCommonName, cbasn1.UTF8String, role)
	})
	return b.BytesOrPanic()
}

// otherIssuer says why cert is not by the authority of named: by whose it is, if its issuer
// is the authority of another domain (row K1).
func otherIssuer(cert *x509.Certificate, named Domain) error {
	var labels []string
	for _, attribute := range cert.Issuer.Names {
		if label, ok := attribute.Value.(string); ok && attribute.Type.Equal(oidDomainComponent) {
			labels = append([]string{label}, labels...)
		}
	}
	other, err := ParseDomain(strings.Join(labels, "."))
	if err != nil || other == named || !bytes.Equal(cert.RawIssuer, authoritySubject(other, roleDomain)) {
		return fmt.Errorf("its issuer is not the authority of %s", named)
	}
	return mayName(other, named)
}

func addAttribute(b *cryptobyte.Builder, id asn1.ObjectIdentifier, tag cbasn1.Tag, value string) {
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(id)
			addText(b, tag, value)
		})
	})
}

// emptySubject returns the distinguished name without parts, in DER.
func emptySubject() []byte { return []byte{0x30, 0} }
