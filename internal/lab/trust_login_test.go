package lab

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/node"
)

// poses has a server under the forger's key say that it is that of the name's domain, in a DNS of
// its own, and certify the name: so the folder of who has all that it takes, but for the right
// signature.
func (f *forger) poses(who string) {
	f.t.Helper()
	dns, err := dnstxt.Listen("127.0.0.1:0", zone)
	fatal(f.t, err)
	ctx, cancel := context.WithCancel(f.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = dns.Run(ctx) })
	defer running.Wait()
	defer cancel()
	apart := *f.stage // is another world
	apart.lab = &lab{cfg: f.cfg, responder: dns}

	p := &process{domain: f.name.Domain(), dir: filepath.Join(f.home, who+"-server"), ended: make(chan struct{})}
	_, err = node.Init(p.dir, apart.nodeConfig(p.domain, MaxNodes), time.Now(), nil)
	fatal(f.t, err)
	fatal(f.t, os.WriteFile(filepath.Join(p.dir, "keys", "authority"), f.as.Marshal(), 0o600))
	fatal(f.t, p.start(f.cfg.Program))
	fatal(f.t, apart.publish(f.ctx, p))
	if p.fingerprint != f.by.CA().Fingerprint() {
		f.t.Errorf("%s serves under another key", p.domain)
	}
	apart.p3do(who, "new", f.name.String()).exits(0)
	fatal(f.t, p.kill())
}

// refusedAtLogin: with a folder of her own that another domain has certified nobody is let in
// under a name, at any server.
func (f *forger) refusedAtLogin() {
	f.t.Helper()
	f.poses("poser")
	for _, at := range []string{"b.test", "c.test", "d.test", "e.test"} {
		f.p3do("poser", "login", f.name.String(), "--via", at).exits(4).
			says(`^p3do: error: `+f.by.Domain().String()+` may not sign for `+f.name.Domain().String()+`\.$`, "^p3do: hint: p3do status")
	}
	f.p3do("poser", "login").exits(4) // the home shows another key
	f.p3do("ann", "login", f.name.String(), "--via", "c.test").exits(0).says("Connected through c.test")
	f.p3do("ann", "login").exits(0).says("Connected through your home a.test")
}
