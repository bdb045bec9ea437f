package pki

import (
	"testing"
)

// devicesOf are as many devices, since testNow.
func devicesOf(t testing.TB, n int) (devices []Device) {
	t.Helper()
	for i := range n {
		key := must[DeviceKey](t)(NewDeviceKey(testRand(byte(i))))
		devices = append(devices, Device{Key: key.Public(), Since: testNow})
	}
	return sortedDevices(devices)
}

// A device's proof is good on one connection, for one name, by its own key, and is no proof by
// the identity key, nor the other way round.
func TestDeviceLogin(t *testing.T) {
	w := newWorld(t)
	exporter, name, public := [ExporterSize]byte{1, 2, 3}, w.annCert.Name(), w.device.Public()
	proof := w.device.SignLogin(exporter, name)
	if !public.VerifyLogin(exporter, name, proof) {
		t.Fatal("a good login is refused")
	}
	asIdentity, err := ParseIdentityPublic(public.Bytes())
	other := must[DeviceKey](t)(NewDeviceKey(testRand(9)))
	switch {
	case err != nil:
		t.Fatal(err)
	case public.VerifyLogin([ExporterSize]byte{1, 2, 4}, name, proof):
		t.Error("it is good on another connection")
	case public.VerifyLogin(exporter, w.bobCert.Name(), proof), public.VerifyLogin(exporter, Name{}, proof):
		t.Error("it is good for another name, or none")
	case other.Public().VerifyLogin(exporter, name, proof), (DevicePublic{}).VerifyLogin(exporter, name, proof):
		t.Error("it is good by another key, or none")
	case asIdentity.VerifyLogin(exporter, name, proof):
		t.Error("it is good for the identity key's")
	case public.VerifyLogin(exporter, name, nil), w.device.SignLogin(exporter, Name{}) != nil:
		t.Error("no proof is good, or one was made for no name")
	}
}

// A card lists the devices that it was signed with, in the order of their keys, and no other.
func TestCardListsDevices(t *testing.T) {
	w := newWorld(t)
	c := w.card(t).Card
	given := devicesOf(t, MaxDevices)
	c.Devices = []Device{given[5], given[0], given[7]}
	signed := must[SignedCard](t)(SignCard(w.ann, c))
	card := must[SignedCard](t)(w.home.CA().VerifyCard(signed.Raw(), testNow))
	for i, d := range given {
		if want := i == 0 || i == 5 || i == 7; card.Lists(d.Key) != want {
			t.Errorf("device %d: listed %v", i, !want)
		}
	}
	if c.Devices[0] != given[5] {
		t.Error("signing changed the order of the caller's list")
	}
	if card.Lists(DevicePublic{}) {
		t.Error("no device is listed")
	}
	if len(card.Raw()) > MaxCardSize/2 {
		t.Errorf("a card with %d devices has %d bytes", len(card.Devices), len(card.Raw()))
	}
}

// A card of the version before, or whose devices are not in order, is none.
func TestCardWithDevicesIsStrict(t *testing.T) {
	w := newWorld(t)
	c := w.card(t).Card
	c.Devices = devicesOf(t, 2)
	body := c.body()
	must[UnvouchedCard](t)(ParseCard(sealStatement(w.ann.identity, LabelCard, body)))
	c.Devices[0], c.Devices[1] = c.Devices[1], c.Devices[0]
	if _, err := ParseCard(sealStatement(w.ann.identity, LabelCard, c.body())); err == nil {
		t.Error("devices out of order are accepted")
	}
	body[0] = 1
	if _, err := ParseCard(sealStatement(w.ann.identity, LabelCard, body)); err == nil {
		t.Error("version 1 is accepted")
	}
}
