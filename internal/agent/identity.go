package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// identity is who the folder belongs to.
type identity struct {
	Name        pki.Name  `json:"name"`
	Seed        []byte    `json:"seed"` // of the identity key
	Keys        []byte    `json:"keys"` // of the keys for messages
	Requests    secret32  `json:"requests"`
	Replies     secret32  `json:"replies"`
	Certificate []byte    `json:"certificate"` // by the home; empty: not registered
	Published   time.Time `json:"published"`   // our card; zero: not yet
	Carded      []byte    `json:"carded"`      // the certificate in that card
}

// ready tells whether the home has registered the identity and taken its card.
func (id identity) ready() bool { return len(id.Certificate) > 0 && !id.Published.IsZero() }

// self is what never changes of an identity, parsed.
type self struct {
	name     pki.Name
	key      pki.IdentityKey
	keys     *message.PrivateKeys
	requests onion.Mailbox
	replies  onion.Mailbox
}

func (id identity) self() (self, error) {
	key, err := pki.ParseIdentityKey(id.Seed)
	if err != nil {
		return self{}, fmt.Errorf("agent: your identity: %w", err)
	}
	keys, err := message.ParsePrivateKeys(id.Keys)
	if err != nil {
		return self{}, fmt.Errorf("agent: your identity: %w", err)
	}
	return self{id.Name, key, keys, id.Requests.array(), id.Replies.array()}, nil
}

// A Self is what there is to tell about the user of a folder.
type Self struct {
	Name        pki.Name        `json:"name"`
	Fingerprint pki.Fingerprint `json:"fingerprint"` // of the identity key
	Home        pki.Domain      `json:"home"`
	HomeKey     pki.Fingerprint `json:"homeKey"` // of the home's authority, as pinned
	Expires     time.Time       `json:"expires"` // of the certificate, which renews itself
}

// Self returns who the folder belongs to.
func (a *Agent) Self() (Self, error) {
	id, _, err := a.identity()
	if err != nil {
		return Self{}, err
	}
	ca, err := a.authority(id.Name.Domain())
	if err != nil {
		return Self{}, err
	}
	certificate, err := ca.VerifyUser(id.Certificate, a.now())
	if err != nil && !errors.Is(err, pki.ErrTime) {
		return Self{}, fmt.Errorf("agent: your certificate: %w", err)
	}
	s := Self{Name: id.Name, Fingerprint: a.self.key.Fingerprint(), Home: id.Name.Domain(), HomeKey: ca.Fingerprint()}
	if err == nil {
		s.Expires = certificate.NotAfter()
	}
	return s, nil
}

func (a *Agent) identity() (id identity, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		id, ok, err = load[identity](tx, keyIdentity)
		return err
	})
	return id, ok, err
}

// New makes an identity of that name in the folder and registers it with its home. The
// identity is durable before the home hears of it, so that a failure loses no name: New
// again, with the same name, goes on. Errors: a *TakenError if the folder belongs to
// somebody, a *NoServerError, a *HomeError, a *pki.KeyChangedError, or a *session.Error
// if the home refuses.
func New(ctx context.Context, cfg Config, name pki.Name) (*Agent, error) {
	a, err := openOrCreate(cfg)
	if err != nil {
		return nil, err
	}
	if err := a.begin(ctx, name); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func openOrCreate(cfg Config) (*Agent, error) {
	a, err := openFolder(cfg)
	if !errors.Is(err, ErrNoIdentity) {
		return a, err
	}
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v, err := cfg.vault().Create(cfg.Passphrase)
	if errors.Is(err, fs.ErrExist) { // somebody else was faster
		return openFolder(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("agent: making your folder: %w", err)
	}
	return newAgent(cfg, v), nil
}

// begin does what New does, in an open folder.
func (a *Agent) begin(ctx context.Context, name pki.Name) error {
	id, ok, err := a.identity()
	switch {
	case err != nil:
		return err
	case ok && (id.ready() || id.Name != name):
		return &TakenError{Name: id.Name, Begun: !id.ready()}
	}
	if err := a.meetHome(ctx, name.Domain()); err != nil {
		return err
	}
	if id, err = a.remember(name); err != nil {
		return err
	}
	if a.self, err = id.self(); err != nil {
		return err
	}
	err = a.Connect(ctx)
	var refused *session.Error
	if errors.As(err, &refused) && (refused.Code == session.Refused || refused.Code == session.WrongKey) {
		return errors.Join(err, a.unremember()) // the name is not to be had: the folder is free for another
	}
	return err
}

// remember makes an identity durable, unless one was made before.
func (a *Agent) remember(name pki.Name) (id identity, err error) {
	fresh, err := newIdentity(a.cfg.Rand, name)
	if err != nil {
		return identity{}, err
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		known, ok, err := load[identity](tx, keyIdentity)
		if err != nil || ok && known.Name != name {
			return errors.Join(err, &TakenError{Name: known.Name, Begun: !known.ready()})
		}
		if id = known; ok {
			return nil
		}
		id = fresh
		return save(tx, keyIdentity, fresh)
	})
	return id, err
}

// unremember frees the folder, unless the home has registered the identity after all.
func (a *Agent) unremember() error {
	return a.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		if err == nil && len(id.Certificate) == 0 {
			tx.Delete(keyIdentity)
		}
		return err
	})
}

func newIdentity(rand io.Reader, name pki.Name) (identity, error) {
	key, err := pki.NewIdentityKey(rand)
	if err != nil {
		return identity{}, err
	}
	keys, err := message.NewPrivateKeys(rand)
	if err != nil {
		return identity{}, err
	}
	mailboxes := make([]byte, 64)
	if _, err := io.ReadFull(rand, mailboxes); err != nil {
		return identity{}, fmt.Errorf("agent: making an identity: %w", err)
	}
	return identity{Name: name, Seed: key.Seed(), Keys: keys.Seed(), Requests: mailboxes[:32], Replies: mailboxes[32:]}, nil
}
