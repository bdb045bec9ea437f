package lab

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/node"
)

// A watcher sees every link of a mesh from both sides: the slots inside TLS, and the bytes
// outside of it.
type watcher struct {
	mu      sync.Mutex // guards what follows
	slots   [][]byte   // every slot that a node sent
	streams []*stream  // one for each direction of each link
}

func (w *watcher) tap(slot *[link.SlotSize]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots = append(w.slots, bytes.Clone(slot[:]))
}

// A stream is one direction of a TCP connection.
type stream struct {
	mu    sync.Mutex
	bytes []byte
}

func (s *stream) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(s.bytes, b...)
}

type watchedConn struct {
	*net.TCPConn
	out, in *stream
}

func (c watchedConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.out.add(b[:n])
	return n, err
}

func (c watchedConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.in.add(b[:n])
	return n, err
}

// through watches the connections to link addresses.
func (w *watcher) through(isLink func(string) bool) dial.Func {
	direct := dial.Direct()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := direct(ctx, network, address)
		tcp, ok := conn.(*net.TCPConn)
		if err != nil || !ok || !isLink(address) {
			return conn, err
		}
		watched := watchedConn{tcp, new(stream), new(stream)}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.streams = append(w.streams, watched.out, watched.in)
		return watched, nil
	}
}

// records returns the lengths of the TLS records of s, header left out.
func (s *stream) records(t *testing.T) (lengths []int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := s.bytes; len(rest) >= 5; {
		length := int(rest[3])<<8 | int(rest[4])
		if rest[0] < 20 || rest[0] > 23 || rest[1] != 3 {
			t.Fatalf("bytes outside of a TLS record: % x", rest[:5])
		}
		lengths = append(lengths, length)
		if len(rest) < 5+length {
			break // the link ended in the middle of a record
		}
		rest = rest[5+length:]
	}
	return lengths
}

// sealedSlot is the length of a record that carries one slot: plaintext, content type, tag.
const sealedSlot = link.SlotSize + 1 + 16

// TestNothingShows: two people write to each other through five nodes, and neither who
// taps all links inside TLS nor who captures them outside finds more than slots.
func TestNothingShows(t *testing.T) {
	w := &watcher{}
	nodes := startWatched(t, w, node.Options{Faults: &link.Faults{Tap: w.tap}})
	ann := meet(t, w, nodes, "ann@a.test", agent.Config{})
	bob := meet(t, w, nodes, "bob@b.test", agent.Config{})
	id := exchange(t, ann, bob)
	for _, n := range nodes {
		n.stop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Run("inside", func(t *testing.T) { inside(t, w.slots, nodes, []*agent.Agent{ann, bob}, id) })
	t.Run("peels", func(t *testing.T) { peels(t, w.slots) })
	t.Run("outside", func(t *testing.T) { outside(t, w.streams) })
}

// outside: once the handshake is over, every record has one size, in both directions.
func outside(t *testing.T, streams []*stream) {
	slots := 0
	for _, s := range streams {
		lengths := s.records(t)
		handshake := true
		for i, n := range lengths {
			if handshake && n != sealedSlot && i < 8 {
				continue
			}
			handshake = false
			slots++
			if n != sealedSlot {
				t.Errorf("record %d of %d has %d bytes, not %d", i, len(lengths), n, sealedSlot)
			}
		}
	}
	if len(streams) < 2*7 || slots < 100 {
		t.Fatalf("only %d streams with %d slots were seen", len(streams), slots)
	}
}

// inside: no packet shows a name, a fingerprint, a key, an address or an id; what nodes
// tell each other beside packets names no user.
func inside(t *testing.T, slots [][]byte, nodes []*watched, users []*agent.Agent, id mor.MessageID) {
	people := []trace{textTrace("ann", "ann@a.test"), textTrace("bob", "bob@b.test"), bytesTrace("the id", id[:])}
	for _, u := range users {
		self, err := u.Self()
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, bytesTrace("a user's fingerprint", self.Fingerprint[:]))
	}
	all := people
	for _, n := range nodes {
		all = append(all, n.secrets(t)...)
	}
	packets := 0
	for _, slot := range slots {
		against := all
		switch kind := slot[0] >> 4; {
		case kind == 1 || kind == 2:
			packets++
		case bytes.HasPrefix(slot[4:], []byte(`{"seq":`)):
			continue // to a user, on her own link: her own name may be in it
		default:
			against = people
		}
		for _, trace := range against {
			if trace.in(slot) {
				t.Errorf("a slot of kind %#x shows %s", slot[0], trace.what)
			}
		}
	}
	if packets < 100 {
		t.Fatalf("only %d packets were seen", packets)
	}
}

// peels: no two packets that nodes said have 16 bytes in common at any two places. What goes into a peel and what comes out
// of it are two of them (row Y14).
func peels(t *testing.T, slots [][]byte) {
	const long = 16
	packets := make(map[string]bool)
	for _, slot := range slots {
		if kind := slot[0] >> 4; kind == 1 || kind == 2 {
			packets[string(slot[1:])] = true // a forward and a rebroadcast are one packet
		}
	}
	if len(packets) < 10 {
		t.Fatalf("only %d packets differ", len(packets))
	}
	in := make(map[[long]byte]bool)
	for packet := range packets {
		for i := 0; i+long <= len(packet); i++ {
			if window := [long]byte([]byte(packet[i : i+long])); in[window] {
				t.Fatalf("two packets have the 16 bytes % x", window)
			} else {
				in[window] = true
			}
		}
	}
	t.Logf("%d packets, no two with 16 bytes in common", len(packets))
}

// secrets are the fingerprints and keys of n that no packet may show.
func (n *watched) secrets(t *testing.T) []trace {
	t.Helper()
	traces := []trace{textTrace("a domain", n.domain.String())}
	raw, err := os.ReadFile(filepath.Join(n.dir, "keys", "context-0"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := onion.ParseContextPrivateKey(raw[16:48])
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().Bytes()
	traces = append(traces, bytesTrace("a context's id", raw[:16]), bytesTrace("a context key", public[:]), bytesTrace("a hint", raw[48:80]))
	files, err := filepath.Glob(filepath.Join(n.dir, "keys", "server-*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no server keys", err)
	}
	for _, file := range files {
		seed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		server, err := onion.ParseServerPrivateKey(seed)
		if err != nil {
			t.Fatal(err)
		}
		id := server.Public().ID()
		traces = append(traces, bytesTrace("a server's fingerprint", id[:]), bytesTrace("a server key", server.Public().Bytes()[:64]))
	}
	return traces
}

// TestKnowledgeFinds: the search that says who knew what finds what is there.
func TestKnowledgeFinds(t *testing.T) {
	raw := []byte("sixteen bytes id")
	for _, form := range []string{
		string(raw), "x" + string(raw) + "y", `{"id":"c2l4dGVlbiBieXRlcyBpZA"}`, `{"all":"eHNpeHRlZW4gYnl0ZXMgaWR5"}`,
	} {
		if !bytesTrace("id", raw).in([]byte(form)) {
			t.Errorf("not found in %q", form)
		}
	}
	if bytesTrace("id", raw).in([]byte(strings.Repeat("another id ", 20))) {
		t.Error("found where it is not")
	}
}
