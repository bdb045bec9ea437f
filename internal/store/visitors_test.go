package store

import (
	"testing"
	"time"
)

// Users of other homes have a bounded share, each home a smaller one; what ends makes room.
func TestVisitors(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	claim := func(owner int, home string) error {
		return s.claimAsVisitor(ctx, fp(owner), home, []Address{box(owner, Contact)}, 3, 2)
	}
	must(t, claim(1, "a.test"))
	must(t, claim(2, "a.test"))
	want(t, claim(3, "a.test"), ErrFull)
	must(t, claim(2, "a.test")) // whoever is known costs nothing
	must(t, claim(3, "b.test"))
	want(t, claim(4, "c.test"), ErrFull)
	_, _, err := s.Mailbox(ctx, fp(4))
	want(t, err, ErrNoMailbox)
	must(t, s.Claim(ctx, fp(4), []Address{box(4, Contact)})) // the domain's own are not concerned

	_, err = s.DropExpired(ctx, noon.Add(3*24*time.Hour)) // all addresses have ended
	must(t, err)
	must(t, claim(5, "a.test"))
	must(t, claim(6, "a.test"))
	must(t, claim(7, "c.test"))
}
