package dnstxt

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// signedAt is when the zones below are signed, and now in the tests.
var signedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A kit is a zone with one key.
type kit struct {
	zone string
	key  *dns.DNSKEY
	by   crypto.Signer
}

// newKit makes a zone's key from a seed, so that it is the same in each run.
func newKit(zone string, seed byte) kit {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	key := &dns.DNSKEY{Hdr: header(zone, dns.TypeDNSKEY, 3600), Flags: 257, Protocol: 3, Algorithm: dns.ED25519,
		PublicKey: base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))}
	return kit{zone, key, private}
}

// sign adds a signature over a set, changed by edit before it is made.
func (k kit) sign(set []dns.RR, edit func(*dns.RRSIG)) []dns.RR {
	sig := &dns.RRSIG{
		Hdr: header(set[0].Header().Name, dns.TypeRRSIG, set[0].Header().Ttl), Algorithm: k.key.Algorithm, KeyTag: k.key.KeyTag(), SignerName: k.zone,
		Inception: uint32(signedAt.Add(-time.Hour).Unix()), Expiration: uint32(signedAt.Add(time.Hour).Unix()),
	}
	edit(sig)
	if err := sig.Sign(k.by, set); err != nil {
		panic(err)
	}
	return append(set, sig)
}

func asIs(*dns.RRSIG) {}

func (k kit) ds() dns.RR {
	ds := k.key.ToDS(dns.SHA256)
	ds.Hdr = header(k.zone, dns.TypeDS, 3600)
	return ds
}

// A world is what a resolver answers: the records of each name and type.
type world map[string][]dns.RR

func at(name string, qtype uint16) string { return dns.Type(qtype).String() + " " + name }

// newWorld is three zones from the root down, each signed, and the record of a.test.
func newWorld() (w world, root, test, a kit) {
	root, test, a = newKit(".", 1), newKit("test.", 2), newKit("a.test.", 3)
	return world{
		at(".", dns.TypeDNSKEY):       root.sign([]dns.RR{root.key}, asIs),
		at("test.", dns.TypeDS):       root.sign([]dns.RR{test.ds()}, asIs),
		at("test.", dns.TypeDNSKEY):   test.sign([]dns.RR{test.key}, asIs),
		at("a.test.", dns.TypeDS):     test.sign([]dns.RR{a.ds()}, asIs),
		at("a.test.", dns.TypeDNSKEY): a.sign([]dns.RR{a.key}, asIs),
		at(owner, dns.TypeTXT):        a.sign([]dns.RR{txt(owner, least)}, asIs),
	}, root, test, a
}

// answer is what a resolver says, which has what it has and knows nothing else.
func (w world) answer(query *dns.Msg) []byte {
	var m dns.Msg
	m.SetReply(query)
	m.Answer = w[at(query.Question[0].Name, query.Question[0].Qtype)]
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// resolver asks this world, under an anchor, and counts the questions.
func (w world) resolver(t *testing.T, anchor string, asked *atomic.Int32) Resolver {
	t.Helper()
	server := hostile(func(query *dns.Msg) [][]byte {
		asked.Add(1)
		return [][]byte{w.answer(query)}
	}).start(t)
	r := Resolver{Server: server, Dial: dial, Timeout: time.Minute, Now: func() time.Time { return signedAt }}
	if anchor != "" {
		var err error
		if r.Anchors, err = ParseAnchors(anchor); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func without(w world, keys ...string) {
	for _, key := range keys {
		delete(w, key)
	}
}

// chains are worlds that are not as they should be, and what becomes of the record.
func chains() []chainCase {
	root, test, a, other := newKit(".", 1), newKit("test.", 2), newKit("a.test.", 3), newKit("a.test.", 9)
	record := func(w world, edit func(*dns.RRSIG)) {
		w[at(owner, dns.TypeTXT)] = a.sign([]dns.RR{txt(owner, least)}, edit)
	}
	old := func(s *dns.RRSIG) { s.Expiration = uint32(signedAt.Add(-time.Second).Unix()) }
	return []chainCase{
		{"all is signed", func(world) {}, Secure, nil},
		{"another case", func(w world) {
			w[at(owner, dns.TypeTXT)] = a.sign([]dns.RR{txt("_P3DO.A.test.", least)}, asIs)
		}, Secure, nil},
		{"somebody else's record beside", func(w world) {
			w[at(owner, dns.TypeTXT)] = a.sign([]dns.RR{txt(owner, "v=spf1 -all"), txt(owner, least)}, asIs)
		}, Secure, nil},
		{"a second signature that is wrong", func(w world) {
			good := w[at(owner, dns.TypeTXT)]
			bad := dns.Copy(good[1]).(*dns.RRSIG)
			bad.OrigTtl++
			w[at(owner, dns.TypeTXT)] = []dns.RR{good[0], bad, good[1]}
		}, Secure, nil},
		{"the delegated zone _p3do.a.test", func(w world) {
			own := newKit(owner, 4)
			w[at(owner, dns.TypeDS)] = a.sign([]dns.RR{own.ds()}, asIs)
			w[at(owner, dns.TypeDNSKEY)] = own.sign([]dns.RR{own.key}, asIs)
			w[at(owner, dns.TypeTXT)] = own.sign([]dns.RR{txt(owner, least)}, asIs)
		}, Secure, nil},
		{"not signed", func(w world) { w[at(owner, dns.TypeTXT)] = []dns.RR{txt(owner, least)} }, Plain, nil},
		{"no delegation", func(w world) { without(w, at("a.test.", dns.TypeDS)) }, Plain, nil},
		{"a delegation that is not signed", func(w world) { w[at("a.test.", dns.TypeDS)] = []dns.RR{a.ds()} }, Plain, nil},
		{"no delegation above", func(w world) { without(w, at("test.", dns.TypeDS)) }, Plain, nil},
		{"signed by SHA-1 only", func(w world) {
			w[at(owner, dns.TypeTXT)][1].(*dns.RRSIG).Algorithm = dns.RSASHA1
		}, Plain, nil},
		{"delegated by SHA-1 only", func(w world) {
			ds := a.ds().(*dns.DS)
			ds.DigestType, ds.Digest = 1, strings.Repeat("00", 20)
			w[at("a.test.", dns.TypeDS)] = test.sign([]dns.RR{ds}, asIs)
		}, Plain, nil},
		{"another record", func(w world) { w[at(owner, dns.TypeTXT)][0] = txt(owner, least+"; t=1") }, None, ErrBogus},
		{"one more record", func(w world) {
			w[at(owner, dns.TypeTXT)] = append(w[at(owner, dns.TypeTXT)], txt(owner, "x"))
		}, None, ErrBogus},
		{"signed by another key", func(w world) {
			w[at(owner, dns.TypeTXT)] = other.sign([]dns.RR{txt(owner, least)}, asIs)
		}, None, ErrBogus},
		{"signed by the zone above", func(w world) {
			w[at(owner, dns.TypeTXT)] = test.sign([]dns.RR{txt(owner, least)}, asIs)
		}, Secure, nil}, // which could delegate as it likes
		{"signed by a zone beside", func(w world) {
			w[at(owner, dns.TypeTXT)][1].(*dns.RRSIG).SignerName = "b.test."
		}, None, ErrBogus},
		{"signed by two zones", func(w world) {
			w[at(owner, dns.TypeTXT)] = append(w[at(owner, dns.TypeTXT)], test.sign([]dns.RR{txt(owner, least)}, asIs)[1])
		}, None, ErrBogus},
		{"run out", func(w world) { record(w, old) }, None, ErrBogus},
		{"not begun", func(w world) {
			record(w, func(s *dns.RRSIG) { s.Inception = uint32(signedAt.Add(time.Second).Unix()) })
		}, None, ErrBogus},
		{"a wildcard", func(w world) {
			set := a.sign([]dns.RR{txt("*.a.test.", least)}, asIs)
			set[0].Header().Name, set[1].Header().Name = owner, owner
			w[at(owner, dns.TypeTXT)] = set
		}, None, ErrInvalid},
		{"keys that nobody names", func(w world) {
			w[at("a.test.", dns.TypeDNSKEY)] = other.sign([]dns.RR{other.key}, asIs)
		}, None, ErrBogus},
		{"keys with one that nobody names, by which all is signed", func(w world) {
			w[at("a.test.", dns.TypeDNSKEY)] = other.sign([]dns.RR{a.key, other.key}, asIs)
			w[at(owner, dns.TypeTXT)] = other.sign([]dns.RR{txt(owner, least)}, asIs)
		}, None, ErrBogus},
		{"keys that are not signed", func(w world) { w[at("a.test.", dns.TypeDNSKEY)] = []dns.RR{a.key} }, None, ErrBogus},
		{"no keys", func(w world) { without(w, at("a.test.", dns.TypeDNSKEY)) }, None, ErrBogus},
		{"keys signed long ago", func(w world) { w[at("a.test.", dns.TypeDNSKEY)] = a.sign([]dns.RR{a.key}, old) }, None, ErrBogus},
		{"a revoked key", func(w world) {
			revoked := newKit("a.test.", 3)
			revoked.key.Flags |= dns.REVOKE
			w[at("a.test.", dns.TypeDS)] = test.sign([]dns.RR{revoked.ds()}, asIs)
			w[at("a.test.", dns.TypeDNSKEY)] = revoked.sign([]dns.RR{revoked.key}, asIs)
			w[at(owner, dns.TypeTXT)] = revoked.sign([]dns.RR{txt(owner, least)}, asIs)
		}, None, ErrBogus},
		{"a zone that delegates itself", func(w world) { w[at("a.test.", dns.TypeDS)] = a.sign([]dns.RR{a.ds()}, asIs) }, None, ErrBogus},
		{"another root", func(w world) {
			wrong := newKit(".", 8)
			w[at(".", dns.TypeDNSKEY)] = wrong.sign([]dns.RR{wrong.key}, asIs)
			w[at("test.", dns.TypeDS)] = wrong.sign([]dns.RR{test.ds()}, asIs)
		}, None, ErrBogus},
		{"a delegation signed by nobody's key", func(w world) {
			w[at("test.", dns.TypeDS)] = root.sign([]dns.RR{test.ds()}, func(s *dns.RRSIG) { s.KeyTag++ })
			w[at("test.", dns.TypeDS)][1].(*dns.RRSIG).KeyTag++
		}, None, ErrBogus},
	}
}

type chainCase struct {
	name string
	edit func(world)
	want Security
	err  error
}

func TestChain(t *testing.T) {
	for _, tt := range chains() {
		w, root, _, _ := newWorld()
		tt.edit(w)
		var asked atomic.Int32
		r := w.resolver(t, root.ds().String(), &asked)
		got, err := r.Look(t.Context(), domain(t, "a.test"))
		if got.Security != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, got.Security, err, tt.want, tt.err)
		}
		if err == nil && (!got.Equal(leastRecord()) || (got.Why == "") != (got.Security == Secure)) {
			t.Errorf("%s: %v, because %q", tt.name, got, got.Why)
		}
		if asked.Load() > maxQueries {
			t.Errorf("%s: %d questions", tt.name, asked.Load())
		}
	}
}

// Whom nobody told which keys to believe asks for the record, and for nothing else.
func TestWithoutAnchors(t *testing.T) {
	for anchor, questions := range map[string]int32{"": 1, newKit("b.test.", 5).ds().String(): 1} {
		w, _, _, _ := newWorld()
		var asked atomic.Int32
		got, err := w.resolver(t, anchor, &asked).Look(t.Context(), domain(t, "a.test"))
		if err != nil || got.Security != Plain || asked.Load() != questions {
			t.Errorf("%q: %v, %v after %d questions", anchor, got.Security, err, asked.Load())
		}
	}
}

// An anchor half-way down is where a chain begins, whatever is above it.
func TestAnchorBelowTheRoot(t *testing.T) {
	w, _, test, _ := newWorld()
	without(w, at(".", dns.TypeDNSKEY), at("test.", dns.TypeDS))
	var asked atomic.Int32
	got, err := w.resolver(t, test.key.String(), &asked).Look(t.Context(), domain(t, "a.test"))
	if err != nil || got.Security != Secure || asked.Load() != 4 {
		t.Errorf("%v, %v after %d questions", got.Security, err, asked.Load())
	}
}

// The AD bit is somebody's word, and no proof.
func TestTheResolversWordIsNotTaken(t *testing.T) {
	at := hostile(func(query *dns.Msg) [][]byte {
		return [][]byte{answering(query, func(m *dns.Msg) { m.AuthenticatedData = true })}
	}).start(t)
	got, err := Resolver{Server: at, Dial: dial, Anchors: RootAnchors()}.Look(t.Context(), domain(t, "a.test"))
	if err != nil || got.Security != Plain {
		t.Errorf("%v, %v", got.Security, err)
	}
}

// Keys are asked for once, and again if something is signed by a newer one.
func TestKeysAreKept(t *testing.T) {
	w, root, test, _ := newWorld()
	var asked atomic.Int32
	r := w.resolver(t, root.ds().String(), &asked)
	r.Keys = NewKeyCache()
	look := func(what string, want Security, questions int32) {
		t.Helper()
		asked.Store(0)
		got, err := r.Look(t.Context(), domain(t, "a.test"))
		if err != nil || got.Security != want || asked.Load() != questions {
			t.Errorf("%s: %v, %v after %d questions, want %v after %d", what, got.Security, err, asked.Load(), want, questions)
		}
	}
	look("at first", Secure, 6)
	look("again", Secure, 1)
	next := newKit("a.test.", 7)
	w[at("a.test.", dns.TypeDS)] = test.sign([]dns.RR{next.ds()}, asIs)
	w[at("a.test.", dns.TypeDNSKEY)] = next.sign([]dns.RR{next.key}, asIs)
	w[at(owner, dns.TypeTXT)] = next.sign([]dns.RR{txt(owner, least)}, asIs)
	look("with another key", Secure, 3)
	r.Now = func() time.Time { return signedAt.Add(59*time.Minute + 59*time.Second) }
	look("an hour less a second later", Secure, 1)
	r.Now = func() time.Time { return signedAt.Add(time.Hour + time.Second) }
	if _, err := r.Look(t.Context(), domain(t, "a.test")); !errors.Is(err, ErrBogus) {
		t.Errorf("when all signatures have run out: %v", err)
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	c := NewKeyCache()
	for i := range maxZonesKept + 100 {
		c.put(zoneKeys{zone: fmt.Sprintf("d%d.test.", i), until: signedAt.Add(time.Hour)}, signedAt)
	}
	if len(c.zones) != maxZonesKept {
		t.Errorf("%d zones", len(c.zones))
	}
	c.put(zoneKeys{zone: "late.test.", until: signedAt.Add(3 * time.Hour)}, signedAt.Add(2*time.Hour))
	if _, ok := c.get("late.test.", signedAt.Add(2*time.Hour)); !ok || len(c.zones) != 1 {
		t.Errorf("%d zones when all but one are over", len(c.zones))
	}
	vast := *newKit("vast.test.", 1).key
	vast.PublicKey = strings.Repeat("A", maxKeysSize+1)
	c.put(zoneKeys{zone: "vast.test.", keys: []*dns.DNSKEY{&vast}, until: signedAt.Add(time.Hour)}, signedAt)
	if _, ok := c.get("vast.test.", signedAt); ok {
		t.Error("kept what is vast")
	}
	c.put(zoneKeys{zone: "never.test.", until: signedAt}, signedAt)
	if _, ok := c.get("never.test.", signedAt); ok {
		t.Error("kept what is over")
	}
}

// Many keys of one tag, each a reason to verify once more (CVE-2023-50387), end the look-up.
func TestKeyTrap(t *testing.T) {
	w, root, _, a := newWorld()
	set := []dns.RR{}
	for i := range 12 { // two octets of the key change places with two others: the sum is the same
		raw, err := base64.StdEncoding.DecodeString(a.key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		raw[2*i], raw[2*i+1], raw[2*i+2], raw[2*i+3] = raw[2*i+2], raw[2*i+3], raw[2*i], raw[2*i+1]
		decoy := *a.key
		decoy.PublicKey = base64.StdEncoding.EncodeToString(raw)
		if decoy.KeyTag() != a.key.KeyTag() {
			t.Fatal("another tag")
		}
		set = append(set, &decoy)
	}
	w[at("a.test.", dns.TypeDNSKEY)] = a.sign(append(set, a.key), asIs)
	var sigs []dns.RR
	for range 15 {
		sigs = append(sigs, w[at(owner, dns.TypeTXT)][1])
	}
	w[at(owner, dns.TypeTXT)] = append([]dns.RR{txt(owner, least)}, sigs...)
	var asked atomic.Int32
	r := w.resolver(t, root.ds().String(), &asked)
	walk := r.newWalk()
	defer walk.line.close()
	if _, err := walk.look(t.Context(), owner); !errors.Is(err, ErrBogus) || !strings.Contains(err.Error(), "more than 4 keys") {
		t.Errorf("got %v", err)
	}
	if made := maxChecks - walk.checks; made > 5+maxTried {
		t.Errorf("%d signatures verified", made)
	}
}

// A chain of very many zones is not followed to its end.
func TestDeepChains(t *testing.T) {
	for zones, want := range map[int]error{8: nil, 9: ErrBogus} {
		root := newKit(".", 1)
		w, above, name := world{at(".", dns.TypeDNSKEY): root.sign([]dns.RR{root.key}, asIs)}, root, ""
		for i := range zones - 1 {
			name = fmt.Sprintf("z%d.%s", i, name)
			k := newKit(name, byte(i+2))
			w[at(name, dns.TypeDS)] = above.sign([]dns.RR{k.ds()}, asIs)
			w[at(name, dns.TypeDNSKEY)] = k.sign([]dns.RR{k.key}, asIs)
			above = k
		}
		w[at(ownerPrefix+name, dns.TypeTXT)] = above.sign([]dns.RR{txt(ownerPrefix+name, least)}, asIs)
		var asked atomic.Int32
		r := w.resolver(t, root.ds().String(), &asked)
		_, err := r.Look(t.Context(), domain(t, strings.TrimSuffix(name, ".")))
		if !errors.Is(err, want) || asked.Load() > maxQueries {
			t.Errorf("%d zones: %v after %d questions", zones, err, asked.Load())
		}
	}
}

// What a resolver does not say of a proof is no lie, and no proof.
func TestProofsThatDoNotCome(t *testing.T) {
	for rcode, plain := range map[int]bool{dns.RcodeRefused: true, dns.RcodeNotImplemented: true, dns.RcodeServerFailure: false} {
		w, root, _, _ := newWorld()
		server := hostile(func(query *dns.Msg) [][]byte {
			if query.Question[0].Qtype == dns.TypeTXT {
				return [][]byte{w.answer(query)}
			}
			return [][]byte{answering(query, func(m *dns.Msg) { m.Rcode, m.Answer = rcode, nil })}
		}).start(t)
		anchors, err := ParseAnchors(root.ds().String())
		if err != nil {
			t.Fatal(err)
		}
		r := Resolver{Server: server, Dial: dial, Anchors: anchors, Now: func() time.Time { return signedAt }}
		got, err := r.Look(t.Context(), domain(t, "a.test"))
		if (err == nil) != plain || errors.Is(err, ErrInvalid) || errors.Is(err, ErrNone) || plain && got.Security != Plain {
			t.Errorf("%s: %v, %v", rcodeName(rcode), got.Security, err)
		}
	}
}

// A scripted line gives the answers of a fuzzer, one after the other.
type scripted struct{ answers [][]byte }

func (s *scripted) close() {}

func (s *scripted) exchange(_ context.Context, query []byte) ([]byte, error) {
	if len(s.answers) == 0 {
		return nil, errors.New("nothing more")
	}
	raw := append([]byte{}, s.answers[0]...)
	s.answers = s.answers[1:]
	if len(raw) > 2 {
		copy(raw, query[:2])
	}
	return raw, nil
}

// FuzzProof: whatever a server says to the questions of a proof, nothing is secure that does not hang on
// the anchor, and nothing takes more than it may.
func FuzzProof(f *testing.F) {
	questions := []string{at(owner, dns.TypeTXT), at("a.test.", dns.TypeDS), at("test.", dns.TypeDS), at(".", dns.TypeDNSKEY), at("test.", dns.TypeDNSKEY), at("a.test.", dns.TypeDNSKEY)}
	add := func(w world) {
		var all []byte
		for _, q := range questions {
			kind, name, _ := strings.Cut(q, " ")
			all = append(all, framed(w.answer(new(dns.Msg).SetQuestion(name, dns.StringToType[kind])))...)
		}
		f.Add(all)
	}
	for _, tt := range chains() {
		w, _, _, _ := newWorld()
		tt.edit(w)
		add(w)
	}
	_, root, _, _ := newWorld()
	anchors, err := ParseAnchors(root.ds().String())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := &scripted{}
		for in := bytes.NewReader(stream); ; {
			raw, err := readFramed(in)
			if err != nil {
				break
			}
			s.answers = append(s.answers, raw)
		}
		r := Resolver{Server: Server{over: overTCP}, Anchors: anchors, Now: func() time.Time { return signedAt }}
		walk := r.newWalk()
		walk.line = s
		got, err := walk.look(t.Context(), owner)
		if err == nil && got.Check() != nil || walk.checks < -1 || walk.queries < -1 {
			t.Fatalf("%v, %v, %d, %d", got, err, walk.checks, walk.queries)
		}
		if got.Security == Secure && (got.TTL < 0 || !got.Equal(leastRecord())) {
			t.Fatalf("%v is secure", got) // and nothing else was ever signed
		}
	})
}

// BenchmarkProof is one look-up's work without the network: six answers read, five signatures of
// Ed25519 verified.
func BenchmarkProof(b *testing.B) {
	w, root, _, _ := newWorld()
	anchors, err := ParseAnchors(root.ds().String())
	if err != nil {
		b.Fatal(err)
	}
	var answers [][]byte
	for _, q := range []struct {
		name  string
		qtype uint16
	}{{owner, dns.TypeTXT}, {"a.test.", dns.TypeDS}, {"test.", dns.TypeDS}, {".", dns.TypeDNSKEY}, {"test.", dns.TypeDNSKEY}, {"a.test.", dns.TypeDNSKEY}} {
		answers = append(answers, w.answer(new(dns.Msg).SetQuestion(q.name, q.qtype)))
	}
	r := Resolver{Server: Server{over: overTCP}, Anchors: anchors, Now: func() time.Time { return signedAt }}
	for b.Loop() {
		walk := r.newWalk()
		walk.line = &scripted{answers}
		if got, err := walk.look(b.Context(), owner); err != nil || got.Security != Secure {
			b.Fatal(got.Security, err)
		}
	}
}
