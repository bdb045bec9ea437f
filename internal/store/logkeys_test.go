package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// What a log says of the key of its domain is kept with the copy of it, and forgotten with that.
func TestLogKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	want := LogKey{Read: 7, Key: [32]byte{1}, Since: time.Unix(1_800_000_000, 0).UTC()}
	if err := s.SetLogKey(t.Context(), "a.test/p3do/log", want); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a log that was not copied: %v", err)
	}
	must(t, s.SetMirror(t.Context(), Head{Origin: "a.test/p3do/log", Size: 7, Checkpoint: []byte{1}}))
	all, err := s.LogKeys(t.Context())
	must(t, err)
	if len(all) != 1 || all["a.test/p3do/log"] != (LogKey{}) {
		t.Errorf("at first: %v", all)
	}
	must(t, s.SetLogKey(t.Context(), "a.test/p3do/log", want))
	must(t, s.Close())
	s, err = Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	must(t, s.SetMirror(t.Context(), Head{Origin: "a.test/p3do/log", Size: 8, Checkpoint: []byte{2}}))
	all, err = s.LogKeys(t.Context())
	must(t, err)
	if all["a.test/p3do/log"] != want {
		t.Errorf("%+v, want %+v", all, want)
	}
	must(t, s.ForgetLog(t.Context(), "a.test/p3do/log", "a.test"))
	if all, err := s.LogKeys(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
