package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	cryptorand "crypto/rand"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// What the operator asks about users, over the control socket:
//
//	GET  /users?after=NAME                        []UserStatus, a page
//	POST /users/sign?request=BASE64URL            Signed: the request is one of PKCS #10 in DER
//	POST /users/revoke?name=NAME                  Revoked
//	POST /users/quota?name=NAME&messages=N        UserStatus
//	GET  /invitations                             []InvitationStatus
//	POST /invitations?for=NAME&life=DURATION      Invited

// MaxRequest is how long the request of a user is, in bytes, that SignUser takes.
const MaxRequest = 4096

// A UserStatus is what the operator sees of one of the domain's own users.
type UserStatus struct {
	Name        pki.Name        `json:"name"`
	Fingerprint pki.Fingerprint `json:"fingerprint"`
	Expires     time.Time       `json:"expires,omitzero"` // of the newest certificate
	State       string          `json:"state"`            // "valid", "expired" or "revoked"
	Quota       int64           `json:"quota"`            // messages an hour
}

// Signed is a certificate that the operator had made.
type Signed struct {
	Name        pki.Name  `json:"name"`
	Expires     time.Time `json:"expires"`
	Certificate []byte    `json:"certificate"` // DER
}

// Revoked says that a name was ended.
type Revoked struct {
	Name        pki.Name        `json:"name"`
	Fingerprint pki.Fingerprint `json:"fingerprint"` // the key that had it
}

func (n *Node) handleUsers(mux *http.ServeMux) {
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		users, err := n.Users(r.Context(), r.FormValue("after"))
		respond(w, users, err)
	})
	mux.HandleFunc("POST /users/sign", func(w http.ResponseWriter, r *http.Request) {
		raw, err := base64.RawURLEncoding.DecodeString(r.FormValue("request"))
		if err != nil {
			err = fmt.Errorf("%w: the request is not base64url", ErrInput)
			respond(w, nil, err)
			return
		}
		signed, err := n.SignUser(r.Context(), raw)
		respond(w, signed, err)
	})
	mux.HandleFunc("POST /users/revoke", named(n, func(ctx context.Context, name pki.Name, _ url.Values) (Revoked, error) {
		return n.RevokeUser(ctx, name)
	}))
	mux.HandleFunc("POST /users/quota", named(n, func(ctx context.Context, name pki.Name, v url.Values) (UserStatus, error) {
		messages, err := strconv.ParseInt(v.Get("messages"), 10, 64)
		if err != nil {
			return UserStatus{}, fmt.Errorf("%w: %q is not a number of messages", ErrInput, v.Get("messages"))
		}
		return n.SetQuota(ctx, name, messages)
	}))
	mux.HandleFunc("GET /invitations", func(w http.ResponseWriter, r *http.Request) {
		all, err := n.Invitations(r.Context())
		respond(w, all, err)
	})
	mux.HandleFunc("POST /invitations", func(w http.ResponseWriter, r *http.Request) {
		invited, err := n.invite(r.Context(), r.FormValue("for"), r.FormValue("life"))
		respond(w, invited, err)
	})
}

// named is a handler for something that is done with one of our names.
func named[T any](n *Node, do func(context.Context, pki.Name, url.Values) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, err := n.ownName(r.FormValue("name"))
		var done T
		if err == nil {
			done, err = do(r.Context(), name, r.Form)
		}
		respond(w, done, err)
	}
}

// ownName reads a name of ours, of which the domain may be left out.
func (n *Node) ownName(text string) (pki.Name, error) {
	name, err := pki.ParseName(text)
	if err != nil {
		name, err = pki.ParseName(text + "@" + n.cfg.Domain.String())
	}
	if err != nil {
		return pki.Name{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if name.Domain() != n.cfg.Domain {
		return pki.Name{}, fmt.Errorf("%w: %s is not a name of %s", ErrInput, name, n.cfg.Domain)
	}
	return name, nil
}

func (n *Node) invite(ctx context.Context, forName, life string) (Invited, error) {
	var name pki.Name
	if forName != "" {
		var err error
		if name, err = n.ownName(forName); err != nil {
			return Invited{}, err
		}
	}
	lasts, err := time.ParseDuration(life)
	if err != nil {
		return Invited{}, fmt.Errorf("%w: %q is not a time", ErrInput, life)
	}
	return n.Invite(ctx, name, lasts)
}

// Users returns a page of our own users, by name after the given one; an empty page is the
// end. Names that were revoked stand in it as long as the key ring has them.
func (n *Node) Users(ctx context.Context, after string) ([]UserStatus, error) {
	rows, err := n.store.OwnUsers(ctx, after)
	users := make([]UserStatus, 0, len(rows))
	for _, row := range rows {
		name, failed := pki.ParseName(row.Name)
		if failed != nil {
			return nil, failed
		}
		status, failed := n.userStatus(ctx, name, row)
		if failed != nil {
			return nil, failed
		}
		users = append(users, status)
	}
	return users, err
}

func (n *Node) userStatus(ctx context.Context, name pki.Name, row store.OwnUser) (UserStatus, error) {
	quota, err := n.quota(ctx, name)
	s := UserStatus{Name: name, Fingerprint: row.Fingerprint, Expires: row.NotAfter.UTC(), State: "valid", Quota: quota}
	switch {
	case n.revoked(name, row.Fingerprint):
		s.State = "revoked"
	case time.Now().After(row.NotAfter):
		s.State = "expired"
	}
	return s, err
}

// ownUser finds one of our users.
func (n *Node) ownUser(ctx context.Context, name pki.Name) (store.User, error) {
	user, err := n.store.User(ctx, name.String())
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, fmt.Errorf("%w: there is no %s here", ErrInput, name)
	}
	return user, err
}

// SignUser signs the request of somebody whom the operator knows. A name that has another key
// keeps it.
func (n *Node) SignUser(ctx context.Context, raw []byte) (Signed, error) {
	if len(raw) > MaxRequest {
		return Signed{}, fmt.Errorf("%w: a request of %d bytes", ErrInput, len(raw))
	}
	request, err := pki.ParseUserRequest(raw)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	name, key := request.Name(), request.Key().Fingerprint()
	switch {
	case name.Domain() != n.cfg.Domain:
		return Signed{}, fmt.Errorf("%w: %s may not sign for %s", ErrInput, n.cfg.Domain, name.Domain())
	case n.revoked(name, key):
		return Signed{}, fmt.Errorf("%w: %s", ErrInput, n.ended(name, key))
	}
	pinned, _, err := n.store.Pin(ctx, pinUser, name.String(), key)
	if err == nil {
		pinned, err = n.inherit(ctx, request, pinned)
	}
	if err != nil {
		return Signed{}, err
	}
	if err := pki.CheckPin(pinned, key, name.String()); err != nil {
		return Signed{}, fmt.Errorf("%w: the name %s is taken by another key", ErrInput, name)
	}
	cert, err := n.authority().SignUser(cryptorand.Reader, time.Now(), request, n.cfg.certify())
	if err != nil {
		return Signed{}, fmt.Errorf("node: signing a user's key: %w", err)
	}
	return Signed{name, cert.NotAfter(), cert.DER()}, n.published.PublishCertificate(ctx, cert)
}

// RevokeUser ends a name for the key that has it, everywhere and for good. The key itself
// lives on.
func (n *Node) RevokeUser(ctx context.Context, name pki.Name) (Revoked, error) {
	user, err := n.ownUser(ctx, name)
	if err != nil {
		return Revoked{}, err
	}
	revocation, err := n.authority().RevokeName(user.Certificate, time.Now())
	if err != nil {
		return Revoked{}, err
	}
	_, err = n.accept(ctx, revocation.Statement().Marshal())
	return Revoked{name, user.Fingerprint}, err
}

// SetQuota lets a user send so many messages an hour.
func (n *Node) SetQuota(ctx context.Context, name pki.Name, messages int64) (UserStatus, error) {
	if messages < 0 || messages > maxQuota {
		return UserStatus{}, fmt.Errorf("%w: a quota is 0 to %d messages an hour", ErrInput, maxQuota)
	}
	user, err := n.ownUser(ctx, name)
	if err != nil {
		return UserStatus{}, err
	}
	if err := n.store.SetQuota(ctx, name.String(), messages); err != nil {
		return UserStatus{}, err
	}
	return n.userStatus(ctx, name, store.OwnUser{Name: user.Name, Fingerprint: user.Fingerprint, NotAfter: user.NotAfter})
}

// Users asks for all our own users.
func (c *Control) Users(ctx context.Context) (all []UserStatus, err error) {
	for after := ""; ; {
		var page []UserStatus
		if err := c.call(ctx, http.MethodGet, "/users?after="+url.QueryEscape(after), &page); err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
		after = page[len(page)-1].Name.String()
	}
}

// SignUser has a request signed.
func (c *Control) SignUser(ctx context.Context, request []byte) (s Signed, err error) {
	return s, c.call(ctx, http.MethodPost, "/users/sign?request="+base64.RawURLEncoding.EncodeToString(request), &s)
}

// RevokeUser has a name ended.
func (c *Control) RevokeUser(ctx context.Context, name string) (r Revoked, err error) {
	return r, c.call(ctx, http.MethodPost, "/users/revoke?name="+url.QueryEscape(name), &r)
}

// SetQuota has a user send so many messages an hour.
func (c *Control) SetQuota(ctx context.Context, name string, messages int64) (s UserStatus, err error) {
	return s, c.call(ctx, http.MethodPost, fmt.Sprintf("/users/quota?name=%s&messages=%d", url.QueryEscape(name), messages), &s)
}

// Invite has an invitation made; an empty name is for anybody.
func (c *Control) Invite(ctx context.Context, name string, life time.Duration) (i Invited, err error) {
	return i, c.call(ctx, http.MethodPost, fmt.Sprintf("/invitations?for=%s&life=%s", url.QueryEscape(name), life), &i)
}

// Invitations asks what became of them.
func (c *Control) Invitations(ctx context.Context) (all []InvitationStatus, err error) {
	return all, c.call(ctx, http.MethodGet, "/invitations", &all)
}
