package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// A tag is what the head of a packet shows to those who know its context.
type tag [16]byte

// tags are those of all packets that were sent.
type tags struct {
	mu   sync.Mutex // guards seen
	seen map[tag]bool
}

func (s *tags) tap(slot *[link.SlotSize]byte) {
	if kind := link.Kind(slot[0] >> 4); kind != link.KindPacket && kind != link.KindForward {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[tag(slot[4:20])] = true
}

// traces are all tags, in all forms in which a log might show them.
func (s *tags) traces() (all []trace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.seen { // order-free: all are searched for
		all = append(all, logTrace("the tag of a packet", t[:]))
	}
	return all
}

// A journal is what many write at once.
type journal struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(b)
}

// TestLogsNameNobody: of a mesh that loses packets, whose nodes go away and come back, that
// refuses strangers and has users who come and go, everything is logged that can be. It
// shows no name, no address of a user, no id, no fingerprint of a user and no tag.
func TestLogsNameNobody(t *testing.T) {
	var log journal
	talkative := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	sent := &tags{seen: make(map[tag]bool)}
	lossy := node.Options{Log: talkative, Faults: &link.Faults{
		Loss: 0.1, Delay: 10 * time.Millisecond, Rand: rand.New(rand.NewPCG(1, 2)), Tap: sent.tap,
	}}
	w := &watcher{}
	nodes := startWatched(t, w, lossy)
	private := nameTraces("quiet-ann@a.test")
	private = append(private, nameTraces("quiet-bob@b.test")...)
	ann, annFrom := meetQuiet(t, nodes, "quiet-ann@a.test", talkative)
	bob, bobFrom := meetQuiet(t, nodes, "quiet-bob@b.test", talkative)
	ids := bothWays(t, ann, bob)

	relay := nodes[3]
	relay.stop()
	refusals(t, nodes[0], ann)
	lossy.Dial = dial.Direct()
	relay.again(t, lossy)
	settle(t, relay, len(nodes))
	ids = append(ids, bothWays(t, ann, bob)...)

	private = append(private, privateOf(t, ann, annFrom)...)
	private = append(private, privateOf(t, bob, bobFrom)...)
	private = append(private, Private{IDs: ids}.traces("")...)
	for _, n := range nodes {
		n.stop()
	}
	tags := sent.traces()
	searched(t, log.all.Bytes(), append(private, tags...), explainedOf(nodes))
	for _, planted := range []string{"tag=" + fmt.Sprintf("%x", firstTag(sent)), ids[0], annFrom.all()[0], "quiet-bob"} {
		spoilt := append(slices.Clone(log.all.Bytes()), "level=DEBUG msg="+planted+"\n"...)
		if len(shownBy(spoilt, append(private, tags...), explainedOf(nodes))) == 0 {
			t.Errorf("%s stands in the log and is not found", planted)
		}
	}
}

// bothWays has two users write to each other, and stay until both texts are acknowledged. It
// returns the ids of the texts.
func bothWays(t *testing.T, users ...*agent.Agent) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), meshPatience)
	defer cancel()
	var running sync.WaitGroup
	var finished atomic.Int32
	ids, errs := make([]string, len(users)), make([]error, len(users))
	for i, u := range users {
		running.Go(func() {
			self, err := users[1-i].Self()
			if err == nil {
				ids[i], err = writes(ctx, u, self.Name, func() {
					if finished.Add(1) == int32(len(users)) {
						cancel() // at once, and not when the next item comes
					}
				})
			}
			errs[i] = err
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil || finished.Load() != int32(len(users)) {
		t.Fatalf("%d of %d texts acknowledged: %v", finished.Load(), len(users), err)
	}
	return ids
}

// writes sends a text, and shows what comes, until ctx ends. It calls acknowledged when the
// text is.
func writes(ctx context.Context, u *agent.Agent, to pki.Name, acknowledged func()) (string, error) {
	sent, err := sendSoon(ctx, u, to, "how are you?")
	if err != nil {
		return "", err
	}
	id, err := mor.ParseMessageID(sent.ID)
	if err != nil {
		return "", err
	}
	once := sync.OnceFunc(acknowledged)
	err = u.Follow(ctx, func() error {
		for ok := true; ok; {
			if ok, err = showNext(ctx, u, func(agent.Message) error { return nil }); err != nil {
				return err
			}
		}
		status, err := u.Status(id)
		if err == nil && status.Reached(mor.Acknowledged) {
			once()
		}
		return err
	})
	if ctx.Err() != nil {
		return sent.ID, nil
	}
	return sent.ID, err
}

// searched demands that a log has something in it and shows nothing that it may not.
func searched(t *testing.T, log []byte, private []trace, explained []string) {
	t.Helper()
	for _, what := range shownBy(log, private, explained) {
		t.Errorf("the log shows %s", what)
	}
	for _, wanted := range []string{"serving", "linked", "link ended", "no link", "refused a link", "is no peer of", "level=DEBUG"} {
		if !bytes.Contains(log, []byte(wanted)) {
			t.Errorf("%q is not in the log: nothing of that sort has happened", wanted)
		}
	}
	if len(private) < 60 {
		t.Errorf("only %d things were searched for", len(private))
	}
	t.Logf("%d bytes of log, searched for %d things", len(log), len(private))
	if t.Failed() {
		t.Logf("%s", log)
	}
}

func firstTag(s *tags) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.seen { // order-free: any will do
		return t[:]
	}
	return nil
}

// again starts a node that was stopped, where it was.
func (n *watched) again(t *testing.T, o node.Options) {
	t.Helper()
	path := filepath.Join(n.dir, node.ConfigFile)
	c, err := node.ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	c.Listen = node.Listen{Link: n.running.Link, KeyServer: n.running.KeyServer}
	if err := os.WriteFile(path, []byte(c.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	n.run(t, o)
}

// meetQuiet makes a user whose program logs all it can, and notes where she connects from.
func meetQuiet(t *testing.T, nodes []*watched, name string, log *slog.Logger) (*agent.Agent, *addresses) {
	t.Helper()
	from := new(addresses)
	return meet(t, nil, nodes, name, agent.Config{Log: log, Dial: from.through(dial.Direct())}), from
}

// all are the addresses that were used.
func (a *addresses) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.used)
}

// privateOf is what no log may show of a user.
func privateOf(t *testing.T, a *agent.Agent, from *addresses) []trace {
	t.Helper()
	self, err := a.Self()
	if err != nil {
		t.Fatal(err)
	}
	return Private{Fingerprint: self.Fingerprint[:], Addresses: from.all()}.traces(self.Name.String())
}

// explainedOf is what a log may show although it looks like a key: folders, and the
// fingerprints of the domains.
func explainedOf(nodes []*watched) []string {
	var known []string
	for _, n := range nodes {
		known = append(known, n.dir, n.print.String())
	}
	return known
}

// refusals are strangers at the door of n: one who sends noise, one who speaks TLS and no
// more, one who goes away at once, and a user who asks for a name that nobody has.
func refusals(t *testing.T, n *watched, user *agent.Agent) {
	t.Helper()
	for _, words := range []string{"", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("\x16\x03\x03\xff\xff", 10)} {
		conn, err := net.Dial("tcp", n.running.Link)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, words)
		conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // until it hangs up
		conn.Close()
	}
	if conn, err := tls.Dial("tcp", n.running.Link, &tls.Config{InsecureSkipVerify: true}); err == nil {
		_, _ = io.Copy(io.Discard, conn) // until it hangs up
		conn.Close()
	}
	nobody, err := pki.ParseName("quiet-nobody@b.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := user.Send(t.Context(), nobody, "is anybody there?", agent.Way{}); err == nil {
		t.Error("wrote to nobody")
	}
	ctx, cancel := context.WithTimeout(t.Context(), meshPatience)
	defer cancel()
	if err := user.Fetch(ctx); err != nil {
		t.Fatal(err)
	}
}
