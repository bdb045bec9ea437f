package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// ErrOld is returned if the operator has to say by [Rotation.Old] which key is lost.
var ErrOld = errors.New("node: which key is lost must be known for sure")

// lost has the successor follow an authority whose key is gone, while the node does not serve:
// by its own word, for the authority before had committed itself to it. The order is that of
// [Node.succeed]: the word of it is kept first, then the file of the authority is written.
func (r Rotation) lost(ctx context.Context) (done Rotated, err error) {
	folder, err := serveAlone(ctx, r.Dir)
	if err != nil {
		return Rotated{}, err
	}
	defer func() { err = errors.Join(err, unlock(folder), folder.Close()) }()
	cfg, err := ReadConfig(filepath.Join(r.Dir, ConfigFile))
	if err != nil {
		return Rotated{}, err
	}
	o, err := ReadOffline(r.Offline, r.Words)
	if err != nil {
		return Rotated{}, err
	}
	if o.Domain != cfg.Domain {
		return Rotated{}, fmt.Errorf("%w: the offline file is that of %s", ErrInput, o.Domain)
	}
	held, err := r.keys().authority()
	switch {
	case err == nil && o.after != nil && held.Commitment().Key == o.Next.Fingerprint():
		if !r.Old.IsZero() && r.Old != o.Key {
			return Rotated{}, fmt.Errorf("%w: it was done in place of %s. To try it with another key move %s and %s away", ErrInput, o.Key,
				filepath.Join(r.keys().dir, authorityFile), filepath.Join(r.Dir, databaseFile))
		}
		o.tried = true
		return Rotated{Domain: o.Domain, Key: RoleCA, Is: held.Commitment().Key, Resumed: true}, o.write(r.Offline, r.Words)
	case err == nil:
		return Rotated{}, fmt.Errorf("%w: the key of %s is not lost: it is in %s", ErrInput, o.Domain, filepath.Join(r.keys().dir, authorityFile))
	case !errors.Is(err, ErrNoAuthority):
		return Rotated{}, err
	}
	return r.replaceLost(ctx, o)
}

// replaceLost writes the authority of the successor, and the word of it. Who is to follow that
// one is in the offline file before, and so is the successor, still: if nobody believes it, since
// the key that is lost was another one, the same file serves for another try. [Rotation.authority]
// ends that.
func (r Rotation) replaceLost(ctx context.Context, o Offline) (done Rotated, err error) {
	kept, err := store.Open(ctx, filepath.Join(r.Dir, databaseFile))
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	was, ca, err := r.before(ctx, kept, o)
	if err != nil {
		return done, err
	}
	if o.after != nil && was.Key == o.Next.Fingerprint() {
		o = o.promoted() // that one was in office, and is lost as well
	}
	if !was.Next.IsZero() && was.Next != o.Next.Fingerprint() {
		return done, fmt.Errorf("%w: the offline file is not the one that goes with the key that is lost", ErrInput)
	}
	was.Next, o.Key, o.tried = o.Next.Fingerprint(), was.Key, true
	if o, err = r.withAfter(o); err != nil {
		return done, err
	}
	fresh, s, err := r.alone(o, was)
	if err != nil {
		return done, err
	}
	if len(ca) > 0 {
		err = kept.AddFormer(ctx, o.Domain.String(), was.Key, ca)
	}
	if err == nil {
		_, err = kept.AddStatement(ctx, succession(s), store.Room{Each: maxSuccessions})
	}
	if err == nil {
		err = os.MkdirAll(r.keys().dir, 0o700)
	}
	if err == nil {
		err = r.keys().write(authorityFile, fresh.Marshal())
	}
	if err == nil {
		err = kept.AddEvent(ctx, store.Event{At: time.Now(), Domain: o.Domain.String(), Kind: EventRotated, Words: saysRotated(s)})
	}
	return Rotated{Domain: o.Domain, Key: RoleCA, Was: was.Key, Is: s.New()}, err
}

// before is what others have pinned of the authority that is gone, and its certificate: as the
// database has it. If that is gone too, it is the fingerprint alone, as the offline file has it or
// the operator knows it. Nobody else is asked: who answers in the place of DNS could name any key,
// and the successor's word would be for a key that nobody has pinned.
func (r Rotation) before(ctx context.Context, kept *store.Store, o Offline) (c pki.Commitment, ca []byte, err error) {
	c = pki.Commitment{Domain: o.Domain, Root: o.Root.Fingerprint()}
	row, err := kept.Server(ctx, o.Domain.String())
	switch {
	case err == nil:
		var d pki.SignedDescriptor
		d, err = pki.ParseDescriptor(row.Descriptor)
		if err == nil {
			c.Key, c.Next, ca = d.CA.Fingerprint(), d.Next, d.CA.DER()
		}
		if err == nil && !r.Old.IsZero() && r.Old != c.Key {
			err = fmt.Errorf("%w: the key that is lost is %s, by the database of the node", ErrInput, c.Key)
		}
	case errors.Is(err, store.ErrNotFound):
		c.Key, err = r.remembered(o)
	}
	return c, ca, err
}

// remembered is the key that is lost, where the database is lost with it. An older copy of the file
// might have the key itself as its own successor: after a theft, when that would be put back into
// office, the operator has to say which it was.
func (r Rotation) remembered(o Offline) (pki.Fingerprint, error) {
	known := !o.Key.IsZero()
	switch {
	case r.Old.IsZero() && !known:
		return r.Old, fmt.Errorf("%w: neither node.db nor the offline file says which key is lost: --old wants its fingerprint, as p3dod init printed it, or your peers know it", ErrOld)
	case r.Old.IsZero() && r.Stolen:
		return r.Old, fmt.Errorf("%w: the offline file says that the stolen key is %s (%s): if that is so, and the file no older copy, confirm it by --old", ErrOld, o.Key, words.Of(o.Key))
	case r.Old.IsZero():
		return o.Key, nil
	case known && r.Old != o.Key && !(o.after != nil && r.Old == o.Next.Fingerprint()) && !o.tried:
		return r.Old, fmt.Errorf("%w: the offline file goes with the key %s (%s), and --old is another", ErrInput, o.Key, words.Of(o.Key))
	}
	return r.Old, nil
}

// alone is the authority that follows, and its own word for it, or that of the root.
func (r Rotation) alone(o Offline, was pki.Commitment) (*pki.Authority, pki.SignedSuccession, error) {
	if r.Stolen {
		return o.Next.SucceedByRoot(rand.Reader, time.Now(), was, o.after.Fingerprint(), o.Root)
	}
	return o.Next.SucceedAlone(rand.Reader, time.Now(), was, o.after.Fingerprint())
}
