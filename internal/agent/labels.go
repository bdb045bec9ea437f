package agent

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Each entry of a log names the key by which its label was made. So a home cannot show us one key, and others another, and log a
// card for our name under that one: we would see that there are entries by a key under which it has not shown us our label.

const (
	maxFormerLabels = 16 // of earlier keys that are kept
	maxUnshown      = 16 // keys that were not shown, the first of them
	// unshownLong is for how long there may be entries by a key that the home has not shown: it may have been taken into use just now.
	unshownLong = time.Hour
)

// A labeled is our label by one key.
type labeled struct {
	Labels []byte `json:"labels"`
	Label  []byte `json:"label"`
}

// An unshown is a key of labels that entries name, and our label by it is not known.
type unshown struct {
	Labels [32]byte  `json:"labels"`
	Number int64     `json:"number"`         // of the newest such entry
	Since  time.Time `json:"since,omitzero"` // when it was found
	Told   bool      `json:"told,omitempty"`
}

// An UnshownLabelsError says that the log of our home has entries by a key under which it has not shown us our label.
type UnshownLabelsError struct {
	Domain pki.Domain
	Entry  int64 // the newest of them, from 1
}

func (e *UnshownLabelsError) Error() string {
	return fmt.Sprintf("entry %d of the key log of your home %s is under a key of labels that it has not shown you: whether that entry is for your name cannot be seen", e.Entry, e.Domain)
}

// keepLabel takes our label by another key than before, and keeps that one.
func (s *scanned) keepLabel(labels [32]byte, label keylog.Label) {
	if len(s.Label) > 0 {
		s.Former = append(s.Former, labeled{s.Labels, s.Label})
	}
	s.Former = slices.DeleteFunc(s.Former, func(f labeled) bool { return bytes.Equal(f.Labels, labels[:]) })
	s.Former = s.Former[max(0, len(s.Former)-maxFormerLabels):]
	s.Labels, s.Label = bytes.Clone(labels[:]), bytes.Clone(label[:])
}

// labelBy is our label by a key; false: it was not shown.
func (s *scanned) labelBy(labels [32]byte) (label []byte, shown bool) {
	if bytes.Equal(s.Labels, labels[:]) {
		return s.Label, len(s.Label) > 0
	}
	for _, f := range s.Former {
		if bytes.Equal(f.Labels, labels[:]) {
			return f.Label, true
		}
	}
	return nil, false
}

// addUnshown notes an entry by a key that was not shown.
func addUnshown(all []unshown, one unshown) []unshown {
	for i := range all {
		if all[i].Labels == one.Labels {
			all[i].Number = max(all[i].Number, one.Number)
			return all
		}
	}
	if len(all) < maxUnshown {
		all = append(all, one)
	}
	return all
}

// tellUnshown keeps what was found now, and has the user told of keys that were not shown for long, once of each.
func (a *Agent) tellUnshown(s *scanned, found []unshown) {
	now := a.now().UTC()
	for _, one := range found {
		one.Since = now
		s.Unshown = addUnshown(s.Unshown, one)
	}
	s.Unshown = slices.DeleteFunc(s.Unshown, func(one unshown) bool { _, shown := s.labelBy(one.Labels); return shown })
	for i := range s.Unshown {
		if one := &s.Unshown[i]; !one.Told && now.Sub(one.Since) >= unshownLong {
			one.Told = true
			a.warning["labels"] = &UnshownLabelsError{a.home(), one.Number + 1}
		}
	}
}
