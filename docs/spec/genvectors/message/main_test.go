package main

import (
	"bytes"
	"os"
	"testing"
)

// The file that is checked in is what this command writes.
func TestVectorsAreUpToDate(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; from the root of the module: go run ./docs/spec/genvectors/message", path)
	}
}
