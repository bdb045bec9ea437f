package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/node"
)

// shortLife is how long what a.test certifies is good in TestExpiredCertificate: long enough to
// get a name and write, and not to wait for.
const shortLife = 8 * time.Second

// TestExpiredCertificate: whose certificate has run out is told by check, with exit status 4, by
// real programs and servers (row K2). A contact stays one: whoever has her key from herself can
// write to her, and nobody else can. When her program runs again it renews the certificate by
// itself, and all is well.
func TestExpiredCertificate(t *testing.T) {
	l := newBigLab(t, 4)
	l.kill("a.test")
	l.restart("a.test", func(c *node.Config) { c.Lab.Certify = node.Duration(shortLife) })
	l.p3do(0, "lapwing", "new", lapwing)
	l.p3do(0, "heron", "new", heron)
	l.until("heron to write to somebody in time", scriptWait, func() error { // she is met while her certificate is good
		said, sent := l.tries("heron", "send", lapwing, greeting, "--wait", "60s")
		met, added := l.tries("lapwing", "add", heron)
		text, read := l.tries("lapwing", "read", "--json")
		if !sent || !added || !read || !strings.Contains(text, `"from":"`+heron+`"`) {
			return errors.New(said + met + text)
		}
		return nil
	})
	l.p3do(0, "fresh", "new", "fresh@b.test")

	says := []string{"a.test does not vouch for the key of quiet-heron@a.test now: ", "it ended at ", "hint: p3do check quiet-heron@a.test   # when they were there again"}
	l.until("her certificate to run out", scriptWait, func() error {
		if text, ok := l.tries("lapwing", "check", heron); ok {
			return errors.New(text)
		}
		return nil
	})
	l.says(l.p3do(4, "lapwing", "check", heron), says...)
	l.says(l.p3do(4, "fresh", "check", heron), says...)
	l.says(l.p3do(4, "fresh", "send", heron, unread), append(says, "Nothing was sent.")...)
	l.p3do(0, "lapwing", "send", heron, answer, "--wait", "60s")

	l.kill("a.test")
	l.restart("a.test", func(c *node.Config) { c.Lab.Certify = 0 })
	l.reads("heron", lapwing, answer)
	l.says(l.p3do(0, "lapwing", "check", heron), "quiet-heron@a.test: vouched by a.test; ")
	l.p3do(0, "heron", "add", "fresh@b.test")
	l.p3do(0, "fresh", "send", heron, unread, "--wait", "60s")
	l.reads("heron", "fresh@b.test", unread)
}

// tries is p3do, which may end badly.
func (l *bigLab) tries(user string, args ...string) (text string, ok bool) {
	cmd := l.command(filepath.Join(l.bin, "p3do"), append([]string{"--home", user}, args...)...)
	raw, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(raw)), err == nil
}
