package keylog

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Whoever reads all leaves has the root that the log signs, wherever he stopped and went on.
func TestFrontier(t *testing.T) {
	var f Frontier
	var hashes []tlog.Hash
	stored := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var all []tlog.Hash
		for _, i := range indexes {
			all = append(all, hashes[i])
		}
		return all, nil
	})
	for n := range int64(300) {
		want, err := tlog.TreeHash(n, stored)
		if err != nil || f.Root() != want || f.N() != n {
			t.Fatalf("%d leaves: %v, want %v (%v)", n, f.Root(), want, err)
		}
		back, err := ParseFrontier(f.Bytes())
		if err != nil || back.Root() != want {
			t.Fatalf("%d leaves, read back: %v", n, err)
		}
		leaf := Leaf{Kind: Card, Time: time.Unix(n, 0), Record: [32]byte{byte(n), byte(n >> 8)}}
		more, err := tlog.StoredHashes(n, leaf.Bytes(), stored)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
		f = back
		f.Add(leaf)
	}
}

func FuzzParseFrontier(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Add(append([]byte{0, 0, 0, 0, 0, 0, 0, 5}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := ParseFrontier(raw); err == nil && !bytes.Equal(got.Bytes(), raw) {
			t.Fatalf("%x is written as %x", raw, got.Bytes())
		}
	})
}
