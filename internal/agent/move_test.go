package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// moved closes a folder, and has who it belongs to move to a name at another domain.
func (m *mesh) moved(t testing.TB, a *Agent, cfg Config, domain string) (*Agent, Departure) {
	t.Helper()
	must(t, a.Close())
	a, d, err := Move(t.Context(), cfg, m.name(t, domain))
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	return a, d
}

// acquainted are ann@a.test and bob@b.test, who have written to each other.
func (m *mesh) acquainted(t testing.TB) (ann, bob *Agent, cfg Config) {
	t.Helper()
	ann, bob = m.met(t)
	return ann, bob, ann.cfg
}

// tellsOfMove takes what bob is warned of, and wants it to be that, or nothing.
func tellsOfMove(t testing.TB, bob *Agent, want string) {
	t.Helper()
	got := ""
	for _, warning := range bob.Warnings() {
		got += warning.Error()
	}
	if got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// Ann goes to c.test. Bob writes to her old name, is told once, and reaches her; her answer is by the
// same person, and so is what she writes when she has gone on to d.test, and when she has come back.
func TestMove(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	first, key := ann.self.name, ann.self.key.Fingerprint()
	ann, d := m.moved(t, ann, cfg, "c.test")
	if d.From != first || len(d.At) != handedTo || !slices.Contains(d.At, domainOf(t, "c.test")) {
		t.Errorf("%+v", d)
	}
	second := ann.self.name
	self, err := ann.Self()
	must(t, err)
	if self.Name != second || self.Fingerprint != key || self.Home.String() != "c.test" || self.Expires.IsZero() {
		t.Errorf("she is %+v", self)
	}
	writes := func(to, now pki.Name, text string) {
		t.Helper()
		hearsOfMove(t, bob, to, now, key)
		bob.disconnect() // as a program that is started anew
		s := send(t, bob, to, text, mor.StoredThere)
		if s.To != now {
			t.Errorf("it went to %s, not %s", s.To, now)
		}
		if got := read(t, ann); len(got) != 1 || got[0] != text {
			t.Errorf("she read %q", got)
		}
		send(t, ann, bob.self.name, "got: "+text, mor.StoredThere)
		must(t, bob.Fetch(t.Context()))
		for _, answer := range shown(t, bob) {
			if answer.From != now || answer.Key != key || answer.Standing.Trust != Vouched {
				t.Errorf("the answer is from %s (%s)", answer.From, answer.Standing)
			}
		}
		if trouble := bob.Trouble(); len(trouble) > 0 {
			t.Errorf("%v", trouble)
		}
	}
	writes(first, second, "where are you?")
	tellsOfMove(t, bob, fmt.Sprintf("%s moved to %s, signed by the old identity", first, second))
	writes(first, second, "again")
	writes(second, second, "by the new name")
	tellsOfMove(t, bob, "")
	s, err := bob.Standing(second)
	must(t, err)
	if want := fmt.Sprintf("moved from %s, vouched (2 peers)", first); s.String() != want {
		t.Errorf("she is %q, want %q", s, want)
	}
	r, err := bob.Check(t.Context(), Subject{first, first.Domain()})
	must(t, err)
	if r.Subject != second.String() || r.MovedFrom != first || r.Key != key || r.Trust != Vouched || r.Problem() != nil {
		t.Errorf("checked: %+v", r)
	}

	ann, _ = m.moved(t, ann, cfg, "d.test")
	third := ann.self.name
	writes(first, third, "and now?")
	tellsOfMove(t, bob, fmt.Sprintf("%s moved to %s, signed by the old identity", first, third))
	must(t, ann.Close())
	ann, _, err = Move(t.Context(), cfg, first)
	must(t, err)
	t.Cleanup(func() { must(t, ann.Close()) })
	writes(first, first, "welcome back")
	writes(second, first, "by a name between")
	if claimed, err := bob.reachable(); err != nil || len(claimed) != 1 {
		t.Errorf("mailboxes for %d contacts, %v", len(claimed), err)
	}
}

// What was on its way to the old home, and what waits there, is fetched; what cannot be handed over
// there any more goes to the new one.
func TestMoveWithLetters(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	send(t, bob, ann.self.name, "it waits at a.test", mor.StoredThere)
	bob.cfg.Dial = (&cut{off: true}).dial
	c, _, err := bob.known(ann.self.name)
	must(t, err)
	must(t, bob.vault.Update(func(tx *vault.Tx) error {
		_, err := bob.enqueue(tx, c, draft{kind: kindText, text: "it has not left yet"})
		return err
	}))
	ann, _ = m.moved(t, ann, cfg, "c.test")
	if got := texts(shown(t, ann)); len(got) != 1 || got[0] != "it waits at a.test" {
		t.Errorf("she has %q", got)
	}
	bob.cfg.Dial = cfg.Dial
	bob.disconnect()
	must(t, bob.Connect(t.Context()))
	hearsOfMove(t, bob, c.name, ann.self.name, c.id)
	must(t, bob.vault.View(func(tx *vault.Tx) error {
		return each(tx, prefixOutbox, func(_ string, r outgoing) error {
			if r.Identity == ann.self.key.Fingerprint() && r.Spools[0].String() != "c.test" {
				t.Errorf("it goes to %s", r.Spools)
			}
			return nil
		})
	}))
	for deadline := time.Now().Add(patience); ; {
		if got := read(t, ann); slices.Contains(got, "it has not left yet") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it never came")
		}
		must(t, bob.Fetch(t.Context()))
	}
}

func texts(all []Message) (list []string) {
	for _, m := range all {
		list = append(list, m.Text)
	}
	return list
}

// Her old home does not answer her, and nobody misses it.
func TestMoveWithoutTheOldHome(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	running, err := node.ReadRunning(filepath.Join(m.dir, "a.test"))
	must(t, err)
	dead := &cut{off: true, pass: func(address string) bool { return address != running.Link && address != running.KeyServer }}
	cfg.Dial = dead.dial
	first := ann.self.name
	ann, d := m.moved(t, ann, cfg, "c.test")
	if slices.Contains(d.At, domainOf(t, "a.test")) {
		t.Errorf("%+v", d)
	}
	hearsOfMove(t, bob, first, ann.self.name, ann.self.key.Fingerprint())
	send(t, bob, first, "I heard that a.test is down", mor.StoredThere)
	if got := read(t, ann); len(got) != 1 {
		t.Errorf("she read %q", got)
	}
}

// While nobody but the new home can be told that she has moved she goes on telling it.
func TestMoveIsToldUntilItIsHeard(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _, cfg := m.acquainted(t)
	direct, now := cfg.Dial, time.Now()
	running, err := node.ReadRunning(filepath.Join(m.dir, "c.test"))
	must(t, err)
	alone := &cut{off: true, pass: func(address string) bool {
		return address == running.Link || address == running.KeyServer || address == cfg.DNS
	}}
	cfg.Dial, cfg.Now = alone.dial, func() time.Time { return now }
	ann, d := m.moved(t, ann, cfg, "c.test")
	if len(d.At) != 1 || d.At[0] != domainOf(t, "c.test") {
		t.Fatalf("told: %+v", d)
	}
	connects := func() (open int) {
		ann.disconnect()
		must(t, ann.Connect(t.Context()))
		unsaid, err := ann.unsaid()
		must(t, err)
		return len(unsaid)
	}
	if connects() != 1 {
		t.Fatal("nobody but her new home knows, and she tells it no more")
	}
	ann.cfg.Dial = direct
	if connects() != 1 {
		t.Error("she asks at each connection")
	}
	now = now.Add(tellEvery)
	if connects() != 0 {
		t.Error("all can be reached, and it is not told")
	}
}

// A node that says no has answered; one that has no room now may take a move another time.
func TestFinal(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		session.Errorf(session.Refused, "it does not hold"): true,
		session.Errorf(session.Unavailable, "not now"):      false,
		errors.New("cut off"):                               false,
	} {
		if final(err) != want {
			t.Errorf("%v: %t", err, !want)
		}
	}
}

// A program that was killed after any of its writes goes on where it was.
func TestMoveGoesOn(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	first, second := ann.self.name, m.name(t, "c.test")
	must(t, ann.Close())
	kept := t.TempDir()
	watched := cfg
	must(t, os.CopyFS(filepath.Join(kept, "0"), os.DirFS(cfg.Home))) // the new home knows her, and she does not
	writes := 0
	watched.Durable = func(uint64) {
		writes++
		must(t, os.CopyFS(filepath.Join(kept, fmt.Sprint(writes)), os.DirFS(cfg.Home)))
	}
	ann, _, err := Move(t.Context(), watched, second)
	must(t, err)
	must(t, ann.Close())
	same := &SameNameError{}
	if _, _, err := Move(t.Context(), cfg, second); !errors.As(err, &same) {
		t.Errorf("moved twice: %v", err)
	}
	before, after := 0, 0
	for i := 0; i <= writes; i += 1 + i/3 { // close together at first
		killed, begins := cfg, false // begins: she signs another move, which the nodes take later, since they have one
		killed.Home = filepath.Join(kept, fmt.Sprint(i))
		private(t, killed.Home)
		if a, err := openFolder(killed); err != nil {
			t.Fatal(err)
		} else if id, _, err := a.identity(); err != nil || id.Name == first {
			before++
			begins = true
			must(t, errors.Join(err, a.Close()))
		} else {
			after++
			must(t, a.Close())
		}
		a, _, err := Move(t.Context(), killed, second)
		if errors.As(err, &same) {
			continue // all was done
		}
		if err != nil {
			t.Fatalf("killed after write %d: %v", i, err)
		}
		if unsaid, err := a.unsaid(); err != nil || len(unsaid) > 0 && !begins || a.self.name != second {
			t.Errorf("killed after write %d: %s, %d not handed in, %v", i, a.self.name, len(unsaid), err)
		}
		must(t, a.Close())
	}
	if before == 0 || after == 0 {
		t.Errorf("killed %d times before, and %d times after: this shows nothing", before, after)
	}
	hearsOfMove(t, bob, first, second, ann.self.key.Fingerprint())
	send(t, bob, first, "there?", mor.StoredThere)
	if got := read(t, open(t, cfg)); len(got) != 1 {
		t.Errorf("she read %q", got)
	}
}

// private makes a copy of a folder one that its owner alone may read.
func private(t testing.TB, folder string) {
	t.Helper()
	must(t, os.Chmod(folder, 0o700))
	files, err := os.ReadDir(folder)
	must(t, err)
	for _, file := range files {
		must(t, os.Chmod(filepath.Join(folder, file.Name()), 0o600))
	}
}

// Where the new home does not take her, she is who she was, where she was.
func TestMoveRefused(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	first := ann.self.name
	other, _ := m.user(t, "c.test")
	must(t, ann.Close())
	var (
		refused *session.Error
		nowhere *NoServerError
		same    *SameNameError
		taken   *TakenError
	)
	if _, _, err := Move(t.Context(), cfg, other.self.name); !errors.As(err, &refused) || refused.Code != session.Refused {
		t.Errorf("to a name that is taken: %v", err)
	}
	gone, err := pki.ParseName("ann@nowhere.test")
	must(t, err)
	if _, _, err := Move(t.Context(), cfg, gone); !errors.As(err, &nowhere) {
		t.Errorf("to a server that is none: %v", err)
	}
	if _, _, err := Move(t.Context(), cfg, first); !errors.As(err, &same) {
		t.Errorf("to her own name: %v", err)
	}
	if _, err := New(t.Context(), cfg, m.name(t, "c.test")); !errors.As(err, &taken) || taken.Begun {
		t.Errorf("without saying that she moves: %v", err)
	}
	if _, _, err := Move(t.Context(), m.config(t), m.name(t, "c.test")); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("with nobody in the folder: %v", err)
	}
	keyonly := m.config(t)
	a, err := NewKeyonly(keyonly)
	must(t, err)
	must(t, a.Close())
	if _, _, err := Move(t.Context(), keyonly, m.name(t, "c.test")); !errors.Is(err, ErrNoHome) {
		t.Errorf("with no name to leave: %v", err)
	}
	ann = open(t, cfg)
	send(t, bob, first, "still there?", mor.StoredThere)
	if got := read(t, ann); len(got) != 1 || ann.self.name != first {
		t.Errorf("%s read %q", ann.self.name, got)
	}
}

// Another program on the folder goes on under the new name.
func TestMoveUnderAnotherProgram(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	mover, _, err := Move(t.Context(), cfg, m.name(t, "c.test"))
	must(t, err)
	must(t, mover.Close())
	first, second := ann.self.name, mover.self.name
	hearsOfMove(t, bob, first, second, ann.self.key.Fingerprint())
	send(t, bob, first, "you there?", mor.StoredThere)
	if got := read(t, ann); len(got) != 1 || ann.self.name != second || ann.where() != second.Domain() {
		t.Errorf("%s at %s read %q", ann.self.name, ann.where(), got)
	}
}

// Who never met her, and has her old name from somewhere, is led on by the card that is still shown
// under it.
func TestStrangerFollows(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, cfg := m.user(t, "a.test")
	must(t, ann.Connect(t.Context()))
	first := ann.self.name
	ann, _ = m.moved(t, ann, cfg, "c.test")
	eve, _ := m.user(t, "d.test")
	hearsOfMove(t, eve, first, ann.self.name, ann.self.key.Fingerprint())
	if s := send(t, eve, first, "we have not met", mor.StoredThere); s.To != ann.self.name {
		t.Errorf("it went to %s", s.To)
	}
	tellsOfMove(t, eve, fmt.Sprintf("%s moved to %s, signed by the old identity", first, ann.self.name))
	if got := read(t, ann); len(got) != 1 {
		t.Errorf("she read %q", got)
	}
}

// hearsOfMove waits until a has heard that a key which had a name has that other one now.
func hearsOfMove(t testing.TB, a *Agent, name, want pki.Name, key pki.Fingerprint) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		must(t, a.refreshDirectory(t.Context(), 0))
		now, _, err := a.currently(name, key)
		if must(t, err); now == want {
			return
		}
	}
	t.Fatalf("nobody tells that %s is %s now", name, want)
}
