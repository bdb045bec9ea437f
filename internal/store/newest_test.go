package store

import (
	"errors"
	"testing"
)

// What is newest under a label is kept with how far the copy was read for it, in order, and forgotten with the log.
func TestNewest(t *testing.T) {
	s := open(t)
	const origin = "a.test/p3do/log"
	put := func(was, next int64, all ...Newest) error { return s.PutNewest(t.Context(), origin, was, next, all) }
	if _, err := s.NewestRead(t.Context(), origin); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a log that was not copied: %v", err)
	}
	if err := put(0, 3); !errors.Is(err, ErrOldSerial) {
		t.Errorf("of a log that was not copied: %v", err)
	}
	must(t, s.SetMirror(t.Context(), Head{Origin: origin, Size: 7, Checkpoint: []byte{1}}))
	must(t, put(0, 3, Newest{[32]byte{1}, 0}, Newest{[32]byte{2}, 2}))
	must(t, put(3, 7, Newest{[32]byte{1}, 5}))
	if err := put(3, 9, Newest{[32]byte{1}, 8}); !errors.Is(err, ErrOldSerial) {
		t.Errorf("read twice: %v", err)
	}
	if err := put(7, 9, make([]Newest, MaxNewest+1)...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many: %v", err)
	}
	for label, want := range map[byte]int64{1: 5, 2: 2, 3: -1} {
		if got, err := s.NewestOf(t.Context(), origin, [32]byte{label}); err != nil || got != want {
			t.Errorf("%d: %d, %v, want %d", label, got, err, want)
		}
	}
	if read, err := s.NewestRead(t.Context(), origin); err != nil || read != 7 {
		t.Errorf("read to %d, %v", read, err)
	}
	must(t, s.ForgetLog(t.Context(), origin, "a.test"))
	if got, err := s.NewestOf(t.Context(), origin, [32]byte{1}); err != nil || got != -1 {
		t.Errorf("after it was forgotten: %d, %v", got, err)
	}
}
