package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// After Destroy neither the folder is there, nor what was in its file, by whatever name one
// still has it.
func TestDestroy(t *testing.T) {
	v, dir := newVault(t)
	put(t, v, "a", "1")
	kept := filepath.Join(filepath.Dir(dir), "another name")
	if err := os.Link(v.folder.file(), kept); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := Destroy(dir); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+16 <= min(len(before), len(after)); at += 16 {
		if bytes.Equal(before[at:at+16], after[at:at+16]) {
			t.Errorf("16 bytes at %d are what they were", at)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	if err := Destroy(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second time: %v", err)
	}
	if err := v.View(func(*Tx) error { return nil }); err == nil {
		t.Error("who has it open reads on")
	}
}

// What else is in the folder stays, and the folder with it.
func TestDestroyKeepsOthers(t *testing.T) {
	_, dir := newVault(t)
	other := filepath.Join(dir, "letter")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Destroy(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "letter" {
		t.Errorf("%v %v", entries, err)
	}
}
