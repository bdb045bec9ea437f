package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/p3do/p3do/pki"
)

// deviceKeys are ann's, of a stream of their own.
func deviceKeys() (keys [2]pki.DeviceKey, err error) {
	r := rand.NewChaCha8([32]byte([]byte("the devices of P3DO pki, v1     ")))
	for i := range keys {
		if keys[i], err = pki.NewDeviceKey(r); err != nil {
			return keys, err
		}
	}
	return keys, nil
}

// deviceLogins: logins by the key of a device.
func (w *world) deviceLogins() ([]vector, error) {
	keys, err := deviceKeys()
	if err != nil {
		return nil, err
	}
	exporter, other := [pki.ExporterSize]byte{1, 2, 3}, [pki.ExporterSize]byte{1, 2, 4}
	proof := keys[0].SignLogin(exporter, w.annCert.Name())
	in := func(key pki.DeviceKey, exporter [pki.ExporterSize]byte, name string, proof []byte) map[string]string {
		return map[string]string{
			"public": hexed(key.Public().Bytes()), "exporter": hexed(exporter[:]), "name": name, "signature": hexed(proof),
		}
	}
	identity := in(keys[0], exporter, "ann@a.test", w.ann.SignLogin(exporter, w.annCert.Name()))
	identity["public"] = hexed(w.ann.Public().Bytes())
	return []vector{
		{Kind: "device", Comment: "a login of a device", Expect: "accept", In: in(keys[0], exporter, "ann@a.test", proof)},
		{Kind: "device", Comment: "on another connection", Expect: "refuse", In: in(keys[0], other, "ann@a.test", proof)},
		{Kind: "device", Comment: "under another name", Expect: "refuse", In: in(keys[0], exporter, "eve@a.test", proof)},
		{Kind: "device", Comment: "by another device", Expect: "refuse", In: in(keys[1], exporter, "ann@a.test", proof)},
		{Kind: "device", Comment: "the proof of an identity key", Expect: "refuse", In: identity},
	}, nil
}

// deviceCards: the same card with two devices, and what is none.
func (w *world) deviceCards(c pki.Card, base, told map[string]string) ([]vector, error) {
	keys, err := deviceKeys()
	if err != nil {
		return nil, err
	}
	c.Devices = []pki.Device{
		{Key: keys[0].Public(), Since: now(), Sealed: [pki.DeviceSealSize]byte{7}},
		{Key: keys[1].Public(), Since: now().Add(-time.Hour), Sealed: [pki.DeviceSealSize]byte{8}},
	}
	signed, err := pki.SignCard(w.ann, c)
	if err != nil {
		return nil, err
	}
	raw := signed.Raw()
	told = maps.Clone(told)
	entry := 32 + 8 + pki.DeviceSealSize
	body := raw[:len(raw)-pki.SignatureSize]
	list := len(body) - 2*entry - 1
	seal := func(devices ...[]byte) []byte {
		b := append(append([]byte(nil), body[:list]...), byte(len(devices)))
		for _, d := range devices {
			b = append(b, d...)
		}
		return append(b, w.ann.Sign(pki.LabelCard, b)...)
	}
	first, second := body[list+1:list+1+entry], body[list+1+entry:]
	late := append(append([]byte(nil), first[:32]...), append([]byte{0, 0, 0, 1, 0, 0, 0, 0}, first[40:]...)...)
	own := append(append([]byte(nil), w.ann.Public().Bytes()...), first[32:]...)
	for i, d := range signed.Devices {
		told[fmt.Sprint("device", i)] = fmt.Sprintf("%x %d %x", d.Key.Bytes(), d.Since.Unix(), d.Sealed)
	}
	return vectors("card", "raw", base, told, variant{"with two devices", raw, 0},
		variant{"devices out of order", seal(second, first), 0}, variant{"a device twice", seal(first, first), 0},
		variant{"a device that is newer than the card", seal(late), 0}, variant{"the identity key as a device", seal(own), 0},
		variant{"nine devices", seal(first, second, first, second, first, second, first, second, first), 0},
	), nil
}
