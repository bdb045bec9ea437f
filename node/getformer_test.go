package node

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/pki"
)

// While DNS tells a former key of a domain, or a card is the former key's work, what is got is verified
// under the key in office, by the word of each key between; a key that handed over to nobody stays another one.
func TestGetterFollows(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	ann := m.user("ann@a.test")
	a := m.nodes["a.test"]
	_, before, err := Record(a.dir)
	must(t, err)
	done, err := m.rotate("a.test", RoleCA)
	must(t, err)
	_, after, err := Record(a.dir)
	must(t, err)
	get, err := NewGetter("", m.dns.Addr(), dial.Direct())
	must(t, err)
	for what, record := range map[string]int{"DNS is behind": 1, "only the card is": 0} {
		must(t, m.dns.Set(a.domain, after))
		if record == 1 {
			must(t, m.dns.Set(a.domain, before))
		}
		var card, server Key
		m.until(what, func() (err error) { // the key server of the new authority, and what it says
			if card, err = get.User(t.Context(), ann.name, a.domain); err == nil {
				server, err = get.Server(t.Context(), a.domain, a.domain)
			}
			return err
		})
		if len(card.Handed) != 1 || card.Handed[0].Was != before.Fingerprint || card.Handed[0].Is != done.Is || card.Fingerprint != ann.key.Fingerprint() {
			t.Errorf("%s: %+v", what, card)
		}
		if len(server.Handed) != record || server.Fingerprint != done.Is {
			t.Errorf("%s: %+v", what, server)
		}
	}
	other := before
	other.Fingerprint = m.authority("b.test").CA().Fingerprint()
	must(t, m.dns.Set(a.domain, other))
	var changed *pki.KeyChangedError
	var broken *pki.NotHandedError
	if _, err := get.Server(t.Context(), a.domain, a.domain); !errors.As(err, &changed) || !errors.As(err, &broken) || changed.Pinned != other.Fingerprint || changed.Shown != done.Is {
		t.Errorf("a key that handed over to nobody: %v", err)
	}
}
