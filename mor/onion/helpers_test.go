package onion_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

const testEpoch = onion.Epoch(0x000f1234)

var (
	testMailbox = onion.Mailbox{1: 0xab, 31: 0x17}
	testEnd     = onion.OuterEnd{Server: onion.ServerID{0: 0x5e, 31: 0x77}, Budget: 2}
)

// stream is the random stream of the vectors: SHA-256(seed | 64-bit block number), block after block.
type stream struct {
	seed  string
	block uint64
	rest  []byte
}

func newStream(seed string) *stream { return &stream{seed: seed} }

func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.seed), s.block))
			s.rest = sum[:]
			s.block++
		}
		m := copy(p[n:], s.rest)
		s.rest = s.rest[m:]
		n += m
	}
	return len(p), nil
}

// bytes returns the next n bytes.
func (s *stream) bytes(n int) []byte {
	p := make([]byte, n)
	_, _ = s.Read(p)
	return p
}

func newHint(t testing.TB, rand *stream) onion.Hint {
	t.Helper()
	h, err := onion.NewHint(rand)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// newLeg makes n contexts and a leg through them.
func newLeg(t testing.TB, rand *stream, n int) ([]onion.OuterHop, []*onion.ContextPrivateKey) {
	t.Helper()
	hops, keys := make([]onion.OuterHop, n), make([]*onion.ContextPrivateKey, n)
	for i := range hops {
		key, err := onion.NewContextKey(rand)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
		hops[i] = onion.OuterHop{Key: key.Public(), Hint: newHint(t, rand), Delay: time.Duration(i+1) * time.Second}
	}
	return hops, keys
}

// newRoute makes n servers and a route through them.
func newRoute(t testing.TB, rand *stream, n int) ([]onion.InnerHop, []*onion.ServerPrivateKey) {
	t.Helper()
	hops, keys := make([]onion.InnerHop, n), make([]*onion.ServerPrivateKey, n)
	for i := range hops {
		key, err := onion.NewServerKey(rand)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
		hops[i] = onion.InnerHop{Key: key.Public(), Delay: time.Duration(i+1) * time.Second}
	}
	return hops, keys
}
