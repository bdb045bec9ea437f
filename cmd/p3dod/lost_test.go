package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLostKey: the key of a domain is gone from its machine, and there is no copy. What the node
// says leads to the command by which the key of the offline file follows; its peers, its users
// and theirs go on.
func TestLostKey(t *testing.T) {
	l := newBigLab(t, 4)
	l.p3do(0, "heron", "new", heron)
	l.p3do(0, "lapwing", "new", lapwing)
	l.p3do(0, "lapwing", "add", heron)
	l.p3do(0, "heron", "send", lapwing, greeting, "--wait", "60s")
	l.reads("lapwing", heron, greeting)
	dir, offline := l.node("a.test").Dir, filepath.Join(l.dir, "lab", "offline", "a.test")
	lost := []string{"rotate", "--key", "ca", "--lost", "--offline", offline + ".age", "--words-from", offline + ".words", "--dir", dir}
	l.says(l.run(1, "p3dod", lost...), "the node in this folder serves already")

	l.kill("a.test")
	l.must(os.Remove(filepath.Join(dir, "keys", "authority")))
	l.says(l.run(1, "p3dod", "serve", "--dir", dir), "the keys of the domain are missing", "hint: install -m 600 COPY ", "p3dod rotate --key ca --lost")
	l.says(l.run(1, "p3dod", "doctor", "--dir", dir), "wrong: keys: ", "p3dod rotate --key ca --lost --dir ")
	l.says(l.run(0, "p3dod", lost...), "The key of a.test is now ", "It follows ", "\n  in words: ", "Others follow as soon as the node serves: p3dod serve --dir ", "The offline file was written anew")
	l.says(l.run(0, "p3dod", lost...), "This completed a change that was interrupted; nothing else was changed.")
	l.restart("a.test")

	l.says(l.run(0, "p3dod", "keys", "audit", "--dir", dir), "rotated  a.test: its key is ", ": as was said before")
	l.p3do(0, "heron", "send", lapwing, answer, "--wait", "60s")
	l.reads("lapwing", heron, answer)
	l.p3do(0, "lapwing", "send", heron, unread, "--wait", "60s")
	l.reads("heron", lapwing, unread)
}
