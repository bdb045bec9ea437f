package main

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	circl "github.com/cloudflare/circl/hpke"
)

// The second implementation of sections 2 and 4 of docs/spec/message.md. Opening uses the
// standard library's HPKE, which package message does not.

const info = "p3do v1 message"

// sealRaw seals any body, also one that is none, with a code under the auth scalar given.
func sealRaw(in *inputs, body []byte, codeScalar, statedAuth []byte) ([]byte, error) {
	scheme := circl.KEM_XWING.Scheme()
	private, err := scheme.UnmarshalBinaryPrivateKey(in.Recipient[:32])
	if err != nil {
		return nil, err
	}
	suite := circl.NewSuite(circl.KEM_XWING, circl.KDF_HKDF_SHA256, circl.AEAD_AES256GCM)
	sender, err := suite.NewSender(private.Public(), []byte(info))
	if err != nil {
		return nil, err
	}
	enc, sealer, err := sender.Setup(&fixed{in.Encapsulation})
	if err != nil {
		return nil, err
	}
	recipientAuth, err := publicOf(in.Recipient[32:])
	if err != nil {
		return nil, err
	}
	in.CodeKey, err = codeKey(codeScalar, recipientAuth, sealer.Export([]byte("p3do message mac"), 32), statedAuth, recipientAuth, in.Name)
	if err != nil {
		return nil, err
	}
	in.Plaintext = append(code(in.CodeKey, body), body...)
	sealed, err := sealer.Seal(in.Plaintext, nil)
	return append(enc, sealed...), err
}

// openRaw returns the plaintext if it decrypts and its code is right.
func openRaw(keys []byte, name string, sealed, senderAuth []byte) ([]byte, error) {
	private, err := hpke.MLKEM768X25519().NewPrivateKey(keys[:32])
	if err != nil {
		return nil, err
	}
	r, err := hpke.NewRecipient(sealed[:1120], private, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, err
	}
	plain, err := r.Open(nil, sealed[1120:])
	if err != nil {
		return nil, err
	}
	export, err := r.Export("p3do message mac", 32)
	if err != nil {
		return nil, err
	}
	auth, err := publicOf(keys[32:])
	if err != nil {
		return nil, err
	}
	key, err := codeKey(keys[32:], senderAuth, export, senderAuth, auth, name)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(code(key, plain[32:]), plain[:32]) {
		return nil, errors.New("wrong code")
	}
	return plain, nil
}

func codeKey(scalar, other, export, sender, recipient []byte, name string) ([]byte, error) {
	private, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, err
	}
	public, err := ecdh.X25519().NewPublicKey(other)
	if err != nil {
		return nil, err
	}
	dh, err := private.ECDH(public)
	if err != nil {
		return nil, err
	}
	label := slices.Concat([]byte("p3do v1 message mac"), sender, recipient, []byte(name))
	return hkdf.Key(sha256.New, append(dh, export...), nil, string(label), 32)
}

func code(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil)
}

func publicOf(scalar []byte) ([]byte, error) {
	private, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, err
	}
	return private.PublicKey().Bytes(), nil
}

// fixed gives its bytes once, then ends.
type fixed struct{ rest []byte }

// Read implements io.Reader.
func (f *fixed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
