package agent

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// selfOf is one of many identities, each the same in every run.
func selfOf(n int) self {
	root := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return self{root: root[:]}
}

// A thousand users who were certified in the same moment are spread over the whole window, and so
// are the certificates of one of them: none is renewed before or after it.
func TestRenewalsAreSpread(t *testing.T) {
	t.Parallel()
	const users, bins, day = 1000, 10, 24 * time.Hour
	w := newWorld(t, "a.test")
	w.now = w.now.Truncate(time.Second)
	first := w.user(w.domains["a.test"]).cert
	life, _ := termOf(first)
	whole := life.until.Sub(life.from) // 30 days, and what it is dated back
	for what, c := range map[string]struct {
		at          func(n int) (time.Time, error)
		least, most time.Duration
	}{
		"users": {func(n int) (time.Time, error) { return selfOf(n).renews(first) }, whole / 2, whole * 5 / 6},
		"cards": {func(n int) (time.Time, error) { return selfOf(n).recards(first, life.from) }, 5 * day, 10 * day},
		"one user's cards": {func(n int) (time.Time, error) {
			at, err := selfOf(1).recards(first, life.from.Add(time.Duration(n)*time.Second))
			return at.Add(-time.Duration(n) * time.Second), err
		}, 5 * day, 10 * day},
	} {
		var in [bins]int
		for n := range users {
			at, err := c.at(n)
			must(t, err)
			if again, err := c.at(n); err != nil || !again.Equal(at) {
				t.Fatalf("%s: %s, and then %s: %v", what, at, again, err)
			}
			after := at.Sub(life.from)
			if after < c.least || after >= c.most {
				t.Fatalf("%s: %d after %s", what, n, after)
			}
			in[(after-c.least)*bins/(c.most-c.least)]++
		}
		for i, n := range in {
			if n < users/bins/2 || n > users/bins*3/2 {
				t.Errorf("%s: %d of %d in part %d of the window", what, n, users, i)
			}
		}
	}
	if a, _ := selfOf(1).renews(first); a.Equal(must1(selfOf(1).renews(w.user(w.domains["a.test"]).cert))) {
		t.Error("two certificates of one user are renewed at the same time")
	}
}

func must1(at time.Time, _ error) time.Time { return at }

// agedBy gives somebody a certificate that her home has signed so long ago, and no card.
func agedBy(t *testing.T, m *mesh, a *Agent, ago time.Duration) []byte {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(m.dir, a.home().String(), "keys", "authority"))
	must(t, err)
	home, err := pki.ParseAuthority(secret)
	must(t, err)
	request, err := pki.NewUserRequest(rand.Reader, a.self.key, a.self.name)
	must(t, err)
	old, err := home.SignUser(rand.Reader, time.Now().Add(-ago), request, pki.UserLifetime)
	must(t, err)
	must(t, a.vault.Update(func(tx *vault.Tx) error { return keepCertificate(tx, old) }))
	return old.DER()
}

// While a link lasts a certificate is renewed, too, when its time has come. A home that does not
// renew it is asked again, later and later, and near the end its user is told, once a day.
func TestRenewalIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, _ := m.user(t, "a.test")
	const day = 24 * time.Hour
	has := func() []byte {
		id, _, err := ann.identity()
		must(t, err)
		return id.Certificate
	}
	fresh := has()
	must(t, ann.Connect(t.Context()))
	if !bytes.Equal(has(), fresh) || len(ann.Warnings()) > 0 {
		t.Error("renewed on its first day")
	}
	old := agedBy(t, m, ann, 26*day)
	ann.disconnect() // so nothing gets as far as the home
	for failed := 1; failed <= 3; failed++ {
		if !asksHome(t, ann) || asksHome(t, ann) { // the second time it is too early
			t.Errorf("asked twice, or not at all, for the %d. time", failed)
		}
		must(t, ann.vault.Update(func(tx *vault.Tx) error {
			tried, _, err := load[renewal](tx, keyRenewal)
			if wait := firstRetry << (failed - 1); tried.Failed != failed || !tried.again().Equal(tried.Tried.Add(wait)) {
				t.Errorf("%d tries, and the next after %s", tried.Failed, tried.again().Sub(tried.Tried))
			}
			tried.Tried = tried.Tried.Add(-longestRetry)
			return errors.Join(err, save(tx, keyRenewal, tried))
		}))
	}
	var ending *ExpiryError
	if told := ann.Warnings(); len(told) != 1 || !errors.As(told[0], &ending) || ending.DaysLeft != 3 {
		t.Errorf("told %v", told)
	}
	if told := ann.Warnings(); len(told) > 0 {
		t.Errorf("told again: %v", told)
	}
	if s, err := ann.Summary(); err != nil || s.DaysLeft != 3 || !bytes.Equal(has(), old) {
		t.Errorf("%+v, %v", s, err)
	}
	must(t, ann.Connect(t.Context()))
	id, _, err := ann.identity()
	must(t, err)
	if bytes.Equal(id.Certificate, old) || !bytes.Equal(id.Carded, id.Certificate) {
		t.Error("not renewed, or without a card")
	}
	old = agedBy(t, m, ann, 26*day)
	must(t, ann.vault.Update(func(tx *vault.Tx) error { tx.Delete(keyRenewal); return nil }))
	if must(t, ann.Connect(t.Context())); bytes.Equal(has(), old) {
		t.Error("not renewed while the link lasts")
	}
	if s, err := ann.Self(); err != nil || s.DaysLeft < 28 || len(ann.Warnings()) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// asksHome asks for a fresh certificate, if it is time for that, on the link as it is.
func asksHome(t *testing.T, a *Agent) bool {
	t.Helper()
	id, _, err := a.identity()
	must(t, err)
	due, err := a.renewing(id)
	must(t, err)
	if !due {
		return false
	}
	ca, err := a.authority(a.home())
	must(t, err)
	known, err := ca.VerifyUser(id.Certificate, a.now())
	must(t, err)
	if kept, err := a.renew(t.Context(), id, ca, known); err != nil || !bytes.Equal(kept.DER(), id.Certificate) {
		t.Errorf("by a home that does not answer: %v", err)
	}
	return true
}

// However often it failed, the home is asked once a day; and a certificate that is of no use to
// draw from is renewed at once.
func TestRenewalBounds(t *testing.T) {
	t.Parallel()
	for failed, want := range map[int]time.Duration{0: firstRetry, 1: firstRetry, 2: 2 * firstRetry, 5: 16 * firstRetry, 6: longestRetry, 1 << 40: longestRetry} {
		if wait := (renewal{Failed: failed}).again().Sub(time.Time{}); wait != want {
			t.Errorf("after %d failures %s", failed, wait)
		}
	}
	if at, err := selfOf(1).renews([]byte("none")); err != nil || !at.IsZero() {
		t.Errorf("%s, %v", at, err)
	}
}
