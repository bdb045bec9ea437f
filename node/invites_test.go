package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// operator reaches the node that serves a domain of the mesh.
func (m *mesh) operator(domain string) *Control {
	m.t.Helper()
	control, err := NewControl(m.nodes[domain].dir)
	must(m.t, err)
	return control
}

// invited registers with a code.
func (u *user) invited(code string) error {
	u.mesh.t.Helper()
	i, err := invitation.Parse(code)
	must(u.mesh.t, err)
	request, err := pki.NewUserRequest(rand.Reader, u.key, u.name)
	must(u.mesh.t, err)
	u.cert, err = u.client.Register(u.mesh.t.Context(), request.DER(), i.Token[:])
	return err
}

// Where registration is closed a name is had by an invitation, once, and by nobody whom it is
// not for.
func TestInvitation(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", func(c *Config) { c.Registration = RegistrationClosed }).start()
	operator := m.operator("a.test")
	open, err := operator.Invite(t.Context(), "", InvitationLife)
	must(t, err)
	forAnn, err := operator.Invite(t.Context(), "ann", time.Hour)
	must(t, err)

	bob := m.stranger("bob@a.test", "a.test")
	wantCode(t, bob.register(), session.Refused, "a.test takes no new users without an invitation")
	wantCode(t, bob.invited(forAnn.Code), session.Refused, "this invitation is for another name")
	must(t, bob.invited(open.Code))
	must(t, bob.invited(open.Code)) // the answer was lost on the way
	must(t, bob.register())         // renewed
	used := "this invitation was used on " + time.Now().UTC().Format("2 Jan")
	wantCode(t, m.stranger("cat@a.test", "a.test").invited(open.Code), session.Refused, used)
	must(t, m.stranger("ann@a.test", "a.test").invited(forAnn.Code))
	_, err = bob.client.Register(t.Context(), mustRequest(t, "dan@a.test"), []byte("short"))
	wantCode(t, err, session.Refused, "this is no invitation of a.test")
	_, err = bob.client.Register(t.Context(), mustRequest(t, "dan@a.test"), make([]byte, invitation.TokenSize))
	wantCode(t, err, session.Refused, "this is no invitation of a.test")

	all, err := operator.Invitations(t.Context())
	if err != nil || len(all) != 2 || all[0].State != "used" || all[0].For+all[1].For != "ann@a.test" || all[1].State != "used" {
		t.Errorf("%+v, %v", all, err)
	}
	for _, bad := range []struct {
		name string
		life time.Duration
	}{{"ann@b.test", time.Hour}, {"Ann", time.Hour}, {"", -time.Hour}, {"", 2 * longestInvitationLife}} {
		if _, err := operator.Invite(t.Context(), bad.name, bad.life); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func mustRequest(t *testing.T, name string) []byte {
	t.Helper()
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	request, err := pki.NewUserRequest(rand.Reader, key, parse(t, pki.ParseName, name))
	must(t, err)
	return request.DER()
}

// An invitation says what keys to begin with: the home's, and of at most four peers.
func TestInvitationNamesPeers(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	made, err := m.operator("a.test").Invite(t.Context(), "", InvitationLife)
	must(t, err)
	i, err := invitation.Parse(made.Code)
	must(t, err)
	if i.Home.Domain.String() != "a.test" || i.Home.Key != m.authority("a.test").CA().Fingerprint() || len(i.Others) != 2 {
		t.Fatalf("%+v", i)
	}
	for _, other := range i.Others {
		if other.Key != m.authority(other.Domain.String()).CA().Fingerprint() {
			t.Errorf("another key of %s", other.Domain)
		}
	}
}

// The operator signs for whom he knows, sees who is there, and ends a name: whoever is logged
// in with it is cut off, and cannot come back.
func TestUsers(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", func(c *Config) { c.Registration = RegistrationClosed }).start()
	operator := m.operator("a.test")
	ann := m.stranger("ann@a.test", "a.test")
	request, err := pki.NewUserRequest(rand.Reader, ann.key, ann.name)
	must(t, err)
	signed, err := operator.SignUser(t.Context(), request.DER())
	must(t, err)
	ann.cert = signed.Certificate
	ann.login()
	for what, bad := range map[string][]byte{
		"another's name": mustRequest(t, "ann@a.test"), "another domain's": mustRequest(t, "ann@b.test"), "nothing": []byte("x"),
	} {
		if _, err := operator.SignUser(t.Context(), bad); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", what, err)
		}
	}
	users, err := operator.Users(t.Context())
	if err != nil || len(users) != 1 || users[0].Name != ann.name || users[0].State != "valid" || users[0].Quota != defaultQuota ||
		users[0].Fingerprint != ann.key.Fingerprint() {
		t.Fatalf("%+v, %v", users, err)
	}

	revoked, err := operator.RevokeUser(t.Context(), "ann")
	if err != nil || revoked.Fingerprint != ann.key.Fingerprint() {
		t.Fatalf("%+v, %v", revoked, err)
	}
	<-ann.client.Done()
	ann.connect("a.test")
	_, err = ann.client.Login(t.Context(), ann.name, ann.cert, ann.key, nil)
	wantCode(t, err, session.Refused, "a.test has ended the name ann@a.test")
	wantCode(t, ann.register(), session.Refused, "a.test has ended the name ann@a.test")
	if _, err := operator.SignUser(t.Context(), request.DER()); !errors.Is(err, ErrInput) {
		t.Errorf("signed again: %v", err)
	}
	for _, name := range []string{"ann", "nobody", "ann@b.test", "!"} {
		if _, err := operator.RevokeUser(t.Context(), name); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who has used up her hour is told how long it takes; others send on.
func TestQuotaOfAUser(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@a.test")
	operator := m.operator("a.test")
	status, err := operator.SetQuota(t.Context(), "ann", 2)
	if err != nil || status.Quota != 2 {
		t.Fatalf("%+v, %v", status, err)
	}
	submit := func(u *user) error {
		var frame [onion.Size]byte
		_, err := rand.Read(frame[:])
		must(t, err)
		copy(frame[:], []byte{onion.Version, onion.Suite, 0, 0})
		return u.client.Submit(t.Context(), &frame)
	}
	full := func(err error) bool {
		var refused *session.Error
		return errors.As(err, &refused) && refused.Code == session.Full
	}
	for i := range 3 {
		if err := submit(ann); full(err) != (i == 2) {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	if err := submit(ann); err == nil || !strings.Contains(err.Error(), "you have used 2 of 2 messages for this hour at a.test; wait 60 min") {
		t.Errorf("%v", err)
	}
	if err := submit(bob); full(err) {
		t.Errorf("bob: %v", err)
	}
	for _, bad := range []int64{-1, maxQuota + 1} {
		if _, err := operator.SetQuota(t.Context(), "ann", bad); !errors.Is(err, ErrInput) {
			t.Errorf("%d: %v", bad, err)
		}
	}
}

// A meter forgets an hour that is over, and nobody whose hour is not, however many come.
func TestMeter(t *testing.T) {
	m := newMeter(maxMetered, maxMetered)
	home, now := parse(t, pki.ParseDomain, "a.test"), time.Unix(1_800_000_000, 0)
	key := func(i int) (f pki.Fingerprint) { copy(f[:], fmt.Sprint(i)); return f }
	for i := range maxMetered {
		if _, ok := m.take(key(i), home, now, 1); !ok {
			t.Fatal("there is room")
		}
	}
	if _, ok := m.take(key(maxMetered), home, now, 1); ok || len(m.users) != maxMetered {
		t.Errorf("one too many: %v, %d", ok, len(m.users))
	}
	if left, ok := m.take(key(0), home, now.Add(48*time.Minute), 1); ok || left != 12*time.Minute {
		t.Errorf("%v %v", left, ok)
	}
	if _, ok := m.take(key(0), home, now.Add(quotaTime), 1); !ok {
		t.Error("a new hour")
	}
	if _, ok := m.take(key(maxMetered), home, now.Add(quotaTime), 1); !ok || len(m.users) != 2 {
		t.Errorf("after an hour: %v, %d", ok, len(m.users))
	}
}

// Users of other homes take no place of our own users', and those of one home leave some to
// those of others.
func TestMeterOfVisitors(t *testing.T) {
	m := newMesh(t, "a.test")
	n := m.nodes["a.test"].node
	authorities := make(map[string]*pki.Authority)
	user := func(i int, home string) pki.UserCert {
		key, err := pki.NewIdentityKey(rand.Reader)
		must(t, err)
		authority := authorities[home]
		if authority == nil {
			authority = authorityOf(t, parse(t, pki.ParseDomain, home), bytes.Repeat([]byte{7}, ed25519.SeedSize))
			authorities[home] = authority
		}
		u := &user{mesh: m, name: parse(t, pki.ParseName, fmt.Sprintf("u%d@%s", i, home)), key: key}
		cert, err := authority.CA().VerifyUser(certify(t, authority, u), time.Now())
		must(t, err)
		return cert
	}
	for i := range maxMeteredVisitorsOf + 1 {
		if err := n.meter(t.Context(), user(i, "b.test")); (err == nil) != (i < maxMeteredVisitorsOf) {
			t.Fatalf("visitor %d: %v", i, err)
		}
	}
	must(t, n.meter(t.Context(), user(0, "c.test")))
	if len(n.metered.users) > 0 {
		t.Errorf("visitors take %d places of our own users", len(n.metered.users))
	}
	for i := range maxMeteredVisitors { // of as many homes as there need be
		home := parse(t, pki.ParseDomain, fmt.Sprintf("h%d.test", i/maxMeteredVisitorsOf))
		n.visitors.take(pki.Fingerprint{1, byte(i), byte(i >> 8)}, home, time.Now(), 1)
	}
	wantCode(t, n.meter(t.Context(), user(0, "d.test")), session.Full, "wait")
	must(t, n.meter(t.Context(), user(0, "a.test")))
}
