package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// MaxLabel is how long the label of a device is at most, in bytes.
const MaxLabel = 64

var (
	// ErrDevice: it takes the identity key, and this folder is of a device that has none.
	ErrDevice = errors.New("this folder is of one of your devices, which does not have your key")
	// ErrNoDevice: there is no device of that number or label.
	ErrNoDevice = errors.New("there is no such device")
	// ErrManyDevices: there are as many as there may be.
	ErrManyDevices = fmt.Errorf("you have %d devices beside this one, and there may not be more", pki.MaxDevices)
	// ErrLabel: the label cannot be one.
	ErrLabel = fmt.Errorf("a label has 1 to %d printable characters, is no number, and no other device has it", MaxLabel)
)

// ErrUnlisted: there is no card with the device yet.
var ErrUnlisted = errors.New("your card with the device could not be published yet")

// A device is one of the user's, as her main folder knows it. Its label is told to nobody.
type device struct {
	Label string    `json:"label"`
	Key   []byte    `json:"key"` // public, 32 bytes
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen,omitzero"` // by the home, when it was asked last; zero: never
}

// A Device is one of the user's devices beside the one with her key.
type Device struct {
	Number      int             `json:"number"`          // from 1, by age; on a device in the order of their keys
	Label       string          `json:"label,omitempty"` // known in the main folder only
	Fingerprint pki.Fingerprint `json:"fingerprint"`
	Since       time.Time       `json:"since"`
	Seen        time.Time       `json:"seen,omitzero"`  // when it was last at the home, as that told the main folder; zero: never
	This        bool            `json:"this,omitempty"` // it is the one that this folder is of
}

// Devices lists the user's devices beside the main one. It does not use the network.
func (a *Agent) Devices() (list []Device, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		list, err = ownDevices(tx)
		return err
	})
	return list, err
}

func ownDevices(tx *vault.Tx) (list []Device, err error) {
	id, _, err := load[identity](tx, keyIdentity)
	if err == nil && id.Linked != nil {
		return id.Linked.devices()
	}
	known, err := loadDevices(tx)
	for i, d := range known {
		list = append(list, Device{Number: i + 1, Label: d.Label, Fingerprint: d.public().Fingerprint(), Since: d.Since, Seen: d.Seen})
	}
	return list, err
}

// public is the key of a device; the zero key, which is nobody's, if the record is damaged.
func (d device) public() pki.DevicePublic {
	key, err := pki.ParseDevicePublic(d.Key)
	if err != nil {
		return pki.DevicePublic{}
	}
	return key
}

// loadDevices are the devices of a main folder, the oldest first.
func loadDevices(tx *vault.Tx) (all []device, err error) {
	err = each(tx, prefixDevice, func(_ string, d device) error {
		all = append(all, d)
		return nil
	})
	slices.SortStableFunc(all, func(x, y device) int { return x.Since.Compare(y.Since) })
	return all, err
}

// noteSeen notes what the home says of when our devices were there.
func (a *Agent) noteSeen(seen []session.SeenDevice) error {
	if len(seen) == 0 || a.self.linked() || a.abroad() {
		return nil
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		for _, s := range seen {
			key := prefixDevice + s.Fingerprint.String()
			d, ok, err := load[device](tx, key)
			if at := time.Unix(s.Seen, 0).UTC(); err == nil && ok && !d.Seen.Equal(at) {
				d.Seen = at
				err = save(tx, key, d)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// AddDevice makes a device of the user: its key, an entry in her card, which is published at once,
// and a link, which makes another folder that of the device. label may be empty. Errors beside
// those of Connect: ErrDevice, ErrManyDevices, ErrLabel.
func (a *Agent) AddDevice(ctx context.Context, label string) (Link, error) {
	if a.self.linked() {
		return Link{}, ErrDevice
	}
	if err := a.Connect(ctx); err != nil {
		return Link{}, err
	}
	key, err := pki.NewDeviceKey(a.cfg.Rand)
	if err != nil {
		return Link{}, err
	}
	d := device{Label: label, Key: key.Public().Bytes(), Since: a.now().UTC().Truncate(time.Second)}
	err = a.relist(ctx, func(tx *vault.Tx, id *identity) error {
		known, err := loadDevices(tx)
		if err == nil {
			d.Label, err = fitting(known, label)
		}
		if err != nil {
			return err
		}
		return save(tx, prefixDevice+key.Public().Fingerprint().String(), d)
	})
	if err == nil && a.card == nil {
		err = ErrUnlisted
	}
	if err != nil {
		return Link{}, err
	}
	return a.link(key, d.Label)
}

// fitting is the label of one more device: the given one, if it may be that, or one that is made up.
func fitting(known []device, label string) (string, error) {
	if len(known) >= pki.MaxDevices {
		return "", ErrManyDevices
	}
	has := func(label string) bool {
		return slices.ContainsFunc(known, func(d device) bool { return d.Label == label })
	}
	for i := 1; label == ""; i++ {
		if made := fmt.Sprint("device ", i); !has(made) {
			return made, nil
		}
	}
	_, number := strconv.Atoi(label)
	printable := !strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
	if number == nil || len(label) > MaxLabel || !printable || has(label) {
		return "", ErrLabel
	}
	return label, nil
}

// RemoveDevice ends a device, given by its number or label: the card that is published at once does
// not list it, and names new keys for messages, which it does not get. Errors beside those of Connect:
// ErrDevice, ErrNoDevice.
func (a *Agent) RemoveDevice(ctx context.Context, which string) (Device, error) {
	if a.self.linked() {
		return Device{}, ErrDevice
	}
	known, err := a.Devices()
	if err == nil {
		_, err = find(known, which) // before anybody is asked
	}
	if err != nil {
		return Device{}, err
	}
	if err := a.Connect(ctx); err != nil {
		return Device{}, err
	}
	var gone Device
	err = a.relist(ctx, func(tx *vault.Tx, id *identity) error {
		known, err := ownDevices(tx)
		if err == nil {
			gone, err = find(known, which)
		}
		if err != nil {
			return err
		}
		tx.Delete(prefixDevice + gone.Fingerprint.String())
		id.Generation++
		return nil
	})
	return gone, err
}

// find finds a device by its number or its label.
func find(all []Device, which string) (Device, error) {
	i := slices.IndexFunc(all, func(d Device) bool { return strconv.Itoa(d.Number) == which || d.Label == which })
	if i < 0 {
		return Device{}, ErrNoDevice
	}
	return all[i], nil
}

// relist changes the list of devices, and publishes the card with it. What was changed is durable
// before that: if the node does not answer now, the card is published when it does.
func (a *Agent) relist(ctx context.Context, change func(*vault.Tx, *identity) error) error {
	var id identity
	err := a.vault.Update(func(tx *vault.Tx) (err error) {
		if id, _, err = load[identity](tx, keyIdentity); err != nil {
			return err
		}
		if err := change(tx, &id); err != nil {
			return err
		}
		id.Carded, a.card = nil, nil // no card will do that is out there
		e, ok, err := load[entry](tx, keyEntry)
		if e.Carded = nil; err == nil && ok {
			err = save(tx, keyEntry, e)
		}
		return errors.Join(err, save(tx, keyIdentity, id))
	})
	if err != nil {
		return err
	}
	if err := a.become(id); err != nil {
		return err
	}
	ca, err := a.authority(id.Name.Domain())
	if err != nil {
		return err
	}
	certificate, err := a.ownCertificate(id, ca)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return a.homeError(a.publish(ctx, id, certificate))
}

// renewSelf takes in what another program may have changed of who we are: the keys for messages of
// one who has removed a device, the card of one who is a device.
func (a *Agent) renewSelf() error {
	id, ok, err := a.identity()
	if err != nil || !ok {
		return errors.Join(err, missing(ok))
	}
	return a.become(id)
}

// become makes the agent that of id, whose keys it derives if they are others.
func (a *Agent) become(id identity) (err error) {
	if a.self.generation == id.Generation && (id.Linked == nil || equal(a.self.card, id.Linked.Card)) && a.self.name == id.Name {
		return nil
	}
	a.self, err = id.self()
	return err
}

// sign makes a card ours: with our keys, as they are now, and our devices.
func (a *Agent) sign(c pki.Card) (pki.SignedCard, error) {
	err := a.vault.View(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		if err == nil {
			err = a.become(id)
		}
		if err == nil {
			c.Devices, err = a.listedDevices(tx)
		}
		return err
	})
	if err != nil {
		return pki.SignedCard{}, err
	}
	keys := a.self.keys.Public()
	c.Seal, c.Auth, c.Requests = keys.Seal, keys.Auth, a.self.requests
	for _, d := range c.Devices {
		if d.Since.After(c.Issued) { // the clock was put back
			c.Issued = d.Since
		}
	}
	return pki.SignCard(a.self.key, c)
}

// listedDevices are the user's devices as her card lists them, with what each is to know.
func (a *Agent) listedDevices(tx *vault.Tx) (list []pki.Device, err error) {
	known, err := loadDevices(tx)
	if err != nil {
		return nil, err
	}
	for _, d := range known {
		sealed, err := a.self.sealFor(d.public())
		if err != nil {
			return nil, err
		}
		list = append(list, pki.Device{Key: d.public(), Since: d.Since, Sealed: sealed})
	}
	return list, nil
}

// A RemovedError says that a node refuses this device: most likely the main device has removed it.
type RemovedError struct{ Refused *session.Error }

func (e *RemovedError) Error() string { return e.Refused.Text }

// Unwrap returns what the node said.
func (e *RemovedError) Unwrap() error { return e.Refused }
