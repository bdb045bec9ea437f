package store

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Unix(1_800_000_000, 0) // any fixed moment; day 20833

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "node.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fp makes distinct 32-byte values for tests.
func fp(n int) (f [32]byte) {
	f[0], f[1], f[2], f[31] = byte(n), byte(n>>8), byte(n>>16), 0x5a
	return f
}

func id(n int) (i [16]byte) {
	i[0], i[1], i[2], i[15] = byte(n), byte(n>>8), byte(n>>16), 0x5a
	return i
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func TestFileIsPrivateWhateverItsPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder?with=odd%20#signs")
	path := filepath.Join(dir, "no de?.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	must(t, s.Remember(t.Context(), []Mark{{ID: id(1), Until: noon}}))
	for p, mode := range map[string]os.FileMode{
		dir: 0o700 | os.ModeDir, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600,
	} {
		st, err := os.Stat(p)
		must(t, err)
		if st.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", p, st.Mode(), mode)
		}
	}
	must(t, s.Close())
	must(t, s.Close())
	want(t, s.Remember(t.Context(), []Mark{{ID: id(2), Until: noon}}), ErrClosed)
}

func TestPragmasHoldOnEveryConnection(t *testing.T) {
	s := open(t)
	for _, p := range []struct{ name, value string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"secure_delete", "1"}, {"busy_timeout", "5000"}, {"temp_store", "2"},
	} {
		var write, read string
		must(t, s.readDB.QueryRow("PRAGMA "+p.name).Scan(&read))
		must(t, s.writerPragma(p.name, &write))
		if write != p.value || read != p.value {
			t.Errorf("%s: write %q, read %q, want %q", p.name, write, read, p.value)
		}
	}
	if _, err := s.readDB.Exec("DELETE FROM counters"); err == nil {
		t.Error("the read pool can write")
	}
}

// writerPragma reads a pragma through a connection opened as the writer's is.
func (s *Store) writerPragma(name string, value *string) error {
	s.once.Do(func() { close(s.closing); <-s.stopped }) // frees the one connection
	return s.writeDB.QueryRow("PRAGMA " + name).Scan(value)
}

func TestNewerFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	var j string
	must(t, s.writerPragma("journal_mode", &j))
	_, err = s.writeDB.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	must(t, err)
	must(t, s.closeDBs())
	_, err = Open(t.Context(), path)
	want(t, err, ErrNewer)
}

// A caller's failure must not touch those who share its commit.
func TestFailureInAGroupIsAlone(t *testing.T) {
	s := open(t)
	must(t, s.Claim(t.Context(), fp(1), []Address{{Mailbox: fp(10), Kind: Contact, UntilDay: Day(noon)}}))
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			box, wanted := fp(10), error(nil)
			if i%2 == 1 {
				box, wanted = fp(11), ErrNoMailbox
			}
			fresh, err := s.Deposit(context.Background(), Item{Mailbox: box, ID: id(i), At: noon})
			if fresh != (wanted == nil) || !errors.Is(err, wanted) {
				t.Errorf("deposit %d: %v %v", i, fresh, err)
			}
		})
	}
	wg.Wait()
	items, err := s.Items(t.Context(), fp(1), 0, MaxPage)
	must(t, err)
	if len(items) != 100 {
		t.Fatalf("%d items, want 100", len(items))
	}
}

func TestEndedContextWritesNothing(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 50 { // select may take either branch; whatever it takes must be told truly
		err := s.Remember(ctx, []Mark{{ID: id(i), Until: noon}})
		marks, readErr := s.Marks(t.Context(), noon.Add(-time.Hour))
		must(t, readErr)
		known := len(marks) > 0 && marks[len(marks)-1].ID == id(i)
		if known != (err == nil) {
			t.Fatalf("round %d: reported %v, stored %v", i, err, known)
		}
	}
}

// SQL that repeats or swaps parameters means different things to different drivers.
func TestParametersAscend(t *testing.T) {
	files, err := filepath.Glob("db/*.sql.go")
	must(t, err)
	query := regexp.MustCompile("(?s)= `-- name: (\\w+).*?`")
	param := regexp.MustCompile(`\$(\d+)`)
	seen := 0
	for _, f := range files {
		src, err := os.ReadFile(f)
		must(t, err)
		for _, q := range query.FindAllSubmatch(src, -1) {
			seen++
			for i, p := range param.FindAllSubmatch(q[0], -1) {
				if string(p[1]) != string(rune('1'+i)) {
					t.Errorf("%s: parameter %d is $%s", q[1], i+1, p[1])
				}
			}
		}
	}
	if seen < 30 {
		t.Fatalf("only %d queries found", seen)
	}
}

// listing are the queries that read more people than one who is named exactly, each with its
// reason. What is for the operator alone stands in the files that may call it: what answers the
// control socket in his folder, the doctor that he runs, and the node's own start.
var listing = map[string]struct {
	reason string
	method string   // of Store; empty: nothing comes out
	files  []string // of node
}{
	"OnlyInRing":     {"the two copies of keys compared; the operator reads the difference", "CompareRing", []string{"node.go", "doctorstore.go"}},
	"UsersNotInRing": {"the same", "CompareRing", []string{"node.go", "doctorstore.go"}},
	"OwnUsersAfter":  {"p3dod user list; the operator has the file anyway", "OwnUsers", []string{"users.go"}},
	"CardsLogged":    {"what peers are given copies of: sealed by the name before anything leaves", "CardsLogged", []string{"copies.go"}},
	"Invitations":    {"p3dod user list --invited; their names were typed by the operator", "Invitations", []string{"invites.go"}},
	"Pins":           {"the pins of domains; those of users have another kind, which no file but the named one could ask for", "Pins", []string{"beliefs.go"}},

	"CachedUsersOf":        {"an audit of the key server of another domain, which asks that alone", "CachedUsersOf", []string{"audit.go"}},
	"DropOldestCachedUser": {"drops a copy, and says nothing", "", nil},
}

// No query of any file may walk over people: it names one exactly, by name, fingerprint or hash,
// but for the listing ones, which only those call who may.
func TestNoQueryListsUsers(t *testing.T) {
	people := regexp.MustCompile(`(?:FROM|JOIN)\s+(users|ring|pins|quotas|invitations)\b`)
	exact := regexp.MustCompile(`WHERE (kind = \$1 AND )?(name|subject|fingerprint|hash) = \$[12]\b`)
	files, err := filepath.Glob("queries/*.sql")
	must(t, err)
	seen := make(map[string]bool)
	for _, file := range files {
		src, err := os.ReadFile(file)
		must(t, err)
		for _, q := range strings.Split(string(src), "-- name: ")[1:] {
			name, body, _ := strings.Cut(q, "\n")
			name = strings.Fields(name)[0]
			seen[name] = true
			_, listed := listing[name]
			reads := people.MatchString(body) && strings.Contains(body, "SELECT")
			if name == "ServersNotInRing" || name == "CertificatesNotInRing" { // read servers, and certificates of servers
				continue
			}
			if reads && !listed && !exact.MatchString(body) {
				t.Errorf("%s: query %s reads users", file, name)
			}
			if listed && !reads {
				t.Errorf("%s: query %s reads no users", file, name)
			}
		}
	}
	for name, of := range listing {
		if !seen[name] {
			t.Errorf("there is no query %s", name)
		}
		if of.method != "" {
			onlyIn(t, of.method, of.files)
		}
	}
}

// onlyIn fails if a method of the Store that lists people is called elsewhere than in these files
// of node.
func onlyIn(t *testing.T, method string, files []string) {
	t.Helper()
	for _, pattern := range []string{"../../node/*.go", "../../keyserver/*.go", "../*/*.go", "../../cmd/*/*.go"} {
		all, err := filepath.Glob(pattern)
		must(t, err)
		if len(all) == 0 {
			t.Fatalf("there is nothing in %s", pattern)
		}
		for _, file := range all {
			own := strings.HasPrefix(file, "../store/")
			allowed := filepath.Dir(file) == "../../node" && slices.Contains(files, filepath.Base(file))
			if own || allowed || strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			must(t, err)
			if regexp.MustCompile(`\b(s|store)\.` + method + `\(`).Match(src) {
				t.Errorf("%s calls %s", file, method)
			}
		}
	}
}

// Without sqlc the test is skipped, or fails if P3DO_REQUIRE, a list separated by
// commas or spaces, names it.
func TestGeneratedCodeIsFresh(t *testing.T) {
	sqlc, err := exec.LookPath("sqlc")
	required := strings.FieldsFunc(os.Getenv("P3DO_REQUIRE"), func(c rune) bool { return c == ',' || c == ' ' })
	if err != nil && slices.Contains(required, "sqlc") {
		t.Fatal("P3DO_REQUIRE lists sqlc, and there is no sqlc command")
	}
	if err != nil {
		t.Skip("sqlc is not installed; it is a tool of tools/go.mod")
	}
	if out, err := exec.Command(sqlc, "diff").CombinedOutput(); err != nil {
		t.Fatalf("sqlc diff: %v\n%s", err, out)
	}
}

func TestGroundFloor(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, f := range files {
		src, err := os.ReadFile(f)
		must(t, err)
		for _, m := range regexp.MustCompile(`"github.com/p3do/p3do/([^"]+)"`).FindAllSubmatch(src, -1) {
			if !strings.HasSuffix(f, "_test.go") && string(m[1]) != "internal/store/db" {
				t.Errorf("%s imports %s", f, m[1])
			}
		}
	}
}

// Two SIGKILL-free restarts: everything is there again, in the same words.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	s, err := Open(t.Context(), path)
	must(t, err)
	peer := Peer{Domain: "b.test", CA: []byte("ca"), Given: []byte("given"), Received: []byte{}, Since: noon}
	must(t, s.PutPeer(t.Context(), peer))
	must(t, s.SetReceived(t.Context(), "b.test", []byte("received")))
	peer.Received = []byte("received")
	must(t, s.Close())
	s, err = Open(t.Context(), path)
	must(t, err)
	defer s.Close()
	got, err := s.Peer(t.Context(), "b.test")
	must(t, err)
	if !reflect.DeepEqual(got, peer) {
		t.Fatalf("%+v, want %+v", got, peer)
	}
}
