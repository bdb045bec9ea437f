package store

import (
	"bytes"
	"errors"
	"testing"
)

// A head is kept with what named its key; a log that is forgotten leaves its room to others.
func TestForgetLog(t *testing.T) {
	s := open(t)
	h := Head{Origin: "a.test/p3do/log", Size: 3, Root: [32]byte{1}, Checkpoint: []byte("three"), Descriptor: []byte("by whom")}
	tile := Tile{Level: 0, Width: 1, Data: make([]byte, 32)}
	peer(t, s, "a.test", "b.test")
	for range 2 {
		if err := errors.Join(s.AdvanceWitnessed(t.Context(), Head{}, h), s.PutTiles(t.Context(), h.Origin, []Tile{tile}, 32), s.SetMirror(t.Context(), h)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.PutCopies(t.Context(), "a.test", []Copy{{Number: 1, Sealed: []byte("card")}}), s.PutCopies(t.Context(), "b.test", []Copy{{Number: 1, Sealed: []byte("card")}})); err != nil {
			t.Fatal(err)
		}
		other := Head{Origin: "b.test/p3do/log", Checkpoint: []byte("none")}
		if err := s.SetMirror(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		was, err := s.Witnessed(t.Context(), h.Origin)
		copied, size, failed := s.Mirror(t.Context(), h.Origin)
		if err != nil || failed != nil || size != 32 || !bytes.Equal(was.Descriptor, h.Descriptor) || !bytes.Equal(copied.Descriptor, h.Descriptor) {
			t.Fatalf("%+v, %+v, %v, %v", was, copied, err, failed)
		}
		for range 2 { // the second time there is nothing
			if err := s.ForgetLog(t.Context(), h.Origin, "a.test"); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.Witnessed(t.Context(), h.Origin)
		_, _, failed = s.Mirror(t.Context(), h.Origin)
		if _, gone := s.MirrorTile(t.Context(), h.Origin, 0, 0); !errors.Is(err, ErrNotFound) || !errors.Is(failed, ErrNotFound) || !errors.Is(gone, ErrNotFound) {
			t.Fatal(err, failed, gone)
		}
		_, gone := s.CopyOfName(t.Context(), "a.test", [32]byte{})
		if _, err := s.CopyOfName(t.Context(), "b.test", [32]byte{}); err != nil || !errors.Is(gone, ErrNotFound) {
			t.Error("copies of cards:", err, gone)
		}
		if _, _, err := s.Mirror(t.Context(), other.Origin); err != nil {
			t.Error("another log was forgotten, too:", err)
		}
		var counted int64
		if err := s.readDB.QueryRowContext(t.Context(), "SELECT SUM(value) FROM counters WHERE name IN ('witnessed', 'mirrors', 'mirror bytes')").Scan(&counted); err != nil || counted != 1 {
			t.Errorf("%d are counted, %v", counted, err)
		}
	}
}
