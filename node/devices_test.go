package node

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// cardListing is ann's card of that serial, with devices.
func (u *user) cardListing(serial uint64, home *pki.Authority, devices ...pki.DeviceKey) pki.SignedCard {
	u.mesh.t.Helper()
	c := u.card(serial).Card
	if there := parse(u.mesh.t, pki.ParseDomain, "c.test"); c.Spools[0] != there {
		c.Spools = append(c.Spools, there)
	}
	for _, d := range devices {
		c.Devices = append(c.Devices, pki.Device{Key: d.Public(), Since: c.Issued})
	}
	card, err := pki.SignCard(u.key, c)
	must(u.mesh.t, err)
	return card
}

func deviceKey(t *testing.T) pki.DeviceKey {
	t.Helper()
	key, err := pki.NewDeviceKey(rand.Reader)
	must(t, err)
	return key
}

// loginDevice logs a device of u in at a node, on a link of its own.
func (u *user) loginDevice(at string, card pki.SignedCard, key pki.DeviceKey, home *pki.Authority) (*session.Client, error) {
	u.mesh.t.Helper()
	other := &user{mesh: u.mesh, name: u.name}
	other.connect(at)
	_, err := other.client.LoginDevice(u.mesh.t.Context(), card, key, home.CA().DER())
	return other.client, err
}

// At her home a device is let in that her newest card lists, whichever card it shows itself, and
// no other; one that is removed is out at once, and the link that it had is ended.
func TestDeviceAtHome(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, home := m.user("ann@a.test"), m.authority("a.test")
	phone, tablet, ctx := deviceKey(t), deviceKey(t), t.Context()
	first := ann.cardListing(10, home, phone)
	_, err := ann.loginDevice("a.test", ann.cardListing(9, home), phone, home)
	wantCode(t, err, session.Refused, "does not list this device")

	must(t, ann.client.Publish(ctx, first.Raw()))
	kept, err := ann.loginDevice("a.test", first, phone, home)
	must(t, err)
	_, err = kept.Items(ctx, session.Items{})
	must(t, err)
	_, err = ann.loginDevice("a.test", first, tablet, home)
	wantCode(t, err, session.Refused, "does not list this device")

	must(t, ann.client.Publish(ctx, ann.cardListing(11, home, phone, tablet).Raw()))
	_, err = ann.loginDevice("a.test", first, tablet, home) // it shows an old card: the home has a newer one
	must(t, err)
	select {
	case <-kept.Done():
		t.Fatal("the link of a device that is still listed was ended")
	default:
	}

	must(t, ann.client.Publish(ctx, ann.cardListing(12, home, tablet).Raw()))
	select {
	case <-kept.Done():
	case <-time.After(time.Minute):
		t.Fatal("the removed device keeps its link")
	}
	_, err = ann.loginDevice("a.test", first, phone, home)
	wantCode(t, err, session.Refused, "this device was removed by ann's main device on "+first.Issued.Format("2 Jan 2006"))
	devices, err := m.nodes["a.test"].node.store.Devices(ctx, ann.key.Fingerprint())
	must(t, err)
	welcome, err := ann.client.Login(ctx, ann.name, ann.cert, ann.key, nil)
	must(t, err)
	if seen := welcome.Home.Devices; len(seen) != 1 || seen[0].Fingerprint != tablet.Public().Fingerprint() || time.Since(time.Unix(seen[0].Seen, 0)).Abs() > time.Hour {
		t.Errorf("she is told of %+v", seen)
	}
	if len(devices) != 1 || devices[0].Key != tablet.Public().Fingerprint() || devices[0].Seen.IsZero() {
		t.Errorf("devices %+v", devices)
	}
}

// Her devices and she herself get each item once each; none keeps it from the others.
func TestDevicesReadOneQueue(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, home := m.user("ann@a.test"), m.authority("a.test")
	phone, ctx := deviceKey(t), t.Context()
	card := ann.cardListing(10, home, phone)
	must(t, ann.client.Publish(ctx, card.Raw()))
	device, err := ann.loginDevice("a.test", card, phone, home)
	must(t, err)
	_, err = m.nodes["a.test"].node.store.Deposit(ctx, store.Item{
		Mailbox: ann.requests, Kind: itemLetter, ID: [16]byte{1}, Body: make([]byte, mor.SealedSize), At: time.Now(),
	})
	must(t, err)
	get := func(c *session.Client) []session.Item {
		items, err := c.Items(ctx, session.Items{Wait: session.LongestWait})
		must(t, err)
		return items
	}
	hers, its := get(ann.client), get(device)
	if len(hers) != 1 || len(its) != 1 || hers[0].Seq != its[0].Seq {
		t.Fatalf("she has %d items, her device %d", len(hers), len(its))
	}
	must(t, ann.client.Forget(ctx, []int64{hers[0].Seq}))
	if left, err := ann.client.Items(ctx, session.Items{}); err != nil || len(left) > 0 {
		t.Errorf("she gets again what she has: %v, %v", left, err)
	}
	if its = get(device); len(its) != 1 {
		t.Fatalf("her device has %d items", len(its))
	}
	must(t, device.Forget(ctx, []int64{its[0].Seq}))
	left, err := m.nodes["a.test"].node.store.ItemsFor(ctx, ann.key.Fingerprint(), [32]byte{1}, 0, 9)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("%d items are left", len(left))
	}
}

// A device logs in anywhere, with the home dead as well. Where a newer card has come that does not
// list it, it is out, and its link is ended.
func TestDeviceVisits(t *testing.T) {
	_, ann, home := visiting(t)
	phone, ctx := deviceKey(t), t.Context()
	card := ann.cardListing(10, home, phone)
	kept, err := ann.loginDevice("c.test", card, phone, home)
	must(t, err)
	_, err = ann.loginDevice("c.test", card, deviceKey(t), home)
	wantCode(t, err, session.Refused, "does not list this device")

	_, err = ann.visit("c.test", home)
	must(t, err)
	must(t, ann.client.Publish(ctx, ann.cardListing(11, home).Raw()))
	select {
	case <-kept.Done():
	case <-time.After(time.Minute):
		t.Fatal("the removed device keeps its link")
	}
	_, err = ann.loginDevice("c.test", card, phone, home)
	wantCode(t, err, session.Refused, "this device was removed by ann's main device on")
}

// A visited node asks the home for a newer card, before it lets a device in.
func TestDeviceVisitAsksTheHome(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	ann, home := m.user("ann@a.test"), m.authority("a.test")
	phone := deviceKey(t)
	card := ann.cardListing(10, home, phone)
	must(t, ann.client.Publish(t.Context(), card.Raw()))
	_, err := ann.loginDevice("c.test", card, phone, home)
	must(t, err)
	must(t, ann.client.Publish(t.Context(), ann.cardListing(11, home).Raw()))
	_, err = ann.loginDevice("c.test", card, phone, home)
	wantCode(t, err, session.Refused, "this device was removed")
	must(t, m.nodes["a.test"].end())
	_, err = ann.loginDevice("c.test", card, phone, home) // it is remembered
	wantCode(t, err, session.Refused, "this device was removed")
}

// What a device says on one link is good on that link only, at home and elsewhere; somebody else's
// card, and one that another authority vouches for, let it in nowhere.
func TestDeviceProofsAreNotRelayed(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	ann, eve, home := m.user("ann@a.test"), m.user("eve@a.test"), m.authority("a.test")
	phone := deviceKey(t)
	card := ann.cardListing(10, home, phone)
	must(t, ann.client.Publish(t.Context(), card.Raw()))
	dialled := func(at string) *link.Conn {
		ca := m.authority(at).CA()
		conn, err := link.Dial(t.Context(), link.Config{
			Judge: func(leaf *x509.Certificate) error { return ca.VerifyLink(leaf, time.Now()) }, Dial: dial.Direct(),
		}, m.nodes[at].running.Link)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := dialled("a.test")
	exported, err := first.Exporter(pki.ExporterLabel, pki.ExporterSize)
	must(t, err)
	said := session.Login{
		Name: ann.name, Certificate: ann.cert, Proof: phone.SignLogin([pki.ExporterSize]byte(exported), ann.name),
		Authority: home.CA().DER(), Device: phone.Public().Bytes(), Card: card.Raw(),
	}
	say := func(conn *link.Conn, l session.Login) string {
		body, err := json.Marshal(l)
		must(t, err)
		must(t, conn.SendControl(slices.Concat([]byte(`{"seq":1,"op":"login","body":`), body, []byte(`}`))))
		answer, err := conn.Receive()
		must(t, err)
		return string(answer.Control)
	}
	for _, at := range []string{"a.test", "c.test"} {
		if answer := say(dialled(at), said); !strings.Contains(answer, "the proof is not good on this link") {
			t.Errorf("relayed to %s: %s", at, answer)
		}
	}
	forged := said // by her device, with a card that eve signed
	evil := eve.cardListing(20, home, phone)
	forged.Card = evil.Raw()
	if answer := say(first, forged); !strings.Contains(answer, `"refused"`) {
		t.Errorf("with a card of eve's: %s", answer)
	}
	asEve := said
	asEve.Name, asEve.Certificate = eve.name, eve.cert
	if answer := say(first, asEve); !strings.Contains(answer, `"refused"`) {
		t.Errorf("as eve: %s", answer)
	}
	if answer := say(first, said); !strings.Contains(answer, `"domain":"a.test"`) {
		t.Errorf("on its own link: %s", answer)
	}
}

// Whose key was revoked, her devices are out, too.
func TestRevokedUsersDevicesAreOut(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, home := m.user("ann@a.test"), m.authority("a.test")
	phone := deviceKey(t)
	card := ann.cardListing(10, home, phone)
	must(t, ann.client.Publish(t.Context(), card.Raw()))
	kept, err := ann.loginDevice("a.test", card, phone, home)
	must(t, err)
	revocation, err := ann.key.RevokeKey(ann.cert, time.Now())
	must(t, err)
	other := &user{mesh: m}
	other.connect("a.test")
	must(t, other.client.Revoke(t.Context(), revocation.Raw()))
	select {
	case <-kept.Done():
	case <-time.After(time.Minute):
		t.Fatal("the device of a revoked user keeps its link")
	}
	_, err = ann.loginDevice("a.test", card, phone, home)
	wantCode(t, err, session.Refused, "revoked")
}
