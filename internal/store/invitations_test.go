package store

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// An invitation is taken once, by one key, which has it still if it comes again; by nobody
// whom it is not for, and by nobody when it has run out.
func TestTakeInvitation(t *testing.T) {
	s := open(t)
	ctx, now := t.Context(), time.Unix(1_800_000_000, 0)
	one, two := [32]byte{1}, [32]byte{2}
	invite := func(hash byte, name string, expires time.Time) {
		must(t, s.AddInvitation(ctx, Invitation{Hash: [32]byte{hash}, Name: name, Made: now, Expires: expires}))
	}
	invite(1, "", now.Add(time.Hour))
	invite(2, "ann@a.test", now.Add(time.Hour))
	invite(3, "", now)
	for i, c := range []struct {
		hash  byte
		name  string
		key   [32]byte
		taken bool
	}{
		{1, "bob@a.test", one, true}, {1, "bob@a.test", one, true}, {1, "bob@a.test", two, false},
		{2, "bob@a.test", one, false}, {2, "ann@a.test", two, true}, {3, "cat@a.test", one, false},
	} {
		invitation, taken, err := s.TakeInvitation(ctx, [32]byte{c.hash}, c.name, c.key, now)
		if err != nil || taken != c.taken || invitation.Hash != [32]byte{c.hash} {
			t.Errorf("%d: %+v, %v, %v", i, invitation, taken, err)
		}
	}
	if i, _, err := s.TakeInvitation(ctx, [32]byte{1}, "", two, now.Add(time.Hour)); err != nil || !i.Used.Equal(now) || i.Taker != one {
		t.Errorf("%+v, %v", i, err)
	}
	if _, _, err := s.TakeInvitation(ctx, [32]byte{4}, "", one, now); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that nobody made: %v", err)
	}
	if i, err := s.Invitation(ctx, [32]byte{2}); err != nil || i.Name != "ann@a.test" || i.Taker != two {
		t.Errorf("%+v, %v", i, err)
	}
	_, err := s.Invitation(ctx, [32]byte{4})
	wantErr(t, err, ErrNotFound)
	if all, err := s.Invitations(ctx); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
}

// What ran out long ago is forgotten, and makes room.
func TestOldInvitationsGo(t *testing.T) {
	s := open(t)
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 {
		made := now.Add(time.Duration(i) * InvitationKept)
		must(t, s.AddInvitation(t.Context(), Invitation{Hash: [32]byte{byte(i)}, Made: made, Expires: made.Add(time.Hour)}))
	}
	all, err := s.Invitations(t.Context())
	if err != nil || len(all) != 2 || all[0].Hash != [32]byte{1} {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestQuota(t *testing.T) {
	s := open(t)
	if _, ok, err := s.Quota(t.Context(), "ann@a.test"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	for _, want := range []int64{40, 100, 0} {
		must(t, s.SetQuota(t.Context(), "ann@a.test", want))
		if got, ok, err := s.Quota(t.Context(), "ann@a.test"); got != want || !ok || err != nil {
			t.Errorf("%d, %v, %v", got, ok, err)
		}
	}
}

// The operator sees the domain's own users, from page to page.
func TestOwnUsers(t *testing.T) {
	s := open(t)
	for i := range 3 {
		name := fmt.Sprintf("u%d@a.test", i)
		must(t, s.AddSigned(t.Context(), SignedKey{Kind: KeyUser, Subject: name, Fingerprint: [32]byte{byte(i + 1)}, Raw: []byte{1}, NotAfter: time.Unix(2_000_000_000, 0)}))
	}
	users, err := s.OwnUsers(t.Context(), "u0@a.test")
	if err != nil || len(users) != 2 || users[0].Name != "u1@a.test" || users[0].Fingerprint != [32]byte{2} || users[0].NotAfter.Unix() != 2_000_000_000 {
		t.Errorf("%+v, %v", users, err)
	}
}
