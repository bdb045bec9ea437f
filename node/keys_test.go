package node

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

func newKeyring(t *testing.T) keyring {
	t.Helper()
	k, _, err := createKeyring(filepath.Join(t.TempDir(), keysFolder), parse(t, pki.ParseDomain, "a.test"), testNow, nil)
	must(t, err)
	return k
}

// Periods turn: the key of the next one is there ahead, that of the last one stays one
// period more, and what is older is gone from the disk.
func TestServerKeysTurn(t *testing.T) {
	k := newKeyring(t)
	first, err := k.servers(testNow)
	must(t, err)
	if len(first) != 2 {
		t.Fatalf("%d keys at first", len(first))
	}
	second, err := k.servers(testNow.Add(pki.PeriodLength))
	must(t, err)
	if len(second) != 3 {
		t.Fatalf("%d keys a period later", len(second))
	}
	for i := range first {
		if second[i].Period != first[i].Period || second[i].Private.Public().ID() != first[i].Private.Public().ID() {
			t.Errorf("period %d has another key", first[i].Period)
		}
	}
	third, err := k.servers(testNow.Add(2 * pki.PeriodLength))
	must(t, err)
	if len(third) != 3 || third[0].Period != first[1].Period {
		t.Errorf("two periods later: %d keys from period %d on", len(third), third[0].Period)
	}
	if _, err := os.Stat(filepath.Join(k.dir, serverFile(first[0].Period))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the oldest key is still there: %v", err)
	}
}

// A running node turns its period: the descriptor tells the new keys, the router opens with
// them, and the key of the last period is kept.
func TestNodeTurnsPeriod(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", nil)
	// The folder of a node that ran in the last period and the one before.
	k, now := keyring{filepath.Join(a.dir, keysFolder)}, pki.PeriodAt(time.Now())
	old, err := k.servers((now - 1).Start())
	must(t, err)
	_, err = k.newServer(now - 2)
	must(t, err)
	a.start()
	d, err := a.node.directory.descriptor(t.Context(), a.domain)
	must(t, err)
	if _, ok := d.ServerKeyFor(now); !ok || len(d.ServerKeys) != 2 || d.ServerKeys[1].Period != now+1 {
		t.Errorf("the descriptor has %d keys", len(d.ServerKeys))
	}
	if key, _ := d.ServerKeyFor(now); [pki.ServerKeySize]byte(old[1].Private.Public().Bytes()) != key.Public {
		t.Error("the key that was made ahead is not the one in use")
	}
	files, err := filepath.Glob(filepath.Join(k.dir, "server-*"))
	must(t, err)
	if want := fmt.Sprint(now-1, now, now+1); len(files) != 3 {
		t.Errorf("keys of %s wanted, there are %v", want, files)
	}
}

// A link certificate is renewed in time, and shown in the handshakes that follow.
func TestLinkCertificateIsRenewed(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	n := m.nodes["a.test"].node
	first := n.cert.Load()
	must(t, n.tendOnce(t.Context(), time.Now(), nil)) // nothing is to be renewed, so no listener is asked
	if n.cert.Load() != first {
		t.Error("renewed at once")
	}

	ends, err := n.authority().SignLink(rand.Reader, time.Now(), n.link.Public(), pki.LinkLifetime/4)
	must(t, err)
	n.cert.Store(&ends)
	listener, err := link.Listen(n.linkConfig(), "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	must(t, n.tendOnce(t.Context(), time.Now(), listener))
	conn, err := link.Dial(t.Context(), link.Config{Judge: func(*x509.Certificate) error { return nil }, Dial: dial.Direct()}, listener.Addr().String())
	must(t, err)
	defer conn.Close()
	if shown := conn.Peer().NotAfter; !shown.After(ends.NotAfter()) || !shown.Equal(n.cert.Load().NotAfter()) {
		t.Errorf("shows a certificate until %v", shown)
	}
}

// A hint moves on with its epochs, on the disk too, and does not come back.
func TestContextMovesOn(t *testing.T) {
	k := newKeyring(t)
	first, err := k.context(FirstContext, testNow)
	must(t, err)
	later, err := k.context(FirstContext, testNow.Add(5*onion.EpochLength))
	must(t, err)
	if later.ID != first.ID || later.Key.Public() != first.Key.Public() || later.Epoch != first.Epoch+5 || later.Hint == first.Hint {
		t.Errorf("epoch %d became %d", first.Epoch, later.Epoch)
	}
	back, err := k.context(FirstContext, testNow)
	must(t, err)
	if back.Epoch != later.Epoch || back.Hint != later.Hint {
		t.Error("an older hint came back")
	}
}

// Keys that others may read are refused with the command that mends it; keys that are
// damaged are refused without a byte of them.
func TestKeyFiles(t *testing.T) {
	m := newMesh(t)
	a := m.add("a.test", nil)
	open := func() error {
		n, err := Open(t.Context(), a.dir, Options{Dial: dial.Direct()})
		if err == nil {
			must(t, n.Close())
		}
		return err
	}
	must(t, open())
	files, err := os.ReadDir(filepath.Join(a.dir, keysFolder))
	must(t, err)
	if len(files) != 8 { // authority, link, context, two periods, and three of the key log
		t.Errorf("%d key files", len(files))
	}
	for _, f := range files {
		path := filepath.Join(a.dir, keysFolder, f.Name())
		must(t, os.Chmod(path, 0o640))
		wantText(t, open(), "chmod 600 "+path)
		must(t, os.Chmod(path, 0o600))

		good, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, append([]byte("secret"), good[:len(good)/2]...), 0o600))
		if err := open(); err == nil || found(err.Error(), "secret") {
			t.Errorf("damaged %s: %v", f.Name(), err)
		}
		must(t, os.WriteFile(path, good, 0o600))
	}
	must(t, open())
}

// A crash while a file is written leaves the old one.
func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, writeFile(path, []byte("old")))
	must(t, os.MkdirAll(path+".new/full", 0o700)) // so the new one cannot be written
	if err := writeFile(path, []byte("new")); err == nil {
		t.Error("written")
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	if string(raw) != "old" {
		t.Errorf("the file holds %q", raw)
	}
}

// The node of a folder that has no keys of a log makes them once, each for itself, and names
// them in its descriptor; lost ones are replaced there, and those that are left stay.
func TestKeysOfTheLog(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"]
	shown := func() pki.SignedDescriptor {
		t.Helper()
		d, err := a.node.directory.descriptor(t.Context(), a.node.cfg.Domain)
		must(t, err)
		return d
	}
	first := shown()
	if !first.HasLog() || first.Log != a.node.logging.log.Public() || first.Witness != a.node.logging.witness.Public() ||
		first.Labels != [pki.LabelsSize]byte(a.node.logging.labels.PublicKey().Bytes()) {
		t.Fatal("the descriptor names other keys than those in the folder")
	}
	must(t, a.end())
	a.start()
	if again := shown(); again.Log != first.Log || again.Witness != first.Witness || again.Labels != first.Labels {
		t.Error("other keys after another start")
	}
	must(t, a.end())
	must(t, os.Remove(a.path(keysFolder, logFile)))
	a.start()
	lost := shown()
	if lost.Log == first.Log || lost.Witness != first.Witness || lost.Labels != first.Labels || lost.Serial <= first.Serial {
		t.Error("the log key was lost, and it is not the one key that the newest descriptor has changed")
	}
	must(t, a.end())
	must(t, os.WriteFile(a.path(keysFolder, witnessFile), []byte("short"), 0o600))
	if _, err := Open(t.Context(), a.dir, Options{Dial: dial.Direct()}); err == nil {
		t.Error("a node opens with a witness key that is none")
	}
}
