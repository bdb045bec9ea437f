package node

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/pki"
)

func readText(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ConfigFile)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return ReadConfig(path)
}

// What Text writes, ReadConfig reads.
func TestConfigText(t *testing.T) {
	domain := parse(t, pki.ParseDomain, "a.test")
	full := labConfig(domain, "127.0.0.1:53")
	full.Lab = Lab{Enabled: true, Loss: 0.25, Delay: Duration(50 * time.Millisecond), Seed: 7}
	full.Routing.FloodAll, full.Cover = true, ProfileHigh
	full.DNS.Update = DNSUpdate{Server: "192.0.2.1:53", TSIGFile: "tsig.key", Zone: "test", TTL: 60}
	full.Publish = Publish{Links: []string{"a.test:1", "127.0.0.1:2"}, KeyServers: []string{"[::1]:3"}}
	for _, c := range []Config{DefaultConfig(domain), full} {
		got, err := readText(t, c.Text())
		must(t, err)
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%+v became %+v", c, got)
		}
	}
}

// Faults are all named, and keys that nobody knows are one.
func TestConfigFaults(t *testing.T) {
	good := DefaultConfig(parse(t, pki.ParseDomain, "a.test")).Text()
	for _, x := range []struct {
		what, old, new string
		want           []string
	}{
		{"unknown keys", "[dns]", "[dns]\nsever = \"x\"\n[extra]\na = 1\n[dns.more]", []string{"unknown keys", "dns.sever", "extra.a"}},
		{"several faults", `registration = "closed"`, `registration = "half"`, []string{`registration is "half"`}},
		{"no domain", `domain = "a.test"`, "", []string{"domain is missing"}},
		{"bad domain", `domain = "a.test"`, `domain = "A.test"`, []string{"domain"}},
		{"no such profile", `cover = "off"`, `cover = "some"`, []string{`cover is "some", not "off", "low" or "high"`}},
		{"extra hops", "extra_hops = 1", "extra_hops = 4", []string{"extra_hops is 4, not 0 to 3"}},
		{"address", `server = "127.0.0.1:53"`, `server = "127.0.0.1"`, []string{`dns.server`, `"127.0.0.1": want an IP address and a port`}},
		{"a resolver by its name", `server = "127.0.0.1:53"`, `server = "localhost:53"`, []string{`"localhost:53": want an IP address and a port, such as 127.0.0.1:53`}},
		{"a resolver that nobody tells from others", `server = "127.0.0.1:53"`, `server = "tls://127.0.0.1:853"`, []string{`want pin=PIN`}},
		{"anchors that are not there", `anchors = ""`, `anchors = "root.key"`, []string{`dns.anchors: `, `root.key: no such file`}},
		{"anchors that are none", `anchors = ""`, `anchors = "p3dod.toml"`, []string{`dns.anchors: dnstxt: trust anchors`}},
		{"an update that says little", "[routing]", "[dns.update]\nzone = \"A.test\"\nttl = 604801\n[routing]", []string{`dns.update.server: "": want an IP address and a port`, "dns.update.tsig_file is missing", `zone of dns.update: "A.test" is no`, "dns.update.ttl is 604801, more than 604800"}},
		{"an update of a name", "[routing]", "[dns.update]\nserver = \"ns.a.test:53\"\ntsig_file = \"k\"\n[routing]", []string{`"ns.a.test:53": want an IP address`}},
		{"an update with a typing error", "[routing]", "[dns.update]\nserver = \"127.0.0.1:53\"\ntsig-file = \"k\"\n[routing]", []string{"unknown keys: dns.update.tsig-file"}},
		{"published", `links = ["a.test:4404"]`, `links = ["A.test:4404"]`, []string{"A.test:4404"}},
		{"too many", `links = ["a.test:4404"]`, `links = [` + strings.Repeat(`"a.test:1",`, 9) + `]`, []string{"9 addresses, at most 8"}},
		{"all addresses", `links = ["a.test:4404"]`, `links = []`, []string{`listen.link is "0.0.0.0:4404"`, `[publish]: links = ["a.test:4404"]`}},
		{"all addresses of the key server", `keyservers = ["a.test:4405"]`, `keyservers = []`, []string{`keyservers = ["a.test:4405"]`}},
		{"publishing all addresses", `links = ["a.test:4404"]`, `links = ["[::]:4404"]`, []string{`"[::]:4404", which is to be published`}},
		{"no TOML", "[dns]", "[dns", []string{ConfigFile}},
		{"loss outside a lab", "[dns]", "[lab]\nloss = 0.5\n[dns]", []string{"want lab.enabled = true"}},
		{"traces outside a lab", "[dns]", "[lab]\ntrace = true\n[dns]", []string{"lab.trace is for a lab"}},
		{"traces behind a public address", "[dns]", "[lab]\nenabled = true\ntrace = true\n[dns]", []string{"no publish.links but on loopback"}},
		{"a lab on all addresses", "[dns]", "[lab]\nenabled = true\n[dns]", []string{"lab.enabled wants listen.link and listen.keyserver on a loopback address"}},
		{"loss of two", "[dns]", "[lab]\nenabled = true\nloss = 2.0\ndelay = \"2m\"\n[dns]", []string{"lab.loss is 2, not 0 to 1", "lab.delay is not 0 to 1m", "loopback"}},
		{"loss of nothing", "[dns]", "[lab]\nenabled = true\nloss = nan\n[dns]", []string{"lab.loss is NaN"}},
	} {
		t.Run(x.what, func(t *testing.T) {
			text := strings.Replace(good, x.old, x.new, 1)
			if text == good {
				t.Fatal("nothing was changed")
			}
			_, err := readText(t, text)
			wantText(t, err, x.want...)
		})
	}
}

func TestEverywhere(t *testing.T) {
	for address, want := range map[string]bool{
		"0.0.0.0:1": true, "[::]:0": true, "[::%eth0]:1": true, "[::ffff:0.0.0.0]:1": true, ":4404": true,
		"127.0.0.1:1": false, "[::1]:1": false, "a.test:1": false, "0.0.0.0": false, "": false,
	} {
		if Everywhere(address) != want {
			t.Errorf("%q: not %t", address, want)
		}
	}
}

// Whatever is in the file, it is refused or a configuration that is good.
func TestConfigMutants(t *testing.T) {
	domain := parse(t, pki.ParseDomain, "a.test")
	for _, seed := range []string{DefaultConfig(domain).Text(), labConfig(domain, "127.0.0.1:53").Text()} {
		good := 0
		for text := range mutants(seed, 2000) {
			good += rereadable(t, string(text))
		}
		if good == 0 {
			t.Error("all mutants were refused")
		}
	}
}

// rereadable returns 0 if text is refused, and 1 if it is a configuration; then Text writes it.
func rereadable(t *testing.T, text string) int {
	t.Helper()
	c, err := parseConfig(text)
	if err != nil {
		return 0
	}
	again, err := parseConfig(c.Text())
	if err != nil {
		t.Fatalf("%s became %s: %v", text, c.Text(), err)
	}
	if again.Text() != c.Text() {
		t.Errorf("%s became %s", c.Text(), again.Text())
	}
	return 1
}

func FuzzReadConfig(f *testing.F) {
	domain := parse(f, pki.ParseDomain, "a.test")
	f.Add(DefaultConfig(domain).Text())
	f.Add(labConfig(domain, "127.0.0.1:53").Text())
	f.Fuzz(func(t *testing.T, text string) { rereadable(t, text) })
}

// mutants are n variations of seed: bytes changed, left out, doubled. The fuzzer is slow
// here, since it watches all of the database as well.
func mutants(seed string, n int) iter.Seq[[]byte] {
	draw := rand.New(rand.NewPCG(1, 2))
	return func(yield func([]byte) bool) {
		for range n {
			text := []byte(seed)
			for range 1 + draw.IntN(3) {
				i := draw.IntN(len(text))
				j := i + draw.IntN(min(20, len(text)-i))
				switch draw.IntN(4) {
				case 0:
					text[i] = byte(draw.IntN(256))
				case 1:
					text[i] ^= 1 << draw.IntN(8)
				case 2:
					text = slices.Delete(text, i, j)
				case 3:
					text = slices.Insert(text, i, slices.Clone(text[i:j])...)
				}
			}
			if !yield(text) {
				return
			}
		}
	}
}

// Faults that a program hands in are refused outside a lab, too.
func TestFaultsOutsideALab(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	_, err := Init(dir, DefaultConfig(parse(t, pki.ParseDomain, "a.test")), time.Now(), nil)
	must(t, err)
	_, err = Open(t.Context(), dir, Options{Dial: dial.Direct(), Public: dial.Public(), Faults: &link.Faults{Delay: 1}})
	wantText(t, err, "for a lab")
	_, err = Open(t.Context(), dir, Options{})
	wantText(t, err, "Options.Dial is missing")
}

// Init makes a folder once, and finishes one that was left half done.
func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	c := labConfig(parse(t, pki.ParseDomain, "a.test"), "127.0.0.1:53")
	first, err := Init(dir, c, time.Now(), nil)
	must(t, err)
	_, err = Init(dir, c, time.Now(), nil)
	wantErr(t, err, ErrExists)

	must(t, os.Remove(filepath.Join(dir, ConfigFile)))
	again, err := Init(dir, c, time.Now(), nil)
	must(t, err)
	if again.CA().Fingerprint() != first.CA().Fingerprint() {
		t.Error("the keys were made anew")
	}
	must(t, os.Remove(filepath.Join(dir, ConfigFile)))
	_, err = Init(dir, labConfig(parse(t, pki.ParseDomain, "b.test"), "127.0.0.1:53"), time.Now(), nil)
	wantErr(t, err, ErrExists)
	wantText(t, err, "a.test")

	must(t, os.Remove(filepath.Join(dir, keysFolder, authorityFile)))
	database := filepath.Join(dir, databaseFile)
	must(t, os.WriteFile(database, nil, 0o600))
	_, err = Init(dir, c, time.Now(), nil) // and not another domain beside it
	wantErr(t, err, ErrNoAuthority)
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a configuration for it: %v", err)
	}
	must(t, os.Remove(database))
	other, err := Init(dir, c, time.Now(), nil)
	must(t, err)
	if other.CA().Fingerprint() == first.CA().Fingerprint() {
		t.Error("keys that were lost")
	}

	bad := c
	bad.Routing.ExtraHops, bad.DNS.Server = 9, ""
	_, err = Init(filepath.Join(t.TempDir(), "b"), bad, time.Now(), nil)
	wantText(t, err, "extra_hops is 9", `dns.server: dnstxt: the DNS server ""`) // both
	wantModes(t, dir)
}

// wantModes fails unless all that is in a node's folder is its owner's only.
func wantModes(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v", path, info.Mode())
		}
		return err
	}))
}

// A node that has ended leaves nothing behind that says it serves; a second start works;
// and while it serves, nobody else serves in its folder.
func TestStartAndEnd(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.user("ann@a.test") // with an open session
	a := m.nodes["a.test"]
	wantModes(t, a.dir)
	_, err := Open(t.Context(), a.dir, Options{Dial: dial.Direct()})
	wantErr(t, err, ErrServing)
	for _, told := range []string{filepath.Join(a.dir, runningFile), a.running.Control} {
		must(t, os.Remove(told))
	}
	_, err = Open(t.Context(), a.dir, Options{Dial: dial.Direct()})
	wantErr(t, err, ErrServing)

	must(t, a.end())
	for _, left := range []string{filepath.Join(a.dir, runningFile), a.running.Control} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", left, err)
		}
	}
	_, err = NewControl(a.dir)
	wantText(t, err, "is it running?")
	if _, err := a.control.Status(t.Context()); err == nil {
		t.Error("it answers")
	}
	a.start()
	m.linked("a.test", 1)
	m.settled("a.test", "b.test")
}

// A node that was killed left its files: they are no hindrance.
func TestStartAfterKill(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", nil)
	must(t, writeFile(filepath.Join(a.dir, runningFile), []byte(`{"pid":1,"link":"","keyserver":"","control":"`+filepath.Join(a.dir, "control.sock")+`"}`)))
	must(t, os.WriteFile(filepath.Join(a.dir, "control.sock"), nil, 0o600))
	a.start()
	m.status("a.test")
}

// A path too long for a socket gets one elsewhere, which goes with the node.
func TestLongPath(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", nil)
	long := filepath.Join(filepath.Dir(a.dir), strings.Repeat("long", 25))
	must(t, os.Rename(a.dir, long))
	a.dir = long
	a.start()
	m.status("a.test")
	must(t, a.end())
	if _, err := os.Stat(filepath.Dir(a.running.Control)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", filepath.Dir(a.running.Control), err)
	}
}

// A node that cannot listen says so, and ends all that it began.
func TestAddressInUse(t *testing.T) {
	m := newMesh(t, "a.test")
	b := m.add("b.test", func(c *Config) { c.Listen.Link = m.nodes["a.test"].running.Link })
	n, err := Open(t.Context(), b.dir, Options{Dial: dial.Direct()})
	must(t, err)
	wantText(t, n.Run(context.Background(), nil), "listening for links")
}

// An operator's question to a folder that no node ever served in.
func TestControlWithoutNode(t *testing.T) {
	_, err := NewControl(t.TempDir())
	wantErr(t, err, os.ErrNotExist)
}
