package onion

import "io"

// A Scheme builds and opens packets. The zero value is the format of docs/spec/onion.md, as Wrap, PeelOuter, BuildInner,
// PeelInner and BuildSURB have it, which are its methods. With another KEM all sizes, commands, refusals and derivations
// stay what they are; only what a key hides is another matter. Nobody but a simulation has one.
type Scheme struct{ KEM KEM }

// A KEM makes the 32-byte secrets that layers follow from, for whom a public key belongs to. Encapsulations are 32
// bytes in the outer tier and 1120 in the inner one; as many bytes of randomness are read for them as docs/spec/onion.md
// says, 32 and 64.
type KEM interface {
	Outer(rand io.Reader, to ContextKey) (enc []byte, secret [32]byte, err error)
	OpenOuter(key *ContextPrivateKey, enc []byte) (secret [32]byte, err error)
	Inner(rand io.Reader, to ServerKey) (enc []byte, secret [32]byte, err error)
	OpenInner(key *ServerPrivateKey, enc []byte) (secret [32]byte, err error)
}

// kem is that of s, or the one of the format.
func (s Scheme) kem() KEM {
	if s.KEM == nil {
		return hybrid{}
	}
	return s.KEM
}

// hybrid is the KEM of the format: X25519 in the outer tier, X-Wing in the inner one.
type hybrid struct{}

func (hybrid) Outer(rand io.Reader, to ContextKey) ([]byte, secret, error) {
	return to.encapsulate(rand)
}
func (hybrid) OpenOuter(key *ContextPrivateKey, enc []byte) (secret, error) {
	return key.decapsulate(enc)
}
func (hybrid) Inner(rand io.Reader, to ServerKey) ([]byte, secret, error) {
	return to.encapsulate(rand)
}
func (hybrid) OpenInner(key *ServerPrivateKey, enc []byte) (secret, error) {
	return key.decapsulate(enc)
}
