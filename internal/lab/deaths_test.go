package lab

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/node"
)

// A run is what comes of a path once: whether somebody died, and else how many writes were
// made.
type run struct {
	died bool
	made uint64
}

// scripted is a path of three writes at least whose runs come out as told, and the numbers
// of the writes at which somebody was to die.
func scripted(d *mortality, runs ...run) (deathPath, *[]uint64) {
	at := new([]uint64)
	return deathPath{name: "a path", least: 3, run: func(_ context.Context, death node.Death) (bool, error) {
		if len(*at) == len(runs) {
			return false, errors.New("one run too many")
		}
		r := runs[len(*at)]
		*at = append(*at, death.AfterWrite)
		if r.made > 0 { // a program tells nothing
			d.made = r.made
		}
		return r.died, nil
	}}, at
}

// A series ends with a run in which nobody dies, if fewer writes were made than there would
// have been to die of, and if there were enough before it; other such runs are repeated.
func TestSeries(t *testing.T) {
	death := run{died: true}
	for name, c := range map[string]struct {
		runs  []run
		at    []uint64
		fault bool
	}{
		"three deaths":                 {[]run{death, death, death, {}}, []uint64{1, 2, 3, 4}, false},
		"four":                         {[]run{death, death, death, death, {made: 4}}, []uint64{1, 2, 3, 4, 5}, false},
		"missed":                       {[]run{death, death, death, {made: 4}, {made: 3}}, []uint64{1, 2, 3, 4, 4}, false},
		"missed, then told of nothing": {[]run{death, death, death, {made: 4}, {}}, []uint64{1, 2, 3, 4, 4}, false},
		"missed, then not":             {[]run{death, death, death, {made: 4}, death, {}}, []uint64{1, 2, 3, 4, 4, 5}, false},
		"short once":                   {[]run{death, death, {}, death, {}}, []uint64{1, 2, 3, 3, 4}, false},
		"short once, then less":        {[]run{death, {}, death, {}, death, {}}, []uint64{1, 2, 2, 3, 3, 4}, false},
		"short":                        {[]run{death, death, {}, {}}, []uint64{1, 2, 3, 3}, true},
		"always missed":                {[]run{death, {made: 2}, {made: 2}, {made: 2}, {made: 2}}, []uint64{1, 2, 2, 2, 2}, true},
		"without an end":               {slices.Repeat([]run{death}, mostWrites), nil, true},
	} {
		d := new(mortality)
		path, at := scripted(d, c.runs...)
		came, err := d.walk(t.Context(), path, []moment{after})
		if (err != nil) != c.fault || len(*at) != len(c.runs) || c.at != nil && !slices.Equal(*at, c.at) {
			t.Errorf("%s: deaths at %v: %+v, %v", name, *at, came, err)
		}
	}
}

// Nothing is still while a write is on its way to the disk, however slow that is.
func TestStillness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stillness{long: stillFor}
		for i, step := range []struct {
			after time.Duration
			pulse pulse
			still bool
		}{
			{0, pulse{count: 5}, false},
			{stillFor / 2, pulse{count: 5}, false},
			{stillFor / 2, pulse{count: 5}, true},
			{stillFor / 2, pulse{count: 5}, false}, // anew
			{stillFor / 2, pulse{count: 6}, false},
			{stillFor, pulse{count: 6, busy: true}, false},
			{stillFor, pulse{count: 6, busy: true}, false},
			{stillFor / 2, pulse{count: 7}, false},
			{stillFor, pulse{count: 7}, true},
		} {
			time.Sleep(step.after)
			if still, err := s.still(step.pulse, nil); still != step.still || err != nil {
				t.Errorf("step %d: still %t, %v", i, still, err)
			}
		}
		s.stir()
		time.Sleep(stillFor)
		if still, _ := s.still(pulse{count: 7}, nil); still {
			t.Error("it was stirred, and is still")
		}
	})
}

// A text may be shown again only if the program died that shows it, and only once.
func TestOnce(t *testing.T) {
	for _, c := range []struct {
		shown, again int
		died, ok     bool
	}{
		{1, 0, false, true},
		{1, 0, true, true},
		{2, 1, true, true},
		{1, 1, true, true}, // the first time she could not tell
		{2, 1, false, false},
		{1, 1, false, false},
		{3, 2, true, false},
		{2, 0, true, false},
		{0, 0, true, false},
	} {
		ann := &party{summary: agent.Summary{Sent: 1}}
		bob := &party{summary: agent.Summary{Came: 1}, shown: c.shown, again: c.again}
		if err := once(ann, bob, c.died); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Who takes a home's death back learns how much the home wrote since it was told to die.
func TestSpare(t *testing.T) {
	w := &watcher{}
	nodes := startWatched(t, w, node.Options{})
	control, err := node.NewControl(nodes[0].dir)
	if err != nil {
		t.Fatal(err)
	}
	home := &process{domain: nodes[0].domain, control: control, ended: make(chan struct{})}
	d := &mortality{lab: &lab{nodes: []*process{home}}, home: home}
	since, err := control.Doom(t.Context(), node.Death{AfterWrite: 1000})
	if err != nil {
		t.Fatal(err)
	}
	meet(t, w, nodes, "ann@a.test", agent.Config{})
	if died, err := d.spare(t.Context(), since); died || err != nil {
		t.Fatal(died, err)
	}
	now, err := control.Writes(t.Context())
	if err != nil || d.made == 0 || d.made != now.Count-since.Count || since.Count == 0 {
		t.Errorf("%d writes were made: %+v and then %+v, %v", d.made, since, now, err)
	}
}
