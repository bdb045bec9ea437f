package keyserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"
	"time"

	vrf "filippo.io/mostly-harmless/vrf-r255"
	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// cosigners are witnesses that sign whatever they are given.
type cosigners struct {
	known   []keylog.Witness
	signers []*torchwood.CosignatureSigner
	deaf    int // how many of the first do not answer before they are given up
}

func newCosigners(t testing.TB, domains ...string) *cosigners {
	t.Helper()
	c := &cosigners{}
	for _, text := range domains {
		key, err := pki.NewWitnessKey(rand.Reader)
		must(t, err)
		must(t, c.add(text, key))
	}
	return c
}

func (c *cosigners) add(text string, key pki.WitnessKey) error {
	d, err := pki.ParseDomain(text)
	if err != nil {
		return err
	}
	s, err := torchwood.NewCosignatureSigner(keylog.WitnessName(d), key.Signer())
	c.known, c.signers = append(c.known, keylog.Witness{Domain: d, Key: key.Public()}), append(c.signers, s)
	return err
}

func (c *cosigners) cosign(ctx context.Context, tree tlog.Tree, signed []byte, _ func(int64) (tlog.TreeProof, error), take func(note.Signature)) {
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	for _, s := range c.signers[c.deaf:] {
		raw, err := note.Sign(&note.Note{Text: string(text) + "\n"}, s)
		if err != nil {
			panic(err)
		}
		n, err := note.Open(raw, note.VerifierList(s.Verifier()))
		if err != nil {
			panic(err)
		}
		take(n.Sigs[0])
	}
	if c.deaf > 0 {
		<-ctx.Done()
	}
}

func (c *cosigners) quorum(t testing.TB, q int) torchwood.Policy {
	t.Helper()
	p, err := keylog.Quorum(q, c.known)
	must(t, err)
	return keylog.Fresh(p, time.Now())
}

// logged is a world with a log.
type logged struct {
	*world
	log       *Log
	cosigners *cosigners
}

func labelKey(t testing.TB) keylog.LabelKey {
	t.Helper()
	k, err := keylog.ParseLabelKey(newLabelSecret())
	must(t, err)
	return k
}

func newLabelSecret() []byte { return vrf.GenerateKey().Bytes() }

func logConfig(t testing.TB, st *store.Store, d pki.Domain, c *cosigners) LogConfig {
	t.Helper()
	key, err := pki.NewLogKey(rand.Reader)
	must(t, err)
	config := LogConfig{Store: st, Domain: d, Key: key, Labels: labelKey(t)}
	if c != nil {
		config.Cosign, config.Quorum = c.cosign, func() int { return 2 }
	}
	return config
}

func newLogged(t testing.TB, c *cosigners) *logged {
	t.Helper()
	return newLoggedWith(t, c, func(*Config) {})
}

func newLoggedWith(t testing.TB, c *cosigners, change func(*Config)) *logged {
	t.Helper()
	w := &logged{cosigners: c}
	w.world = newWorld(t, "a.test", func(config *Config) {
		var err error
		w.log, err = OpenLog(context.Background(), logConfig(t, config.Store, config.CA.Domain(), c))
		must(t, err)
		config.Log = w.log
		change(config)
	})
	run(t, w.log)
	return w
}

// run seals until the test ends.
func run(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// sealed waits until all that is logged is under a checkpoint with a quorum.
func (w *logged) sealed(t testing.TB) tlog.Tree {
	t.Helper()
	size, err := w.store.LogSize(context.Background())
	must(t, err)
	late := time.After(patience)
	for {
		h := w.log.heads.Load()
		if h.cosigned.N >= size {
			return h.cosigned.Tree
		}
		select {
		case <-h.next:
		case <-late:
			t.Fatal("no checkpoint came")
		}
	}
}

func (w *logged) by(t testing.TB, q int) Proven {
	t.Helper()
	by := Proven{Log: w.log.Reader()}
	if w.cosigners != nil {
		by.Witnesses = w.cosigners.quorum(t, q)
	}
	return by
}

// descriptorWithLog is a descriptor that names the log.
func (w *logged) descriptorWithLog(t testing.TB) pki.SignedDescriptor {
	t.Helper()
	witness, err := pki.NewWitnessKey(rand.Reader)
	must(t, err)
	now, r := time.Now(), w.log.Reader()
	d, err := w.authority.SignDescriptor(pki.Descriptor{
		Serial: 7, Issued: now, Expires: now.Add(pki.DescriptorLifetime),
		ServerKeys: make([]pki.ServerKey, 1), Links: []string{"127.0.0.1:7001"}, KeyServers: []string{"127.0.0.1:7002"},
		Log: r.Key, Witness: witness.Public(), Labels: r.Labels,
	})
	must(t, err)
	return d
}
