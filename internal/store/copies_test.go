package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func copiesOf(key byte, numbers ...int64) (all []Copy) {
	for _, n := range numbers {
		all = append(all, Copy{Number: n, NameID: [32]byte{byte(n)}, KeyID: [32]byte{key}, Sealed: []byte("sealed")})
	}
	return all
}

// peer makes domains peers.
func peer(t *testing.T, s *Store, domains ...string) {
	t.Helper()
	for _, domain := range domains {
		must(t, s.PutPeer(t.Context(), Peer{Domain: domain, CA: []byte("ca"), Since: noon}))
	}
}

// What a domain has no more goes, what is missing is told, and no domain takes another's room or place.
func TestCopies(t *testing.T) {
	ctx := t.Context()
	s, err := Open(ctx, t.TempDir()+"/node.db")
	must(t, err)
	defer s.Close()
	if err := s.PutCopies(ctx, "a.test", copiesOf(1, 1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no peer: %v", err)
	}
	peer(t, s, "a.test", "b.test")
	must(t, s.PutCopies(ctx, "a.test", copiesOf(1, 1, 2, 3)))
	must(t, s.PutCopies(ctx, "b.test", append(copiesOf(1, 3), copiesOf(2, 9)...)))
	missing, err := s.KeepCopies(ctx, "a.test", []int64{1, 3, 4, 7})
	must(t, err)
	if !slices.Equal(missing, []int64{4, 7}) {
		t.Errorf("missing %v", missing)
	}
	if _, err := s.CopyOfName(ctx, "a.test", [32]byte{2}); !errors.Is(err, ErrNotFound) {
		t.Errorf("what the home has no more: %v", err)
	}
	if c, err := s.CopyOfName(ctx, "a.test", [32]byte{3}); err != nil || c.Domain != "a.test" {
		t.Errorf("%+v, %v", c, err)
	}
	if all, err := s.CopiesOfKey(ctx, [32]byte{1}); err != nil || len(all) != 2 || all[0].Number != 3 || all[1].Domain != "b.test" {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.putCopies(ctx, "a.test", copiesOf(1, 1, 3, 5, 6), 3, MaxCopyBytesEach); !errors.Is(err, ErrFull) {
		t.Errorf("over the number: %v", err)
	}
	if err := s.putCopies(ctx, "a.test", copiesOf(1, 1, 3, 5), 3, 17); !errors.Is(err, ErrFull) {
		t.Errorf("over the bytes: %v", err)
	}
	must(t, s.putCopies(ctx, "a.test", copiesOf(1, 1, 3, 5), 3, 18))
	must(t, s.DropCopies(ctx, [32]byte{1}, &[32]byte{3}))
	must(t, s.DropCopies(ctx, [32]byte{8}, nil))
	if missing, err = s.KeepCopies(ctx, "a.test", []int64{1, 3, 5}); err != nil || !slices.Equal(missing, []int64{3}) {
		t.Errorf("after a name has ended: missing %v, %v", missing, err)
	}
	must(t, s.DropCopies(ctx, [32]byte{1}, nil))
	if all, err := s.CopiesOfKey(ctx, [32]byte{1}); err != nil || len(all) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
	var n int
	must(t, s.readDB.QueryRow("SELECT value FROM counters WHERE name = 'copy bytes'").Scan(&n))
	if want := len("sealed"); n != want { // b.test's other
		t.Errorf("%d bytes counted, and %d are there", n, want)
	}
}

// What a copy costs to put does not depend on how many there are.
func BenchmarkPutCopies(b *testing.B) {
	for _, held := range []int64{10, 10_000} {
		b.Run(fmt.Sprint(held), func(b *testing.B) {
			s := open(b)
			must(b, s.PutPeer(b.Context(), Peer{Domain: "a.test", CA: []byte("ca")}))
			one := func(n int64) Copy {
				return Copy{Number: n, NameID: [32]byte{byte(n), byte(n >> 8), 1}, KeyID: [32]byte{byte(n), byte(n >> 8), 2}, Sealed: make([]byte, 1500)}
			}
			var all []Copy
			for n := range held {
				all = append(all, one(n))
			}
			must(b, s.PutCopies(b.Context(), "a.test", all))
			for n := held; b.Loop(); n++ {
				must(b, s.PutCopies(b.Context(), "a.test", []Copy{one(n)}))
			}
		})
	}
}
