package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// departed is ann after she has moved to c.test: her new self, logged in there, and where phone was let in
// under the old name, with its card of serial 10.
func (m *mesh) departed(ann *user, phone pki.DeviceKey) (moved *user, first pki.SignedCard, kept *session.Client) {
	t, ctx := m.t, m.t.Context()
	t.Helper()
	home := m.authority("a.test")
	first = ann.cardListing(10, home, phone)
	must(t, ann.client.Publish(ctx, first.Raw()))
	kept, err := ann.loginDevice("a.test", first, phone, home)
	must(t, err)
	moved = m.stranger("ann@c.test", "c.test")
	moved.key = ann.key
	must(t, moved.register())
	moved.login()
	moved.requests = [32]byte{7, 7}
	must(t, moved.client.Claim(ctx, []session.Mailbox{{Address: moved.requests, Kind: session.Requests, Until: uint32(mor.DayAt(time.Now())) + 7}}))
	return moved, first, kept
}

// deposit puts a letter into the requests of u at a node.
func (m *mesh) deposit(at string, u *user, id byte) {
	m.t.Helper()
	_, err := m.nodes[at].node.store.Deposit(m.t.Context(), store.Item{
		Mailbox: u.requests, Kind: itemLetter, ID: [16]byte{id}, Body: make([]byte, mor.SealedSize), At: time.Now(),
	})
	must(m.t, err)
}

// Who moves and removes a device on the way has it out everywhere: under the old name, too, by the old
// card, at both homes. Nothing waits for it.
func TestDeviceOfALeftNameIsOut(t *testing.T) {
	m := newMesh(t, "a.test", "c.test")
	m.federate("a.test", "c.test")
	ann, phone, ctx := m.user("ann@a.test"), deviceKey(t), t.Context()
	moved, first, kept := m.departed(ann, phone)
	must(t, moved.client.Publish(ctx, moved.card(20).Raw()))
	_, err := ann.loginDevice("c.test", first, phone, m.authority("a.test")) // before the move is known
	wantCode(t, err, session.Refused, "this device was removed")
	move := ann.moves(ann.cert, moved.cert, 1)
	must(t, moved.client.Move(ctx, move.Raw()))
	m.moved(move, "a.test", "c.test")
	m.deposit("c.test", moved, 1)
	for _, at := range []string{"a.test", "c.test", "a.test"} {
		_, err := ann.loginDevice(at, first, phone, m.authority("a.test"))
		wantCode(t, err, session.Refused, "this device was removed")
		devices, err := m.nodes[at].node.store.Devices(ctx, ann.key.Fingerprint())
		if must(t, err); len(devices) > 0 {
			t.Errorf("%s keeps mail for %+v", at, devices)
		}
	}
	select {
	case <-kept.Done():
	case <-time.After(time.Minute):
		t.Fatal("the device keeps its link under the name that was left")
	}
	must(t, moved.client.Forget(ctx, []int64{moved.items()[0].Seq}))
	left, err := m.nodes["c.test"].node.store.ItemsFor(ctx, ann.key.Fingerprint(), [32]byte{1}, 0, 9)
	if must(t, err); len(left) > 0 {
		t.Errorf("%d items wait for a device that was removed", len(left))
	}
}

// A device that the card of the new name lists is let in under the old one as well, where that card can be
// had; else it is not.
func TestDeviceOfALeftNameThatIsListed(t *testing.T) {
	m := newMesh(t, "a.test", "c.test")
	m.federate("a.test", "c.test")
	ann, phone, ctx := m.user("ann@a.test"), deviceKey(t), t.Context()
	moved, first, _ := m.departed(ann, phone)
	move := ann.moves(ann.cert, moved.cert, 1)
	must(t, moved.client.Move(ctx, move.Raw()))
	m.moved(move, "a.test", "c.test")
	for _, at := range []string{"a.test", "c.test"} {
		_, err := ann.loginDevice(at, first, phone, m.authority("a.test"))
		wantCode(t, err, session.Refused, "ann@a.test has moved to ann@c.test, and no newer card")
	}
	second := moved.cardListing(20, m.authority("c.test"), phone)
	must(t, moved.client.Publish(ctx, second.Raw()))
	for _, at := range []string{"a.test", "c.test"} {
		_, err := ann.loginDevice(at, first, phone, m.authority("a.test"))
		must(t, err)
		_, err = moved.loginDevice(at, second, phone, m.authority("c.test"))
		must(t, err)
	}
}

// That a newer card was judged by is remembered when the card has gone: an older one lets nobody in.
func TestDeviceByAnOlderCardIsOut(t *testing.T) {
	_, ann, home := visiting(t)
	phone, ctx := deviceKey(t), t.Context()
	_, err := ann.visit("c.test", home)
	must(t, err)
	must(t, ann.client.Publish(ctx, ann.cardListing(11, home).Raw()))
	s := ann.mesh.nodes["c.test"].node.store
	_, err = s.DropKey(ctx, ann.name.String(), ann.key.Fingerprint(), nil) // as if others had pushed it out
	must(t, err)
	_, err = ann.loginDevice("c.test", ann.cardListing(10, home, phone), phone, home)
	wantCode(t, err, session.Refused, "has made a newer card")
	_, err = ann.loginDevice("c.test", ann.cardListing(12, home, phone), phone, home)
	must(t, err)
}

// Whose mailboxes have ended is forgotten with her devices; when she comes back, her mail waits for
// them again.
func TestDevicesComeBackWithTheirUser(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, home := m.user("ann@a.test"), m.authority("a.test")
	phone, ctx := deviceKey(t), t.Context()
	card := ann.cardListing(10, home, phone)
	must(t, ann.client.Publish(ctx, card.Raw()))
	s := m.nodes["a.test"].node.store
	sweep := func() {
		_, err := s.DropExpired(ctx, time.Now().Add(2*store.ItemLife))
		must(t, err)
		if devices, err := s.Devices(ctx, ann.key.Fingerprint()); err != nil || len(devices) > 0 {
			t.Fatalf("devices %+v, %v", devices, err)
		}
	}
	boxes := []session.Mailbox{{Address: ann.requests, Kind: session.Requests, Until: uint32(mor.DayAt(time.Now())) + 7}}
	for i, back := range []func(){
		func() { ann.connect("a.test"); ann.login(); must(t, ann.client.Claim(ctx, boxes)) },
		func() { must(t, ann.client.Claim(ctx, boxes)) },
	} {
		sweep()
		back()
		m.deposit("a.test", ann, byte(i+1))
		must(t, ann.client.Forget(ctx, []int64{ann.items()[0].Seq}))
		device, err := ann.loginDevice("a.test", card, phone, home)
		must(t, err)
		if items, err := device.Items(ctx, session.Items{}); err != nil || len(items) != 1 {
			t.Errorf("the device gets %d items, %v", len(items), err)
		}
	}
	sweep()
	ann.connect("a.test")
	ann.login() // without a mailbox yet
	if devices, err := s.Devices(ctx, ann.key.Fingerprint()); err != nil || len(devices) != 1 {
		t.Errorf("devices %+v, %v", devices, err)
	}
}

// Of a home that is gone a device is let in as long as its user is, by a card that has run out, if no
// newer one leaves it out.
func TestDeviceVisitsWithTheHomeGone(t *testing.T) {
	m, ann, home := visiting(t)
	was, phone := aged(t, home), deviceKey(t)
	const day = 24 * time.Hour
	ranOut := func(serial uint64, ended time.Duration, devices ...pki.DeviceKey) pki.SignedCard {
		cert, err := was.CA().VerifyUser(ann.ranOut(was, ended), time.Now().Add(-ended-time.Hour))
		must(t, err)
		issued := cert.NotAfter().Add(-pki.CardLifetime - day) // the card ends a day before the certificate
		c := pki.Card{Certificate: cert, Serial: serial, Issued: issued, Expires: issued.Add(pki.CardLifetime), Spools: []pki.Domain{home.Domain()}}
		for _, d := range devices {
			c.Devices = append(c.Devices, pki.Device{Key: d.Public(), Since: issued})
		}
		card, err := pki.SignCard(ann.key, c)
		must(t, err)
		return card
	}
	for _, x := range []struct {
		silent, ended time.Duration
		good          bool
	}{{6 * day, time.Hour, false}, {8 * day, time.Hour, true}, {330 * day, 329 * day, true}, {380 * day, 366 * day, false}} {
		t.Run(fmt.Sprintf("silent for %v, ended for %v", x.silent, x.ended), func(t *testing.T) {
			m.lastWord("c.test", was, x.silent)
			_, err := ann.loginDevice("c.test", ranOut(10, x.ended, phone), phone, home)
			if x.good {
				must(t, err)
			} else {
				wantCode(t, err, session.Refused, "has run out")
			}
		})
	}
	m.lastWord("c.test", was, 8*day)
	_, err := ann.loginDevice("c.test", ranOut(11, time.Hour), phone, home)
	wantCode(t, err, session.Refused, "does not list this device")
	_, err = ann.loginDevice("c.test", ranOut(10, time.Hour, phone), phone, home)
	wantCode(t, err, session.Refused, "")
}
