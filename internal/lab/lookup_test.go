package lab

import (
	"bytes"
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// An observer sees one node, or one program, from inside: the slots that it sends before they are
// sealed, what it writes to its log, and whom it connects to.
type observer struct {
	mu     sync.Mutex // guards what follows
	slots  [][]byte
	log    bytes.Buffer
	dialed []dialed
	local  []string // addresses from which it connected
}

// A dialed is one connection that was asked for.
type dialed struct {
	address string
	at      time.Time
}

func (o *observer) tap(slot *[link.SlotSize]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.slots = append(o.slots, bytes.Clone(slot[:]))
}

func (o *observer) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(line)
}

func (o *observer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	o.mu.Lock()
	o.dialed = append(o.dialed, dialed{address, time.Now()})
	o.mu.Unlock()
	conn, err := dial.Direct()(ctx, network, address)
	if err == nil {
		o.mu.Lock()
		o.local = append(o.local, conn.LocalAddr().String())
		o.mu.Unlock()
	}
	return conn, err
}

// sent are those of the traces that are in what it has sent, or in its log.
func (o *observer) sent(traces []trace) (found []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	places := append(slices.Clone(o.slots), o.log.Bytes())
	for _, trace := range traces {
		if slices.ContainsFunc(places, trace.in) {
			found = append(found, trace.what)
		}
	}
	return found
}

// addresses are traces of those from which it connected.
func (o *observer) addresses() (traces []trace) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, address := range o.local {
		traces = append(traces, textTrace("the network address "+address, address))
	}
	return traces
}

func (o *observer) options() node.Options {
	log := slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return node.Options{Dial: o.dial, Log: log, Faults: &link.Faults{Tap: o.tap}}
}

// since is whom it connected to from then on.
func (o *observer) since(t time.Time) (addresses []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.dialed {
		if !d.at.Before(t) {
			addresses = append(addresses, d.address)
		}
	}
	return addresses
}

// quiet tells whether it has connected to an address before, and not lately.
func (o *observer) quiet(address string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	last := time.Time{}
	for _, d := range o.dialed {
		if d.address == address {
			last = d.at
		}
	}
	return !last.IsZero() && time.Since(last) > 3*watchEvery
}

// shows are those of the traces that are in the slots, the log or the folder of a node.
func (o *observer) shows(t *testing.T, n *watched, traces []trace) (found []string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	places := append(slices.Clone(o.slots), o.log.Bytes())
	err := filepath.WalkDir(n.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		places = append(places, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.slots) < 100 || len(places) < len(o.slots)+3 || o.log.Len() == 0 {
		t.Fatalf("%s: only %d slots and %d places were seen", n.domain, len(o.slots), len(places))
	}
	for _, trace := range traces {
		if slices.ContainsFunc(places, trace.in) {
			found = append(found, trace.what)
		}
	}
	return found
}

// tracesOf is what names a user of a node, and where strangers write to.
func tracesOf(t *testing.T, a *agent.Agent, home *watched) []trace {
	t.Helper()
	self, err := a.Self()
	if err != nil {
		t.Fatal(err)
	}
	name := self.Name.String()
	at, client := keyserver.Endpoint{Address: home.running.KeyServer, CA: home.print}, keyserver.Client{Dial: dial.Direct()}
	d, err := client.Server(t.Context(), at, home.domain)
	if err != nil {
		t.Fatal(err)
	}
	unvouched, err := client.User(t.Context(), at, self.Name)
	if err != nil {
		t.Fatal(err)
	}
	card, err := d.CA.VerifyCard(unvouched.Raw(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return []trace{
		textTrace(name, name), bytesTrace(name+" in base64", []byte(name)), bytesTrace("the key of "+name, self.Fingerprint[:]),
		bytesTrace("the mailbox of "+name, card.Requests[:]), bytesTrace("what answers to "+name+" are made with", card.Auth[:]),
	}
}

// TestLookupTiesNothing: ann@a.test checks bob@d.test for the first time, and writes to him. Her program
// asks DNS nothing and sends nothing of his, her server does not connect to his, and nothing of his is in what
// hers sends, logs or keeps, then or later, nor anything of hers in what his does, or the others. With --direct,
// all of that is there.
func TestLookupTiesNothing(t *testing.T) {
	t.Run("through the mesh", func(t *testing.T) {
		w := watchLookup(t, false)
		if n := w.connections(); n > 0 {
			t.Errorf("a.test connected to d.test %d times", n)
		}
		if found := w.hers.sent(w.ofBob); len(found) > 0 {
			t.Errorf("ann's program sent %q", found)
		}
		for i, n := range w.nodes {
			if found := w.seen[i].shows(t, n, w.ofBob); len(found) > 0 && n.domain != w.nodes[3].domain {
				t.Errorf("%s has %q", n.domain, found)
			}
			if found := w.seen[i].shows(t, n, w.ofAnn); len(found) > 0 && n.domain != w.nodes[0].domain {
				t.Errorf("%s has %q", n.domain, found)
			}
		}
	})
	t.Run("direct", func(t *testing.T) {
		w := watchLookup(t, true)
		if found := w.hers.sent(w.ofBob); len(found) == 0 {
			t.Error("nothing of bob was seen in what ann's program sent")
		}
		if n := w.connections(); n == 0 {
			t.Error("no connection to the key server was seen")
		}
		if found := w.seen[0].shows(t, w.nodes[0], w.ofBob); len(found) == 0 {
			t.Error("nothing of bob was found at a.test")
		}
	})
}

// A deaf is where a program that is given it as its DNS server asks in vain, and is counted.
type deaf struct {
	address string
	count   atomic.Int64
}

func newDeaf(t *testing.T) *deaf {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	for udp == nil { // until a port is free for both
		var err error
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err != nil {
			udp = nil // and not an interface that holds nothing
			tcp.Close()
		}
	}
	d := &deaf{address: tcp.Addr().String()}
	var listening sync.WaitGroup
	listening.Go(func() {
		for conn, err := tcp.Accept(); err == nil; conn, err = tcp.Accept() {
			d.count.Add(1)
			conn.Close()
		}
	})
	listening.Go(func() {
		for _, _, err := udp.ReadFrom(make([]byte, 512)); err == nil; _, _, err = udp.ReadFrom(make([]byte, 512)) {
			d.count.Add(1)
		}
	})
	t.Cleanup(func() { tcp.Close(); udp.Close(); listening.Wait() })
	return d
}

// reopen opens a user's folder again, with a DNS server that answers nothing.
func (d *deaf) reopen(t *testing.T, a *agent.Agent, cfg agent.Config) *agent.Agent {
	t.Helper()
	cfg.Passphrase, cfg.DNS = []byte("correct horse"), d.address
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := agent.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// A lookupWatch is what was seen while ann looked up bob and wrote to him.
type lookupWatch struct {
	nodes        []*watched
	seen         []*observer // of the nodes
	hers         *observer   // of ann's program
	began        time.Time   // before she asked first
	ofAnn, ofBob []trace
}

// mailboxesAt are traces of the mailboxes that users have claimed at a node, that for replies to look-ups among them.
func mailboxesAt(t *testing.T, n *watched) (traces []trace) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(n.dir, "node.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT kind, address FROM mailboxes")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	replies := false
	for rows.Next() {
		var kind string
		var address []byte
		if err := rows.Scan(&kind, &address); err != nil {
			t.Fatal(err)
		}
		replies = replies || kind == "replies"
		traces = append(traces, bytesTrace("her mailbox for "+kind, address))
	}
	if err := rows.Err(); err != nil || !replies {
		t.Fatalf("no mailbox for replies among %d: %v", len(traces), err)
	}
	return traces
}

// connections is how often ann's server has connected to bob's.
func (w *lookupWatch) connections() (n int) {
	for _, address := range w.seen[0].since(w.began) {
		if address == w.nodes[3].running.KeyServer || address == w.nodes[3].running.Link {
			n++
		}
	}
	return n
}

// watchLookup has it happen in five nodes, of which a.test and d.test are no peers.
func watchLookup(t *testing.T, direct bool) *lookupWatch {
	w := &lookupWatch{seen: make([]*observer, 5)}
	w.nodes = startEach(t, &watcher{}, func(i int) node.Options {
		w.seen[i] = new(observer)
		return w.seen[i].options()
	})
	hers, asked := new(observer), newDeaf(t)
	w.hers = hers
	cfg := agent.Config{Direct: direct, Dial: hers.dial, Home: filepath.Join(t.TempDir(), "ann"), Faults: &link.Faults{Tap: hers.tap}}
	cfg.Log = slog.New(slog.NewTextHandler(hers, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ann := asked.reopen(t, meet(t, nil, w.nodes, "ann@a.test", cfg), cfg)
	bob := meet(t, nil, w.nodes, "bob@d.test", agent.Config{Dial: dial.Direct()})
	until(t, "a.test to have looked at d.test", func() bool { return w.seen[0].quiet(w.nodes[3].running.KeyServer) })
	w.ofAnn, w.ofBob = tracesOf(t, ann, w.nodes[0]), tracesOf(t, bob, w.nodes[3])
	w.write(t, ann, bob)
	w.ofAnn = slices.Concat(w.ofAnn, hers.addresses(), mailboxesAt(t, w.nodes[0]))
	w.whileRunning(t, direct)
	for _, address := range hers.since(w.began) {
		if address != w.nodes[0].running.Link {
			t.Errorf("ann's program connected to %s", address)
		}
	}
	if n := asked.count.Load(); n > 0 {
		t.Errorf("ann's program asked DNS %d times", n)
	}
	for _, n := range w.nodes {
		n.stop()
	}
	return w
}

// whileRunning looks at what the two servers have on their disks before they end, and tidy up.
func (w *lookupWatch) whileRunning(t *testing.T, direct bool) {
	t.Helper()
	if found := w.seen[0].shows(t, w.nodes[0], w.ofBob); len(found) > 0 && !direct {
		t.Errorf("while it runs, a.test has %q", found)
	}
	if found := w.seen[3].shows(t, w.nodes[3], w.ofAnn); len(found) > 0 {
		t.Errorf("while it runs, d.test has %q", found)
	}
}

// write checks bob's key, and writes to him.
func (w *lookupWatch) write(t *testing.T, ann, bob *agent.Agent) {
	ctx, cancel := context.WithTimeout(t.Context(), meshPatience)
	defer cancel()
	to, err := bob.Self()
	if err != nil {
		t.Fatal(err)
	}
	var began time.Time
	w.began = time.Now()
	until(t, "ann to have bob confirmed", func() bool { // a mesh that is seconds old is not sure of itself
		began = time.Now()
		r, err := ann.Check(ctx, agent.Subject{Name: to.Name, Domain: to.Name.Domain()})
		return err == nil && r.Problem() == nil
	})
	checked := time.Now()
	status, err := ann.Send(ctx, to.Name, "hello", agent.Way{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := mor.ParseMessageID(status.ID)
	if err == nil {
		_, err = ann.Wait(ctx, id, mor.StoredThere, func(agent.Status) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.ofBob = append(w.ofBob, bytesTrace("the id of the message", id[:]))
	t.Logf("check took %d ms; a look-up and a message %d ms", checked.Sub(began).Milliseconds(), time.Since(checked).Milliseconds())
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(meshPatience); !holds(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestLookupWithoutHome: with their home dead, bob is known by the card that he has published where he
// logged in, and cid, who was never elsewhere, by the copies that his home gave to its peers, with the
// proof that it is in its log. It is said of both that their home is away.
func TestLookupWithoutHome(t *testing.T) {
	nodes := startEach(t, &watcher{}, func(int) node.Options { return node.Options{Dial: dial.Direct()} })
	ann := meet(t, nil, nodes, "ann@a.test", agent.Config{Dial: dial.Direct()})
	bob := meet(t, nil, nodes, "bob@d.test", agent.Config{Dial: dial.Direct()})
	cid := meet(t, nil, nodes, "cid@d.test", agent.Config{Dial: dial.Direct()})
	check := func(who *agent.Agent) (agent.Report, error) {
		to, err := who.Self()
		if err != nil {
			t.Fatal(err)
		}
		return ann.Check(t.Context(), agent.Subject{Name: to.Name, Domain: to.Name.Domain()})
	}
	until(t, "ann to have bob confirmed", func() bool {
		r, err := check(bob)
		return err == nil && r.Problem() == nil
	})
	if in, err := bob.Login(t.Context(), nodes[2].domain); err != nil || in.Through != nodes[2].domain {
		t.Fatal(in, err)
	}
	his, err := cid.Self()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*watched{nodes[1], nodes[2], nodes[4]} { // the peers of d.test
		at := keyserver.Endpoint{Address: n.running.KeyServer, CA: n.print}
		until(t, n.domain.String()+" to have cid's card from his home, with its proof", func() bool {
			_, proof, err := keyserver.Client{Dial: dial.Direct()}.Proof(t.Context(), at, keyserver.Subject{Name: his.Name})
			return err == nil && len(keylog.Cosigners(proof)) == 3
		})
	}
	nodes[3].stop()
	r, err := check(bob)
	if err != nil || !r.Offline || r.Shown != (pki.Fingerprint{}) || r.Problem() != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := check(cid); err != nil || !r.Offline || r.Key != his.Fingerprint || r.Problem() != nil || r.Trust != agent.Vouched {
		t.Errorf("%+v, %v", r, err)
	}
}
