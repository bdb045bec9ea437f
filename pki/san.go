package pki

import (
	"crypto/x509/pkix"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// onlyName returns the text of the one subjectAltName among the extensions of
// a certificate or request. It reads the extension itself, for crypto/x509
// passes over the types that it does not know: a second name, or a name of
// another type than tag, is an error.
func onlyName(extensions []pkix.Extension, tag cbasn1.Tag) (string, error) {
	var values [][]byte
	for _, e := range extensions {
		if e.Id.Equal(oidSubjectAltName) {
			values = append(values, e.Value)
		}
	}
	if len(values) != 1 {
		return "", fmt.Errorf("want one subjectAltName, found %d", len(values))
	}
	return readOnlyName(values[0], tag)
}

// readOnlyName reads GeneralNames ::= SEQUENCE OF GeneralName with one element.
func readOnlyName(der []byte, tag cbasn1.Tag) (string, error) {
	input := cryptobyte.String(der)
	var names, name cryptobyte.String
	var found cbasn1.Tag
	if !input.ReadASN1(&names, cbasn1.SEQUENCE) || !input.Empty() || !names.ReadAnyASN1(&name, &found) {
		return "", errors.New("its subjectAltName is malformed")
	}
	if !names.Empty() {
		return "", errors.New("its subjectAltName holds more than one name")
	}
	if found != tag {
		return "", fmt.Errorf("its subjectAltName is of type %#x, want %#x", uint8(found), uint8(tag))
	}
	return string(name), nil
}
