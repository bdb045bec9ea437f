package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// What docs/operating.md writes for the folder, the addresses and the resolver of an
// operator. Her domain stays as it is: nobody else has it.
const (
	pageFolder   = "/var/lib/p3do"
	pageLink     = "203.0.113.7:4404"
	pageKeys     = "203.0.113.7:4405"
	pageResolver = "127.0.0.1:53"
	pageServer   = "192.0.2.53:53"
)

// A walk is a mesh that grows as the page says.
type walk struct {
	t        *testing.T
	page     string
	zone     *dnstxt.Responder
	happens  map[string]func(*machine) // what a block says has happened before it, if the walk does not know it
	path     string                    // where the shells find p3do
	machines map[string]*machine
	users    map[string]*terminal
}

// A machine is a folder with a shell and, while it serves, a node.
type machine struct {
	*terminal
	walk       *walk
	domain     string
	folder     string
	link, keys string            // addresses
	server     string            // the name server of its zone, if it has one of its own
	before     *strings.Replacer // of addresses: those of the machine before by these

	fingerprint string // as published
	words       string // that open what was taken away

	serve *exec.Cmd
	ended chan struct{}
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	zone, err := dnstxt.Listen("127.0.0.1:0", "example")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- zone.Run(t.Context()) }()
	w := &walk{
		t: t, page: operating(t), zone: zone, machines: make(map[string]*machine), users: make(map[string]*terminal),
		path: buildClient(t) + string(filepath.ListSeparator) + os.Getenv("PATH"),
	}
	t.Cleanup(func() {
		for _, m := range w.machines {
			m.end(syscall.SIGTERM)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
	for _, domain := range domains {
		w.machines[domain] = w.newMachine(domain)
	}
	for _, name := range []string{"ann", "bob"} {
		w.users[name] = w.user()
	}
	return w
}

func (w *walk) newMachine(domain string) *machine {
	dir := w.t.TempDir()
	return &machine{
		terminal: newTerminal(w.t, dir, "HOME="+dir, "PATH="+w.path), walk: w, domain: domain,
		folder: filepath.Join(dir, "p3do"), link: freeAddress(w.t), keys: freeAddress(w.t),
	}
}

// user is somebody's own machine, with a passphrase to be asked for.
func (w *walk) user() *terminal {
	dir := w.t.TempDir()
	file := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(file, []byte("a long passphrase of my own\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return newTerminal(w.t, dir, "HOME="+dir, "PATH="+w.path, "P3DO_PASSPHRASE_FILE="+file)
}

// newcomer is a user who has just got her name.
func (w *walk) newcomer(name string) *terminal {
	u := w.user()
	u.shows("export P3DO_DNS=" + w.zone.Addr())
	u.shows("p3do new " + name + " # Created " + name)
	return u
}

// freeAddress is one to listen on again and again: not in the range from which systems take
// ports for connections that go out.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// play types the blocks of a part of the page. The first line of each says where.
func (w *walk) play(part string) {
	w.t.Helper()
	for _, block := range blocks(part, "sh") {
		where, ok := strings.CutPrefix(block[0], "# ")
		if !ok || len(block) < 2 {
			w.t.Fatalf("a block that begins with %q, and not with whose machine it is for", block[0])
		}
		if where == "anywhere" {
			w.outside(block[1:])
			continue
		}
		if user := w.users[where]; user != nil {
			for _, line := range block[1:] {
				user.shows(strings.ReplaceAll(line, pageResolver, w.zone.Addr()))
			}
			continue
		}
		where, likewise := strings.CutSuffix(where, ", and likewise on the other three")
		w.at(where).does(block[1:])
		if likewise {
			for _, domain := range domains[1:] {
				w.machines[domain].does(strings.Split(strings.ReplaceAll(strings.Join(block[1:], "\n"), domains[0], domain), "\n"))
			}
		}
	}
}

// outside types a block as somebody who has nothing but fingerprints: that of the first domain,
// whose key server is asked, and that of a witness.
func (w *walk) outside(lines []string) {
	w.t.Helper()
	home, witness := w.machines["north.example"], w.machines["south.example"]
	anywhere := w.newMachine("")
	for _, line := range lines {
		anywhere.shows(strings.NewReplacer("FP2", witness.fingerprint, "FP", home.fingerprint, "HOST:PORT", home.keys).Replace(line))
	}
}

// at finds the machine of a block, and does what has happened there since the one before.
func (w *walk) at(where string) *machine {
	w.t.Helper()
	where, since, _ := strings.Cut(where, ", ")
	where, fresh := strings.CutPrefix(where, "on the new machine of ")
	m := w.machines[strings.TrimPrefix(where, "on the machine of ")]
	if m == nil {
		w.t.Fatalf("nobody knows the machine %q", where)
	}
	switch {
	case since == "when its node has ended":
		m.end(syscall.SIGTERM)
	case since == "after the loss of the folder":
		m.end(syscall.SIGKILL)
		w.must(os.RemoveAll(m.folder))
	case since == "with the offline file and a file with its words":
		w.must(os.WriteFile(filepath.Join(m.dir, "words"), []byte(m.words+"\n"), 0o600))
	case since == "with its new address":
		m.moved()
	case w.happens[since] != nil:
		w.happens[since](m)
	case fresh:
		m = m.moves()
	case since != "":
		w.t.Fatalf("nobody knows what has happened on a machine %q", since)
	}
	return m
}

func (w *walk) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// does types the lines of a block.
func (m *machine) does(lines []string) {
	m.t.Helper()
	for _, line := range lines {
		line = strings.NewReplacer(pageFolder, m.folder, pageLink, m.link, pageKeys, m.keys, pageResolver, m.walk.zone.Addr(), pageServer, m.server).Replace(line)
		if args, serve := strings.CutPrefix(line, "p3dod serve "); serve {
			m.begin(strings.Fields(args)...)
			continue
		}
		printed := m.shows(line)
		if strings.HasPrefix(line, "p3dod dns print ") {
			m.publish(printed)
		}
		if strings.HasPrefix(line, "p3dod init ") {
			m.noteWords(printed)
		}
	}
}

// noteWords writes down the twelve words that are shown once.
func (m *machine) noteWords(printed string) {
	for line := range strings.Lines(printed) {
		if words := strings.Fields(line); len(words) == 12 && strings.ToLower(line) == line && !strings.ContainsAny(line, ".:;") {
			m.words = strings.Join(words, " ")
		}
	}
}

// publish copies the line for the zone into the zone, as a DNS server reads it.
func (m *machine) publish(line string) {
	m.t.Helper()
	entry, err := dns.NewRR(line)
	m.walk.must(err)
	txt, ok := entry.(*dns.TXT)
	if !ok || txt.Hdr.Name != "_p3do."+m.domain+"." || txt.Hdr.Ttl != node.RecordTTL {
		m.t.Fatalf("%q is not a TXT record of %s", line, m.domain)
	}
	record, err := dnstxt.Parse(strings.Join(txt.Txt, ""))
	m.walk.must(err)
	domain, err := pki.ParseDomain(m.domain)
	m.walk.must(err)
	m.walk.must(m.walk.zone.Set(domain, record))
	m.fingerprint = record.Fingerprint.String()
}

// begin starts the node in a terminal of its own, and waits until it says that it serves. It
// cannot outlive the test: it ends with its standard input.
func (m *machine) begin(args ...string) {
	m.t.Helper()
	m.change(strings.NewReplacer("private = false", "private = true")) // where the page has public addresses, we have this machine's
	m.serve = exec.Command("p3dod", append([]string{"serve", "--end-with-stdin"}, args...)...)
	m.serve.Env = append(os.Environ(), "HOME="+m.dir)
	alive, err := m.serve.StdinPipe()
	m.walk.must(err)
	said, err := m.serve.StderrPipe()
	m.walk.must(err)
	m.walk.must(m.serve.Start())
	m.ended = make(chan struct{})
	serving := make(chan bool, 1)
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			m.t.Logf("%s: %s", m.domain, lines.Text())
			if strings.Contains(lines.Text(), "msg=serving") {
				serving <- true
			}
		}
		_ = cmd.Wait() // how it ended is in its state
		alive.Close()
	}(m.serve, m.ended)
	select {
	case <-serving:
	case <-m.ended:
		m.t.Fatalf("%s does not serve: %s", m.domain, m.serve.ProcessState)
	case <-time.After(2 * scriptWait):
		m.t.Fatalf("%s does not say that it serves", m.domain)
	}
}

// end ends the node, if there is one, and waits until it has ended.
func (m *machine) end(how syscall.Signal) {
	if m.serve == nil {
		return
	}
	if err := m.serve.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Error(err)
	}
	<-m.ended
	if status := m.serve.ProcessState.ExitCode(); how == syscall.SIGTERM && status != 0 {
		m.t.Errorf("%s ended with %d", m.domain, status)
	}
	m.serve = nil
}

// moves is another machine for the same domain, with another address. The archive is all that
// comes along.
func (m *machine) moves() *machine {
	m.t.Helper()
	fresh := m.walk.newMachine(m.domain)
	archive := strings.TrimSuffix(m.domain, ".example") + ".tar"
	m.walk.must(os.Rename(filepath.Join(m.dir, archive), filepath.Join(fresh.dir, archive)))
	fresh.before = strings.NewReplacer(m.link, fresh.link, m.keys, fresh.keys)
	m.walk.machines[m.domain] = fresh
	return fresh
}

// moved writes the new address into the configuration.
func (m *machine) moved() {
	m.t.Helper()
	m.change(m.before)
}

// change changes the configuration.
func (m *machine) change(by *strings.Replacer) {
	m.t.Helper()
	path := filepath.Join(m.folder, node.ConfigFile)
	raw, err := os.ReadFile(path)
	m.walk.must(err)
	m.walk.must(os.WriteFile(path, []byte(by.Replace(string(raw))), 0o600))
}

// at is a command with the flag that names the node's folder.
func (m *machine) at(command string) string { return command + " --dir " + m.folder }

// linked waits until there is a link with each of the peers.
func (m *machine) linked(peers ...string) {
	m.t.Helper()
	for _, peer := range peers {
		m.shows(m.at("p3dod peer list") + " # " + peer + ": mutual, linked")
	}
}
