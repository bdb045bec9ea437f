package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

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
		done = Rotated{Domain: o.Domain, Key: RoleCA, Is: o.Next.Fingerprint(), Resumed: true}
	case err == nil:
		return Rotated{}, fmt.Errorf("%w: the key of %s is not lost: it is in %s", ErrInput, o.Domain, filepath.Join(r.keys().dir, authorityFile))
	case !errors.Is(err, ErrNoAuthority):
		return Rotated{}, err
	default:
		if o, done, err = r.replaceLost(ctx, cfg, o); err != nil {
			return Rotated{}, err
		}
	}
	o.Next, o.after = *o.after, nil
	return done, o.write(r.Offline, r.Words)
}

// replaceLost writes the authority of the successor, and the word of it. Who is to follow that
// one is in the offline file before.
func (r Rotation) replaceLost(ctx context.Context, cfg Config, o Offline) (_ Offline, done Rotated, err error) {
	kept, err := store.Open(ctx, filepath.Join(r.Dir, databaseFile))
	if err != nil {
		return o, done, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	was, ca, err := r.before(ctx, kept, cfg, o)
	if err != nil {
		return o, done, err
	}
	if o, err = r.withAfter(o); err != nil {
		return o, done, err
	}
	fresh, s, err := r.alone(o, was)
	if err != nil {
		return o, done, err
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
	return o, Rotated{Domain: o.Domain, Key: RoleCA, Was: was.Key, Is: s.New()}, err
}

// before is what others have pinned of the authority that is gone, and its certificate: as the
// database has it, or, if that is gone too, the fingerprint that DNS still says.
func (r Rotation) before(ctx context.Context, kept *store.Store, cfg Config, o Offline) (c pki.Commitment, ca []byte, err error) {
	c = pki.Commitment{Domain: o.Domain, Next: o.Next.Fingerprint(), Root: o.Root.Fingerprint()}
	row, err := kept.Server(ctx, o.Domain.String())
	var next pki.Fingerprint
	switch {
	case err == nil:
		var d pki.SignedDescriptor
		d, err = pki.ParseDescriptor(row.Descriptor)
		if err == nil {
			c.Key, next, ca = d.CA.Fingerprint(), d.Next, d.CA.DER()
		}
	case errors.Is(err, store.ErrNotFound):
		var record dnstxt.Record
		record, err = dnstxt.Resolver{Server: cfg.DNS.Server, Dial: r.Dial}.Lookup(ctx, o.Domain)
		c.Key, next = record.Fingerprint, record.Next
	}
	if err == nil && next != c.Next {
		err = fmt.Errorf("%w: the offline file is not the one that goes with the key that is lost", ErrInput)
	}
	return c, ca, err
}

// alone is the authority that follows, and its own word for it, or that of the root.
func (r Rotation) alone(o Offline, was pki.Commitment) (*pki.Authority, pki.SignedSuccession, error) {
	if r.Stolen {
		return o.Next.SucceedByRoot(rand.Reader, time.Now(), was, o.after.Fingerprint(), o.Root)
	}
	return o.Next.SucceedAlone(rand.Reader, time.Now(), was, o.after.Fingerprint())
}
