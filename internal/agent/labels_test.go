package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/keyserver/keylog"
)

// otherLabels has the home take another key of labels.
func (w *watching) otherLabels() {
	other := newKeptLog(w.t)
	w.log.labels, w.log.reader.Labels = other.labels, other.reader.Labels
}

// A thief's entry under her label by the key of before is found, also when she reads it only after the home has taken another key.
func TestEntryUnderTheLabelOfBefore(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.card(w.a.self.key, true)
	if !w.go1(nil) || len(w.found()) > 0 {
		t.Fatalf("before: %v", w.found())
	}
	w.card(w.thief(), false) // number 1, under the old label
	w.otherLabels()
	w.card(w.a.self.key, true)
	if !w.go1(nil) || !w.found()[1] {
		t.Fatalf("found %v", w.found())
	}
	if wrong, err := w.a.Own(); err != nil || wrong == nil {
		t.Errorf("she was told nothing of entry 2: %v, %v", wrong, err)
	}
	if len(w.a.Warnings()) > 0 {
		t.Error("told of a key that was shown")
	}
}

// A home that makes entries by a key of labels that it shows others is found out, after a while in which it may have taken that
// into use; she is told once.
func TestLabelsThatAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.card(w.a.self.key, true)
	shown := w.log.labels
	w.log.labels = newKeptLog(t).labels
	w.card(w.thief(), false)
	w.log.labels = shown // to her it goes on to show this one
	tells := func(want bool) {
		t.Helper()
		if !w.go1(nil) {
			t.Fatal("not read")
		}
		var unshown *UnshownLabelsError
		told := w.a.Warnings()
		if is := len(told) == 1 && errors.As(told[0], &unshown) && unshown.Entry == 2; is != want || !want && len(told) > 0 {
			t.Errorf("told: %v", told)
		}
	}
	tells(false)
	w.now = w.now.Add(unshownLong)
	tells(true)
	w.now = w.now.Add(24 * time.Hour)
	tells(false)
}

// A key that was shown a little later is none of those.
func TestLabelsThatAreShownLater(t *testing.T) {
	t.Parallel()
	w := newWatching(t)
	w.card(w.a.self.key, true)
	old := w.log.reader
	shown := w.log.labels
	w.otherLabels()
	w.card(w.a.self.key, true)
	next, labels := w.log.reader, w.log.labels
	w.log.reader, w.log.labels = old, shown // her directory has the descriptor of before
	if !w.go1(nil) || len(w.state().Unshown) != 1 {
		t.Fatalf("%+v", w.state().Unshown)
	}
	w.now = w.now.Add(unshownLong)
	w.log.reader, w.log.labels = next, labels
	if !w.go1(nil) || len(w.state().Unshown) > 0 || len(w.a.Warnings()) > 0 || len(w.found()) > 0 {
		t.Errorf("%+v", w.state())
	}
}

// Labels of sixteen keys of before are kept, and each once.
func TestFormerLabels(t *testing.T) {
	var s scanned
	for round := range 2 {
		for i := range maxFormerLabels + 4 {
			s.keepLabel([32]byte{byte(i)}, keylog.Label{byte(i), 1})
		}
		if len(s.Former) != maxFormerLabels {
			t.Errorf("round %d: %d kept", round, len(s.Former))
		}
	}
	for i := range maxFormerLabels + 4 {
		label, shown := s.labelBy([32]byte{byte(i)})
		if shown != (i >= 3) || shown && label[0] != byte(i) {
			t.Errorf("by key %d: %x, %t", i, label, shown)
		}
	}
}
