package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
)

// A backup is under the passphrase by which the folder was opened, and no other is asked for: here
// another one would be read the second time.
func TestBackupAsksOnce(t *testing.T) {
	dir := t.TempDir()
	folder, pipe, other, file := filepath.Join(dir, "folder"), filepath.Join(dir, "pipe"), filepath.Join(dir, "other"), filepath.Join(dir, "backup")
	a, err := agent.NewKeyonly(agent.Config{Home: folder, Passphrase: []byte("secret"), Dial: dial.Direct()})
	if err = errors.Join(err, a.Close(), os.WriteFile(other, []byte("other"), 0o600), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("P3DO_PASSPHRASE_FILE", pipe)
	t.Setenv(backupPassphraseFile, "")
	wrote := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // when it is opened to be read
		if err == nil {
			_, failed := io.WriteString(w, "secret")
			err = errors.Join(failed, os.Rename(other, pipe), w.Close())
		}
		wrote <- err
	}()
	var said bytes.Buffer
	if code := run(t.Context(), []string{"--home", folder, "backup", file}, strings.NewReader(""), io.Discard, &said); code != 0 {
		t.Fatalf("exit %d: %s", code, said.String())
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	saved, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	b, err := agent.Restore(agent.Config{Home: filepath.Join(dir, "again"), Passphrase: []byte("new"), Dial: dial.Direct()}, saved, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// The question before all profiles go says how many there are.
func TestSureOfProfiles(t *testing.T) {
	home := t.TempDir()
	for _, want := range []string{"Destroy " + home + " for good?", "Destroy " + home + " and the profile in it for good?", "Destroy " + home + " and all 2 profiles in it for good?"} {
		var said bytes.Buffer
		c := &command{stdin: strings.NewReader("no"), stderr: &said}
		if c.sure(home, true) || !strings.HasPrefix(said.String(), want) {
			t.Errorf("%q, want %q", said.String(), want)
		}
		folder, err := os.MkdirTemp(home, "x")
		if err = errors.Join(err, os.MkdirAll(filepath.Join(home, "profiles", filepath.Base(folder)), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
}
