package node

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

func (n *member) path(names ...string) string {
	return filepath.Join(append([]string{n.dir}, names...)...)
}

// examine has a doctor see the node at a time, now if it is zero.
func (n *member) examine(now time.Time, repair bool) []Finding {
	t := n.mesh.t
	t.Helper()
	if now.IsZero() {
		now = time.Now()
	}
	findings, err := Doctor{Dir: n.dir, Dial: dial.Direct(), Repair: repair}.Examine(t.Context(), now)
	must(t, err)
	return findings
}

// wantFindings fails unless the findings are these, each "check state text", of which the
// text is to be found in the finding's.
func wantFindings(t *testing.T, findings []Finding, want ...string) {
	t.Helper()
	if len(findings) != len(want) {
		t.Fatalf("findings %+v, want %q", findings, want)
	}
	for i, f := range findings {
		words := strings.SplitN(want[i], " ", 3)
		if f.Check != words[0] || string(f.State) != words[1] || !strings.Contains(f.Text, words[2]) || strings.Contains(f.Text, "\n") {
			t.Errorf("finding %+v, want %q", f, want[i])
		}
		if (f.Hint == "") != (f.State == Mended) {
			t.Errorf("hint %q of %q", f.Hint, f.Text)
		}
	}
}

// byHand changes a node's database by a second connection, while the node serves or not.
func (n *member) byHand(statements ...string) {
	t := n.mesh.t
	t.Helper()
	d, err := sql.Open("sqlite", "file:"+n.path(databaseFile)+"?_pragma=busy_timeout(5000)")
	must(t, err)
	defer d.Close()
	for _, statement := range statements {
		_, err = d.Exec(statement)
		must(t, err)
	}
}

// reconfigure writes another configuration into the folder; a node that serves keeps the
// one that it has.
func (n *member) reconfigure(change func(*Config)) {
	t := n.mesh.t
	t.Helper()
	c, err := ReadConfig(n.path(ConfigFile))
	must(t, err)
	change(&c)
	must(t, writeFile(n.path(ConfigFile), []byte(c.Text())))
}

// A record that the key server has lost is named, comes back from the key ring while the
// node serves, and is then found by whoever looks (row K5).
func TestDoctorRestoresFromTheRing(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.user("ann@a.test")
	a := m.nodes["a.test"]
	wantFindings(t, a.examine(time.Time{}, false))

	client, ann := keyserver.Client{Dial: dial.Direct()}, parse(t, pki.ParseName, "ann@a.test")
	a.byHand("DELETE FROM users WHERE name = 'ann@a.test'", "DELETE FROM certificates WHERE kind = 'cross'")
	_, err := client.User(t.Context(), m.endpoint("a.test"), ann)
	wantErr(t, err, keyserver.ErrNotFound)
	lacks := []string{"the key server lacks the countersignature for b.test", "the key server lacks the key of ann@a.test"}
	wantFindings(t, a.examine(time.Time{}, false), "ring wrong "+lacks[0], "ring wrong "+lacks[1])
	wantFindings(t, a.examine(time.Time{}, true), "ring mended "+lacks[0], "ring mended "+lacks[1])
	wantFindings(t, a.examine(time.Time{}, false))
	_, err = client.User(t.Context(), m.endpoint("a.test"), ann)
	must(t, err)

	// The other way round, everything at once, and without the node.
	must(t, a.end())
	a.byHand("DELETE FROM ring")
	if found := a.examine(time.Time{}, true); len(found) != 4 {
		t.Errorf("found %+v", found)
	}
	wantFindings(t, a.examine(time.Time{}, false))

	// What the domain did not sign is not spread, and stays a finding.
	a.byHand("UPDATE users SET name = 'eve@a.test'", "UPDATE certificates SET raw = x'00' WHERE kind = 'link'")
	wantFindings(t, a.examine(time.Time{}, true), "ring mended disagree about a link certificate of a.test",
		"ring mended lacks the key of ann@a.test", "ring wrong lacks the key of eve@a.test, which is on the key server, and this domain did not sign it")
	a.byHand("DELETE FROM users WHERE name = 'eve@a.test'")
	wantFindings(t, a.examine(time.Time{}, false))
}

// A node that begins to serve compares the two copies, and logs the difference, not whose
// keys they are.
func TestStartComparesTheRing(t *testing.T) {
	m := newMesh(t, "a.test")
	m.user("ann@a.test")
	a := m.nodes["a.test"]
	const said = "key ring and key server differ; run p3dod doctor"
	must(t, a.end())
	a.start()
	if strings.Contains(m.log.String(), said) {
		t.Error("it says so of equal ones")
	}
	must(t, a.end())
	a.byHand("DELETE FROM users")
	a.start()
	if log := m.log.String(); !strings.Contains(log, said) || !strings.Contains(log, "only_ring=1 only_server=0") || strings.Contains(log, "ann") {
		t.Errorf("log: %s", log)
	}
}

// What is wrong with the folder of a node that serves.
func TestDoctorFolder(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	current := pki.PeriodAt(time.Now())
	for _, c := range []struct {
		name   string
		damage func() error
		want   []string
		mended int // of want, by a repair
	}{
		{"nothing", func() error { return nil }, nil, 0},
		{"modes", func() error {
			return firstError(os.Chmod(a.dir, 0o755), os.Chmod(a.path(keysFolder, authorityFile), 0o640), os.Chmod(a.path(databaseFile), 0o604))
		}, []string{"permissions wrong a.test has mode 755", "permissions wrong node.db has mode 604", "permissions wrong authority has mode 640"}, 3},
		{"keys of others", func() error {
			return firstError(os.WriteFile(a.path(keysFolder, "identity"), nil, 0o600), os.WriteFile(a.path(vaultFile), nil, 0o600))
		}, []string{"keys wrong identity is none of a node's keys", "keys wrong vault is a user's"}, 0},
		{"old server key", func() error {
			return os.Rename(a.path(keysFolder, serverFile(current+1)), a.path(keysFolder, serverFile(current-2)))
		}, []string{"keys wrong should have been deleted", "keys wrong is missing: what is sent"}, 0},
		{"other server key", func() error { return os.WriteFile(a.path(keysFolder, serverFile(current)), make([]byte, 32), 0o600) },
			[]string{"keys wrong another key than the one that our descriptor promises"}, 0},
		{"broken keys", func() error {
			return firstError(os.Truncate(a.path(keysFolder, contextFile), 3), os.Truncate(a.path(keysFolder, serverFile(current)), 3))
		}, []string{"keys wrong context-0: node: the context file has 3 bytes", "keys wrong " + serverFile(current)}, 0},
		{"configuration", func() error { return os.WriteFile(a.path(ConfigFile), []byte("domain = 7"), 0o600) },
			[]string{"configuration wrong p3dod.toml"}, 0},
		{"no configuration", func() error { return os.Remove(a.path(ConfigFile)) }, []string{"configuration wrong p3dod.toml is missing"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := t.TempDir()
			must(t, os.CopyFS(kept, os.DirFS(a.path(keysFolder))))
			config, err := os.ReadFile(a.path(ConfigFile))
			must(t, err)
			must(t, c.damage())
			wantFindings(t, a.examine(time.Time{}, false), c.want...)
			left := a.examine(time.Time{}, true)
			for _, f := range left[:c.mended] {
				if f.State != Mended {
					t.Errorf("not mended: %+v", f)
				}
			}
			wantFindings(t, a.examine(time.Time{}, false), c.want[c.mended:]...)

			must(t, firstError(os.RemoveAll(a.path(keysFolder)), os.CopyFS(a.path(keysFolder), os.DirFS(kept)), os.RemoveAll(a.path(vaultFile))))
			must(t, writeFile(a.path(ConfigFile), config))
			a.examine(time.Time{}, true) // the modes of what was copied
			wantFindings(t, a.examine(time.Time{}, false))
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A key that is gone is named, with what mends it; a node makes another link key and another
// context by itself.
func TestDoctorMissingKeys(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	must(t, a.end())
	must(t, firstError(os.Remove(a.path(keysFolder, linkFile)), os.Remove(a.path(keysFolder, contextFile))))
	wantFindings(t, a.examine(time.Time{}, false), "keys wrong link is missing", "keys wrong context-0 is missing")
	a.start()
	wantFindings(t, a.examine(time.Time{}, false))
	must(t, a.end())
	must(t, firstError(os.Remove(a.path(keysFolder, logFile)), os.Remove(a.path(keysFolder, witnessFile)), os.Remove(a.path(keysFolder, labelsFile))))
	wantFindings(t, a.examine(time.Time{}, false), "keys wrong log is missing", "keys wrong witness is missing", "keys wrong labels is missing")
	a.start()
	wantFindings(t, a.examine(time.Time{}, false))
	must(t, os.Remove(a.path(keysFolder, authorityFile)))
	wantFindings(t, a.examine(time.Time{}, false), "keys wrong authority is missing")
}

// A clock that is behind what was signed is told, also if it is the only thing; one that is
// ahead when everything has run out.
func TestDoctorClockAndTime(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	a, now := m.nodes["a.test"], time.Now()
	wantFindings(t, a.examine(now.Add(-pki.ClockSkew/2), false))
	found := a.examine(now.Add(-20*time.Minute), false)
	if len(found) == 0 || found[0].Check != "clock" || !strings.Contains(found[0].Text, "behind") || found[0].Hint != "timedatectl set-ntp true" {
		t.Errorf("20 minutes behind: %+v", found)
	}
	var checks []string
	for _, f := range a.examine(now.Add(80*24*time.Hour), false) {
		checks = append(checks, f.Check)
		if f.Check == "clock" && !strings.Contains(f.Text, "ahead") {
			t.Errorf("%+v", f)
		}
	}
	if got := strings.Join(checks, " "); got != "keys keys validity validity clock" {
		t.Errorf("80 days ahead: %s", got)
	}
	found = a.examine(now.Add(pki.CALifetime-24*time.Hour), false)
	if text := fmt.Sprint(found); !strings.Contains(text, "the domain's own certificate ends in 0 days") ||
		!strings.Contains(text, "the countersignature by b.test ended") || !strings.Contains(text, "our countersignature for b.test ends") {
		t.Errorf("at the end: %s", text)
	}
}

// Of a federation that the other side has not entered, the other operator is told what to do.
func TestDoctorOneSided(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.peer("a.test", "b.test")
	found := m.nodes["a.test"].examine(time.Time{}, false)
	wantFindings(t, found, "peers wrong b.test has not countersigned this domain")
	if !strings.HasPrefix(found[0].Hint, "p3dod peer add a.test ") {
		t.Error(found[0].Hint)
	}
	a := m.nodes["a.test"]
	a.byHand("UPDATE peers SET received = given") // a countersignature of another key
	wantFindings(t, a.examine(time.Time{}, false), "peers wrong has countersigned another key than ours")
}

// Each way in which DNS can be wrong is told with the line that belongs there.
func TestDoctorDNS(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	a := m.nodes["a.test"]
	domain, right, err := Record(a.dir)
	must(t, err)
	line, err := right.ZoneLine(domain, RecordTTL)
	must(t, err)
	other := right
	other.Fingerprint = m.authority("b.test").CA().Fingerprint()
	more := right
	more.KeyServers = append([]string{"keys.a.test:4405"}, right.KeyServers...)
	for _, c := range []struct {
		record dnstxt.Record
		want   string
	}{
		{other, `dns wrong _p3do.a.test TXT has "fp=` + other.Fingerprint.String()},
		{more, `dns wrong _p3do.a.test TXT has "ks=keys.a.test:4405,`},
	} {
		must(t, m.dns.Set(domain, c.record))
		found := a.examine(time.Time{}, false)
		wantFindings(t, found, c.want)
		if !strings.HasPrefix(found[0].Hint, "copy this line into your zone: "+line+"   ; is it there?") {
			t.Error(found[0].Hint)
		}
	}
	later := right
	later.Time = time.Now().UTC().Truncate(time.Second) // what an operator may add
	must(t, m.dns.Set(domain, later))
	wantFindings(t, a.examine(time.Time{}, false))
	must(t, m.dns.Remove(domain))
	wantFindings(t, a.examine(time.Time{}, false), "dns wrong a.test has no record")

	findings, err := Doctor{Dir: a.dir, Dial: dial.Direct(), DNS: nobody(t)}.Examine(t.Context(), time.Now())
	must(t, err)
	wantFindings(t, findings, "dns unknown does not say what is in DNS")
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	return listener.Addr().String()
}

// Published addresses are tried as others would; addresses to listen on must be free.
func TestDoctorPorts(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	a, b := m.nodes["a.test"], m.nodes["b.test"]
	closed := nobody(t)
	a.reconfigure(func(c *Config) {
		c.Publish = Publish{Links: []string{a.running.Link, b.running.Link, closed}, KeyServers: []string{b.running.KeyServer, closed}}
	})
	found := a.examine(time.Time{}, false)
	wantFindings(t, found,
		"ports wrong "+b.running.Link+", which is published, shows another key than ours", "ports wrong "+closed+", which is published, cannot be reached",
		"ports wrong "+b.running.KeyServer+", which is published, shows another key than ours", "ports wrong "+closed+", which is published, cannot be reached",
		`dns wrong _p3do.a.test TXT has "ks=`)
	must(t, a.end())
	a.reconfigure(func(c *Config) { c.Publish = Publish{}; c.Listen.KeyServer = b.running.KeyServer })
	found = a.examine(time.Time{}, false)
	wantFindings(t, found[:1], "ports wrong cannot listen on "+b.running.KeyServer)
}

// A node that has never served lacks nothing but its record in DNS; a folder without a node
// is an error.
func TestDoctorOfNewNode(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", nil)
	wantFindings(t, a.examine(time.Time{}, false), "dns wrong a.test has no record")
	if _, err := os.Stat(a.path(databaseFile)); err == nil {
		t.Error("the doctor made a database")
	}
	_, err := Doctor{Dir: t.TempDir(), Dial: dial.Direct()}.Examine(context.Background(), time.Now())
	wantErr(t, err, fs.ErrNotExist)
}

// A database that is damaged, or of another version, is told.
func TestDoctorDatabase(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	must(t, a.end())
	m.dns.Remove(a.domain)
	a.byHand("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	wantFindings(t, a.examine(time.Time{}, false), "database unknown newer version", "dns wrong no record")
	_, err := store.OpenReader(t.Context(), a.path(databaseFile))
	wantErr(t, err, store.ErrNewer)
	must(t, os.WriteFile(a.path(databaseFile), []byte(strings.Repeat("no database\n", 1000)), 0o600))
	wantFindings(t, a.examine(time.Time{}, false), "database wrong not a database", "dns wrong no record")
}
