package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/pki"
)

// Of two keys it is told who says which.
func TestTwoKeys(t *testing.T) {
	at, err := pki.ParseDomain("c.test")
	if err != nil {
		t.Fatal(err)
	}
	dns, shown := pki.Fingerprint{1}, pki.Fingerprint{2}
	err = twoKeys(fmt.Errorf("node: %w", &pki.KeyChangedError{Subject: "a.test", Pinned: dns, Shown: shown}), "ann@a.test", at)
	var f *cli.Failure
	want := fmt.Sprintf("two keys of a.test: DNS says %s, and the key server of c.test says %s.", dns, shown)
	if !errors.As(err, &f) || f.Status != cli.KeyChanged || f.Text != want {
		t.Errorf("%+v, want %s", f, want)
	}
	if err := twoKeys(nil, "ann@a.test", at); err != nil {
		t.Error(err)
	}
}
