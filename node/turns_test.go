package node

import (
	"context"
	"testing"

	"github.com/p3do/p3do/pki"
)

// Look-ups at one home, and in all, are bounded; who waits for a slow home keeps nobody
// waiting who asks at another, and nothing is left when all have gone.
func TestLookupsTakeTurns(t *testing.T) {
	turns := newTurnstile()
	home := func(i int) pki.Domain { return parse(t, pki.ParseDomain, string(rune('a'+i))+".test") }
	over, cancel := context.WithCancel(t.Context())
	cancel()
	refused := func(i int) bool {
		_, err := turns.enter(over, home(i))
		return err != nil
	}
	var leave []func()
	enter := func(i int) {
		t.Helper()
		l, err := turns.enter(t.Context(), home(i))
		must(t, err)
		leave = append(leave, l)
	}
	for range maxLookupsEach {
		enter(0)
	}
	for range 3 {
		if !refused(0) {
			t.Error("one too many at a home")
		}
	}
	for i := range maxLookups/maxLookupsEach - 1 {
		for range maxLookupsEach {
			enter(i + 1)
		}
	}
	for range 3 {
		if !refused(20) {
			t.Error("one too many in all")
		}
	}
	waits := make(chan func())
	go func() {
		l, _ := turns.enter(t.Context(), home(20))
		waits <- l
	}()
	leave[0]()
	(<-waits)() // whoever waits comes in when one leaves
	for _, l := range leave[1:] {
		l()
	}
	if len(turns.homes) != 0 || len(turns.all) != 0 {
		t.Errorf("%d homes and %d look-ups are left", len(turns.homes), len(turns.all))
	}
}
