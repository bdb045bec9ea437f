package store

import (
	"slices"
	"testing"
)

// seqs are the numbers of what waits for a reader.
func seqs(t *testing.T, s *Store, owner, reader int) (all []int64) {
	t.Helper()
	items, err := s.ItemsFor(t.Context(), fp(owner), fp(reader), 0, MaxPage)
	must(t, err)
	for _, w := range items {
		all = append(all, w.Seq)
	}
	return all
}

// deposits puts n items into the mailbox of an owner.
func deposits(t *testing.T, s *Store, owner, n int) {
	t.Helper()
	must(t, s.Claim(t.Context(), fp(owner), []Address{box(owner, Contact)}))
	for i := range n {
		_, err := s.Deposit(t.Context(), Item{Mailbox: box(owner, Contact).Mailbox, ID: [16]byte{byte(i), 1}, Body: []byte("item"), At: noon})
		must(t, err)
	}
}

// Each reader gets each item until it has forgotten it itself; it goes when all have.
func TestEachDeviceReadsForItself(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	const ann, phone, tablet = 1, 11, 12
	deposits(t, s, ann, 2)
	must(t, s.SetDevices(ctx, fp(ann), 5, [][32]byte{fp(phone), fp(tablet)}))
	all := seqs(t, s, ann, ann)

	must(t, s.Forget(ctx, fp(ann), all[0], all[0], 99))
	must(t, s.ForgetFor(ctx, fp(ann), fp(phone), all[0], all[1]))
	for reader, want := range map[int][]int64{ann: all[1:], phone: nil, tablet: all} {
		if got := seqs(t, s, ann, reader); !slices.Equal(got, want) {
			t.Errorf("reader %d: %v, want %v", reader, got, want)
		}
	}
	must(t, s.ForgetFor(ctx, fp(ann), fp(tablet), all[0]))
	if got := seqs(t, s, ann, 99); !slices.Equal(got, all[1:]) {
		t.Errorf("%v are there, want %v", got, all[1:])
	}
	// Of somebody who has no say: nothing.
	must(t, s.ForgetFor(ctx, fp(ann), fp(77), all[1]))
	must(t, s.Forget(ctx, fp(ann), all[1]))
	if got := seqs(t, s, ann, tablet); !slices.Equal(got, all[1:]) {
		t.Errorf("for the tablet %v, want %v", got, all[1:])
	}
	// The tablet is removed: all that are left have it.
	must(t, s.SetDevices(ctx, fp(ann), 6, [][32]byte{fp(phone)}))
	if got := seqs(t, s, ann, 99); len(got) > 0 {
		t.Errorf("%v are still there", got)
	}
	if owner := s.counted(t, ann); owner != 0 {
		t.Errorf("%d items are counted", owner)
	}
}

// counted is how many items an owner is said to have.
func (s *Store) counted(t *testing.T, owner int) (n int64) {
	t.Helper()
	key := fp(owner)
	must(t, s.readDB.QueryRowContext(t.Context(), "SELECT items FROM owners WHERE owner = $1", key[:]).Scan(&n))
	return n
}

// A list of devices gives way to newer ones only, and remembers when each was seen.
func TestDeviceListsBySerial(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.SetDevices(ctx, fp(1), 5, [][32]byte{fp(11), fp(12)}))
	must(t, s.SeeDevice(ctx, fp(1), fp(11), noon))
	must(t, s.SeeDevice(ctx, fp(1), fp(99), noon))
	want(t, s.SetDevices(ctx, fp(1), 4, nil), ErrOldSerial)
	must(t, s.SetDevices(ctx, fp(1), 7, [][32]byte{fp(11), fp(13)}))
	devices, err := s.Devices(ctx, fp(1))
	must(t, err)
	if len(devices) != 2 || devices[0].Key != fp(11) || !devices[0].Seen.Equal(noon) || devices[1].Key != fp(13) || !devices[1].Seen.IsZero() {
		t.Errorf("devices %+v", devices)
	}
	want(t, s.SetDevices(ctx, fp(1), 8, make([][32]byte, MaxDevices+1)), ErrTooLarge)
	must(t, s.SetDevices(ctx, fp(1), 8, nil))
	if devices, err = s.Devices(ctx, fp(1)); err != nil || len(devices) > 0 {
		t.Errorf("devices %+v, %v", devices, err)
	}
	want(t, s.SetDevices(ctx, fp(1), 7, [][32]byte{fp(11)}), ErrOldSerial) // though none is left to say so
}

// How new a list is stays known when all devices have gone from it, or were never there, and when
// their owner has nothing here any more; up to a bound, beyond which the oldest is forgotten.
func TestDeviceListsOutliveDevices(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.SetDevices(ctx, fp(1), 6, nil))
	must(t, s.SetDevices(ctx, fp(2), 6, [][32]byte{fp(11)}))
	_, err := s.DropExpired(ctx, noon)
	must(t, err)
	for owner := 1; owner <= 2; owner++ {
		want(t, s.SetDevices(ctx, fp(owner), 5, [][32]byte{fp(11)}), ErrOldSerial)
		if serial, err := s.DeviceList(ctx, fp(owner)); err != nil || serial != 6 {
			t.Errorf("owner %d: %d, %v", owner, serial, err)
		}
	}
	must(t, s.SetDevices(ctx, fp(2), 6, [][32]byte{fp(11)})) // the sweep took it, and the card is the newest
	devices, err := s.Devices(ctx, fp(2))
	must(t, err)
	if len(devices) != 1 || devices[0].Key != fp(11) {
		t.Errorf("devices %+v", devices)
	}
	must(t, s.setDevices(ctx, fp(3), 1, nil, 2))
	for owner, serial := range map[int]uint64{1: 0, 2: 6, 3: 1} {
		if got, err := s.DeviceList(ctx, fp(owner)); err != nil || got != serial {
			t.Errorf("owner %d: %d, want %d, %v", owner, got, serial, err)
		}
	}
}

// Of the cards of a key the one with the greatest serial is the newest, whatever its name.
func TestNewestCard(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	for i, name := range []string{"ann@a.test", "ann@c.test", "ann@b.test"} {
		serial := []uint64{10, 20, 15}[i]
		must(t, s.PutCachedUser(ctx, User{
			Name: name, Fingerprint: fp(1), Certificate: []byte("certificate"), Card: []byte(name), Serial: serial, NotAfter: noon,
		}))
	}
	if u, err := s.NewestCard(ctx, fp(1)); err != nil || u.Serial != 20 || u.Name != "ann@c.test" {
		t.Errorf("%+v, %v", u, err)
	}
	_, err := s.NewestCard(ctx, fp(2))
	want(t, err, ErrNotFound)
}

// A device that never comes does not fill its owner's queue: what she has herself makes room.
func TestAbsentDeviceFillsNothing(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	deposits(t, s, 1, 3)
	must(t, s.SetDevices(ctx, fp(1), 5, [][32]byte{fp(11)}))
	all := seqs(t, s, 1, 1)
	next := Item{Mailbox: box(1, Contact).Mailbox, ID: [16]byte{9}, Body: []byte("item"), At: noon}
	_, err := s.deposit(ctx, next, 3)
	want(t, err, ErrFull)
	must(t, s.Forget(ctx, fp(1), all[1], all[2]))
	for id := range 2 {
		next.ID[1] = byte(id)
		fresh, err := s.deposit(ctx, next, 3)
		must(t, err)
		if got := seqs(t, s, 1, 11); !fresh || len(got) != 3 || got[0] != all[0] || s.counted(t, 1) != 3 {
			t.Errorf("%v of %v are left", got, all)
		}
	}
	next.ID = [16]byte{10}
	_, err = s.deposit(ctx, next, 3)
	want(t, err, ErrFull)
}

// What is about devices goes with their owner.
func TestDevicesGoWithTheirOwner(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	for owner := 1; owner <= 2; owner++ {
		deposits(t, s, owner, 1)
		must(t, s.SetDevices(ctx, fp(owner), 5, [][32]byte{fp(11)}))
		must(t, s.Forget(ctx, fp(owner), seqs(t, s, owner, owner)...))
	}
	_, err := s.CloseMailboxes(ctx, fp(1))
	must(t, err)
	_, err = s.DropExpired(ctx, noon.Add(2*ItemLife))
	must(t, err)
	for _, table := range []string{"devices", "forgotten"} {
		var n int
		must(t, s.readDB.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n))
		if n > 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}
