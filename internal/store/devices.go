package store

import (
	"context"
	"fmt"
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

// SetDevices keeps the list of an owner's devices as a card with this serial has it. An older
// card than that of the list which is kept changes nothing: [ErrOldSerial]. What all that are
// left have forgotten goes. More than [MaxDevices] are [ErrTooLarge].
func (s *Store) SetDevices(ctx context.Context, owner [32]byte, serial uint64, devices [][32]byte) error {
	if len(devices) > MaxDevices || int64(serial) < 0 {
		return ErrTooLarge
	}
	return s.write(ctx, func(ctx context.Context, q *db.Queries) error {
		known, err := q.Devices(ctx, owner[:])
		if err != nil || len(known) == 0 && len(devices) == 0 {
			return err
		}
		for _, d := range known {
			if d.Serial > int64(serial) {
				return ErrOldSerial
			}
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
	if gone, err = q.DropOldestForgotten(ctx, owner); err != nil || gone == 0 {
		return 0, err
	}
	return gone, q.DropForgottenOf(ctx, owner)
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
