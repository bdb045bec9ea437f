package store

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

func fullID(n uint64) (i [16]byte) {
	for k := range 8 {
		i[k] = byte(n >> (8 * k))
	}
	return i
}

// benchBoxes claims enough mailboxes that no owner's queue gets full.
func benchBoxes(b *testing.B, s *Store, owners int) {
	for n := range owners {
		must(b, s.Claim(context.Background(), fp(n), []Address{box(n, Contact)}))
	}
}

// One caller: an fsync each.
func BenchmarkDeposit(b *testing.B) {
	s := open(b)
	benchBoxes(b, s, 256)
	body := make([]byte, 4096)
	n := uint64(0)
	for b.Loop() {
		if _, err := s.Deposit(context.Background(), Item{Mailbox: fp(int(n % 256)), ID: fullID(n), Body: body, At: noon}); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// 64 callers at once share fsyncs.
func BenchmarkDepositParallel64(b *testing.B) {
	s := open(b)
	benchBoxes(b, s, 256)
	body := make([]byte, 4096)
	var next atomic.Uint64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			if _, err := s.Deposit(context.Background(), Item{Mailbox: fp(int(n % 256)), ID: fullID(n), Body: body, At: noon}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkRemember1(b *testing.B)   { benchRemember(b, 1) }
func BenchmarkRemember100(b *testing.B) { benchRemember(b, 100) }

func benchRemember(b *testing.B, size int) {
	s := open(b)
	marks := make([]Mark, size)
	n := uint64(0)
	for b.Loop() {
		for i := range marks {
			marks[i] = Mark{ID: fullID(n * 0x9e3779b97f4a7c15), Kind: 1, Until: noon.Add(time.Hour)}
			n++
		}
		must(b, s.Remember(context.Background(), marks))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "marks/s")
}

func BenchmarkUser(b *testing.B) {
	s := open(b)
	must(b, s.AddSigned(context.Background(), ann(1)))
	for b.Loop() {
		if _, err := s.User(context.Background(), "ann@a.test"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "node.db")
	for b.Loop() {
		s, err := Open(context.Background(), path)
		must(b, err)
		must(b, s.Close())
	}
}
