package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// cutNode FOLDER [WHAT...] cuts a node of a lab off from what is named and nothing else: a
// domain (what its directory has of it), dns, keyservers.
func cutNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: cut FOLDER [WHAT...]")
	}
	var cut node.Cut
	var failed error
	for _, what := range args[1:] {
		switch {
		case what == "dns":
			cut.DNS = true
		case what == "keyservers":
			cut.KeyServers = true
		case strings.Contains(what, "."):
			cut.Directory, failed = pki.ParseDomain(what)
		default:
			failed = errors.New("cut: what is " + what + "?")
		}
		ts.Check(failed)
	}
	control, err := node.NewControl(ts.MkAbs(args[0]))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(control.Cut(ctx, cut))
}
