package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	cryptorand "crypto/rand"

	"golang.org/x/sync/errgroup"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A Node is one server. Open makes it, Run serves.
type Node struct {
	dir       string
	cfg       Config
	log       *slog.Logger
	dial      dial.Func // to what we are configured with
	outside   dial.Func // to what others name
	keys      keyring
	office    office
	link      pki.LinkKey
	logging   logging
	ledger    *keyserver.Log
	cert      atomic.Pointer[pki.LinkCert] // replaced when it is renewed
	faults    *link.Faults                 // one for all links: they draw from one source
	fromPeers *link.Budget                 // what the links with peers hold, whoever dialled
	store     *store.Store
	mortal    *mortal  // nil outside of a lab
	alone     *os.File // the folder, locked
	swaps     bool     // as Options.Swaps

	loop      *loop
	peers     *peers
	directory *directory
	beliefs   *beliefs
	bench     *bench
	watcher   *watcher
	publisher *publisher
	zone      *dnstxt.SignedZone // what we serve of DNS; nil: nothing
	cursors   cursors
	viewed    paces[pki.Domain] // the views of domains
	headed    paces[pki.Domain] // the heads of their key logs
	mirrors   *mirrors
	findings  *findings
	cosigned  cosigners       // of our own log
	ownLog    ownLog          // its newest head, and what of it is not here
	logPaused context.Context // ends when nothing more is to be signed in it
	pauseLog  context.CancelFunc
	logBehind chan struct{}     // has room for one: somebody has more of it than we
	logPeer   chan struct{}     // the same: somebody who may is linked
	moved     paces[[32]byte]   // what moves leave
	swept     paces[pki.Domain] // to which moves were dropped to make room
	resolver  dnstxt.Resolver
	published *keyserver.Server
	client    keyserver.Client
	bells     bells
	newcomers bucket
	metered   *meter             // what our own users hand in
	visitors  *meter             // what others' do
	clients   *keyserver.Clients // who ask for new names
	endings   *intake            // of revocations that are handed in
	objecting objections         // what challenges are taken by
	carded    *meter             // counts the cards of our own users
	readers   logReaders
	movings   *intake // the same of moves
	lobby     lobby
	lookups   *turnstile // at the homes of users
	copies    *turnstile // at peers that may have a copy
	queries   *queries   // look-ups that come through the mesh
	visits    *turnstile // for the authority of a visitor's home
	cuts      cuts       // of a lab
	spooled   chan mor.Delivery
	refused   atomic.Uint64         // deliveries that no mailbox took
	peels     atomic.Pointer[Peels] // nil: not measured yet
	news      chan struct{}         // has room for one: something new is known here
	unsaid    chan struct{}         // the same: our view may have something new to say
	succeeded chan struct{}         // the same: another authority is in office
	listener  *link.Listener
	addresses Running // where we listen, set when Run has begun to
}

// ErrServing is returned by Open for a folder whose node serves already.
var ErrServing = errors.New("node: the node in this folder serves already")

// Open reads the folder of a node that [Init] made. Run or Close it. Mistakes of the operator
// are ErrConfig, ErrNoAuthority, ErrServing and *ExposedKeyError.
func Open(ctx context.Context, dir string, o Options) (*Node, error) {
	if o.Dial == nil {
		return nil, errors.New("node: Options.Dial is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	cfg, err := ReadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	outside, err := o.outside(cfg)
	if err != nil {
		return nil, err
	}
	faults, err := o.faults(cfg.Lab)
	if err != nil {
		return nil, err
	}
	alone, err := serveAlone(ctx, dir)
	if err != nil {
		return nil, err
	}
	n := &Node{
		dir: dir, alone: alone, swaps: o.Swaps, cfg: cfg, log: o.Log, dial: o.Dial, outside: outside, faults: faults,
		fromPeers: link.NewBudget(link.DefaultBudget),
		lookups:   newTurnstile(),
		copies:    newTurnstile(),
		queries:   newQueries(),
		visits:    newTurnstile(),
		metered:   newMeter(maxMetered, maxMetered),
		visitors:  newMeter(maxMeteredVisitors, maxMeteredVisitorsOf),
		clients:   keyserver.NewClients(1/newcomerEachEvery.Seconds(), newcomersEach),
		newcomers: bucket{atOnce: newcomersAtOnce, every: newcomerEvery},
		endings:   newIntake(cfg.Domain),
		objecting: newObjections(cfg.Domain),
		carded:    newMeter(maxMetered, maxMetered), readers: newLogReaders(),
		movings:   newIntake(cfg.Domain),
		keys:      keyring{filepath.Join(dir, keysFolder)},
		spooled:   make(chan mor.Delivery, maxSpooling),
		news:      make(chan struct{}, 1),
		unsaid:    make(chan struct{}, 1),
		succeeded: make(chan struct{}, 1),
		logBehind: make(chan struct{}, 1),
		logPeer:   make(chan struct{}, 1),
	}
	n.publisher = &publisher{n: n, wake: make(chan struct{}, 1)}
	if err := n.open(ctx, time.Now()); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// serveAlone locks the folder until what it returns is unlocked; the system does that for a
// process that is killed. There is no file that could be deleted, and the lock with it.
func serveAlone(ctx context.Context, dir string) (*os.File, error) {
	if err := checkAlone(ctx, dir); err != nil {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	held, err := tryLock(folder)
	switch {
	case err != nil:
		err = fmt.Errorf("node: locking %s: %w", dir, err)
	case held:
		err = fmt.Errorf("%w (another process holds %s)", ErrServing, dir)
	default:
		return folder, nil
	}
	return nil, errors.Join(err, folder.Close())
}

// checkAlone refuses a folder whose control socket somebody answers on. What a node that
// was killed left behind is no hindrance.
func checkAlone(ctx context.Context, dir string) error {
	running, err := ReadRunning(dir)
	if err != nil {
		return nil
	}
	conn, err := dial.Unix(running.Control)(ctx, "unix", running.Control)
	if err != nil {
		return nil
	}
	conn.Close()
	return fmt.Errorf("%w (process %d)", ErrServing, running.PID)
}

func (n *Node) open(ctx context.Context, now time.Time) (err error) {
	authority, err := n.keys.authority()
	if err != nil {
		return err
	}
	if authority.Domain() != n.cfg.Domain {
		return fmt.Errorf("%w: the keys are those of %s, it says %s", ErrConfig, authority.Domain(), n.cfg.Domain)
	}
	n.office.held.Store(authority)
	if n.link, err = n.keys.link(); err != nil {
		return err
	}
	if n.logging, err = n.keys.logging(); err != nil {
		return err
	}
	if n.store, err = n.openStore(ctx); err != nil {
		return err
	}
	if err := n.compareRing(ctx); err != nil {
		return err
	}
	n.resolver, err = n.cfg.DNS.resolver(n.dir, n.cuts.door(n.dial, func(c Cut) bool { return c.DNS }))
	if err != nil {
		return err
	}
	n.client = keyserver.Client{Dial: n.cuts.door(n.outside, func(c Cut) bool { return c.KeyServers })}
	n.mirrors = newMirrors(n)
	if n.findings, err = openFindings(n.dir); err != nil {
		n.log.Warn("what audits found", "err", err)
	}
	if err := n.openKeyServer(ctx); err != nil {
		return err
	}
	if err := n.openTrust(ctx); err != nil {
		return err
	}
	n.published.SetAuthorities(authority.CA(), n.ownIssuers(ctx)[1:]...)
	if err := n.certify(ctx, now); err != nil {
		return err
	}
	n.loop, err = n.newLoop(ctx, now)
	return err
}

// openTrust reads what is known of other domains, and of what was revoked.
func (n *Node) openTrust(ctx context.Context) (err error) {
	if n.beliefs, err = openBeliefs(ctx, n.store); err != nil {
		return err
	}
	n.bench, n.watcher = newBench(n), newWatcher(n)
	if n.directory, err = openDirectory(ctx, n); err != nil {
		return err
	}
	if n.peers, err = openPeers(ctx, n); err != nil {
		return err
	}
	for peer := range n.peers.known() {
		if err := n.loadView(ctx, peer); err != nil {
			return err
		}
	}
	return n.forgetRevoked(ctx)
}

// openStore opens the database; a node of a lab may be told to die of what it writes there.
func (n *Node) openStore(ctx context.Context) (*store.Store, error) {
	cfg := store.Config{Path: filepath.Join(n.dir, databaseFile)}
	if n.cfg.Lab.Enabled {
		n.mortal = newMortal(n.cfg.Lab.Death)
		cfg = n.mortal.watch(cfg)
	}
	return cfg.Open(ctx)
}

// compareRing says in the log, without a name, that the key server has lost something or
// has something that it should not (row K5). The node serves all the same.
func (n *Node) compareRing(ctx context.Context) error {
	diff, err := n.store.CompareRing(ctx)
	if err == nil && !diff.Same() {
		n.log.Error("key ring and key server differ; run p3dod doctor",
			"only_ring", len(diff.OnlyRing), "only_server", len(diff.OnlyServer))
	}
	return err
}

// Close frees what Open took; Run does so by itself.
func (n *Node) Close() (err error) {
	if n.store != nil {
		err = n.store.Close()
	}
	if n.alone != nil { // last: then another may serve
		err = errors.Join(err, unlock(n.alone), n.alone.Close())
		n.alone = nil
	}
	return err
}

func (n *Node) newLoop(ctx context.Context, now time.Time) (*loop, error) {
	servers, err := n.keys.openers(now)
	if err != nil {
		return nil, err
	}
	own, names, err := n.keys.contexts(now)
	if err != nil {
		return nil, err
	}
	marks, err := n.marks(ctx, now)
	if err != nil {
		return nil, err
	}
	router, err := mor.NewRouter(n.cfg.router(mor.Config{
		Rand: cryptorand.Reader, Sign: n.signStatement, Servers: servers, Contexts: own, Marks: marks, Trace: n.cfg.Lab.Trace,
	}))
	if err != nil {
		return nil, err
	}
	return &loop{
		router: router, names: names, entries: make(chan entry, maxEntries), spooled: n.spooled, log: n.log,
		jobs: make(chan job, maxJobs), links: make(map[pki.Domain]*peerLink), tracer: newTracer(n.cfg.Lab.Trace),
	}, nil
}

func (n *Node) marks(ctx context.Context, now time.Time) ([]mor.Mark, error) {
	kept, err := n.store.Marks(ctx, now)
	marks := make([]mor.Mark, len(kept))
	for i, m := range kept {
		marks[i] = mor.Mark{ID: m.ID, Kind: mor.MarkKind(m.Kind), Until: m.Until}
	}
	return marks, err
}

// Run serves until ctx ends. Then it stops accepting, lets the links write what is queued,
// and ends everything it began. ready is called once when the node can be reached.
func (n *Node) Run(ctx context.Context, ready func(Running)) (err error) {
	defer func() { err = errors.Join(err, n.Close()) }()
	doors, err := n.listen(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, inner := errgroup.WithContext(ctx)
	n.start(inner, g, doors)
	if err = n.announce(ctx); err == nil {
		n.log.Info("serving", "domain", n.cfg.Domain, "link", n.addresses.Link, "keyserver", n.addresses.KeyServer)
		g.Go(func() error { return n.publisher.run(inner) }) // once it is known where we listen
		if ready != nil {
			ready(n.addresses)
		}
		<-inner.Done()
		n.log.Info("draining")
	}
	cancel()
	if ended := g.Wait(); !errors.Is(ended, context.Canceled) { // which is what it was told to
		err = errors.Join(err, ended)
	}
	n.withdraw()
	return err
}

// doors are what a node listens on. Each is closed by the goroutine that serves it.
type doors struct {
	link    *link.Listener
	keys    net.Listener
	control net.Listener
	zone    *dnstxt.Nameserver // nil: no zone is served
	metrics net.Listener       // nil: nobody is told any
}

func (n *Node) listen(ctx context.Context) (d doors, err error) {
	if d.link, err = link.Listen(n.linkConfig(), n.cfg.Listen.Link); err != nil {
		return d, fmt.Errorf("node: listening for links: %w", err)
	}
	if d.keys, err = (&net.ListenConfig{}).Listen(ctx, "tcp", n.cfg.Listen.KeyServer); err != nil {
		d.link.Close()
		return d, fmt.Errorf("node: listening for the key server: %w", err)
	}
	path := n.controlPath()
	if d.control, err = listenControl(path); err != nil {
		d.link.Close()
		d.keys.Close()
		return d, err
	}
	n.listener = d.link
	n.addresses = Running{PID: os.Getpid(), Link: d.link.Addr().String(), KeyServer: d.keys.Addr().String(), Control: path, Swaps: n.swaps}
	if d.metrics, err = n.listenMetrics(ctx); err == nil {
		d.zone, err = n.listenZone()
	}
	if err != nil {
		if d.metrics != nil {
			err = errors.Join(err, d.metrics.Close())
		}
		return d, errors.Join(err, d.link.Close(), d.keys.Close(), d.control.Close())
	}
	return d, nil
}

// linkConfig is how this node meets others: with its certificate, and with nobody but its
// peers and users.
func (n *Node) linkConfig() link.Config {
	return link.Config{
		Certificate: n.shown(), Judge: n.peers.judge, Dial: n.outside, Faults: n.faults, Log: n.log,
		NodeBudget: n.fromPeers, Pace: n.cfg.Cover.shape().peers, UserPace: n.cfg.Cover.shape().users,
	}
}

// shown is the certificate that we show on links.
func (n *Node) shown() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{n.cert.Load().DER()}, PrivateKey: n.link.Signer()}
}

// certify signs our link key, and keeps the certificate in the key ring.
func (n *Node) certify(ctx context.Context, now time.Time) error {
	cert, err := n.authority().SignLink(cryptorand.Reader, now, n.link.Public(), pki.LinkLifetime)
	if err != nil {
		return fmt.Errorf("node: certifying the link key: %w", err)
	}
	if err := n.published.PublishLink(ctx, cert); err != nil {
		return err
	}
	n.cert.Store(&cert)
	return nil
}

// renew certifies the link key anew when a third of its certificate's life is left.
func (n *Node) renew(ctx context.Context, now time.Time, listener *link.Listener) error {
	if now.Before(n.cert.Load().NotAfter().Add(-pki.LinkLifetime / 3)) {
		return nil
	}
	if err := n.certify(ctx, now); err != nil {
		return err
	}
	n.log.Info("link certificate renewed", "until", n.cert.Load().NotAfter())
	return listener.Renew(n.shown())
}

// serveKeys runs the key server.
func (n *Node) serveKeys(ctx context.Context, listener net.Listener) error {
	return n.published.Serve(ctx, listener, n.serverCertificate)
}

// serverCertificate is what the key server shows in TLS.
func (n *Node) serverCertificate() (*tls.Certificate, error) {
	return keyserver.Certificate(*n.cert.Load(), n.link, n.authority().CA()), nil
}

// start begins everything that runs, each in its goroutine.
func (n *Node) start(ctx context.Context, g *errgroup.Group, d doors) {
	var links sync.WaitGroup
	g.Go(func() error { return n.loop.run(ctx) })
	g.Go(func() error { return (&scribe{n.store, n.loop.entries, n.loop}).run(ctx) })
	g.Go(func() error { return n.acceptLinks(ctx, &links, d.link) })
	g.Go(func() error { return n.peers.run(ctx) })
	g.Go(func() error { return n.bench.run(ctx) })
	g.Go(func() error { return n.watcher.run(ctx) })
	g.Go(func() error { return n.stateViews(ctx) })
	g.Go(func() error { return n.serveKeys(ctx, d.keys) })
	g.Go(func() error { return n.serveControl(ctx, d.control) })
	if d.zone != nil {
		g.Go(func() error { return d.zone.Run(ctx) })
	}
	if d.metrics != nil {
		g.Go(func() error { return n.serveMetrics(ctx, d.metrics) })
	}
	g.Go(func() error { return n.spread(ctx) })
	g.Go(func() error { return n.tend(ctx, d.link) })
	g.Go(func() error { return n.resign(ctx) })
	g.Go(func() error { return n.mirrors.run(ctx) })
	g.Go(func() error { return n.sealLog(ctx) })
	g.Go(n.checkSelf)
	for range spoolers {
		g.Go(func() error { return n.spool(ctx) })
	}
}

// announce publishes our descriptor and says on this machine where we are.
func (n *Node) announce(ctx context.Context) error {
	n.office.busy.Lock()
	err := n.directory.publishOwn(ctx, time.Now())
	if failed := n.peers.renew(ctx, time.Now()); failed != nil && ctx.Err() == nil { // tend tries again
		n.log.Error("countersigning peers", "err", failed)
	}
	n.office.busy.Unlock()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(n.addresses)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return writeFile(filepath.Join(n.dir, runningFile), append(raw, '\n'))
}

// withdraw takes away what says that we serve.
func (n *Node) withdraw() {
	left := []string{filepath.Join(n.dir, runningFile), n.addresses.Control}
	if folder := filepath.Dir(n.addresses.Control); folder != filepath.Clean(n.dir) {
		left = append(left, folder) // was made for the socket
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			n.log.Warn("leaving something behind", "err", err)
		}
	}
}
