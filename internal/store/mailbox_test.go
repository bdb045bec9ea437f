package store

import (
	"bytes"
	"testing"
	"time"
)

func box(n int, kind MailboxKind) Address {
	return Address{Mailbox: fp(n), Kind: kind, UntilDay: Day(noon) + 1}
}

func TestClaim(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.Claim(ctx, fp(1), []Address{box(10, Requests), box(11, Contact)}))
	want(t, s.Claim(ctx, fp(2), []Address{box(12, Contact), box(11, Contact)}), ErrOwned)
	_, _, err := s.Mailbox(ctx, fp(12))
	want(t, err, ErrNoMailbox) // all or none
	longer := Address{Mailbox: fp(11), Kind: Replies, UntilDay: Day(noon) + 9}
	must(t, s.Claim(ctx, fp(1), []Address{longer}))
	owner, a, err := s.Mailbox(ctx, fp(11))
	must(t, err)
	if owner != fp(1) || a != longer {
		t.Fatalf("%x %+v", owner[:2], a)
	}
	if s.Claim(ctx, fp(1), []Address{{Mailbox: fp(13), Kind: "public"}}) == nil {
		t.Fatal("an unknown kind was taken")
	}
	want(t, s.Claim(ctx, fp(1), make([]Address, MaxClaim+1)), ErrTooLarge)
}

func TestClaimIsCapped(t *testing.T) {
	s := open(t)
	const limit = 5
	put := func(owner int, kind MailboxKind, numbers ...int) error {
		var addrs []Address
		for _, n := range numbers {
			addrs = append(addrs, box(n, kind))
		}
		return s.claim(t.Context(), fp(owner), addrs, limit, nil)
	}
	must(t, put(1, Contact, 1, 2, 3))
	want(t, put(1, Contact, 4, 5, 6), ErrFull)
	must(t, put(1, Contact, 4, 5))
	want(t, put(1, Contact, 6), ErrFull)
	must(t, put(1, Replies, 1, 2, 3)) // known ones cost nothing
	must(t, put(2, Contact, 6))
}

// The mailbox of an invitation takes one item, and takes it for taken ever after, also when its
// owner has it; what does not fit takes nothing.
func TestOneItem(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.Claim(ctx, fp(1), []Address{box(10, Once), box(11, Contact)}))
	put := func(b, n int, limit int64) (bool, error) {
		return s.deposit(ctx, Item{Mailbox: fp(b), Kind: 1, ID: id(n), At: noon}, limit)
	}
	if _, err := put(11, 9, MaxItems); err != nil {
		t.Fatal(err)
	}
	_, err := put(10, 1, 1)
	want(t, err, ErrFull)
	for _, first := range []bool{true, false} {
		fresh, err := put(10, 2, MaxItems)
		if must(t, err); fresh != first {
			t.Errorf("fresh: %t", fresh)
		}
	}
	_, err = put(10, 3, MaxItems)
	want(t, err, ErrUsed)
	must(t, s.Forget(ctx, fp(1), 1, 2, 3))
	must(t, s.Claim(ctx, fp(1), []Address{box(10, Once)}))
	_, err = put(10, 3, MaxItems)
	want(t, err, ErrUsed)
}

func TestDepositWaitsUntilForgotten(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.Claim(ctx, fp(1), []Address{box(10, Contact), box(11, Replies)}))
	must(t, s.Claim(ctx, fp(2), []Address{box(20, Contact)}))
	deposit := func(b, n int, kind uint8) bool {
		t.Helper()
		fresh, err := s.Deposit(ctx, Item{Mailbox: fp(b), Kind: kind, ID: id(n), Body: []byte{byte(n)}, At: noon})
		must(t, err)
		return fresh
	}
	for i, c := range []struct {
		box, id int
		kind    uint8
		fresh   bool
	}{{10, 1, 1, true}, {10, 1, 1, false}, {10, 1, 2, true}, {11, 1, 1, true}, {20, 1, 1, true}, {10, 2, 1, true}} {
		if deposit(c.box, c.id, c.kind) != c.fresh {
			t.Errorf("step %d: fresh is not %v", i, c.fresh)
		}
	}
	items, err := s.Items(ctx, fp(1), 0, 10)
	must(t, err)
	if len(items) != 4 || items[0].ID != id(1) || items[3].ID != id(2) || !bytes.Equal(items[3].Body, []byte{2}) || !items[0].At.Equal(noon) {
		t.Fatalf("%+v", items)
	}
	rest, err := s.Items(ctx, fp(1), items[1].Seq, 1)
	must(t, err)
	if len(rest) != 1 || rest[0].Seq != items[2].Seq {
		t.Fatalf("%+v", rest)
	}

	must(t, s.Forget(ctx, fp(2), items[0].Seq)) // not hers: nothing happens
	must(t, s.Forget(ctx, fp(1), items[0].Seq, items[3].Seq, 12345))
	if deposit(10, 1, 1) || deposit(10, 2, 1) {
		t.Fatal("a forgotten item came again")
	}
	items, err = s.Items(ctx, fp(1), 0, 10)
	must(t, err)
	if len(items) != 2 {
		t.Fatalf("%d items, want 2", len(items))
	}
}

func TestDepositRefuses(t *testing.T) {
	s := open(t)
	must(t, s.Claim(t.Context(), fp(1), []Address{box(10, Contact)}))
	for _, c := range []struct {
		name string
		item Item
		err  error
	}{
		{"nobody's", Item{Mailbox: fp(9), At: noon}, ErrNoMailbox},
		{"after its last day", Item{Mailbox: fp(10), At: noon.Add(48 * time.Hour)}, ErrNoMailbox},
		{"too large", Item{Mailbox: fp(10), At: noon, Body: make([]byte, MaxBody+1)}, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Deposit(t.Context(), c.item)
			want(t, err, c.err)
		})
	}
	fresh, err := s.Deposit(t.Context(), Item{Mailbox: fp(10), At: noon, Body: make([]byte, MaxBody)})
	must(t, err)
	if !fresh {
		t.Fatal("the largest body was not taken")
	}
}

// A refused deposit must leave no trace: after room was made it is fresh.
func TestFullQueue(t *testing.T) {
	s := open(t)
	must(t, s.Claim(t.Context(), fp(1), []Address{box(10, Contact)}))
	const limit = 20
	put := func(n int) (bool, error) {
		return s.deposit(t.Context(), Item{Mailbox: fp(10), ID: id(n), At: noon}, limit)
	}
	for n := range limit {
		_, err := put(n)
		must(t, err)
	}
	_, err := put(limit)
	want(t, err, ErrFull)
	items, err := s.Items(t.Context(), fp(1), 0, limit+1)
	must(t, err)
	if len(items) != limit {
		t.Fatalf("%d items", len(items))
	}
	must(t, s.Forget(t.Context(), fp(1), items[0].Seq, items[1].Seq))
	for n := limit; n < limit+2; n++ {
		fresh, err := put(n)
		if must(t, err); !fresh {
			t.Fatal("a refused deposit is taken for a duplicate")
		}
	}
	_, err = put(limit + 2)
	want(t, err, ErrFull)
}

func TestMarks(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	first := []Mark{{id(1), 1, noon.Add(time.Minute)}, {id(1), 2, noon.Add(2 * time.Minute)}, {id(2), 1, noon.Add(-time.Minute)}}
	must(t, s.Remember(ctx, first))
	must(t, s.Remember(ctx, append(first, Mark{id(3), 1, noon.Add(time.Hour)})))
	must(t, s.Remember(ctx, nil))
	marks, err := s.Marks(ctx, noon)
	must(t, err)
	if len(marks) != 3 || marks[0] != first[0] || marks[1] != first[1] || marks[2].ID != id(3) {
		t.Fatalf("%+v", marks)
	}
	d, err := s.DropExpired(ctx, noon)
	must(t, err)
	if d.Marks != 1 {
		t.Fatalf("%+v", d)
	}
}

// Nothing outlives its end, and what it counted for is free again.
func TestDropExpired(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.Claim(ctx, fp(1), []Address{box(10, Contact), box(11, Requests)}))
	it := Item{Mailbox: fp(10), ID: id(1), At: noon}
	for range 2 {
		_, err := s.Deposit(ctx, it)
		must(t, err)
	}
	d, err := s.DropExpired(ctx, noon.Add(ItemLife-time.Second))
	must(t, err)
	if d != (Dropped{Mailboxes: 2}) {
		t.Fatalf("too early: %+v", d)
	}
	d, err = s.DropExpired(ctx, noon.Add(ItemLife))
	must(t, err)
	if d != (Dropped{Items: 1, Delivered: 1, Owners: 1}) {
		t.Fatalf("at the end: %+v", d)
	}
	must(t, s.Claim(ctx, fp(2), []Address{box(10, Contact)})) // free again
	fresh, err := s.Deposit(ctx, it)
	if must(t, err); !fresh {
		t.Fatal("known for ever")
	}
	items, err := s.Items(ctx, fp(2), 0, 10)
	must(t, err)
	if len(items) != 1 || items[0].Seq != 2 {
		t.Fatalf("numbers must go on: %+v", items)
	}
}
