package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// A heard write: what was told of it, and whether another process finds what it wrote.
type heardWrite struct {
	what  string
	found bool
}

// Durable is called when a write is on the disk and before whoever asked for it is answered;
// Writing before it is. A change that is refused is no write, and takes no number.
func TestDurableIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	var heard []heardWrite
	answered := false
	there := func() bool {
		r, err := OpenReader(context.Background(), path)
		must(t, err)
		defer r.Close()
		_, err = r.Pinned(context.Background(), "user", fmt.Sprint(len(heard)/2))
		return err == nil
	}
	note := func(what string) func(uint64) {
		return func(n uint64) {
			if answered {
				t.Errorf("%s %d: who asked was answered before", what, n)
			}
			heard = append(heard, heardWrite{fmt.Sprint(what, " ", n), there()})
		}
	}
	s, err := Config{Path: path, Writing: note("writing"), Durable: note("durable")}.Open(t.Context())
	must(t, err)
	for i := range 2 {
		answered = false
		_, _, err := s.Pin(t.Context(), "user", fmt.Sprint(i), fp(i))
		must(t, err)
		answered = true
		want(t, s.SetReceived(t.Context(), "nobody.test", []byte{1}), ErrNotFound)
	}
	must(t, s.Close())
	all := []heardWrite{{"writing 1", false}, {"durable 1", true}, {"writing 2", false}, {"durable 2", true}}
	if !slices.Equal(heard, all) {
		t.Errorf("told of %v, want %v", heard, all)
	}
}
