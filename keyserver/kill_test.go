package keyserver

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// killEnv has a test binary publish into the folder that it names, and die at a write: "before 3"
// or "after 3". What it says on its output it has shown to others.
const (
	killEnv = "P3DO_KEYSERVER_KILL_TEST"
	killAt  = "P3DO_KEYSERVER_KILL_AT"
	killed  = 3 // users that it publishes
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(killEnv); folder != "" {
		if err := publishUntilKilled(folder, os.Getenv(killAt)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// dieAt kills this process at a write of the store.
func dieAt(c store.Config, when string) store.Config {
	var side string
	var write uint64
	_, _ = fmt.Sscan(when, &side, &write) // neither is an error: it lives
	die := func(of string) func(uint64) {
		return func(n uint64) {
			if side == of && n == write {
				self, _ := os.FindProcess(os.Getpid())
				_ = self.Kill()
				select {}
			}
		}
	}
	c.Writing, c.Durable = die("before"), die("after")
	return c
}

func publishUntilKilled(folder, when string) error {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	f, err := openFolder(folder, func(c store.Config) store.Config { return dieAt(c, when) })
	if err != nil {
		return err
	}
	defer f.store.Close()
	sealing := make(chan error, 1)
	go func() { sealing <- f.log.Run(ctx) }()
	for i := range killed {
		card, err := os.ReadFile(filepath.Join(folder, fmt.Sprintf("card%d", i)))
		if err == nil {
			err = f.publish(ctx, card)
		}
		if err != nil {
			return err
		}
		f.tellUntil(int64(i + 1))
	}
	if err := f.revoke(ctx, folder); err != nil {
		return err
	}
	f.tellUntil(killed + 2)
	end()
	return <-sealing
}

// folder is a domain's log on a disk, the keys beside it, and those of two witnesses, if it has any.
type folder struct {
	store     *store.Store
	log       *Log
	server    *Server
	ca        pki.CACert
	cosigners cosigners
}

const (
	witnessesFile = "witnesses"
	witnesses     = 2
)

// witnessed reads the witnesses of a folder: two seeds, or no file.
func (f *folder) witnessed(path string, config *LogConfig) error {
	seeds, err := os.ReadFile(filepath.Join(path, witnessesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for i := 0; err == nil && i < witnesses; i++ {
		var key pki.WitnessKey
		if key, err = pki.ParseWitnessKey(seeds[i*pki.SeedSize : (i+1)*pki.SeedSize]); err == nil {
			err = f.cosigners.add(fmt.Sprintf("w%d.test", i), key)
		}
	}
	config.Cosign, config.Quorum = f.cosigners.cosign, func() int { return witnesses }
	return err
}

func openFolder(path string, with func(store.Config) store.Config) (_ *folder, err error) {
	f := new(folder)
	var parts [3][]byte
	for i, name := range []string{"ca", "log", "labels"} {
		if parts[i], err = os.ReadFile(filepath.Join(path, name)); err != nil {
			return f, err
		}
	}
	if f.ca, err = pki.ParseCACert(parts[0]); err != nil {
		return f, err
	}
	config := LogConfig{Domain: f.ca.Domain()}
	if config.Key, err = pki.ParseLogKey(parts[1]); err != nil {
		return f, err
	}
	if config.Labels, err = keylog.ParseLabelKey(parts[2]); err != nil {
		return f, err
	}
	if err = f.witnessed(path, &config); err != nil {
		return f, err
	}
	if f.store, err = with(store.Config{Path: filepath.Join(path, "node.db")}).Open(context.Background()); err != nil {
		return f, err
	}
	config.Store = f.store
	if f.log, err = OpenLog(context.Background(), config); err != nil {
		return f, errors.Join(err, f.store.Close())
	}
	f.server = New(Config{Store: f.store, CA: f.ca, Log: f.log})
	return f, nil
}

func (f *folder) publish(ctx context.Context, raw []byte) error {
	card, err := f.ca.VerifyCard(raw, time.Now())
	if err != nil {
		return err
	}
	if err := f.server.PublishCard(ctx, card); err != nil {
		return err
	}
	fmt.Println("published", card.Certificate.Name())
	return nil
}

// revoke does what a node does with the revocation of the first user's key.
func (f *folder) revoke(ctx context.Context, folder string) error {
	raw, err := os.ReadFile(filepath.Join(folder, "revocation"))
	if err != nil {
		return err
	}
	r, err := pki.ParseRevocation(raw)
	if err != nil {
		return err
	}
	if _, err := f.store.AddStatement(ctx, revocationRow(r, f.log.Said(keylog.Revocation, r.Name(), raw)), store.Room{Each: 1}); err != nil {
		return err
	}
	_, err = f.store.DropKey(ctx, "", r.Key().Fingerprint(), f.log.Ended)
	f.log.Again()
	return err
}

// tellUntil says each checkpoint that is shown, up to a cosigned one of that size.
func (f *folder) tellUntil(size int64) {
	for {
		h := f.log.heads.Load()
		for what, h := range map[string]head{"checkpoint": h.newest, "cosigned": h.cosigned} {
			if h.signed != nil {
				fmt.Println(what, base64.StdEncoding.EncodeToString(h.signed))
			}
		}
		if h.cosigned.N >= size {
			return
		}
		<-h.next
	}
}

// Whenever a node is killed, between whichever two writes, what it showed to anybody is still true:
// each checkpoint is one of the tree on its disk, and what is published is what is logged.
func TestKilledLogNeverForks(t *testing.T) {
	for _, witnessed := range []bool{false, true} {
		t.Run(fmt.Sprintf("witnessed %t", witnessed), func(t *testing.T) { killAtEach(t, witnessed) })
	}
}

func killAtEach(t *testing.T, witnessed bool) {
	for _, side := range []string{"after", "before"} {
		for write := 1; ; write++ {
			folder := newFolder(t, witnessed)
			told, died := killAtWrite(t, folder, fmt.Sprintln(side, write))
			judgeFolder(t, folder, told)
			if !died {
				if write < 2*killed+2 || len(told["checkpoint"]) < killed {
					t.Fatalf("it lived through %d writes, and told %v", write, told)
				}
				break
			}
		}
	}
}

func newFolder(t *testing.T, witnessed bool) (path string) {
	t.Helper()
	path = t.TempDir()
	a := authority(t, "a.test")
	config := logConfig(t, nil, a.Domain(), nil)
	files := map[string][]byte{"ca": a.CA().DER(), "log": config.Key.Seed(), "labels": newLabelSecret()}
	if witnessed {
		seeds := make([]byte, witnesses*pki.SeedSize)
		_, err := rand.Read(seeds)
		must(t, err)
		files[witnessesFile] = seeds
	}
	for i := range killed {
		p := newPerson(t, a, fmt.Sprintf("u%d@a.test", i))
		files[fmt.Sprintf("card%d", i)] = p.card(t, 1).Raw()
		if i == 0 {
			r, err := p.key.RevokeKey(p.cert.DER(), time.Now())
			must(t, err)
			files["revocation"] = r.Raw()
		}
	}
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(path, name), content, 0o600))
	}
	return path
}

// killAtWrite runs a child that dies at a write, and reads what it had told by then.
func killAtWrite(t *testing.T, folder, when string) (told map[string][]string, died bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killEnv+"="+folder, killAt+"="+when)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	told = map[string][]string{}
	for scan := bufio.NewScanner(out); scan.Scan(); {
		what, of, _ := strings.Cut(scan.Text(), " ")
		told[what] = append(told[what], of)
	}
	err = child.Wait()
	if len(told["error"]) > 0 {
		t.Fatalf("%s: %v", when, told["error"])
	}
	return told, err != nil
}

func judgeFolder(t *testing.T, path string, told map[string][]string) {
	t.Helper()
	f, err := openFolder(path, func(c store.Config) store.Config { return c })
	must(t, err)
	defer f.store.Close()
	f.judgeRecords(t, told["published"])
	f.judgeTold(t, told["checkpoint"])
	f.judgeCosigned(t, told["cosigned"])
	if size, err := f.store.LogSize(t.Context()); err != nil || size == 0 {
		return // it died before the first
	}
	_, _, err = f.log.seal(t.Context()) // and it goes on
	must(t, err)
	if size, err := f.store.LogSize(t.Context()); err != nil || f.log.heads.Load().newest.N != size {
		t.Fatal("what was logged is not sealed after a restart", err)
	}
	f.judgeTold(t, told["checkpoint"])
	f.judgeCosigned(t, told["cosigned"])
}

// judgeCosigned: what was shown as cosigned is there again, or a longer one, under as many cosignatures; and it is no
// longer than the newest.
func (f *folder) judgeCosigned(t *testing.T, checkpoints []string) {
	t.Helper()
	h := f.log.heads.Load()
	if h.cosigned.N > h.newest.N {
		t.Fatalf("%d leaves are cosigned, and %d are signed", h.cosigned.N, h.newest.N)
	}
	quorum, err := keylog.Quorum(len(f.cosigners.known), f.cosigners.known)
	must(t, err)
	if h.cosigned.signed != nil {
		_, err := f.log.Reader().Open(h.cosigned.signed, quorum)
		must(t, err)
	}
	for _, text := range checkpoints {
		signed, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		head, err := f.log.Reader().Open(signed, quorum)
		must(t, err)
		if h.cosigned.N < head.N {
			t.Fatalf("a checkpoint of %d leaves was cosigned, and after a restart one of %d is", head.N, h.cosigned.N)
		}
	}
}

// judgeRecords: published if and only if logged, in the ring as well, and nothing that was told is
// gone; a card is gone if and only if its end is logged, and so is a revocation that is kept.
func (f *folder) judgeRecords(t *testing.T, published []string) {
	t.Helper()
	kinds := map[keylog.Kind]int{}
	last := map[keylog.Label]keylog.Kind{}
	for _, leaf := range leavesOf(t, f.store) {
		kinds[leaf.Kind]++
		if leaf.Kind != keylog.Revocation {
			last[leaf.Label] = leaf.Kind
		}
	}
	cards := 0
	for i := range killed {
		name := fmt.Sprintf("u%d@a.test", i)
		_, err := f.store.User(t.Context(), name)
		_, missing := f.store.Logged(t.Context(), uint8(keylog.Card), name)
		if (err == nil) != (missing == nil) {
			t.Errorf("%s: published %v, logged %v", name, err, missing)
		}
		label, _ := f.log.config.Labels.Label(name)
		if (err == nil) != (last[label] == keylog.Card) {
			t.Errorf("%s: published %v, and the last leaf is %v", name, err, last[label])
		}
		if err == nil {
			cards++
		}
	}
	kept, err := f.store.Statements(t.Context(), uint8(pki.StatementRevocation))
	must(t, err)
	diff, err := f.store.CompareRing(t.Context())
	must(t, err)
	if kinds[keylog.Card] != cards+kinds[keylog.Ended] || kinds[keylog.Card] < len(published) || kinds[keylog.Revocation] != len(kept) || !diff.Same() {
		t.Errorf("leaves %v, %d cards, %d revocations; %d were told of; ring: %+v", kinds, cards, len(kept), len(published), diff)
	}
}

func (f *folder) judgeTold(t *testing.T, checkpoints []string) {
	t.Helper()
	for _, text := range checkpoints {
		signed, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		head, err := f.log.Reader().Open(signed, nil)
		must(t, err)
		root, err := tlog.TreeHash(head.N, f.store.LogHashes(t.Context()))
		if err != nil || root != head.Hash {
			t.Fatalf("a checkpoint of %d leaves was shown that is not of the tree on the disk: %v", head.N, err)
		}
		if now := f.log.heads.Load().newest; now.N < head.N {
			t.Fatalf("a checkpoint of %d leaves was shown, and after a restart one of %d is", head.N, now.N)
		}
	}
}
