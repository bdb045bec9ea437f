package main

import (
	"errors"
	"testing"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
)

// What is wrong goes before what is unknown, and what was mended is no matter.
func TestVerdict(t *testing.T) {
	wrong, unknown, mended := node.Finding{State: node.Wrong}, node.Finding{State: node.Unknown}, node.Finding{State: node.Mended}
	for _, c := range []struct {
		findings []node.Finding
		status   int
	}{
		{nil, cli.OK},
		{[]node.Finding{mended}, cli.OK},
		{[]node.Finding{mended, unknown}, cli.Network},
		{[]node.Finding{unknown, wrong, mended}, cli.Input},
	} {
		status := cli.OK
		if err := verdict(c.findings); err != nil {
			var failure *cli.Failure
			if !errors.As(err, &failure) {
				t.Fatal(err)
			}
			status = failure.Status
		}
		if status != c.status {
			t.Errorf("%v: status %d, want %d", c.findings, status, c.status)
		}
	}
}
