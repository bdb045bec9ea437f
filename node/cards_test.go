package node

import (
	"fmt"
	"testing"

	"github.com/p3do/p3do/internal/session"
)

// A user publishes so many cards in an hour, and is told to wait then; the same card again is none, and
// others are not held up.
func TestCardsAnHour(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@a.test")
	before := len(m.nodes["a.test"].leaves(t))
	card := ann.card(2)
	for serial := uint64(2); serial <= cardsAnHour; serial++ { // one was published
		card = ann.card(serial)
		must(t, ann.client.Publish(t.Context(), card.Raw()))
	}
	wantCode(t, ann.client.Publish(t.Context(), ann.card(100).Raw()), session.Full, fmt.Sprintf("a.test publishes %d cards of a user in an hour; wait 60 minutes", cardsAnHour))
	must(t, ann.client.Publish(t.Context(), card.Raw()))
	must(t, bob.client.Publish(t.Context(), bob.card(2).Raw()))
	if grown := len(m.nodes["a.test"].leaves(t)) - before; grown != cardsAnHour {
		t.Errorf("%d leaves", grown)
	}
}
