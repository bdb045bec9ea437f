package agent

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

// invited asks the operator of a domain for an invitation.
func (m *mesh) invited(t *testing.T, domain string) invitation.Invitation {
	t.Helper()
	control, err := node.NewControl(filepath.Join(m.dir, domain))
	must(t, err)
	made, err := control.Invite(t.Context(), "", time.Hour)
	must(t, err)
	i, err := invitation.Parse(made.Code)
	must(t, err)
	return i
}

// Who is invited believes the keys in the invitation, and begins with those as her witnesses.
func TestInvited(t *testing.T) {
	t.Parallel()
	m := here(t)
	name, cfg := m.name(t, "a.test"), m.config(t)
	i := m.invited(t, "a.test")
	cfg.Invite = &i
	a, err := New(t.Context(), cfg, name)
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	var home pin
	var list []listed
	must(t, a.vault.View(func(tx *vault.Tx) (err error) {
		if home, _, err = loadPin(tx, name.Domain()); err == nil {
			list, _, err = load[[]listed](tx, keyList)
		}
		return err
	}))
	if home.Key != i.Home.Key || home.Trust != pki.Verified {
		t.Errorf("home: %+v", home)
	}
	if len(i.Others) != 3 || len(list) < len(i.Others) {
		t.Fatalf("invited with %d others, the list has %d", len(i.Others), len(list))
	}
	for n, other := range i.Others {
		if list[n].Domain != other.Domain || list[n].Key != other.Key {
			t.Errorf("witness %d: %+v", n, list[n])
		}
	}
}

// A home that shows another key than the invitation names hears nothing.
func TestInvitedElsewhere(t *testing.T) {
	t.Parallel()
	m := here(t)
	name, cfg := m.name(t, "a.test"), m.config(t)
	i, err := invitation.New(rand.Reader, invitation.Known{Domain: name.Domain(), Key: pki.Fingerprint{1}}, nil)
	must(t, err)
	cfg.Invite = &i
	var changed *pki.KeyChangedError
	if _, err := New(t.Context(), cfg, name); !errors.As(err, &changed) || changed.Pinned != i.Home.Key {
		t.Errorf("another key: %v", err)
	}
	other := m.name(t, "b.test")
	var wrong *InvitationError
	if _, err := New(t.Context(), cfg, other); !errors.As(err, &wrong) || wrong.To != name.Domain() {
		t.Errorf("another server: %v", err)
	}
}
