package session

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// deviceOf makes a device of p, and a card that lists it.
func (h *home) deviceOf(t testing.TB, p *person) (pki.DeviceKey, pki.SignedCard) {
	t.Helper()
	key := must(pki.NewDeviceKey(rand.Reader))
	now := time.Now()
	return key, must(pki.SignCard(p.key, pki.Card{
		Certificate: must(h.authority.CA().VerifyUser(p.cert, now)), Serial: 1, Issued: now, Expires: now.Add(time.Hour),
		Spools: []pki.Domain{h.authority.Domain()}, Devices: []pki.Device{{Key: key.Public(), Since: now}},
	}))
}

// A device logs in by its own key and a card that lists it, and does what its user may.
func TestDeviceLogin(t *testing.T) {
	h := newHome(t)
	ann, _ := h.ann(t)
	key, card := h.deviceOf(t, ann)
	c := h.client(t)
	welcome, err := c.LoginDevice(t.Context(), card, key, nil)
	check(t, err)
	if welcome.Domain.String() != "a.test" {
		t.Errorf("welcome %+v", welcome)
	}
	check(t, c.Claim(t.Context(), make([]Mailbox, 1)))

	other := must(pki.NewDeviceKey(rand.Reader))
	_, err = h.client(t).LoginDevice(t.Context(), card, other, nil)
	wantCode(t, err, Refused, "")
}

// The proof of a device is good on the link that it was made for, and on no other.
func TestDeviceLoginIsBoundToItsLink(t *testing.T) {
	h := newHome(t)
	ann, _ := h.ann(t)
	key, card := h.deviceOf(t, ann)
	first, second := h.connect(t), h.connect(t)
	exported := must(exporter(first))
	recorded := string(must(json.Marshal(message{Seq: 1, Op: OpLogin, Body: must(json.Marshal(Login{
		Name: ann.name, Certificate: ann.cert, Proof: key.SignLogin(exported, ann.name), Device: key.Public().Bytes(), Card: card.Raw(),
	}))})))
	if answer := raw(t, second, recorded); !strings.Contains(answer, `"code":"refused"`) {
		t.Errorf("replayed on another link: %s", answer)
	}
	if answer := raw(t, second, `{"seq":2,"op":"items","body":{"after":0,"wait":0}}`); !strings.Contains(answer, `"not-logged-in"`) {
		t.Errorf("after the replay: %s", answer)
	}
	if answer := raw(t, first, recorded); !strings.Contains(answer, `"domain":"a.test"`) {
		t.Errorf("on its own link: %s", answer)
	}
}
