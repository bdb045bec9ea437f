package main

import (
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/pki"
)

// A message that may have been shown before says so, to people and to programs.
func TestShownAgain(t *testing.T) {
	name, err := pki.ParseName("ann@a.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		json, again bool
		want        string
	}{
		{false, false, ":\n  hello\n"}, {false, true, " (perhaps shown before):\n  hello\n"},
		{true, false, "Z\"}\n"}, {true, true, ",\"again\":true}\n"},
	} {
		var out strings.Builder
		shows := &command{stdout: &out, json: c.json}
		if err := shows.showOne(agent.Message{From: name, Text: "hello", Trust: agent.FirstSeen, At: time.Unix(0, 0).UTC(), Again: c.again}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), c.want) {
			t.Errorf("shown %q, want %q at its end", out.String(), c.want)
		}
	}
}
