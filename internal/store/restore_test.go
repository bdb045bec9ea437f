package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// byHand changes the file as somebody with another program would.
func byHand(t *testing.T, path, statement string) {
	t.Helper()
	d, err := sql.Open("sqlite", path)
	must(t, err)
	defer d.Close()
	_, err = d.Exec(statement)
	must(t, err)
}

// openSigned opens a store in which the domain signed one of everything.
func openSigned(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	for _, k := range []SignedKey{
		ann(1),
		{Kind: KeyLink, Subject: "a.test", Fingerprint: fp(2), Raw: []byte("link"), NotAfter: noon},
		{Kind: KeyCross, Subject: "b.test", Fingerprint: fp(3), Raw: []byte("cross"), NotAfter: noon},
		{Kind: KeyDescriptor, Subject: "a.test", Fingerprint: fp(4), Raw: []byte("d"), Serial: 1, NotAfter: noon},
	} {
		must(t, s.AddSigned(t.Context(), k))
	}
	return s, path
}

// wantServed fails unless the key server has what openSigned put there.
func wantServed(t *testing.T, s *Store) {
	t.Helper()
	u, err := s.User(t.Context(), "ann@a.test")
	must(t, err)
	d, err := s.Server(t.Context(), "a.test")
	must(t, err)
	link, err := s.CertificateByFingerprint(t.Context(), fp(2))
	must(t, err)
	cross, err := s.CertificateByFingerprint(t.Context(), fp(3))
	must(t, err)
	if got := string(u.Certificate) + string(u.Card) + string(d.Descriptor) + string(link.Raw) + string(cross.Raw); got != "certcarddlinkcross" ||
		u.Origin != Home || d.Origin != Home || u.Fingerprint != fp(1) || u.Serial != 1 || !u.NotAfter.Equal(noon) || d.Serial != 1 {
		t.Fatalf("the key server has %q, %+v, %+v", got, u, d)
	}
}

// Whatever is taken from one of the two copies comes back from the other, while the store
// is in use; what is signed goes before what is not, on either side.
func TestRestore(t *testing.T) {
	for name, statements := range map[string][]string{
		"nothing":                  {},
		"key server empty":         {"DELETE FROM users", "DELETE FROM servers", "DELETE FROM certificates"},
		"ring empty":               {"DELETE FROM ring"},
		"other card":               {"UPDATE users SET card = x'00'"},
		"other key":                {"UPDATE users SET fingerprint = x'00'"},
		"other card in the ring":   {"UPDATE ring SET card = x'00' WHERE kind = 'user'"},
		"other descriptor":         {"UPDATE servers SET descriptor = x'00', serial = 9"},
		"a copy in place of hers":  {"UPDATE users SET origin = 'cache'", "UPDATE counters SET value = 1 WHERE name = 'cached'"},
		"half of each":             {"DELETE FROM users", "DELETE FROM ring WHERE kind <> 'user'"},
		"other certificates":       {"UPDATE certificates SET raw = x'00'"},
		"certificates of the ring": {"UPDATE ring SET raw = x'00' WHERE kind IN ('link', 'cross')"},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := openSigned(t)
			for _, statement := range statements {
				byHand(t, path, statement)
			}
			left, err := s.Restore(t.Context(), func(k SignedKey) bool { return k.Raw[0] != 0 && (len(k.Card) == 0 || k.Card[0] != 0) })
			must(t, err)
			if !left.Same() {
				t.Fatalf("left: %+v", left)
			}
			wantServed(t, s)
		})
	}
}

// What nobody signed is neither copied nor taken away, and is named.
func TestRestoreLeavesWhatIsNotSigned(t *testing.T) {
	s, path := openSigned(t)
	byHand(t, path, "INSERT INTO users VALUES ('eve@a.test', x'0102', x'01', x'', 0, 0, 'home', 0)")
	byHand(t, path, "INSERT INTO certificates VALUES ('link', 'a.test', x'0102', x'01', 0)")
	byHand(t, path, "INSERT INTO ring VALUES ('cross', 'e.test', x'0102', x'01', x'', 0, 0)")
	left, err := s.Restore(t.Context(), func(k SignedKey) bool { return k.Subject != "eve@a.test" })
	must(t, err)
	if len(left.OnlyServer) != 2 || left.OnlyServer[0].Subject != "eve@a.test" || len(left.OnlyRing) != 1 || left.OnlyRing[0].Subject != "e.test" {
		t.Fatalf("left: %+v", left)
	}
	wantServed(t, s)
}

// A second opening reads beside the first, sees what that writes, and can change nothing.
func TestReader(t *testing.T) {
	s, path := openSigned(t)
	r, err := OpenReader(t.Context(), path)
	must(t, err)
	wantServed(t, r)
	must(t, s.PutPeer(t.Context(), Peer{Domain: "b.test", CA: []byte("ca"), Since: noon}))
	_, err = r.Peer(t.Context(), "b.test")
	must(t, err)
	want(t, r.PutPeer(t.Context(), Peer{Domain: "c.test", CA: []byte("ca"), Since: noon}), ErrReader)
	if _, err := r.readDB.Exec("DELETE FROM peers"); err == nil {
		t.Error("a reader can write")
	}
	faults, err := r.Check(t.Context())
	must(t, err)
	if len(faults) > 0 {
		t.Errorf("faults: %q", faults)
	}
	must(t, r.Close())
	must(t, r.Close())
}

func TestReaderRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	_, err := OpenReader(t.Context(), path)
	want(t, err, fs.ErrNotExist)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it made a file")
	}
	_, path = openSigned(t)
	byHand(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	_, err = OpenReader(t.Context(), path)
	want(t, err, ErrNewer)
	byHand(t, path, "DELETE FROM goose_db_version WHERE version_id > 0")
	_, err = OpenReader(t.Context(), path)
	want(t, err, ErrOlder)
}

// Damage in the file is told.
func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	for i := range 200 {
		must(t, s.PutPeer(t.Context(), Peer{Domain: "b" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".test", CA: make([]byte, 2000), Since: noon}))
	}
	must(t, s.Close())
	raw, err := os.ReadFile(path)
	must(t, err)
	const page = 4096
	for i := len(raw) / 2 / page * page; i < len(raw)/2/page*page+8*page; i++ {
		raw[i] = 0xa5
	}
	must(t, os.WriteFile(path, raw, 0o600))
	r, err := OpenReader(t.Context(), path)
	must(t, err)
	defer r.Close()
	faults, err := r.Check(t.Context())
	if err == nil && (len(faults) == 0 || len(faults) > maxFaults) {
		t.Errorf("%d faults found", len(faults))
	}
}
