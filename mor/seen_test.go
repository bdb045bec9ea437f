package mor

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/p3do/p3do/mor/onion"
)

// id makes the n-th seen key.
func id(n int) (id onion.ID) {
	core := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	id.Core = core
	copy(id.Tag[:], core[16:])
	return id
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// The set is exact while its table grows, and the tag counts.
func TestSeenIsExact(t *testing.T) {
	const n = 20_000
	s, err := newSeenSet(zeros{}, n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if s.add(5, ContextID{1}, id(i)) != novel {
			t.Fatalf("packet %d seen before", i)
		}
	}
	for i := range n {
		if s.add(5, ContextID{byte(i)}, id(i)) != repeated {
			t.Fatalf("packet %d forgotten", i)
		}
	}
	flipped := id(7)
	flipped.Tag[0] ^= 1
	if s.add(5, ContextID{2}, flipped) != novel {
		t.Error("another tag, and seen before")
	}
}

// A generation goes whole, and the others stay.
func TestSeenForgetsByEpoch(t *testing.T) {
	s, err := newSeenSet(zeros{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for e := onion.Epoch(1); e <= 4; e++ {
		s.add(e, ContextID{}, id(1))
	}
	s.forget(3)
	if s.count != 2 || s.add(3, ContextID{}, id(1)) != repeated || s.add(2, ContextID{}, id(1)) != novel {
		t.Error("forgot the wrong epochs")
	}
}

// Marks are given back to the account that they were on.
func TestMarkAccounts(t *testing.T) {
	s := newMarkSet(1, []Mark{{ID: [16]byte{9}, Until: onion.Epoch(9).Start()}})
	a, b := ContextID{1}, ContextID{2}
	until := onion.Epoch(5).Start()
	for i, c := range []struct {
		id   byte
		from ContextID
		want verdict
	}{{9, a, repeated}, {1, a, novel}, {1, b, repeated}, {2, a, full}, {2, b, novel}} {
		if got := s.add([16]byte{c.id}, until, c.from); got != c.want {
			t.Errorf("%d: %d", i, got)
		}
	}
	s.remove([16]byte{1})
	if s.remove([16]byte{77}); s.add([16]byte{3}, until, a) != novel {
		t.Error("a mark that was taken back still counts")
	}
	s.expire(onion.Epoch(8).Start())
	if len(s.marks) != 1 || len(s.held) != 0 {
		t.Errorf("%d marks left, %d accounts", len(s.marks), len(s.held))
	}
	if s.expire(onion.Epoch(10).Start()); len(s.marks) != 0 {
		t.Error("a restored mark stays for ever")
	}
}

func BenchmarkSeen(b *testing.B) {
	s, err := newSeenSet(zeros{}, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100_000 {
		s.add(1, ContextID{}, id(i))
	}
	known, key := id(1), id(-1)
	b.Run("repeated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.add(1, ContextID{}, known)
		}
	})
	b.Run("novel", func(b *testing.B) {
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			binary.LittleEndian.PutUint64(key.Core[:], n)
			s.add(1, ContextID{}, key)
		}
	})
}

// The last vector of appendix A of the paper, and of its reference code, is of 15 bytes; these are of 32 bytes under the same key,
// from the reference code's list.
func TestSipHash(t *testing.T) {
	var key, in [32]byte
	for i := range key {
		key[i], in[i] = byte(i), byte(i)
	}
	k := sipKey{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:16])}
	for words, want := range map[int]uint64{0: 0x726fdb47dd0e0e31, 1: 0x93f5f5799a932462, 4: 0x7127512f72f27cce} {
		var message []uint64
		for i := range words {
			message = append(message, binary.LittleEndian.Uint64(in[8*i:]))
		}
		if got := k.hash(message...); got != want {
			t.Errorf("%d words: %x, want %x", words, got, want)
		}
	}
}
