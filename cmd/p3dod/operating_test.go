package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// domains are those of the page; it speaks to the operator of the first one.
var domains = []string{"north.example", "south.example", "east.example", "west.example"}

// TestOperating does what docs/operating.md tells an operator to do, on four machines: its
// blocks are typed in their order, the line for DNS is copied into a zone as printed, and two
// users write to each other. Then what the page says of nodes that end, of folders that lack
// something, of copies and of other machines is made to happen.
func TestOperating(t *testing.T) {
	w := newWalk(t)
	first, rest, _ := strings.Cut(w.page, "\n## As a service")
	w.play(first)
	w.ends()
	_, copies, _ := strings.Cut(rest, "\n### A copy to keep")
	w.play(copies)
	w.restored()
	w.without()
}

// TestOperatingConfiguration: the configuration behind port forwarding is read by a node.
func TestOperatingConfiguration(t *testing.T) {
	domain, err := pki.ParseDomain(domains[0])
	if err != nil {
		t.Fatal(err)
	}
	usual := node.DefaultConfig(domain)
	before, _, _ := strings.Cut(usual.Text(), "[listen]")
	_, after, _ := strings.Cut(usual.Text(), "[dns]")
	path := shown(t, "toml", "[listen]", node.ConfigFile, func(text string) string { return before + text + "[dns]" + after })
	c, err := node.ReadConfig(path)
	if err != nil || c.Publish.Links[0] != pageLink || c.Publish.KeyServers[0] != pageKeys || c.Listen != usual.Listen {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestOperatingUnit: systemd has nothing to say against the unit.
func TestOperatingUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	required := strings.FieldsFunc(os.Getenv("P3DO_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if err != nil && slices.Contains(required, "systemd-analyze") {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("no systemd-analyze on this machine")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := shown(t, "ini", "[Unit]", "p3dod.service", func(text string) string {
		return strings.ReplaceAll(text, "/usr/local/bin/p3dod", program)
	})
	if said, err := exec.Command(verify, "verify", path).CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v\n%s", err, said)
	}
}

// shown writes the page's one block in a language that begins so into a file, changed, and
// returns its path.
func shown(t *testing.T, language, begins, name string, change func(string) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(change(block(t, operating(t), language, begins))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// operating is the text of the page.
func operating(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// ends is what the page says of nodes that end, by themselves or by force.
func (w *walk) ends() {
	north, south := w.machines["north.example"], w.machines["south.example"]
	north.fails(north.at("p3dod serve"), cli.Input, "the node in this folder serves already")

	north.end(syscall.SIGTERM)
	for _, left := range []string{"run.json", "control.sock"} {
		if _, err := os.Stat(filepath.Join(north.folder, left)); !errors.Is(err, fs.ErrNotExist) {
			w.t.Errorf("a node that ended leaves %s: %v", left, err)
		}
	}
	north.fails(north.at("p3dod status"), cli.Network, "no node serves in", "p3dod serve --dir")
	north.begin("--dir", north.folder)
	north.linked("south.example", "east.example")

	// What was receipted survives its server.
	w.users["ann"].shows(`p3do send bob@south.example "still there?" # stored`)
	south.end(syscall.SIGKILL)
	south.fails(south.at("p3dod status"), cli.Network, "p3dod serve --dir")
	south.begin("--dir", south.folder)
	w.users["bob"].shows("p3do read # ann@north.example (vouched (2 peers)) ... still there?")
	south.linked("north.example", "west.example")
}

// restored is what the page says of a domain that comes back from two files, and of one that
// is on another machine now.
func (w *walk) restored() {
	west, south := w.machines["west.example"], w.machines["south.example"]
	west.linked("south.example", "east.example")
	south.linked("north.example", "west.example")
	for _, domain := range domains {
		m := w.machines[domain]
		m.shows(m.at("p3dod status") + " # 4 servers and 3 contexts of others known, the keys of 3 domains confirmed")
		m.shows(m.at("p3dod doctor") + " # nothing is wrong")
	}
	w.users["ann"].shows("p3do check north.example # confirmed by east.example, south.example, west.example") // the key that has just taken office
	carol := w.newcomer("carol@north.example")                                                                // who has not heard of the key that west has lost
	carol.shows("p3do check bob@south.example # confirmed by east.example, west.example")
	carol.shows("p3do check east.example # confirmed by south.example, west.example")
	carol.shows("p3do check west.example # confirmed by east.example, south.example")
	carol.shows(`p3do send bob@south.example "where are you?" # stored`)
	w.users["bob"].shows("p3do read --requests # carol@north.example (unconfirmed), ... where are you?")
}

// without is what the page's table says of a folder in which something is missing.
func (w *walk) without() {
	east := w.machines["east.example"]
	before, _ := east.checkpointAt(east, "/v1/log/")
	w.newcomer("eve@east.example")
	w.shows(east, before+1)
	w.copied(east)
	east.end(syscall.SIGTERM)
	whole := filepath.Join(w.t.TempDir(), "whole")
	w.must(os.CopyFS(whole, os.DirFS(east.folder)))
	for _, row := range w.table() {
		if row[0] == "keys/zone" {
			continue // no node of this page serves a zone
		}
		if path := row[0]; path == "run.json" || path == "control.sock" {
			east.servesWithout(path, row[1])
		} else {
			east.startsWithout(path, row[1])
		}
		w.copied(east)
		east.end(syscall.SIGTERM)
		w.must(os.RemoveAll(east.folder))
		w.must(os.CopyFS(east.folder, os.DirFS(whole)))
		east.types(east.at("p3dod doctor --repair")) // the modes
	}
}

// servesWithout takes away what only a node that serves has. What the commands say then
// stands on the page in backquotes, if it is always the same.
func (m *machine) servesWithout(path, says string) {
	m.t.Helper()
	status := m.at("p3dod status")
	m.begin("--dir", m.folder)
	m.shows(status + " # " + m.domain)
	running, err := node.ReadRunning(m.folder)
	m.walk.must(err)
	m.walk.must(os.Remove(map[string]string{"run.json": filepath.Join(m.folder, path), "control.sock": running.Control}[path]))
	says, _, _ = strings.Cut(strings.TrimPrefix(says, "the commands say `"), "`")
	if path == "control.sock" {
		says = "does not answer"
	}
	m.fails(status, cli.Network, says, "p3dod serve --dir")
	m.end(syscall.SIGKILL)
	m.begin("--dir", m.folder)
	m.shows(status + " # " + m.domain)
}

// startsWithout takes away what a node starts with. If it does not start, what it says stands
// on the page in backquotes; else the doctor has nothing against what was made anew.
func (m *machine) startsWithout(path, says string) {
	m.t.Helper()
	gone, err := filepath.Glob(filepath.Join(m.folder, strings.Replace(path, "-N", "-*", 1)) + "*")
	m.walk.must(err)
	if len(gone) == 0 {
		m.t.Errorf("the page speaks of %s, which is not there", path)
	}
	for _, file := range gone {
		m.walk.must(os.Remove(file))
	}
	if _, says, refused := strings.Cut(says, "does not start: `"); refused {
		says, _, _ = strings.Cut(says, "`")
		m.fails(m.at("p3dod serve"), cli.Input, says)
		m.fails(m.at("p3dod doctor"), cli.Input, path+" is missing")
		if path == node.ConfigFile {
			m.shows(m.at("p3dod init "+m.domain) + " # Made " + m.domain + " ... " + m.fingerprint)
		}
		return
	}
	m.begin("--dir", m.folder)
	if path != "node.db" {
		m.shows(m.at("p3dod doctor") + " # nothing is wrong")
	} else {
		m.fails(m.at("p3dod doctor"), cli.Input, "wrong: log: ") // a peer is to be added, who has a copy
		if peers, status := m.types(m.at("p3dod peer list")); peers != "" || status != 0 {
			m.t.Errorf("status %d, peers without a database: %s", status, peers)
		}
		m.walk.newcomer("eve@" + m.domain) // somebody else, whose name it is now
	}
}

// table is the page's table of the folder: each path, and what is said of its absence.
func (w *walk) table() (rows [][2]string) {
	_, table, _ := strings.Cut(w.page, "\n| path |")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if path := strings.Split(cells[0], "`"); len(cells) == 3 && len(path) > 1 {
			rows = append(rows, [2]string{path[1], cells[2]})
		} else if len(rows) > 0 {
			break
		}
	}
	if len(rows) != 13 {
		w.t.Errorf("the table of the folder has %d rows", len(rows))
	}
	return rows
}

// shows waits until a machine's key log shows as many leaves: what a newcomer has is signed a moment after.
func (w *walk) shows(m *machine, leaves int) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * scriptWait); ; time.Sleep(20 * time.Millisecond) {
		if shown, _ := m.checkpointAt(m, "/v1/log/"); shown >= leaves {
			return
		} else if time.Now().After(deadline) {
			w.t.Fatalf("%s shows a log of %d leaves, want %d", m.domain, shown, leaves)
		}
	}
}

// copied waits until all who copy a machine's key log have what it shows. One that ends before, and comes back with an
// older folder, signs nothing more: what it had signed is nowhere.
func (w *walk) copied(m *machine) {
	w.t.Helper()
	own, ok := m.checkpointAt(m, "/v1/log/")
	for _, domain := range domains {
		peer := w.machines[domain]
		for deadline := time.Now().Add(2 * scriptWait); ok && peer != m; time.Sleep(20 * time.Millisecond) {
			if copied, kept := m.checkpointAt(peer, witness.Mirror(w.domainOf(m))); !kept || copied >= own {
				break
			} else if time.Now().After(deadline) {
				w.t.Fatalf("%s has a copy of %d leaves of the log of %s, which shows %d", domain, copied, m.domain, own)
			}
		}
	}
}

func (w *walk) domainOf(m *machine) pki.Domain {
	domain, err := pki.ParseDomain(m.domain)
	w.must(err)
	return domain
}

// checkpointAt is how many leaves of m's log a machine shows; false: none, or it does not serve.
func (m *machine) checkpointAt(at *machine, prefix string) (leaves int, ok bool) {
	running, err := node.ReadRunning(at.folder)
	if err != nil {
		return 0, false
	}
	_, record, err := node.Record(at.folder)
	m.walk.must(err)
	ctx, reader, done := keyserver.Client{Dial: dial.Direct()}.ReadLog(m.t.Context(), keyserver.Endpoint{Address: running.KeyServer, CA: record.Fingerprint}, prefix)
	defer done()
	signed, err := reader.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return 0, false
	}
	leaves, err = strconv.Atoi(strings.Split(string(signed), "\n")[1])
	m.walk.must(err)
	return leaves, true
}
