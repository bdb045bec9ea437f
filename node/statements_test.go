package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// line federates each of the domains with the next.
func (m *mesh) line(domains ...string) {
	m.t.Helper()
	domains = slices.Clone(domains)
	for i := range domains[1:] {
		m.peer(domains[i], domains[i+1])
		m.peer(domains[i+1], domains[i])
	}
	slices.Sort(domains)
	m.settled(slices.Compact(domains)...)
}

// confirmed waits until each of the domains has pinned the keys of all others.
func (m *mesh) confirmed(domains ...string) {
	m.t.Helper()
	for _, domain := range domains {
		m.until(domain+" to believe the keys of all", func() error {
			if s := m.status(domain); s.Confirmed != len(domains)-1 {
				return fmt.Errorf("%d keys are confirmed", s.Confirmed)
			}
			return nil
		})
	}
}

// held are the statements of a kind that a node holds.
func (m *mesh) held(domain string, kind pki.StatementKind) []store.Statement {
	m.t.Helper()
	all, err := m.nodes[domain].node.store.Statements(context.Background(), uint8(kind))
	must(m.t, err)
	return all
}

// everywhere waits until each of the domains holds n statements of a kind.
func (m *mesh) everywhere(kind pki.StatementKind, n int, domains ...string) {
	m.t.Helper()
	for _, domain := range domains {
		m.until(fmt.Sprintf("%d statements at %s", n, domain), func() error {
			if got := len(m.held(domain, kind)); got != n {
				return fmt.Errorf("%d", got)
			}
			return nil
		})
	}
}

// What each domain says of the others comes to all of them, however far they are; and by it the
// keys of those are believed whom nobody here has added.
func TestViewsSpread(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.line(domains...)
	m.confirmed(domains...)
	m.everywhere(pki.StatementView, 4, domains...)
	p, _ := m.nodes["a.test"].node.beliefs.pin(m.nodes["d.test"].domain)
	if p.Trust != pki.Vouched || p.Key != m.authority("d.test").CA().Fingerprint() {
		t.Errorf("d.test at a.test: %+v", p)
	}
	m.until("a.test to hear that c.test and d.test have countersigned each other", func() error {
		edges, err := m.nodes["a.test"].control.Graph(t.Context())
		want := "[{a.test b.test true} {b.test c.test true} {c.test d.test true}]"
		if err != nil || fmt.Sprint(edges) != want {
			return fmt.Errorf("%v, %v", edges, err)
		}
		return nil
	})
}

// A revocation that is handed in anywhere reaches every node, with the home dead; each serves
// the key no more, and refuses it. It outlives restarts, and a home that comes back obeys.
func TestRevocationSpreads(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.line(domains...)
	m.confirmed(domains...)
	ann := m.user("ann@a.test")
	fp := ann.key.Fingerprint()
	look := func(at string) error {
		_, err := (keyserver.Client{Dial: m.nodes[at].node.dial}).User(t.Context(), m.endpoint(at), ann.name)
		return err
	}
	must(t, look("b.test")) // it keeps a copy
	home := m.nodes["a.test"]
	must(t, home.end())
	must(t, look("b.test"))
	revocation, err := ann.key.RevokeKey(ann.cert, time.Now())
	must(t, err)
	raw := revocation.Statement().Marshal()
	fresh, err := m.nodes["d.test"].node.accept(t.Context(), raw)
	if must(t, err); !fresh {
		t.Error("not taken")
	}
	if fresh, err := m.nodes["d.test"].node.accept(t.Context(), raw); err != nil || fresh {
		t.Errorf("taken twice: %v", err)
	}
	for _, d := range domains[1:] {
		m.until(d+" to hear of it", func() error {
			if !m.nodes[d].node.revoked(ann.name, fp) {
				return errors.New("it has not")
			}
			return nil
		})
	}
	wantErr(t, look("b.test"), keyserver.ErrNotFound)
	must(t, m.nodes["b.test"].end())
	m.nodes["b.test"].start()
	if !m.nodes["b.test"].node.revoked(ann.name, fp) {
		t.Error("forgotten in a restart")
	}
	home.start()
	m.until("a.test to obey", func() error {
		if _, err := home.node.store.User(t.Context(), "ann@a.test"); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("it has the record: %v", err)
		}
		return nil
	})
	if diff, err := home.node.store.CompareRing(t.Context()); err != nil || !diff.Same() {
		t.Errorf("%+v, %v", diff, err)
	}
	wantErr(t, look("a.test"), keyserver.ErrNotFound)
	wantErr(t, look("b.test"), keyserver.ErrNotFound)
	ann.connect("a.test")
	request, err := pki.NewUserRequest(rand.Reader, ann.key, ann.name)
	must(t, err)
	_, err = ann.client.Register(t.Context(), request.DER(), nil)
	wantCode(t, err, session.Refused, "revoked")
}

// Who is logged in with a key that is revoked is put out. The name of another key is not.
func TestRevokedIsPutOut(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@a.test")
	a := m.nodes["a.test"].node
	revocation, err := m.authority("a.test").RevokeName(ann.cert, time.Now())
	must(t, err)
	fresh, err := a.accept(t.Context(), revocation.Statement().Marshal())
	if must(t, err); !fresh {
		t.Error("not taken")
	}
	m.until("ann's link to end", func() error {
		if _, err := ann.client.Items(t.Context(), session.Items{}); err == nil {
			return errors.New("it goes on")
		}
		return nil
	})
	_, err = bob.client.Items(t.Context(), session.Items{})
	must(t, err)
	if a.revoked(bob.name, ann.key.Fingerprint()) || !a.revoked(ann.name, ann.key.Fingerprint()) {
		t.Error("the end of a name is the end of that name, for that key")
	}
	if _, err := a.ownCard(t.Context(), ann.name); err == nil {
		t.Error("her card is served")
	}
	events, err := a.Events(t.Context(), time.Now().Add(-time.Minute))
	must(t, err)
	if len(events) != 1 || events[0].Kind != EventRevoked || strings.Contains(events[0].Words, "ann") {
		t.Errorf("events %+v", events)
	}
}

// What is not true is refused: views and revocations by another key, statements that are
// garbage, successions by strangers. What is of a domain that nobody knows here too, as such.
func TestFalseStatements(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	m.everywhere(pki.StatementView, 2, "a.test", "b.test")
	a, now := m.nodes["a.test"].node, time.Now()
	namesake, err := pki.NewAuthority(rand.Reader, m.nodes["b.test"].domain, now)
	must(t, err)
	stranger, err := pki.NewAuthority(rand.Reader, parse(t, pki.ParseDomain, "x.test"), now)
	must(t, err)
	view := func(by *pki.Authority, ends time.Time) []byte {
		v, err := by.SignView(pki.View{Serial: 1 << 50, Issued: now.Add(-2 * time.Hour), Expires: ends})
		must(t, err)
		return v.Statement().Marshal()
	}
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	revocation := func(by *pki.Authority, name string) []byte {
		request, err := pki.NewUserRequest(rand.Reader, key, parse(t, pki.ParseName, name))
		must(t, err)
		cert, err := by.SignUser(rand.Reader, now, request, pki.UserLifetime)
		must(t, err)
		r, err := by.RevokeName(cert.DER(), now)
		must(t, err)
		return r.Statement().Marshal()
	}
	successor, err := pki.NewSuccessor(rand.Reader)
	must(t, err)
	_, forged, err := successor.Succeed(rand.Reader, now, namesake, pki.Fingerprint{})
	must(t, err)
	before := len(m.held("a.test", pki.StatementView))
	for _, x := range []struct {
		what    string
		raw     []byte
		unknown bool
	}{
		{"nothing", nil, false},
		{"garbage", bytes.Repeat([]byte{1}, 200), false},
		{"of an unknown kind", bytes.Repeat([]byte{9}, 200), false},
		{"a namesake's view", view(namesake, now.Add(time.Hour)), false},
		{"a view that has run out", view(m.authority("b.test"), now.Add(-time.Hour)), false},
		{"a stranger's view", view(stranger, now.Add(time.Hour)), true},
		{"a namesake's revocation", revocation(namesake, "bob@b.test"), false},
		{"a stranger's revocation", revocation(stranger, "bob@x.test"), true},
		{"a namesake's succession", forged.Statement().Marshal(), true},
		{"too long", append([]byte{byte(pki.StatementRevocation)}, make([]byte, pki.MaxRevocationSize+1)...), false},
	} {
		fresh, err := a.accept(t.Context(), x.raw)
		if err == nil || fresh || errors.Is(err, errUnknownDomain) != x.unknown {
			t.Errorf("%s: %v", x.what, err)
		}
	}
	if got := len(m.held("a.test", pki.StatementView)); got != before || len(m.held("a.test", pki.StatementRevocation)) != 0 || len(m.held("a.test", pki.StatementSuccession)) != 0 {
		t.Error("something was kept")
	}
}

// A page has its bounds, and all pages together are all; a number that was never given out is
// as none.
func TestStatementPages(t *testing.T) {
	m := newMesh(t, "a.test")
	a := m.nodes["a.test"].node
	for i := range 150 {
		size := 100
		if i < 10 {
			size = store.MaxRaw
		}
		_, err := a.store.AddStatement(t.Context(), store.Statement{
			Kind: uint8(pki.StatementRevocation), Issuer: "x.test", ID: [32]byte{byte(i)}, Serial: 1, Raw: make([]byte, size)}, store.Room{Each: 1000})
		must(t, err)
	}
	newest, err := a.store.LastStatement(t.Context())
	must(t, err)
	count := func(since int64, most int) (all int) {
		for more := true; more; {
			raws, last, further, err := a.statementsAfter(t.Context(), since, most)
			must(t, err)
			size := 0
			for _, raw := range raws {
				size += len(raw)
			}
			if len(raws) > most || size > maxStatementBytes || further && since <= newest && last <= since {
				t.Fatalf("%d statements, %d bytes, from %d to %d", len(raws), size, since, last)
			}
			since, more, all = last, further, all+len(raws)
		}
		return all
	}
	for _, x := range []struct {
		since int64
		most  int
		all   int
	}{{0, maxStatementPage, 151}, {0, 7, 151}, {newest + 1, 64, 151}, {newest, 64, 0}} { // and the view of a.test
		if all := count(x.since, x.most); all != x.all {
			t.Errorf("after %d: %d statements, want %d", x.since, all, x.all)
		}
	}
}

// asked waits until the node asks for statements, and returns after which number.
func (p *rawPeer) asked() int64 {
	p.mesh.t.Helper()
	for {
		m, err := p.conn.Receive()
		must(p.mesh.t, err)
		if m.Kind != link.KindControl {
			continue
		}
		message, err := parsePeerMessage(m.Control)
		must(p.mesh.t, err)
		if message.Since != nil {
			return message.Since.Seq
		}
	}
}

// A peer whose pages are malformed, of unknown domains, or do not get on, has them refused, and
// what is true beside them is taken. Who sends more than a page may hold loses the link.
func TestHostileStatements(t *testing.T) {
	m := newMesh(t, "a.test")
	z := m.rawPeers("a.test", "z.test")[0]
	now := time.Now()
	stranger, err := pki.NewAuthority(rand.Reader, parse(t, pki.ParseDomain, "x.test"), now)
	must(t, err)
	unknown, err := stranger.SignView(pki.View{Serial: 1, Issued: now, Expires: now.Add(time.Hour)})
	must(t, err)
	good, err := m.authority("z.test").SignView(pki.View{Serial: 1 << 50, Issued: now, Expires: now.Add(time.Hour)})
	must(t, err)
	var page [][]byte
	for i := range maxStatementPage - 2 {
		page = append(page, append([]byte{byte(i % 5)}, make([]byte, 300)...))
	}
	page = append(page, unknown.Statement().Marshal(), good.Statement().Marshal())
	z.asked()
	z.say(peerMessage{Statements: &statementPage{Statements: page, Last: 1000, More: true}})
	if since := z.asked(); since != 1000 {
		t.Errorf("asked from %d", since)
	}
	z.say(peerMessage{Statements: &statementPage{Since: 1000, Last: 1000, More: true}}) // and so on for ever
	m.until("the log to say that it is refused", func() error {
		for _, text := range []string{"statements refused", "count=62", "statements that do not get on"} {
			if !strings.Contains(m.log.String(), text) {
				return errors.New(text)
			}
		}
		return nil
	})
	row, err := m.nodes["a.test"].node.store.Statement(t.Context(), uint8(pki.StatementView), "z.test", [32]byte{})
	if must(t, err); row.Serial != 1<<50 {
		t.Errorf("the good one is %+v", row)
	}
	if n := len(m.status("a.test").Links); n != 1 {
		t.Errorf("%d links", n)
	}

	over := page
	for len(over) <= maxStatementPage {
		over = append(over, []byte{1})
	}
	big := [][]byte{make([]byte, maxStatementBytes+1)}
	for what, statements := range map[string][][]byte{"too many": over, "too long": big} {
		z.say(peerMessage{Statements: &statementPage{Statements: statements}})
		m.linked("a.test", 0)
		if z = m.rawPeer("a.test", "z.test"); z == nil {
			t.Fatal(what)
		}
	}
}

// A domain that states views in masses has one of them taken in a while, and written and handed
// on, whoever brings them; the last one is taken all the same, and those of others are.
func TestViewsInMasses(t *testing.T) {
	const pace = 3 * time.Second
	m := newMesh(t)
	a := m.add("a.test", func(c *Config) { c.Lab.ViewPace = Duration(pace) })
	a.start()
	raw := m.rawPeers("a.test", "y.test", "z.test")
	y, z := raw[0], raw[1]
	begun := time.Now()
	view := func(domain string, serial uint64) []byte {
		v, err := m.authority(domain).SignView(pki.View{Serial: 1<<50 + serial, Issued: begun, Expires: begun.Add(time.Hour)})
		must(t, err)
		return v.Statement().Marshal()
	}
	serial := func(domain string) uint64 {
		row, err := a.node.store.Statement(t.Context(), uint8(pki.StatementView), domain, [32]byte{})
		if err != nil {
			return 0
		}
		return row.Serial - 1<<50
	}
	const many = 50
	all := [][]byte{view("y.test", 1)}
	for i := range many {
		all = append(all, view("z.test", uint64(i+1)))
	}
	y.asked()
	z.asked()
	z.say(peerMessage{Statements: &statementPage{Statements: all, Last: 100}})
	m.until("the views to be taken", func() error {
		if serial("y.test") != 1 || serial("z.test") == 0 {
			return errors.New("they are not")
		}
		return nil
	})
	if got := serial("z.test"); got == many && time.Since(begun) < pace {
		t.Fatal("each of them was taken")
	}
	for since := z.asked(); since != 0; since = z.asked() { // until it asks again, from before they came
		z.say(peerMessage{Statements: &statementPage{Since: since, Last: 100}})
	}
	z.say(peerMessage{Statements: &statementPage{Statements: all[len(all)-1:], Last: 100}})
	m.until("the last view to be taken", func() error {
		if got := serial("z.test"); got != many {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
	if since := time.Since(begun); since < pace {
		t.Errorf("after %v", since)
	}
}

// A page that nobody asked for is not kept; of many questions one waits.
func TestStatementsUnasked(t *testing.T) {
	p := &peerLink{pages: make(chan statementPage, 1), wanted: make(chan int64, 1)}
	raw, err := peerMessage{Statements: &statementPage{Statements: [][]byte{make([]byte, 1<<18)}}}.marshal()
	must(t, err)
	must(t, p.take(t.Context(), raw))
	if len(p.pages) != 0 {
		t.Error("it is kept")
	}
	p.following.Store(true)
	for range 3 {
		must(t, p.take(t.Context(), raw))
	}
	question, err := peerMessage{Since: &sinceQuery{7}}.marshal()
	must(t, err)
	for range 3 {
		must(t, p.take(t.Context(), question))
	}
	if len(p.pages) != 1 || len(p.wanted) != 1 {
		t.Errorf("%d pages, %d questions", len(p.pages), len(p.wanted))
	}
}

// What all domains have of statements is bounded together, but our own and our peers' are kept.
func TestRoomForStatements(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	n := m.nodes["a.test"].node
	for domain, want := range map[string]store.Room{
		"a.test": {Each: 7}, "b.test": {Each: 7}, "x.test": {Each: 7, All: maxRevocationBytes},
	} {
		if got := n.room(parse(t, pki.ParseDomain, domain), 7, maxRevocationBytes); got != want {
			t.Errorf("%s: %+v", domain, got)
		}
	}
}

// A domain may change its key again and again: steps that are long past make room for new ones.
// Those of the last year stay, and so does the last one.
func TestLongLine(t *testing.T) {
	m := newMesh(t, "a.test")
	n := m.nodes["a.test"].node
	for what, age := range map[string]time.Duration{"recent": successionLife - time.Hour, "past": successionLife + time.Hour} {
		t.Run(what, func(t *testing.T) {
			domain := parse(t, pki.ParseDomain, what+".test")
			began := time.Now().Add(-age)
			authority, err := pki.NewAuthority(rand.Reader, domain, began)
			must(t, err)
			p := pinned{Pin: pki.Pin{Subject: domain.String(), Key: authority.CA().Fingerprint(), Trust: pki.FirstSeen}, since: began}
			n.beliefs.setPin(domain, p)
			take := func(at time.Time) (s pki.SignedSuccession, err error) {
				next, err := pki.NewSuccessor(rand.Reader)
				must(t, err)
				was := authority.CA().Fingerprint()
				authority, s, err = next.Succeed(rand.Reader, at, authority, pki.Fingerprint{})
				must(t, err)
				if _, err = n.accept(t.Context(), s.Statement().Marshal()); err == nil {
					p.Key, p.Former = s.New(), append(p.Former, was)
					n.beliefs.setPin(domain, p)
				}
				return s, err
			}
			var last pki.SignedSuccession
			for range maxOwnSuccessions {
				last, err = take(began)
				must(t, err)
			}
			_, err = take(time.Now())
			if what == "recent" {
				wantErr(t, err, store.ErrFull)
				return
			}
			must(t, err)
			if held := n.beliefs.line(domain); len(held) != 2 || held[0].Says() != last.Says() {
				t.Errorf("%d steps are held", len(held))
			}
			for range 2 * maxOwnSuccessions {
				if _, err = take(began.Add(-time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
