package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/lab"
	"github.com/p3do/p3do/internal/words"
)

// The users of TestDisksShowNothing, and what they write.
const (
	heron, lapwing = "quiet-heron@a.test", "brown-lapwing@b.test"
	greeting       = `where the <old> bridge is, "at seven", Ünder it`
	answer         = "bring the lantern & nobody else"
	unread         = "this one waits for her in the mailbox"
)

// TestDisksShowNothing: after a session of two people of two homes, with an invitation, a backup
// and a message that nobody has read yet, no folder shows what it may not.
//
// A user's folder, and her backup, show nothing at all: no name (not her own either), no domain,
// no key, no text.
//
// A node's folder shows the names of its own users, for it has signed them: a.test shows
// quiet-heron, and b.test brown-lapwing. It shows nobody else's: neither does the home of who
// wrote keep whom she looked up, nor does the home of who answered ever learn to whom.
//
// No node shows a text, a passphrase, an invitation or what makes it good, or anything of which
// an identity is made: neither the 24 words nor what they stand for.
func TestDisksShowNothing(t *testing.T) {
	l := newBigLab(t, 5)
	code := l.field(l.run(0, "p3dod", "user", "invite", "--for", "brown-lapwing", "--json", "--dir", l.node("b.test").Dir), "code")
	l.p3do(0, "heron", "new", heron)
	paper := filepath.Join(t.TempDir(), "invitation") // none of the folders that are searched
	l.must(os.WriteFile(paper, []byte(code+"\n"), 0o600))
	l.p3do(0, "lapwing", "new", lapwing, "--invite", paper)
	l.p3do(0, "heron", "send", lapwing, greeting, "--wait", "60s")
	l.reads("lapwing", heron, greeting, "--requests", "--quiet")
	l.p3do(0, "lapwing", "send", heron, answer, "--wait", "60s")
	l.reads("heron", lapwing, answer)
	l.p3do(0, "lapwing", "send", heron, unread, "--wait", "60s")
	l.p3do(0, "heron", "backup", filepath.Join("heron", "backup"))

	secrets := l.secrets(code)
	for _, user := range []string{"heron", "lapwing"} {
		l.showsNone(filepath.Join(l.dir, user), slices.Concat(secrets, person(heron), person(lapwing), textTraces("a domain", "a.test", "b.test", "c.test")))
	}
	for _, n := range l.nodes.Nodes {
		private := slices.Clone(secrets)
		for _, of := range []string{heron, lapwing} {
			if strings.HasSuffix(of, "@"+n.Domain) {
				l.shows(n.Dir, person(of))
			} else {
				private = append(private, person(of)...)
			}
		}
		l.showsNone(n.Dir, private)
	}
	l.planted(l.node("c.test").Dir, secrets)
	l.reads("heron", lapwing, unread) // it was there
}

// secrets are what no disk may show of either of them.
func (l *bigLab) secrets(code string) []trace {
	l.t.Helper()
	all := textTraces("a text", greeting, answer, unread)
	all = append(all, textTraces("the passphrase", lab.UserPassphrase)...)
	all = append(all, textTraces("an invitation", code, strings.ToLower(code))...)
	i, err := invitation.Parse(code)
	l.must(err)
	all = append(all, traceOf("what makes an invitation good", i.Token[:]))
	for _, user := range []string{"heron", "lapwing"} {
		paper := l.field(l.p3do(0, user, "backup", "--json"), "words")
		all = append(all, textTraces("the 24 words", paper, strings.ReplaceAll(paper, " ", "-"), strings.ReplaceAll(paper, " ", ""))...)
		root, err := words.ParseSecret(paper)
		l.must(err)
		all = append(all, traceOf("the root of an identity", root[:]))
	}
	return all
}

// person is how somebody may be told from others.
func person(name string) []trace {
	local, _, _ := strings.Cut(name, "@")
	return textTraces("the name "+name, name, local)
}

func (l *bigLab) field(object, key string) string {
	l.t.Helper()
	value, err := jsonField(object, key)
	l.must(err)
	return value
}

// reads has somebody read a text, which is in the mailbox.
func (l *bigLab) reads(user, from, text string, how ...string) {
	l.t.Helper()
	var got struct{ From, Text string }
	cmd := l.command(filepath.Join(l.bin, "p3do"), append([]string{"--home", user, "read", "--json"}, how...)...)
	said, err := cmd.Output() // beside it there may be notes and warnings
	l.must(err)
	if err := json.Unmarshal(said, &got); err != nil {
		l.t.Fatalf("%v: %s", err, said)
	}
	if got.From != from || got.Text != text {
		l.t.Errorf("%s reads %q from %s", user, got.Text, got.From)
	}
}

func (l *bigLab) look(dir string, traces []trace) []sight {
	l.t.Helper()
	found, err := searchFolder(l.t.Context(), dir, traces)
	l.must(err)
	return found
}

func (l *bigLab) showsNone(dir string, traces []trace) {
	l.t.Helper()
	for _, s := range l.look(dir, traces) {
		l.t.Errorf("%s shows %s, %s, in %s", dir, s.what, s.form, s.file)
	}
}

// shows: the search sees what may be there, where it is.
func (l *bigLab) shows(dir string, traces []trace) {
	l.t.Helper()
	if len(l.look(dir, traces)) == 0 {
		l.t.Errorf("nobody finds %s in %s", traces[0].what, dir)
	}
}

// planted: what a folder did not show is found as soon as it is there.
func (l *bigLab) planted(dir string, traces []trace) {
	l.t.Helper()
	for _, secret := range traces {
		raw := secret.forms[0].raw
		l.must(os.WriteFile(filepath.Join(dir, "planted"), []byte("x"+hex.EncodeToString(raw)+"x"), 0o600))
		want := sight{secret.what, "in hexadecimal", "planted"}
		if found := l.look(dir, traces); !slices.Contains(found, want) {
			l.t.Errorf("%s was planted, and is not found: %v", secret.what, found)
		}
	}
	l.must(os.Remove(filepath.Join(dir, "planted")))
}

// TestNothingIsLost: a wrong passphrase and damage say which it is, for a folder and for a backup,
// and change nothing: with the right one, and the byte put back, all is there. (What a node
// keeps: node: TestDoctorDatabase)
func TestNothingIsLost(t *testing.T) {
	l := newBigLab(t, 4)
	l.p3do(0, "heron", "new", heron)
	l.p3do(0, "lapwing", "new", lapwing)
	l.p3do(0, "heron", "send", lapwing, greeting, "--wait", "60s", "--until", "stored")
	l.p3do(0, "heron", "backup", "saved")
	before := l.p3do(0, "heron", "whoami") + l.p3do(0, "heron", "status")

	pass, wrong := filepath.Join(l.dir, "pass"), filepath.Join(l.dir, "pass.before")
	l.must(os.Rename(pass, wrong))
	l.must(os.WriteFile(pass, []byte("not "+lab.UserPassphrase), 0o600))
	l.says(l.p3do(1, "heron", "read"), "error: wrong passphrase.", "hint: p3do whoami")
	l.says(l.p3do(1, "fresh", "backup", "--restore", "saved"), "error: saved: ", "passphrase", "hint: p3do backup --restore")
	l.must(os.Rename(wrong, pass))

	vault := filepath.Join(l.dir, "heron", "vault")
	whole, err := os.ReadFile(vault)
	l.must(err)
	for _, at := range []int{0, 40, 138, 200, len(whole) / 2} {
		l.must(os.WriteFile(vault, flipped(whole, at), 0o600))
		l.says(l.p3do(1, "heron", "read"), "damaged", "hint: ")
		l.must(os.WriteFile(vault, whole, 0o600))
	}
	if after := l.p3do(0, "heron", "whoami") + l.p3do(0, "heron", "status"); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	l.reads("lapwing", heron, greeting, "--requests", "--quiet")

	saved, err := os.ReadFile(filepath.Join(l.dir, "saved"))
	l.must(err)
	l.must(os.WriteFile(filepath.Join(l.dir, "spoilt"), flipped(saved, len(saved)-1), 0o600))
	l.says(l.p3do(1, "fresh", "backup", "--restore", "spoilt"), "error: spoilt: ", "damaged", "hint: p3do backup --restore")
	l.p3do(0, "fresh", "backup", "--restore", "saved")
	if again := l.p3do(0, "fresh", "whoami", "--words"); !strings.Contains(before, again) {
		t.Errorf("before: %s\nfrom the backup: %s", before, again)
	}
}

func flipped(whole []byte, at int) []byte {
	changed := bytes.Clone(whole)
	changed[at] ^= 1
	return changed
}

func (l *bigLab) says(text string, wants ...string) {
	l.t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			l.t.Errorf("%q does not say %q", text, want)
		}
	}
}
