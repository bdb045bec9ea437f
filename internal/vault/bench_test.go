package vault

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkUpdate is one durable transaction of 1 KiB: mostly fsync.
func BenchmarkUpdate(b *testing.B) {
	v, _ := newVault(b)
	value := make([]byte, 1<<10)
	for i := 0; b.Loop(); i++ {
		key := fmt.Sprint(i % 1000)
		if err := v.Update(func(tx *Tx) error { tx.Put(key, value); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkView is one look at a vault that did not change.
func BenchmarkView(b *testing.B) {
	v, _ := newVault(b)
	put(b, v, "k", "1")
	for b.Loop() {
		if err := v.View(func(tx *Tx) error { tx.Get("k"); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad reads 10 000 values of 1 KiB from 100 records.
func BenchmarkLoad(b *testing.B) {
	v, _ := newVault(b)
	for i := range 100 {
		err := v.Update(func(tx *Tx) error {
			for j := range 100 {
				tx.Put(fmt.Sprintf("%d/%d", j, i), make([]byte, 1<<10))
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := v.forget(); err != nil {
			b.Fatal(err)
		}
		if err := v.View(func(*Tx) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPassphrase is what one try at the passphrase costs.
func BenchmarkPassphrase(b *testing.B) {
	v, err := Create(filepath.Join(b.TempDir(), "home"), testPassphrase)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	for b.Loop() {
		if _, err := deriveRoot(testPassphrase, v.journal.header); err != nil {
			b.Fatal(err)
		}
	}
}
