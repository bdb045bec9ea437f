package store

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func ann(n int) SignedKey {
	return SignedKey{Kind: KeyUser, Subject: "ann@a.test", Fingerprint: fp(n), Raw: []byte("cert"),
		Card: []byte("card"), Serial: 1, NotAfter: noon}
}

func TestEverySignedKeyIsInBothPlaces(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	must(t, s.AddSigned(ctx, ann(1)))
	must(t, s.AddSigned(ctx, SignedKey{Kind: KeyLink, Subject: "a.test", Fingerprint: fp(2), Raw: []byte("link"), NotAfter: noon}))
	must(t, s.AddSigned(ctx, SignedKey{Kind: KeyCross, Subject: "b.test", Fingerprint: fp(3), Raw: []byte("cross"), NotAfter: noon}))
	must(t, s.AddSigned(ctx, SignedKey{Kind: KeyDescriptor, Subject: "a.test", Fingerprint: fp(4), Raw: []byte("d1"), Serial: 1, NotAfter: noon}))
	_, err := s.PutServer(ctx, Server{Domain: "b.test", CA: fp(5), Serial: 1, Descriptor: []byte("b1"), NotAfter: noon})
	must(t, err)
	must(t, s.PutCachedUser(ctx, User{Name: "bob@b.test", Fingerprint: fp(6), Card: []byte("b"), StoredAt: noon}))
	diff, err := s.CompareRing(ctx)
	must(t, err)
	if !diff.Same() {
		t.Fatalf("ring and key server differ: %+v", diff)
	}

	u, err := s.User(ctx, "ann@a.test")
	must(t, err)
	want := User{Name: "ann@a.test", Fingerprint: fp(1), Card: []byte("card"), Certificate: []byte("cert"),
		Serial: 1, NotAfter: noon, Origin: Home, StoredAt: u.StoredAt}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("user %+v, want %+v", u, want)
	}
	c, err := s.CertificateByFingerprint(ctx, fp(3))
	must(t, err)
	if c.Kind != KeyCross || string(c.Raw) != "cross" || c.Subject != "b.test" {
		t.Errorf("cross certificate %+v", c)
	}
}

// Whatever somebody does to either table by hand, CompareRing names it.
func TestCompareRingFindsTampering(t *testing.T) {
	for _, c := range []struct {
		name, sql              string
		onlyRing, onlyServer   int
		wantKind               KeyKind
		wantSubject, wantPlace string
	}{
		{"user gone from key server", "DELETE FROM users", 1, 0, KeyUser, "ann@a.test", "ring"},
		{"user gone from ring", "DELETE FROM ring WHERE kind = 'user'", 0, 1, KeyUser, "ann@a.test", "server"},
		{"other card", "UPDATE users SET card = x'00'", 1, 1, KeyUser, "ann@a.test", "ring"},
		{"other key", "UPDATE users SET fingerprint = x'00'", 1, 1, KeyUser, "ann@a.test", "ring"},
		{"link gone", "DELETE FROM certificates", 1, 0, KeyLink, "a.test", "ring"},
		{"descriptor gone from ring", "DELETE FROM ring WHERE kind = 'descriptor'", 0, 1, KeyDescriptor, "a.test", "server"},
		{"descriptor gone", "DELETE FROM servers", 1, 0, KeyDescriptor, "a.test", "ring"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			must(t, s.AddSigned(t.Context(), ann(1)))
			must(t, s.AddSigned(t.Context(), SignedKey{Kind: KeyLink, Subject: "a.test", Fingerprint: fp(2), Raw: []byte("l"), NotAfter: noon}))
			must(t, s.AddSigned(t.Context(), SignedKey{Kind: KeyDescriptor, Subject: "a.test", Fingerprint: fp(4), Raw: []byte("d"), Serial: 1, NotAfter: noon}))
			var mode string
			must(t, s.writerPragma("journal_mode", &mode))
			_, err := s.writeDB.Exec(c.sql)
			must(t, err)
			d, err := s.CompareRing(t.Context())
			must(t, err)
			if len(d.OnlyRing) != c.onlyRing || len(d.OnlyServer) != c.onlyServer {
				t.Fatalf("%+v", d)
			}
			first := append(d.OnlyRing, d.OnlyServer...)[0]
			if first.Kind != c.wantKind || first.Subject != c.wantSubject {
				t.Fatalf("names %+v", first)
			}
			must(t, s.closeDBs())
		})
	}
}

func TestNameKeepsItsKey(t *testing.T) {
	s := open(t)
	must(t, s.AddSigned(t.Context(), ann(1)))
	want(t, s.AddSigned(t.Context(), ann(2)), ErrOtherKey)
	u, err := s.User(t.Context(), "ann@a.test")
	must(t, err)
	if u.Fingerprint != fp(1) {
		t.Fatalf("%+v", u)
	}
	d, err := s.CompareRing(t.Context())
	must(t, err)
	if !d.Same() {
		t.Fatalf("a refused key left a trace: %+v", d)
	}
}

// A card comes after its certificate, and only a newer one takes its place.
func TestCardsOfOneKey(t *testing.T) {
	s := open(t)
	for i, c := range []struct {
		raw, card string
		serial    uint64
		err       error
		want      string // certificate and card on record afterwards
	}{
		{"cert 1", "", 0, nil, "cert 1/"},
		{"cert 1", "card 5", 5, nil, "cert 1/card 5"},
		{"cert 2", "", 0, nil, "cert 2/card 5"},
		{"cert 2", "card 4", 4, ErrOldSerial, "cert 2/card 5"},
		{"cert 2", "other 5", 5, ErrOldSerial, "cert 2/card 5"},
		{"cert 2", "card 5", 5, nil, "cert 2/card 5"},
		{"cert 2", "card 6", 6, nil, "cert 2/card 6"},
	} {
		k := ann(1)
		k.Raw, k.Card, k.Serial = []byte(c.raw), []byte(c.card), c.serial
		want(t, s.AddSigned(t.Context(), k), c.err)
		u, err := s.User(t.Context(), "ann@a.test")
		must(t, err)
		if got := string(u.Certificate) + "/" + string(u.Card); got != c.want {
			t.Errorf("step %d: %s, want %s", i, got, c.want)
		}
		d, err := s.CompareRing(t.Context())
		must(t, err)
		if !d.Same() {
			t.Errorf("step %d: %+v", i, d)
		}
	}
}

func TestCopiesOfOneKeyNeverGoBack(t *testing.T) {
	s := open(t)
	put := func(key int, serial uint64) error {
		return s.PutCachedUser(t.Context(), User{Name: "bob@b.test", Fingerprint: fp(key), Card: []byte{byte(serial)}, Serial: serial})
	}
	must(t, put(1, 5))
	want(t, put(1, 4), ErrOldSerial)
	must(t, put(1, 5))
	must(t, put(2, 1))
	must(t, put(2, 2))
}

func TestAddSignedRefuses(t *testing.T) {
	s := open(t)
	big := make([]byte, MaxRaw+1)
	for name, k := range map[string]SignedKey{
		"context key": {Kind: "context", Subject: "a.test", Raw: []byte("x")},
		"no kind":     {Subject: "a.test", Raw: []byte("x")},
		"no subject":  {Kind: KeyUser, Raw: []byte("x")},
		"no record":   {Kind: KeyUser, Subject: "ann@a.test"},
		"large":       {Kind: KeyUser, Subject: "ann@a.test", Raw: big},
		"large card":  {Kind: KeyUser, Subject: "ann@a.test", Raw: []byte("x"), Card: big},
		"link card":   {Kind: KeyLink, Subject: "a.test", Raw: []byte("x"), Card: []byte("x")},
		"serial":      {Kind: KeyDescriptor, Subject: "a.test", Raw: []byte("x"), Serial: 1 << 63},
	} {
		if err := s.AddSigned(t.Context(), k); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestServerNeedsAGreaterSerial(t *testing.T) {
	s := open(t)
	put := func(serial uint64, ca int, raw string) (bool, error) {
		return s.PutServer(t.Context(), Server{Domain: "b.test", CA: fp(ca), Serial: serial, Descriptor: []byte(raw), NotAfter: noon})
	}
	for _, c := range []struct {
		serial uint64
		ca     int
		raw    string
		fresh  bool
		err    error
	}{
		{5, 1, "five", true, nil},
		{5, 1, "five", false, nil},
		{5, 1, "also five", false, ErrOldSerial},
		{4, 1, "four", false, ErrOldSerial},
		{9, 2, "other CA", false, ErrOtherKey},
		{6, 1, "six", true, nil},
	} {
		fresh, err := put(c.serial, c.ca, c.raw)
		if fresh != c.fresh {
			t.Errorf("%+v: fresh %v", c, fresh)
		}
		want(t, err, c.err)
	}
	must(t, s.AddSigned(t.Context(), SignedKey{Kind: KeyDescriptor, Subject: "a.test", Fingerprint: fp(1), Raw: []byte("d"), Serial: 1, NotAfter: noon}))
	_, err := s.PutServer(t.Context(), Server{Domain: "a.test", CA: fp(1), Serial: 7, Descriptor: []byte("x"), NotAfter: noon})
	want(t, err, ErrOwn)
	_, err = s.putServer(t.Context(), Server{Domain: "c.test", CA: fp(1), Serial: 7, Descriptor: []byte("x"), NotAfter: noon}, 2)
	want(t, err, ErrFull)
	all, err := s.Servers(t.Context())
	must(t, err)
	if len(all) != 2 || all[0].Domain != "a.test" || string(all[1].Descriptor) != "six" || all[1].Serial != 6 {
		t.Fatalf("%+v", all)
	}
	page, err := s.ServersAfter(t.Context(), "a.test", 1)
	must(t, err)
	if len(page) != 1 || page[0].Domain != "b.test" {
		t.Fatalf("%+v", page)
	}
}

func TestCacheDropsTheOldest(t *testing.T) {
	s := open(t)
	const limit = 5
	put := func(n int, at time.Time) {
		t.Helper()
		must(t, s.putCachedUser(t.Context(), User{Name: fmt.Sprintf("u%d@b.test", n), Fingerprint: fp(n),
			Card: []byte{byte(n)}, NotAfter: noon, StoredAt: at}, limit))
	}
	for n := range limit {
		put(n, noon.Add(time.Duration(n)*time.Minute))
	}
	put(0, noon.Add(time.Hour)) // fetched again: the youngest now
	put(7, noon.Add(2*time.Hour))
	for n, there := range map[int]bool{0: true, 1: false, 2: true, 7: true} {
		_, err := s.User(t.Context(), fmt.Sprintf("u%d@b.test", n))
		if (err == nil) != there {
			t.Errorf("u%d: %v", n, err)
		}
	}
	must(t, s.AddSigned(t.Context(), ann(1)))
	want(t, s.PutCachedUser(t.Context(), User{Name: "ann@a.test", Card: []byte("x")}), ErrOwn)
	_, err := s.User(t.Context(), "none@b.test")
	want(t, err, ErrNotFound)
}

func TestOwnRecordGoesBeforeACopy(t *testing.T) {
	s := open(t)
	must(t, s.PutCachedUser(t.Context(), User{Name: "a@other.test", Fingerprint: fp(1), Card: []byte("copy"), NotAfter: noon.Add(time.Hour)}))
	must(t, s.AddSigned(t.Context(), ann(1)))
	u, err := s.UserByFingerprint(t.Context(), fp(1))
	must(t, err)
	if !bytes.Equal(u.Card, []byte("card")) || u.Origin != Home {
		t.Fatalf("%+v", u)
	}
	_, err = s.UserByFingerprint(t.Context(), fp(2))
	want(t, err, ErrNotFound)
}

func TestFirstPinStays(t *testing.T) {
	s := open(t)
	for i, c := range []struct {
		subject string
		fp      int
		old     int
		fresh   bool
	}{{"a.test", 1, 1, true}, {"a.test", 2, 1, false}, {"a.test", 1, 1, false}, {"b.test", 2, 2, true}} {
		old, fresh, err := s.Pin(t.Context(), "domain", c.subject, fp(c.fp))
		must(t, err)
		if old != fp(c.old) || fresh != c.fresh {
			t.Errorf("step %d: %x %v", i, old[:2], fresh)
		}
	}
	got, err := s.Pinned(t.Context(), "domain", "b.test")
	must(t, err)
	if got != fp(2) {
		t.Errorf("pinned %x", got[:2])
	}
	_, err = s.Pinned(t.Context(), "user", "b.test")
	want(t, err, ErrNotFound)
}

func TestPeers(t *testing.T) {
	s := open(t)
	p := Peer{Domain: "b.test", CA: []byte("ca"), Given: []byte("g"), Since: noon}
	must(t, s.PutPeer(t.Context(), p))
	p.Given = []byte("g2")
	must(t, s.PutPeer(t.Context(), p))
	must(t, s.PutPeer(t.Context(), Peer{Domain: "a.test", CA: []byte("ca"), Since: noon}))
	must(t, s.SetReceived(t.Context(), "b.test", []byte("r")))
	want(t, s.SetReceived(t.Context(), "c.test", []byte("r")), ErrNotFound)
	peers, err := s.Peers(t.Context())
	must(t, err)
	if len(peers) != 2 || peers[1].Domain != "b.test" || string(peers[1].Given) != "g2" ||
		string(peers[1].Received) != "r" || len(peers[0].Received) != 0 || !peers[0].Since.Equal(noon) {
		t.Fatalf("%+v", peers)
	}
	_, err = s.Peer(t.Context(), "c.test")
	want(t, err, ErrNotFound)
}

// After any row of AddSigned calls, refused ones among them, ring and key server agree.
func TestRingAlwaysAgrees(t *testing.T) {
	s := open(t)
	rapid.Check(t, func(t *rapid.T) {
		kinds := []KeyKind{KeyUser, KeyLink, KeyCross, KeyDescriptor}
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			_ = s.AddSigned(context.Background(), SignedKey{
				Kind:        rapid.SampledFrom(kinds).Draw(t, "kind"),
				Subject:     rapid.SampledFrom([]string{"a.test", "b.test", "ann@a.test"}).Draw(t, "subject"),
				Fingerprint: fp(rapid.IntRange(0, 2).Draw(t, "fp")),
				Raw:         rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "raw"),
				Card:        rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "card"),
				Serial:      rapid.Uint64Range(0, 20).Draw(t, "serial"),
				NotAfter:    noon,
			})
		}
		d, err := s.CompareRing(context.Background())
		if err != nil || !d.Same() {
			t.Fatalf("%+v %v", d, err)
		}
	})
}
