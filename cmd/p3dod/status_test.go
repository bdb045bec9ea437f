package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
)

// Every counter that status shows, and every reason for a drop, is explained to operators.
func TestStatusIsExplained(t *testing.T) {
	_, page, _ := strings.Cut(operating(t), "\n### What status counts")
	page, _, _ = strings.Cut(page, "\n## ")
	counters := map[string]any{}
	for _, counts := range []any{node.ContextStatus{}, node.Wasted{}} {
		raw, err := json.Marshal(counts)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &counters); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"name", "id", "listeners", "members"} { // which count nothing
		delete(counters, name)
	}
	for reason := mor.DropEpoch; reason <= mor.DropMarksFull; reason++ {
		counters[reason.String()] = true
	}
	for name := range counters {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/operating.md does not explain %s", name)
		}
	}
}

// What was wasted is shown, if anything was.
func TestStatusText(t *testing.T) {
	if text := statusText(node.Status{}); strings.Contains(text, "wasted") {
		t.Error(text)
	}
	if text := statusText(node.Status{Lookups: node.Lookups{Answered: 3}}); !strings.Contains(text, "\nlookups: answered 3, malformed 0, over 0, unsent 0") {
		t.Errorf("%s", text)
	}
	if text := statusText(node.Status{Wasted: node.Wasted{SpoolFull: 3}}); !strings.Contains(text, "\nwasted: link_full 0, no_link 0, spool_full 3, ") {
		t.Error(text)
	}
	if text := statusText(node.Status{Clock: node.ClockStatus{Peers: 2, Far: 2, Epochs: 2, Wrong: true}}); !strings.Contains(text, "\nclock: the clocks of 2 of 2 peers are about 1h0m0s ahead of this one: it is behind\n") {
		t.Error(text)
	}
}
