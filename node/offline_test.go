package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/p3do/p3do/pki"
)

// What is taken away opens under its words as people type them, and under no others; it is
// never written over by CreateOffline, and shows nothing.
func TestOffline(t *testing.T) {
	o, err := NewOffline(parse(t, pki.ParseDomain, "a.test"), pki.Fingerprint{7})
	must(t, err)
	after, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	o.after, o.tried = &after, true
	path, typed := filepath.Join(t.TempDir(), "offline.age"), NewWords()
	must(t, CreateOffline(path, typed, o))
	wantErr(t, CreateOffline(path, typed, o), fs.ErrExist)
	sealed, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	if must(t, err); info.Mode().Perm() != 0o600 || bytes.Contains(sealed, o.Root.Seed()) || bytes.Contains(sealed, []byte("a.test")) {
		t.Errorf("mode %o", info.Mode())
	}
	read, err := ReadOffline(path, "  "+strings.ToUpper(typed)+"\n")
	must(t, err)
	if read.Domain != o.Domain || read.Key != o.Key || !read.tried || read.Root.Fingerprint() != o.Root.Fingerprint() || read.Next.Fingerprint() != o.Next.Fingerprint() ||
		read.after.Fingerprint() != after.Fingerprint() || read.newRoot != nil {
		t.Error("read something else")
	}
	for _, words := range []string{NewWords(), "one two", ""} {
		_, err := ReadOffline(path, words)
		wantErr(t, err, ErrWords)
	}
	for _, bad := range [][]byte{nil, sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0), []byte("hello")} {
		if _, err := openOffline(bad, typed); !errors.Is(err, ErrOffline) && !errors.Is(err, ErrWords) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	_, err = ReadOffline(path+".not", typed)
	wantErr(t, err, fs.ErrNotExist)
}

// The offline file is beside the folder, never in it.
func TestOfflinePath(t *testing.T) {
	for dir, want := range map[string]string{"/x/node": "/x/node-offline.age", "/x/node/": "/x/node-offline.age", "node": "node-offline.age"} {
		if got := OfflinePath(dir); got != want {
			t.Errorf("%s: %s", dir, got)
		}
	}
	here, err := os.Getwd()
	must(t, err)
	if got := OfflinePath("."); got != here+"-offline.age" {
		t.Error(got)
	}
}

// Whatever was sealed, it is read as a whole or not at all, and the error shows none of it.
func FuzzOffline(f *testing.F) {
	f.Add([]byte(`{"p3do_offline":1,"domain":"a.test","root":"AAAA","next":"AAAA"}`))
	f.Add([]byte(`{"p3do_offline":1,"domain":"a.test","root":"` + strings.Repeat("A", 43) + `=","next":"` + strings.Repeat("B", 43) + `="}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseOffline(raw); err != nil && err != ErrOffline {
			t.Error(err)
		}
	})
}
