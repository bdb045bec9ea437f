package node

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Each way to attack a node that somebody outside has, done in masses: what it costs is
// bounded, the user ann and the peers y and z are served meanwhile, and when it is over it
// is given back. Silence is in TestSilence, since it takes its time.
func TestAttacks(t *testing.T) {
	for _, a := range []attack{
		{name: "half-open handshakes, byte by byte", with: halfOpen, goroutines: 2 * link.MaxHandshakes, memory: 32},
		{name: "user links on which nobody logs in", with: visitors, then: (*field).newcomer, goroutines: 4 * maxVisitors, memory: 160},
		{name: "packets for nobody", with: strayPackets, memory: 48},
		{name: "the same packet", with: samePacket, memory: 32},
		{name: "one letter wrapped anew for three epochs", with: replays, memory: 48},
		{name: "packets that peel to garbage letters", with: garbageLetters, memory: 48},
		{name: "letters of strangers without work", with: unworkedLetters, memory: 48},
		{name: "letters for a mailbox", with: manyLetters, memory: 48},
		{name: "news, Asks and answers nobody asked for", with: controlFlood, memory: 48},
		{name: "messages of 1 MiB that users do not end", with: unfinishedMessages, goroutines: perLink * manyLinks, memory: 256},
		{name: "answers that users do not read", with: unreadAnswers, goroutines: perLink * manyLinks, memory: 128},
		{name: "submissions", domains: []string{"b.test", "c.test"}, with: submissions, goroutines: 64, memory: 64},
		{name: "registrations", with: registrations, goroutines: 64, memory: 32},
		{name: "questions to the key server", with: questions, then: (*field).lookUpElsewhere, goroutines: 64, memory: 32},
	} {
		t.Run(a.name, func(t *testing.T) { a.run(newField(t, a.domains)) })
	}
}

// An attack is one way to hurt a node.
type attack struct {
	name    string
	domains []string // of nodes that a.test is federated with, beside those of the field

	// with makes ready what needs no node. What it returns does the attack, and says how often
	// it was done.
	with func(f *field) func() (int, error)

	then func(f *field) // at the height, if there is anything to see

	goroutines, memory int // at the height at most, more than before; memory in MiB
}

// A field is a node under attack, a.test: its peer x, whose keys the attacker has, and those
// who want to be served. The attacker also knows a mailbox of ann, and a.test's server key.
type field struct {
	*service
	t     *testing.T
	x     *rawPeer
	forge forge
	crowd []net.Conn // opened by the attacker; they stay until the height has been weighed
}

func newField(t *testing.T, domains []string) *field {
	m := newMesh(t, append([]string{"a.test"}, domains...)...)
	if len(domains) > 0 {
		m.federate(append([]string{"a.test"}, domains...)...)
	}
	peers := m.rawPeers("a.test", "x.test", "y.test", "z.test")
	forge, ann := m.forge(peers[0])
	peers[0].listen()
	f := &field{service: newService(peers[1], peers[2], ann), t: t, x: peers[0], forge: forge}
	t.Cleanup(func() { closeAll(f.crowd) })
	return f
}

func (a attack) run(f *field) {
	t := f.t
	do, times := a.with(f), 0
	f.round()
	before, counted := weigh(t, "before"), f.mesh.counters("a.test")
	w := f.while(func() (err error) {
		times, err = do()
		return err
	})
	if a.then != nil {
		a.then(f)
	}
	height := weigh(t, "at the height").most(w.height)
	closeAll(f.crowd)
	until(t, "all to be given back", func() error {
		if n := runtime.NumGoroutine(); n > before.goroutines+16 {
			return fmt.Errorf("%d goroutines", n)
		}
		return nil
	})
	after := weigh(t, "after")
	f.round()
	w.row(t, a.name, times, before, height, after)
	t.Logf("%d rounds of service, %d packets of y lost; %s", w.rounds, w.lost, came(counted, f.mesh.counters("a.test")))
	if most := before.goroutines + a.goroutines + 64; height.goroutines > most {
		t.Errorf("%d goroutines, at most %d", height.goroutines, most)
	}
	nodes := uint64(1 + len(a.domains))
	if most := before.memory + uint64(a.memory)<<20 + 2*nodes*keptPackets; height.memory > most { // as much again is garbage
		t.Errorf("%.1f MiB, at most %.1f", mib(height.memory), mib(most))
	}
	if most := before.memory + nodes*(24<<20+keptPackets); after.memory > most {
		t.Errorf("%.1f MiB are kept, at most %.1f", mib(after.memory), mib(most))
	}
}

// came says what a node counted between two times.
func came(from, to ContextStatus) string {
	text := fmt.Sprintf("heard %d, of which %d again; said again %d; peeled %d", to.Heard-from.Heard,
		to.Duplicates-from.Duplicates, to.Rebroadcast-from.Rebroadcast, to.Peeled-from.Peeled)
	for why, n := range to.Dropped {
		if n > from.Dropped[why] {
			text += fmt.Sprintf("; dropped as %s %d", why, n-from.Dropped[why])
		}
	}
	return text
}

// halfOpen begins handshakes, and goes on with each a byte at a time.
func halfOpen(f *field) func() (int, error) {
	first := append([]byte{22, 3, 1, 0x40, 0}, 1, 0, 0x3f, 0xfc, 3, 3) // of a ClientHello of 16 KiB
	n := min(1000, crowdSize(f.t))
	return func() (_ int, err error) {
		f.crowd, err = silent(f.mesh.nodes["a.test"].running.Link, n)
		for i := range first {
			for _, c := range f.crowd {
				_, _ = c.Write(first[i : i+1]) // who has been closed already cannot
			}
		}
		return len(f.crowd), err
	}
}

func visitors(f *field) func() (int, error) {
	n := f.times(min(maxVisitors+200, crowdSize(f.t)))
	return func() (int, error) {
		for range n {
			if _, err := f.tlsUser(); err != nil {
				return 0, err
			}
		}
		return n, nil
	}
}

// newcomer registers and logs in.
func (f *field) newcomer() { f.mesh.user("new@a.test") }

// flood has x say packets, as fast as its link takes them, until the node has heard all.
func (f *field) flood(n int, packet func(i int) *[onion.Size]byte) (int, error) {
	ctx := f.t.Context()
	for i := range n {
		p := packet(i)
		for errors.Is(f.x.conn.SendPacket(0, p), link.ErrFull) && ctx.Err() == nil {
			wait(ctx, time.Millisecond)
		}
	}
	for heard := uint64(0); heard < uint64(n) && ctx.Err() == nil; wait(ctx, time.Millisecond) {
		s, err := f.mesh.nodes["a.test"].control.Status(ctx)
		if err != nil {
			return n, err
		}
		i := slices.IndexFunc(s.Links, func(l LinkStatus) bool { return l.Peer.String() == "x.test" })
		if i < 0 {
			return n, errors.New("x.test has no link any more")
		}
		heard = s.Links[i].Stats.Received[link.KindPacket]
	}
	return n, ctx.Err()
}

func strayPackets(f *field) func() (int, error) {
	one := packetForNobody(f.t).Bytes()
	return func() (int, error) {
		return f.flood(f.times(4000), func(i int) *[onion.Size]byte {
			p := *one
			binary.BigEndian.PutUint64(p[100:], uint64(i))
			return &p
		})
	}
}

func samePacket(f *field) func() (int, error) {
	p := packetForNobody(f.t).Bytes()
	return func() (int, error) { return f.flood(f.times(4000), func(int) *[onion.Size]byte { return p }) }
}

// replays are one inner packet in many outer ones, of the epochs that are taken.
func replays(f *field) func() (int, error) {
	in, now := f.forge.inner(24*time.Hour), onion.EpochAt(time.Now())
	var packets []*[onion.Size]byte
	for i := range f.times(300) {
		epoch := now - 1 + onion.Epoch(i%3)
		hint, ok := f.forge.record.HintAt(epoch)
		if !ok { // of a time before the record
			epoch, hint = now, f.forge.hop.Hint
		}
		packets = append(packets, f.forge.wrap(epoch, onion.OuterHop{Key: f.forge.hop.Key, Hint: hint}, in).Bytes())
	}
	return f.oneByOne(packets)
}

func (f *field) oneByOne(packets []*[onion.Size]byte) func() (int, error) {
	return func() (int, error) {
		return f.flood(len(packets), func(i int) *[onion.Size]byte { return packets[i] })
	}
}

// letters are packets that are delivered at a.test, each for itself.
func (f *field) letters(to onion.Mailbox, payload func() []byte) func() (int, error) {
	var packets []*[onion.Size]byte
	for range f.times(300) {
		in, err := onion.BuildInner(rand.Reader, []onion.InnerHop{{Key: f.forge.server}}, to, time.Now().Add(24*time.Hour), payload())
		must(f.t, err)
		packets = append(packets, f.forge.wrap(onion.EpochAt(time.Now()), f.forge.hop, in).Bytes())
	}
	return f.oneByOne(packets)
}

func garbageLetters(f *field) func() (int, error) {
	garbage := make([]byte, onion.PayloadSize)
	_, err := io.ReadFull(rand.Reader, garbage)
	must(f.t, err)
	return f.letters(f.forge.box, func() []byte { return garbage })
}

func unworkedLetters(f *field) func() (int, error) {
	return f.letters(f.ann.requests, func() []byte { return letterTo(f.t, f.ann.requests, nil).Payload })
}

func manyLetters(f *field) func() (int, error) {
	return f.letters(f.forge.box, func() []byte { return letterTo(f.t, f.forge.box, nil).Payload })
}

func controlFlood(f *field) func() (int, error) {
	n := f.times(1000)
	return func() (int, error) { return 3 * n, floodBy(f.x, n) }
}

// times is how often something is done that would be done n times in earnest: the race
// detector makes all slow, and what is weighed under it is not what a node weighs.
func (f *field) times(n int) int {
	if raced {
		return n / 8
	}
	return n
}

// manyLinks is from how many links users attack.
const manyLinks = 96

// perLink is how many goroutines a link of a user has at most: its own, at both ends, and
// those of the requests that are worked on.
const perLink = 6 + session.MaxPending

// tlsUser has a user link on which she can say what no link.Conn says.
func (f *field) tlsUser() (*tls.Conn, error) {
	conn, err := net.Dial("tcp", f.mesh.nodes["a.test"].running.Link)
	if err != nil {
		return nil, err
	}
	f.crowd = append(f.crowd, conn)
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil { // little that she does not read shall wait here
		return nil, err
	}
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{link.ALPN}, DynamicRecordSizingDisabled: true})
	_, err = io.ReadFull(c, make([]byte, link.SlotSize)) // the greeting
	return c, err
}

// controlSlot is one with a fragment of a control message.
func controlSlot(last bool, fragment []byte) []byte {
	slot := make([]byte, link.SlotSize)
	slot[0] = byte(link.KindControl) << 4
	if last {
		slot[1] = 1
	}
	binary.BigEndian.PutUint16(slot[2:], uint16(len(fragment)))
	copy(slot[4:], fragment)
	return slot
}

func unfinishedMessages(f *field) func() (int, error) {
	slots := bytes.Repeat(controlSlot(false, make([]byte, link.SlotSize-4)), 64)
	return func() (int, error) {
		n := f.times(manyLinks)
		for range n {
			c, err := f.tlsUser()
			if err != nil {
				return 0, err
			}
			if _, err := c.Write(slots); err != nil {
				return 0, err
			}
		}
		return n, nil
	}
}

// unreadAnswers asks from each link for the directory, as often as there is room for answers.
func unreadAnswers(f *field) func() (int, error) {
	return func() (int, error) {
		asked := 0
		for range f.times(manyLinks) {
			c, err := f.tlsUser()
			if err != nil {
				return asked, err
			}
			for seq := range 60 {
				question := fmt.Appendf(nil, `{"seq":%d,"op":"directory","body":{}}`, seq)
				if _, err := c.Write(controlSlot(true, question)); err != nil {
					break // she has been thrown out
				}
				asked++
			}
		}
		return asked, nil
	}
}

// submissions are frames of a user, each another message.
func submissions(f *field) func() (int, error) {
	eve := f.mesh.user("eve@a.test")
	signed, _, err := eve.client.Directory(f.t.Context())
	must(f.t, err)
	var servers []mor.Server
	for _, raw := range signed {
		if s := serverIn(f.t, raw); slices.Contains([]string{"a.test", "b.test", "c.test"}, s.Domain.String()) {
			servers = append(servers, s)
		}
	}
	eve.sender.SetServers(servers)
	home := eve.name.Domain()
	to := mor.Address{Secret: [32]byte{1}, Identity: eve.key.Fingerprint(), Spools: []pki.Domain{home}}
	frames := make(chan *[onion.Size]byte, f.times(300))
	for range cap(frames) {
		_, frame := eve.frame(to)
		frames <- frame
	}
	close(frames)
	return func() (int, error) {
		return cap(frames), eightTimes(func() error {
			for frame := range frames {
				var refused *session.Error
				if err := eve.client.Submit(f.t.Context(), frame); err != nil && !errors.As(err, &refused) {
					return err
				}
			}
			return nil
		})
	}
}

func eightTimes(do func() error) error {
	var g sync.WaitGroup
	failed := make(chan error, 8)
	for range cap(failed) {
		g.Go(func() { failed <- do() })
	}
	g.Wait()
	close(failed)
	var all error
	for err := range failed {
		all = errors.Join(all, err)
	}
	return all
}

// registrations asks for names, of which there are so many at once and no more.
func registrations(f *field) func() (int, error) {
	const many = 400
	requests := make(chan []byte, many)
	for i := range many {
		key, err := pki.NewIdentityKey(rand.Reader)
		must(f.t, err)
		request, err := pki.NewUserRequest(rand.Reader, key, parse(f.t, pki.ParseName, fmt.Sprintf("r%d@a.test", i)))
		must(f.t, err)
		requests <- request.DER()
	}
	close(requests)
	eve := f.mesh.stranger("eve@a.test", "a.test")
	return func() (int, error) {
		var given atomic.Int64
		err := eightTimes(func() error {
			for request := range requests {
				_, err := eve.client.Register(f.t.Context(), request, nil)
				var refused *session.Error
				if err != nil && !errors.As(err, &refused) {
					return err
				}
				if err == nil {
					given.Add(1)
				}
			}
			return nil
		})
		if n := given.Load(); err == nil && (n == 0 || n > newcomersAtOnce+10) {
			err = fmt.Errorf("%d names were given", n)
		}
		return many, err
	}
}

// questions are put to the key server, far beyond the rate of one client.
func questions(f *field) func() (int, error) {
	const each = 250
	other, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		f.t.Skip("the loopback has one address only")
	}
	other.Close()
	return func() (int, error) {
		var busy atomic.Int64
		err := eightTimes(func() error { return f.question(each, &busy) })
		if err == nil && busy.Load() == 0 {
			err = errors.New("all were answered")
		}
		return 8 * each, err
	}
}

// lookUpElsewhere asks the key server from another address than questions do.
func (f *field) lookUpElsewhere() { f.lookUp() }

func (f *field) question(n int, busy *atomic.Int64) error {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	transport := &http.Transport{
		DialContext:     from.DialContext,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxConnsPerHost: 1,
	}
	defer transport.CloseIdleConnections()
	target := "https://" + f.mesh.nodes["a.test"].running.KeyServer + "/v1/user/nobody@a.test"
	for range n {
		request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests {
			busy.Add(1)
		}
	}
	return nil
}
