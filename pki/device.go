package pki

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxDevices is how many devices a Card lists at most, beside the one that has the
	// identity key.
	MaxDevices = 8

	// DeviceSealSize is the length of what a Card holds for each device, sealed, in bytes.
	DeviceSealSize = 144
)

// A DeviceKey is the Ed25519 key of one device of a user. It logs in, and signs nothing but
// that. It counts for as long as the user's newest card lists it: so the identity key, which
// signs the card, ends it at any time.
type DeviceKey struct {
	redacted
	_      [0]func()
	device ed25519.PrivateKey
}

// NewDeviceKey makes a key of the next 32 bytes of rand.
func NewDeviceKey(rand io.Reader) (DeviceKey, error) {
	private, err := newPrivate(rand)
	return DeviceKey{device: private}, err
}

// ParseDeviceKey takes the 32 bytes that Seed returned.
func ParseDeviceKey(seed []byte) (DeviceKey, error) {
	private, err := parsePrivate(seed)
	return DeviceKey{device: private}, err
}

// Seed returns the 32 secret bytes to store, sealed.
func (k DeviceKey) Seed() []byte { return k.device.Seed() }

// Public returns the public half.
func (k DeviceKey) Public() DevicePublic { return DevicePublic{device: publicPoint(k.device)} }

// SignLogin proves to the other end of a TLS connection that a device of its user holds the
// key: 64 bytes, good on that one connection only. It returns nil for the zero Name.
func (k DeviceKey) SignLogin(exporter [ExporterSize]byte, name Name) []byte {
	if name.IsZero() {
		return nil
	}
	return signStatement(k.device, LabelDevice, loginMessage(exporter, name))
}

// A DevicePublic is the public half of a DeviceKey: 32 bytes, comparable.
type DevicePublic struct{ device point }

// ParseDevicePublic takes 32 bytes. Points of small order are refused.
func ParseDevicePublic(b []byte) (DevicePublic, error) {
	p, err := parsePoint(b)
	return DevicePublic{p}, err
}

// Bytes returns the 32 bytes of RFC 8032, section 5.1.5.
func (p DevicePublic) Bytes() []byte { return p.device[:] }

// Fingerprint returns the fingerprint of the key.
func (p DevicePublic) Fingerprint() Fingerprint { return fingerprintOf(p.device) }

// VerifyLogin reports whether proof is that of DeviceKey.SignLogin for the connection with
// this exporter and for name. Whether the key is of a device of that name the newest card of
// the name tells: see Card.Lists.
func (p DevicePublic) VerifyLogin(exporter [ExporterSize]byte, name Name, proof []byte) bool {
	return !name.IsZero() && verifyStatement(p.device, LabelDevice, loginMessage(exporter, name), proof)
}

// A Device is one entry in the list of devices of a Card.
type Device struct {
	Key    DevicePublic
	Since  time.Time            // whole seconds, UTC; not after the card was issued
	Sealed [DeviceSealSize]byte // what the user has to tell this device; not looked into here
}

// Lists reports whether the card lists the device with that key.
func (c Card) Lists(key DevicePublic) bool {
	_, ok := c.Device(key)
	return ok
}

// Device returns the entry of the device with that key; false if the card does not list it.
func (c Card) Device(key DevicePublic) (Device, bool) {
	i := slices.IndexFunc(c.Devices, func(d Device) bool { return d.Key == key })
	if i < 0 || key == (DevicePublic{}) {
		return Device{}, false
	}
	return c.Devices[i], true
}

// sortedDevices are devices as a card lists them, in an array of their own.
func sortedDevices(devices []Device) []Device {
	sorted := slices.Clone(devices)
	for i := range sorted {
		sorted[i].Since = seconds(sorted[i].Since)
	}
	slices.SortFunc(sorted, func(x, y Device) int { return bytes.Compare(x.Key.device[:], y.Key.device[:]) })
	return sorted
}

// checkDevices holds the rules that the layout alone does not.
func (c Card) checkDevices() error {
	if len(c.Devices) > MaxDevices {
		return fmt.Errorf("%d devices, at most %d", len(c.Devices), MaxDevices)
	}
	var before point
	for _, d := range c.Devices {
		switch {
		case bytes.Compare(before[:], d.Key.device[:]) >= 0:
			return errors.New("its devices are not in the order of their keys")
		case d.Key.device == c.Certificate.key.identity:
			return errors.New("a device with the identity key")
		case d.Since.Unix() < 0 || d.Since.After(c.Issued):
			return errors.New("a device that is newer than the card")
		}
		before = d.Key.device
	}
	return nil
}

// addDevices writes 1 byte of count and for each device 32 of key, 8 of since, 144 sealed.
func addDevices(b *cryptobyte.Builder, devices []Device) {
	b.AddUint8(uint8(len(devices)))
	for _, d := range devices {
		b.AddBytes(d.Key.device[:])
		addTime(b, d.Since)
		b.AddBytes(d.Sealed[:])
	}
}

// readDevices reads what addDevices wrote: 0 to MaxDevices.
func readDevices(input *cryptobyte.String, devices *[]Device) bool {
	var count uint8
	if !input.ReadUint8(&count) || count > MaxDevices {
		return false
	}
	for range count {
		var d Device
		var key [32]byte
		if !input.CopyBytes(key[:]) || !readTime(input, &d.Since) || !input.CopyBytes(d.Sealed[:]) {
			return false
		}
		var err error
		if d.Key, err = ParseDevicePublic(key[:]); err != nil {
			return false
		}
		*devices = append(*devices, d)
	}
	return true
}
