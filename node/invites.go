package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cryptorand "crypto/rand"

	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// The life of an invitation.
const (
	InvitationLife        = 7 * 24 * time.Hour // if the operator says nothing
	longestInvitationLife = 365 * 24 * time.Hour
)

// Invited is a new invitation.
type Invited struct {
	Code    string       `json:"code"`
	For     pki.Name     `json:"for,omitzero"` // zero: anybody
	Expires time.Time    `json:"expires"`
	Others  []pki.Domain `json:"others"` // whose keys are in it
}

// An InvitationStatus says what became of an invitation. The code is not kept.
type InvitationStatus struct {
	For     string    `json:"for,omitempty"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`
	State   string    `json:"state"` // "open", "used" or "expired"
}

// Invite makes an invitation for one name, or, if name is zero, for any that is free. It holds
// what its bearer has to believe from the start: our key, and those of some peers.
func (n *Node) Invite(ctx context.Context, name pki.Name, life time.Duration) (Invited, error) {
	switch {
	case !name.IsZero() && name.Domain() != n.cfg.Domain:
		return Invited{}, fmt.Errorf("%w: %s may not invite for %s", ErrInput, n.cfg.Domain, name.Domain())
	case life <= 0 || life > longestInvitationLife:
		return Invited{}, fmt.Errorf("%w: an invitation is good for at most %d days", ErrInput, int(longestInvitationLife.Hours()/24))
	}
	others, err := n.witnesses(ctx)
	if err != nil {
		return Invited{}, err
	}
	home := invitation.Known{Domain: n.cfg.Domain, Key: n.authority().CA().Fingerprint()}
	code, err := invitation.New(cryptorand.Reader, home, others)
	if err != nil {
		return Invited{}, err
	}
	now := time.Now()
	invited := Invited{Code: code.String(), For: name, Expires: now.Add(life).UTC().Truncate(time.Second), Others: []pki.Domain{}}
	for _, other := range code.Others {
		invited.Others = append(invited.Others, other.Domain)
	}
	err = n.store.AddInvitation(ctx, store.Invitation{Hash: code.Token.Hash(), Name: name.String(), Made: now, Expires: invited.Expires})
	if errors.Is(err, store.ErrFull) {
		return Invited{}, fmt.Errorf("%w: there are %d invitations already", ErrInput, store.MaxInvitations)
	}
	return invited, err
}

// witnesses are the domains whose keys go into an invitation: of our peers those who
// countersigned us too, longest first.
func (n *Node) witnesses(ctx context.Context) (all []invitation.Known, err error) {
	peers, err := n.store.Peers(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(peers, func(a, b store.Peer) int {
		if mutual := len(b.Received) > 0; mutual != (len(a.Received) > 0) {
			if mutual {
				return 1
			}
			return -1
		}
		return a.Since.Compare(b.Since)
	})
	for _, p := range peers[:min(len(peers), invitation.MaxOthers)] {
		ca, err := pki.ParseCACert(p.CA)
		if err != nil {
			return nil, fmt.Errorf("node: the key of a peer: %w", err)
		}
		all = append(all, invitation.Known{Domain: ca.Domain(), Key: ca.Fingerprint()})
	}
	return all, nil
}

// Invitations returns what became of all that are remembered, oldest first.
func (n *Node) Invitations(ctx context.Context) ([]InvitationStatus, error) {
	rows, err := n.store.Invitations(ctx)
	all := make([]InvitationStatus, len(rows))
	for i, row := range rows {
		all[i] = InvitationStatus{For: row.Name, Made: row.Made.UTC(), Expires: row.Expires.UTC(), State: "open"}
		switch {
		case !row.Used.IsZero():
			all[i].Used, all[i].State = row.Used.UTC(), "used"
		case !time.Now().Before(row.Expires):
			all[i].State = "expired"
		}
	}
	return all, err
}

// admitUser lets a key have a name that nobody has: where registration is open whoever asks, else
// who shows an invitation. That is used up by it.
func (n *Node) admitUser(ctx context.Context, invite []byte, request pki.UserRequest) error {
	if len(invite) == 0 {
		if n.cfg.Registration == RegistrationOpen {
			return nil
		}
		return session.Errorf(session.Refused, "%s takes no new users without an invitation", n.cfg.Domain)
	}
	if len(invite) != invitation.TokenSize {
		return session.Errorf(session.Refused, "this is no invitation of %s", n.cfg.Domain)
	}
	name := request.Name().String()
	i, taken, err := n.store.TakeInvitation(ctx, sha256.Sum256(invite), name, request.Key().Fingerprint(), time.Now())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return session.Errorf(session.Refused, "this is no invitation of %s", n.cfg.Domain)
	case err != nil || taken:
		return err
	case i.Name != "" && i.Name != name:
		local, _, _ := strings.Cut(i.Name, "@")
		return session.Errorf(session.Refused, "this invitation is for another name than %s: for %s", name, local)
	case !i.Used.IsZero():
		return session.Errorf(session.Refused, "this invitation was used on %s", i.Used.UTC().Format("2 Jan"))
	}
	return session.Errorf(session.Refused, "this invitation ran out on %s", i.Expires.UTC().Format("2 Jan"))
}
