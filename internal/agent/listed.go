package agent

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A seenList is what the card of somebody listed as her devices when it was looked up last.
type seenList struct {
	Identity pki.Fingerprint `json:"identity"`
	Serial   uint64          `json:"serial"`
	Keys     []byte          `json:"keys"`   // all of them, 32 bytes each
	Count    int             `json:"count"`  // beside the one with her key
	Newest   time.Time       `json:"newest"` // since when the newest is one
	Untold   bool            `json:"untold"` // that it has changed
}

// A DevicesChanged says that somebody has another list of devices than when she was looked up before:
// not an alarm, but not done in silence either.
type DevicesChanged struct {
	Name    pki.Name  `json:"name"`
	Devices int       `json:"devices"`         // beside the one with her key
	Newest  time.Time `json:"newest,omitzero"` // since when the newest is one
}

// String is a sentence without a full stop.
func (d DevicesChanged) String() string {
	return fmt.Sprintf("the devices of %s have changed: %s", d.Name, devicesText(d.Devices, d.Newest))
}

// devicesText is how many devices somebody has, the main one counted.
func devicesText(more int, newest time.Time) string {
	if more == 0 {
		return "1 device"
	}
	return fmt.Sprintf("%d devices, the newest since %s", more+1, newest.Format("2 Jan"))
}

// sawDevices notes what a card that was looked up lists. A card older than one that was seen says
// nothing; of another identity key it begins anew, which is told otherwise.
func (a *Agent) sawDevices(card pki.SignedCard) error {
	name := card.Certificate.Name()
	now := seenList{Identity: card.Certificate.Key().Fingerprint(), Serial: card.Serial, Count: len(card.Devices)}
	for _, d := range card.Devices {
		now.Keys = append(now.Keys, d.Key.Bytes()...)
		if d.Since.After(now.Newest) {
			now.Newest = d.Since
		}
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		before, known, err := load[seenList](tx, prefixListed+name.String())
		known = known && before.Identity == now.Identity
		if err != nil || known && before.Serial >= now.Serial || name == a.self.name {
			return err
		}
		now.Untold = known && (before.Untold || !bytes.Equal(before.Keys, now.Keys))
		return save(tx, prefixListed+name.String(), now)
	})
}

// Notices returns whose devices have changed, each once.
func (a *Agent) Notices() (all []DevicesChanged, err error) {
	untold := false
	err = a.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixListed, func(_ string, l seenList) error {
			untold = untold || l.Untold
			return nil
		})
	})
	if err != nil || !untold {
		return nil, err
	}
	return all, a.vault.Update(func(tx *vault.Tx) error {
		all = nil
		seen := make(map[string]seenList)
		err := each(tx, prefixListed, func(key string, l seenList) error {
			name, err := pki.ParseName(key)
			if err == nil && l.Untold {
				all = append(all, DevicesChanged{name, l.Count, l.Newest})
				l.Untold = false
				seen[key] = l
			}
			return err
		})
		for key, l := range seen {
			err = errors.Join(err, save(tx, prefixListed+key, l))
		}
		return err
	})
}

// devicesOf is what is known of somebody's devices under that key.
func devicesOf(tx *vault.Tx, name pki.Name, key pki.Fingerprint) (l seenList, err error) {
	l, ok, err := load[seenList](tx, prefixListed+name.String())
	if !ok || l.Identity != key {
		return seenList{}, err
	}
	return l, err
}
