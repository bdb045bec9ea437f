package store

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Leaves that are put back take the place of those that no checkpoint has, and of no others; these
// are logged again behind them, and the tree is the one that all make. To begin once more changes nothing.
func TestRegainLog(t *testing.T) {
	ctx := t.Context()
	whole, s := openLogOf(t, "a", 9), openLogOf(t, "a", 3)
	if _, err := s.AppendLog(ctx, Entry{Kind: LoggedEnded, Subject: "x", Leaf: []byte("gone")}, Entry{Kind: 1, Subject: "other", Leaf: []byte("other")}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutLogHead(ctx, 3, []byte("checkpoint"), "newest"); err != nil {
		t.Fatal(err)
	}
	leaves, err := whole.Leaves(ctx, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{2, 6} { // signed; beyond the end
		if err := s.RegainLog(ctx, from, leaves[from:], true); !errors.Is(err, ErrOldSerial) {
			t.Errorf("from %d: %v", from, err)
		}
	}
	for _, from := range []int64{3, 3, 6} {
		if err := s.RegainLog(ctx, from, leaves[from:from+3], from == 6); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := whole.AppendLog(ctx, Entry{Kind: LoggedEnded, Subject: "x", Leaf: []byte("gone")}, Entry{Kind: 1, Subject: "other", Leaf: []byte("other")}); err != nil {
		t.Fatal(err)
	}
	want, err := tlog.TreeHash(11, whole.LogHashes(ctx))
	if err != nil {
		t.Fatal(err)
	}
	got, err := tlog.TreeHash(11, s.LogHashes(ctx))
	if size, _ := s.LogSize(ctx); err != nil || got != want || size != 11 {
		t.Errorf("%d leaves, another tree: %v", size, err)
	}
	if other, err := s.Logged(ctx, 1, "other"); err != nil || other.Number != 10 {
		t.Errorf("what was logged meanwhile is number %d, %v", other.Number, err)
	}
	if _, err := s.Logged(ctx, 1, "a2"); err != nil {
		t.Error(err)
	}
}

func openLogOf(t *testing.T, subject string, leaves int) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir()+"/node.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range leaves {
		name := fmt.Sprint(subject, i)
		if _, err := s.AppendLog(t.Context(), Entry{Kind: 1, Subject: name, Leaf: []byte(name)}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
