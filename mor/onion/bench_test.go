package onion_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/subtle"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// The floors below are the least that each operation must compute, from the standard library alone. Run all in one
// process and read the ratios:
//
//	go test -run xxx -bench . -benchtime 1s -count 3 ./mor/onion
//
//	PeelOuter  / (FloorX25519 + FloorGCM16K)
//	PeelInner  / (FloorMLKEMDecapsulate + FloorX25519 + FloorWideBlock)
//	Match1000  / FloorSHA256AndTags

func BenchmarkPeelOuter(b *testing.B) {
	rand := newStream("bench")
	hops, keys := newLeg(b, rand, 3)
	p := wrap(b, rand, hops)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onion.PeelOuter(keys[0], hops[0].Hint, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPeelInner(b *testing.B) {
	rand := newStream("bench")
	hops, keys := newRoute(b, rand, 3)
	in := build(b, rand, hops)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onion.PeelInner(keys[0], in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMatch1000 is what a listener does with a packet: Parse, and a match against 1000 known owners, none of
// whom it is for.
func BenchmarkMatch1000(b *testing.B) {
	rand := newStream("bench")
	hints := make([]onion.Hint, 1000)
	for i := range hints {
		hints[i] = newHint(b, rand)
	}
	matcher := onion.NewMatcher(hints)
	hops, _ := newLeg(b, rand, 1)
	raw := wrap(b, rand, hops).Bytes()[:]
	b.ReportAllocs()
	for b.Loop() {
		p, err := onion.Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := matcher.Match(p); ok {
			b.Fatal("matched a stranger's packet")
		}
	}
}

func BenchmarkWrap3(b *testing.B) {
	rand := newStream("bench")
	hops, _ := newLeg(b, rand, 3)
	in, err := onion.ParseInner(rand.bytes(onion.InnerSize))
	if err != nil {
		b.Fatal(err)
	}
	fast := fastRandom()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onion.Wrap(fast, testEpoch, hops, testEnd, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildInner3(b *testing.B) {
	hops, _ := newRoute(b, newStream("bench"), 3)
	payload, fast := make([]byte, onion.PayloadSize), fastRandom()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onion.BuildInner(fast, hops, testMailbox, testExpiry, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// fastRandom is a source that costs next to nothing.
func fastRandom() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func BenchmarkFloorX25519(b *testing.B) {
	key, err := ecdh.X25519().NewPrivateKey(newStream("floor").bytes(32))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := key.ECDH(key.PublicKey()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFloorGCM16K(b *testing.B) {
	key, nonce, text := make([]byte, 32), make([]byte, 12), make([]byte, 16384)
	block, err := aes.NewCipher(key)
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	sealed := aead.Seal(nil, nonce, text, nil)
	for b.Loop() {
		if _, err := aead.Open(text[:0], nonce, sealed, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFloorMLKEMDecapsulate(b *testing.B) {
	key, err := mlkem.NewDecapsulationKey768(newStream("floor").bytes(64))
	if err != nil {
		b.Fatal(err)
	}
	_, sealed := key.EncapsulationKey().Encapsulate()
	for b.Loop() {
		if _, err := key.Decapsulate(sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFloorWideBlock is one wide-block layer over one body, key setup included, written out from the standard
// library: it is what docs/spec/onion.md, section "Wide block", describes.
func BenchmarkFloorWideBlock(b *testing.B) {
	key, body := newStream("floor").bytes(32), make([]byte, onion.BodySize)
	for b.Loop() {
		okm, err := hkdf.Expand(sha256.New, key, "p3do wide block", 96)
		if err != nil {
			b.Fatal(err)
		}
		hash, _ := cipher.NewGCM(newBlock(b, okm[:32]))
		left, right := body[:len(body)-16], body[len(body)-16:]
		var nonce [12]byte
		var tag [16]byte
		subtle.XORBytes(right, right, hash.Seal(tag[:0], nonce[:], nil, left))
		cipher.NewCTR(newBlock(b, okm[64:]), right).XORKeyStream(left, left)
		newBlock(b, okm[32:64]).Decrypt(right, right)
		subtle.XORBytes(right, right, hash.Seal(tag[:0], nonce[:], nil, left))
	}
}

func newBlock(b *testing.B, key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		b.Fatal(err)
	}
	return block
}

// BenchmarkFloorSHA256AndTags is what recognising cannot do without: the hash of 16 KiB, and one AES block under each
// of 1 000 keys, expanded beforehand. (Under one key 1 000 times the blocks stay in the first cache and cost half, but
// that is not the work.)
func BenchmarkFloorSHA256AndTags(b *testing.B) {
	packet := make([]byte, onion.Size)
	rand := newStream("floor")
	blocks := make([]cipher.Block, 1000)
	for i := range blocks {
		blocks[i] = newBlock(b, rand.bytes(16))
	}
	var in, out [16]byte
	b.ReportAllocs()
	for b.Loop() {
		sum := sha256.Sum256(packet)
		copy(in[:], sum[:])
		for _, block := range blocks {
			block.Encrypt(out[:], in[:])
		}
	}
}

func wrap(t testing.TB, rand *stream, hops []onion.OuterHop) onion.Packet {
	t.Helper()
	in, err := onion.ParseInner(rand.bytes(onion.InnerSize))
	if err != nil {
		t.Fatal(err)
	}
	p, err := onion.Wrap(rand, testEpoch, hops, testEnd, in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func build(t testing.TB, rand *stream, hops []onion.InnerHop) onion.Inner {
	t.Helper()
	in, err := onion.BuildInner(rand, hops, testMailbox, testEpoch.Start().Add(7*24*time.Hour), make([]byte, onion.PayloadSize))
	if err != nil {
		t.Fatal(err)
	}
	return in
}
