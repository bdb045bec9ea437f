package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// watching has a watch see a node that is there, says packets, goes away for a while, and comes again.
func watching(t *testing.T, change func(*statusWatch)) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		domain, err := pki.ParseDomain("a.test")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &statusWatch{every: 2 * time.Second, out: &out}
		n := uint64(0)
		w.look = func(context.Context) (node.Status, error) {
			n++
			switch n {
			case 3, 4:
				return node.Status{}, errors.New("no node serves here")
			case 7:
				cancel()
			}
			return node.Status{Domain: domain, Contexts: []node.ContextStatus{{Heard: 10 * n, Spoken: n}}}, nil
		}
		change(w)
		if err := w.run(ctx); err != nil {
			t.Error(err)
		}
	})
	return out.String()
}

// Each look is a block, or an object on a line; that the node is away is said once; rates follow from the look before, if there is one.
func TestWatchStatus(t *testing.T) {
	plain := watching(t, func(*statusWatch) {})
	if n := strings.Count(plain, "a.test: 0 servers"); n != 4 {
		t.Errorf("%d looks", n)
	}
	if n := strings.Count(plain, "no node serves here\nwaiting for it\n"); n != 1 {
		t.Errorf("said %d times that it is away", n)
	}
	if n := strings.Count(plain, "each second: packets heard 5.0, said 0.5, dropped 0.0; slots sent 0.0, received 0.0\n"); n != 2 {
		t.Errorf("%d rates in\n%s", n, plain)
	}
	if strings.Contains(plain, "\x1b") {
		t.Error("moves a cursor where there is none")
	}
	if drawn := watching(t, func(w *statusWatch) { w.terminal = true }); strings.Count(drawn, "\x1b[H\x1b[2J") != 4 {
		t.Errorf("%q", drawn)
	}
	lines := strings.Split(strings.TrimSpace(watching(t, func(w *statusWatch) { w.json = true })), "\n")
	if len(lines) != 5 || lines[2] != `{"away":"no node serves here"}` || !strings.HasPrefix(lines[4], `{"domain":"a.test"`) {
		t.Errorf("%q", lines)
	}
}
