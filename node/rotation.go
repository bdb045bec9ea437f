package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/pki"
)

// A Rotation is the change of a key of a node that serves, as its operator asks for it: with
// what was taken away, if need be, which the node never sees.
type Rotation struct {
	Dir     string // of the node
	Key     Role
	Offline string          // path of the offline file
	Words   string          // that open it
	Lost    bool            // the authority's key is gone, and the node does not serve: the successor follows by its own word
	Old     pki.Fingerprint // of the key that is lost, as the operator knows it; zero: as the node's database or the offline file knows it
	Stolen  bool            // the authority's key is in other hands: the offline root names who follows, and nothing certified before is good
}

// Run makes the change. If a run was ended in its midst, another one brings it to its end.
// With an error may come the Words of an offline file that was made.
// Errors: ErrInput, ErrOld, ErrWords, ErrOffline, those of the file and of the node.
func (r Rotation) Run(ctx context.Context) (Rotated, error) {
	if r.Lost && r.Key == RoleCA {
		return r.lost(ctx)
	}
	control, err := NewControl(r.Dir)
	if err != nil {
		return Rotated{}, err
	}
	switch r.Key {
	case RoleServer, RoleContext:
		return control.rotate(ctx, r.Key, handOver{})
	case RoleCA:
		return r.authority(ctx, control)
	case RoleOffline:
		return r.root(ctx, control)
	}
	return Rotated{}, fmt.Errorf("%w: there is no key %q", ErrInput, r.Key)
}

// NeedsWords reports whether the change wants the offline file.
func (r Rotation) NeedsWords() (bool, error) {
	if r.Lost {
		return true, nil
	}
	authority, err := r.keys().authority()
	if err != nil {
		return false, err
	}
	return r.Key == RoleCA || r.Key == RoleOffline && !authority.Commitment().Root.IsZero(), nil
}

func (r Rotation) keys() keyring { return keyring{filepath.Join(r.Dir, keysFolder)} }

// open reads the offline file, and the authority in office.
func (r Rotation) open() (o Offline, authority *pki.Authority, err error) {
	if authority, err = r.keys().authority(); err != nil {
		return o, nil, err
	}
	if o, err = ReadOffline(r.Offline, r.Words); err != nil {
		return o, nil, err
	}
	if o.Domain != authority.Domain() {
		return o, nil, fmt.Errorf("%w: the offline file is that of %s", ErrInput, o.Domain)
	}
	return o, authority, nil
}

// authority has the successor follow. Who is to follow that one is in the offline file before
// anything is signed, so that a second try signs the same.
func (r Rotation) authority(ctx context.Context, control *Control) (Rotated, error) {
	o, old, err := r.open()
	if err != nil {
		return Rotated{}, err
	}
	was := old.Commitment()
	if o.after != nil && was.Key == o.Next.Fingerprint() {
		tried := o.tried
		if o = o.promoted(); !tried {
			return Rotated{Domain: o.Domain, Key: RoleCA, Is: was.Key, Resumed: true}, o.write(r.Offline, r.Words)
		}
	}
	if was.Next != o.Next.Fingerprint() {
		return Rotated{}, fmt.Errorf("%w: the offline file is not the one that goes with the key in office", ErrInput)
	}
	o.Key = was.Key
	if o, err = r.withAfter(o); err != nil {
		return Rotated{}, err
	}
	h, err := r.handOver(o, old)
	if err != nil {
		return Rotated{}, err
	}
	done, err := control.rotate(ctx, RoleCA, h)
	if err != nil {
		return Rotated{}, err
	}
	return done, o.promoted().write(r.Offline, r.Words)
}

// withAfter names who is to follow the successor, if that is not done yet, and writes the file.
func (r Rotation) withAfter(o Offline) (Offline, error) {
	if o.after == nil {
		after, err := pki.NewSuccessor(rand.Reader)
		if err != nil {
			return o, err
		}
		o.after = &after
	}
	return o, o.write(r.Offline, r.Words)
}

// handOver is what the node gets: the authority that follows, and the word for it.
func (r Rotation) handOver(o Offline, old *pki.Authority) (handOver, error) {
	now, after := time.Now(), o.after.Fingerprint()
	var fresh *pki.Authority
	var s pki.SignedSuccession
	var err error
	if r.Stolen {
		fresh, s, err = o.Next.SucceedByRoot(rand.Reader, now, old.Commitment(), after, o.Root)
	} else {
		fresh, s, err = o.Next.Succeed(rand.Reader, now, old, after)
	}
	if err != nil {
		return handOver{}, err
	}
	return handOver{Authority: fresh.Marshal(), Succession: s.Raw()}, nil
}

// root has another offline root follow, or makes the first one.
func (r Rotation) root(ctx context.Context, control *Control) (Rotated, error) {
	if needed, err := r.NeedsWords(); err != nil || !needed {
		return r.firstRoot(ctx, control, err)
	}
	o, authority, err := r.open()
	if err != nil {
		return Rotated{}, err
	}
	root := authority.Commitment().Root
	if o.newRoot != nil && root == o.newRoot.Fingerprint() {
		o.Root, o.newRoot = *o.newRoot, nil
		return Rotated{Domain: o.Domain, Key: RoleOffline, Is: root, Resumed: true}, o.write(r.Offline, r.Words)
	}
	if root != o.Root.Fingerprint() {
		return Rotated{}, fmt.Errorf("%w: the offline file is not the one whose root the domain has named", ErrInput)
	}
	if o.newRoot == nil {
		fresh, err := pki.NewOfflineRoot(rand.Reader)
		if err != nil {
			return Rotated{}, err
		}
		o.newRoot = &fresh
		if err := o.write(r.Offline, r.Words); err != nil {
			return Rotated{}, err
		}
	}
	s, err := o.Root.Succeed(o.Domain, *o.newRoot, time.Now())
	if err != nil {
		return Rotated{}, err
	}
	done, err := control.rotate(ctx, RoleOffline, handOver{Succession: s.Raw()})
	if err != nil {
		return Rotated{}, err
	}
	o.Root, o.newRoot = *o.newRoot, nil
	return done, o.write(r.Offline, r.Words)
}

// firstRoot makes what a domain without an offline root takes away, and commits it to that.
func (r Rotation) firstRoot(ctx context.Context, control *Control, err error) (Rotated, error) {
	var authority *pki.Authority
	if err == nil {
		authority, err = r.keys().authority()
	}
	if err != nil {
		return Rotated{}, err
	}
	o, err := NewOffline(authority.Domain(), authority.CA().Fingerprint())
	if err != nil {
		return Rotated{}, err
	}
	typed := NewWords()
	if err := CreateOffline(r.Offline, typed, o); err != nil {
		return Rotated{}, err
	}
	done, err := control.rotate(ctx, RoleOffline, handOver{Next: o.Next.Fingerprint().String(), Root: o.Root.Fingerprint().String()})
	done.Words = typed // also if it is not known what became of it
	return done, err
}

// rotate has the node change a key.
func (c *Control) rotate(ctx context.Context, role Role, h handOver) (done Rotated, err error) {
	raw, err := json.Marshal(h)
	if err != nil {
		return done, fmt.Errorf("node: %w", err)
	}
	return done, c.send(ctx, http.MethodPost, "/rotate/"+string(role), bytes.NewReader(raw), &done)
}
