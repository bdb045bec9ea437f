package onion

import (
	"bytes"
	"crypto/ecdh"
	stdhpke "crypto/hpke"

	"github.com/cloudflare/circl/kem"
	"pgregory.net/rapid"
)

// testingT is what *testing.T and *rapid.T have in common.
type testingT interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func noError(t testingT, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t testingT, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s:\n got %.80x\nwant %.80x", what, got, want)
	}
}

func ecdhX25519() ecdh.Curve { return ecdh.X25519() }

// contextKey and serverKey are the two kinds of key of this package, in one form for judged.
func contextKey(seed []byte) ([]byte, sendFunc, receiveFunc, error) {
	key, err := ParseContextPrivateKey(seed)
	if err != nil {
		return nil, nil, nil, err
	}
	return key.public.b[:], key.public.encapsulate, key.decapsulate, nil
}

func serverKey(seed []byte) ([]byte, sendFunc, receiveFunc, error) {
	key, err := ParseServerPrivateKey(seed)
	if err != nil {
		return nil, nil, nil, err
	}
	return key.public.raw[:], key.public.encapsulate, key.decapsulate, nil
}

// drawnKey is one key in the hands of all three.
type drawnKey struct {
	send    sendFunc
	receive receiveFunc
	circl   kem.PublicKey
	std     stdhpke.PrivateKey
}

func drawKey(t *rapid.T, j judged) (k drawnKey) {
	seed := bytesOf(SeedSize).Draw(t, "seed")
	public, send, receive, err := j.key(seed)
	noError(t, err)
	k.send, k.receive = send, receive
	k.std, err = j.stdKEM.NewPrivateKey(seed)
	noError(t, err)
	same(t, "public key by crypto/hpke", public, k.std.PublicKey().Bytes())
	kemID, _, _ := j.circl.Params()
	k.circl, err = kemID.Scheme().UnmarshalBinaryPublicKey(public)
	noError(t, err)
	return k
}
