package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/store/db"
)

// MaxDevices is how many devices one owner has at most, beside herself.
const MaxDevices = 8

// Device is one of an owner's, who reads her queue as well.
type Device struct {
	Key  [32]byte  // fingerprint of its key
	Seen time.Time // when it logged in here last, whole seconds; zero: never
}

// Devices returns the devices of an owner, by their keys.
func (s *Store) Devices(ctx context.Context, owner [32]byte) ([]Device, error) {
	rows, err := s.read.Devices(ctx, owner[:])
	if err != nil {
		return nil, fmt.Errorf("store: reading devices: %w", err)
	}
	devices := make([]Device, len(rows))
	for i, r := range rows {
		devices[i].Key = fp32(r.Device)
		if r.Seen > 0 {
			devices[i].Seen = time.Unix(r.Seen, 0)
		}
	}
	return devices, nil
}

// DeviceList is the serial of the newest list of an owner's devices that SetDevices took, of
// whatever length it was; 0 if none is remembered.
func (s *Store) DeviceList(ctx context.Context, owner [32]byte) (uint64, error) {
	serial, err := s.read.DeviceList(oneRow(ctx), owner[:])
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("store: reading a list of devices: %w", err)
	}
	return uint64(serial), nil
}

// SetDevices keeps the list of an owner's devices as a card with this serial has it. An older
// card than that of the list which is kept changes nothing: [ErrOldSerial]; so does one that says
// what is kept. What all that are left have forgotten goes. More than [MaxDevices] are
// [ErrTooLarge]. The serial outlives the devices, and an owner who has gone: over [MaxDeviceLists]
// the one that was set first goes.
func (s *Store) SetDevices(ctx context.Context, owner [32]byte, serial uint64, devices [][32]byte) error {
	return s.setDevices(ctx, owner, serial, devices, MaxDeviceLists)
}

func (s *Store) setDevices(ctx context.Context, owner [32]byte, serial uint64, devices [][32]byte, limit int64) error {
	if len(devices) > MaxDevices || int64(serial) < 0 {
		return ErrTooLarge
	}
	if same, err := s.listed(ctx, owner, serial, devices); same || err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		if err := newerList(ctx, q, owner, serial, limit); err != nil {
			return err
		}
		for _, d := range devices {
			if err := q.PutDevice(ctx, db.PutDeviceParams{Owner: owner[:], Device: d[:], Serial: int64(serial)}); err != nil {
				return err
			}
		}
		if err := dropUnlisted(ctx, q, owner, serial, devices); err != nil {
			return err
		}
		gone, err := q.DropAllRead(ctx, owner[:])
		if err != nil {
			return err
		}
		if err := q.DropForgottenOf(ctx, owner[:]); err != nil {
			return err
		}
		return fewerItems(ctx, q, owner, gone)
	})
}

// listed tells whether just that is kept: then there is nothing to write.
func (s *Store) listed(ctx context.Context, owner [32]byte, serial uint64, devices [][32]byte) (bool, error) {
	kept, err := s.read.DeviceList(oneRow(ctx), owner[:])
	if errors.Is(err, sql.ErrNoRows) || err == nil && kept != int64(serial) {
		return false, nil
	}
	known, failed := s.Devices(ctx, owner)
	if err = errors.Join(err, failed); err != nil || len(known) != len(devices) {
		return false, err
	}
	for _, d := range known {
		if !slices.Contains(devices, d.Key) {
			return false, nil
		}
	}
	return true, nil
}

// newerList notes the serial of an owner's list, unless a greater one is known.
func newerList(ctx context.Context, q *db.Queries, owner [32]byte, serial uint64, limit int64) error {
	kept, err := q.DeviceList(ctx, owner[:])
	fresh := errors.Is(err, sql.ErrNoRows)
	if err != nil && !fresh {
		return err
	}
	rows, err := q.Devices(ctx, owner[:])
	if err != nil {
		return err
	}
	for _, d := range rows { // whose list may have been forgotten
		kept = max(kept, d.Serial)
	}
	if kept > int64(serial) {
		return ErrOldSerial
	}
	if fresh {
		err = count(ctx, q, countDeviceLists, 1, limit)
	}
	if errors.Is(err, ErrFull) {
		err = q.DropOldestDeviceList(ctx)
	}
	if err != nil {
		return err
	}
	seq, err := q.NextNumber(ctx, countListNumbers)
	if err != nil {
		return err
	}
	return q.PutDeviceList(ctx, db.PutDeviceListParams{Owner: owner[:], Serial: int64(serial), Seq: seq})
}

// dropUnlisted drops the devices that a list of that serial does not have.
func dropUnlisted(ctx context.Context, q *db.Queries, owner [32]byte, serial uint64, devices [][32]byte) error {
	if len(devices) == 0 {
		return q.DropDevicesOf(ctx, owner[:])
	}
	return q.DropOlderDevices(ctx, db.DropOlderDevicesParams{Owner: owner[:], Serial: int64(serial)})
}

// SeeDevice notes that a device of an owner logged in. One that she does not have is passed over.
func (s *Store) SeeDevice(ctx context.Context, owner, device [32]byte, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		return q.SeeDevice(ctx, db.SeeDeviceParams{Seen: now.Unix(), Owner: owner[:], Device: device[:]})
	})
}

// forgetBy notes that a reader has an item; it returns 1 if that was the last who had not.
func forgetBy(ctx context.Context, q *db.Queries, owner, reader [32]byte, seq int64) (gone int64, err error) {
	n, err := q.AddForgotten(ctx, db.AddForgottenParams{Reader: reader[:], Owner: owner[:], Seq: seq})
	if err != nil || n == 0 {
		return 0, err
	}
	gone, err = q.DropRead(ctx, db.DropReadParams{Owner: owner[:], Seq: seq})
	if err == nil && gone > 0 {
		err = q.DropForgottenItem(ctx, db.DropForgottenItemParams{Owner: owner[:], Seq: seq})
	}
	return gone, err
}

// makePlace drops the oldest item that its owner has forgotten, if there is one.
func makePlace(ctx context.Context, q *db.Queries, owner []byte) (gone int64, err error) {
	seq, err := q.OldestForgotten(ctx, db.OldestForgottenParams{Owner: owner, Reader: owner})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if gone, err = q.ForgetItem(ctx, db.ForgetItemParams{Owner: owner, Seq: seq}); err != nil {
		return 0, err
	}
	return gone, q.DropForgottenItem(ctx, db.DropForgottenItemParams{Owner: owner, Seq: seq})
}

// dropReaders drops what is about items and owners that have gone.
func dropReaders(ctx context.Context, q *db.Queries) error {
	if err := q.DropForgotten(ctx); err != nil {
		return err
	}
	return q.DropDevices(ctx)
}

// dropReadersOf drops what is about an owner who has gone, items and all.
func dropReadersOf(ctx context.Context, q *db.Queries, owner [32]byte) error {
	if err := q.DropForgottenOf(ctx, owner[:]); err != nil {
		return err
	}
	return q.DropDevicesOf(ctx, owner[:])
}
