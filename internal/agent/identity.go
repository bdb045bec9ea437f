package agent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// rootSize is the length of a root in bytes: what 24 words hold.
const rootSize = 32

// identity is who the folder belongs to. Everything secret of it follows from its root.
type identity struct {
	Name        pki.Name  `json:"name,omitzero"` // none: a pseudonym that has no home yet
	Root        secret32  `json:"root"`
	Certificate []byte    `json:"certificate"`        // by the home; empty: not registered
	Published   time.Time `json:"published"`          // our card; zero: not yet
	Carded      []byte    `json:"carded"`             // the certificate in that card
	Keyonly     bool      `json:"keyonly,omitempty"`  // was made without a home
	Restored    bool      `json:"restored,omitempty"` // from words: what it had before, we do not know

	Left       []pki.Name `json:"left,omitempty"`       // names that it had before, the last first
	Generation int        `json:"generation,omitempty"` // how many devices were removed: each time, keys for messages are new
	Linked     *linked    `json:"linked,omitempty"`     // of a device, in place of the root
}

// begun tells whether there is a home that has not registered the identity yet, or has not
// taken its card.
func (id identity) begun() bool {
	return !id.Name.IsZero() && (len(id.Certificate) == 0 || id.Published.IsZero())
}

// open tells whether the identity may get that name, or go on with it. What was restored from words
// has the name that was typed: another one will do as long as no home has registered that.
func (id identity) open(name pki.Name) bool {
	typed := id.Restored && len(id.Certificate) == 0
	return id.Name.IsZero() || id.begun() && (id.Name == name || typed)
}

// self is an identity, parsed. On a device there is neither root nor key.
type self struct {
	name       pki.Name
	left       []pki.Name // names that it had before
	root       secret32
	key        pki.IdentityKey
	public     pki.IdentityPublic
	device     *pki.DeviceKey // of a device; nil in the main folder
	card       []byte         // of a device: the one that keys and former are of
	generation int            // of keys
	keys       *message.PrivateKeys
	former     []*message.PrivateKeys // those before, the last first, keptKeys in all
	statement  [pki.SignatureSize]byte
	contacts   secret32
	requests   onion.Mailbox
	replies    onion.Mailbox
}

// The labels under which secrets follow from a root by HKDF-SHA256 (RFC 5869). They are the
// same for ever, or a backup would be of somebody else.
const (
	labelIdentity = "p3do identity key v1"
	labelKeys     = "p3do message keys v1"
	labelRequests = "p3do requests mailbox v1"
	labelReplies  = "p3do replies mailbox v1"
	labelContact  = "p3do contact secret v1" // and 32 bytes, the contact's fingerprint
)

// expand derives size bytes from the root.
func (s secret32) expand(label string, size int) ([]byte, error) {
	if len(s) != rootSize {
		return nil, errors.New("agent: your identity: its root is damaged")
	}
	return hkdf.Key(sha256.New, s, nil, label, size)
}

func (id identity) self() (s self, err error) {
	if id.Linked != nil {
		s, err := id.Linked.self(id.Name)
		s.left = id.Left
		return s, err
	}
	raw := make(map[string][]byte)
	for _, want := range []struct {
		label string
		size  int
	}{{labelIdentity, pki.SeedSize}, {labelRequests, 32}, {labelReplies, 32}, {labelContacts, 32}} {
		if raw[want.label], err = id.Root.expand(want.label, want.size); err != nil {
			return self{}, err
		}
	}
	s = self{name: id.Name, left: id.Left, root: id.Root, contacts: raw[labelContacts], generation: id.Generation}
	copy(s.requests[:], raw[labelRequests])
	copy(s.replies[:], raw[labelReplies])
	if s.key, err = pki.ParseIdentityKey(raw[labelIdentity]); err != nil {
		return self{}, fmt.Errorf("agent: your identity: %w", err)
	}
	s.public = s.key.Public()
	return s, s.deriveKeys()
}

// deriveKeys makes the keys for messages of our generation, and of those before.
func (s *self) deriveKeys() error {
	for g := s.generation; g >= 0 && g > s.generation-keptKeys; g-- {
		label := labelKeys
		if g > 0 {
			label = fmt.Sprint(labelLater, g)
		}
		seed, err := s.root.expand(label, message.SeedSize)
		if err != nil {
			return err
		}
		keys, err := message.ParsePrivateKeys(seed)
		if err != nil {
			return fmt.Errorf("agent: your identity: %w", err)
		}
		s.former = append(s.former, keys)
	}
	s.keys, s.former = s.former[0], s.former[1:]
	copy(s.statement[:], s.key.Sign(message.StatementLabel, s.keys.Public().Statement()))
	return nil
}

// contact is what we give a contact to write to us: the same again after a restore, and on each of
// our devices.
func (s self) contact(identity pki.Fingerprint) (secret32, error) {
	return s.contacts.expand(labelContact+string(identity[:]), 32)
}

// A Self is what there is to tell about the user of a folder.
type Self struct {
	Name        pki.Name        `json:"name,omitzero"` // none: a pseudonym without a home
	ID          string          `json:"id"`            // "key:" and the fingerprint
	Fingerprint pki.Fingerprint `json:"fingerprint"`   // of the identity key
	Words       string          `json:"words"`         // the same in 12 words
	Home        pki.Domain      `json:"home,omitzero"`
	HomeKey     pki.Fingerprint `json:"homeKey,omitzero"`    // of the home's authority, as pinned
	Confirmed   []pki.Domain    `json:"confirmed,omitempty"` // other domains that vouch for the home's key
	Expires     time.Time       `json:"expires,omitzero"`    // of the certificate, which renews itself; zero: it has run out
	DaysLeft    int             `json:"daysLeft,omitempty"`  // whole days until then
	Certificate []byte          `json:"-"`                   // in DER
	Authority   []byte          `json:"-"`                   // the home's that signed it, in DER; nil: not known any more
	Revoker     bool            `json:"revoker"`             // the key that can end this one is in the folder
	Devices     []Device        `json:"devices,omitempty"`   // beside the main one
	Device      bool            `json:"device,omitempty"`    // the folder is of one of these
}

// Self returns who the folder belongs to.
func (a *Agent) Self() (Self, error) {
	id, _, err := a.identity()
	if err != nil {
		return Self{}, err
	}
	fingerprint := a.self.public.Fingerprint()
	s := Self{
		Name: id.Name, ID: "key:" + fingerprint.String(), Fingerprint: fingerprint, Words: words.Of(fingerprint),
		Certificate: id.Certificate,
	}
	if s.Devices, err = a.Devices(); err != nil {
		return Self{}, err
	}
	s.Device = a.self.linked()
	if _, s.Revoker, err = a.revoker(); err != nil || id.Name.IsZero() {
		return s, err
	}
	home, err := a.standing(id.Name.Domain())
	if err != nil {
		return Self{}, err
	}
	s.Home, s.HomeKey, s.Confirmed = home.domain, home.key(), home.verdict.For
	for _, ca := range home.line { // whatever there is, also if another key is shown now
		certificate, err := ca.VerifyUser(id.Certificate, a.now())
		if err != nil && !errors.Is(err, pki.ErrTime) {
			continue
		}
		s.HomeKey, s.Authority = ca.Fingerprint(), ca.DER()
		if err == nil {
			s.Expires, s.DaysLeft = certificate.NotAfter(), daysLeft(certificate.NotAfter(), a.now())
		}
		break
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
//
// With cfg.Invite, which must be of the name's domain, the keys in it are believed before
// anybody is asked.
func New(ctx context.Context, cfg Config, name pki.Name) (*Agent, error) {
	if cfg.Invite != nil && cfg.Invite.Home.Domain != name.Domain() {
		return nil, &InvitationError{cfg.Invite.Home.Domain, name}
	}
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
	case ok && !id.open(name):
		return &TakenError{Name: id.Name, Begun: id.begun()}
	}
	if err := a.believe(); err != nil {
		return err
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

// remember makes an identity of that name durable, unless one was made before. One that has
// no home gets it.
func (a *Agent) remember(name pki.Name) (id identity, err error) {
	fresh, err := newIdentity(a.cfg.Rand, name)
	if err != nil {
		return identity{}, err
	}
	err = a.vault.Update(func(tx *vault.Tx) error {
		known, ok, err := load[identity](tx, keyIdentity)
		if err != nil {
			return err
		}
		if ok && known.Name != name && !known.open(name) {
			return &TakenError{Name: known.Name, Begun: known.begun()}
		}
		switch {
		case ok && known.Name == name:
			id = known
			return nil
		case ok:
			known.Name = name
			id = known
			return save(tx, keyIdentity, id)
		}
		id = fresh
		return errors.Join(save(tx, keyIdentity, id), a.makeRevoker(tx, id))
	})
	return id, err
}

// unremember frees the folder, unless the home has registered the identity after all. The
// pseudonym stays if it was there before the name, or came out of a backup.
func (a *Agent) unremember() error {
	return a.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		switch {
		case err != nil || len(id.Certificate) > 0:
			return err
		case id.Keyonly || id.Restored:
			id.Name, id.Keyonly = pki.Name{}, true
			return save(tx, keyIdentity, id)
		}
		tx.Delete(keyIdentity)
		tx.Delete(keyRevoker)
		return nil
	})
}

// newIdentity makes an identity from 32 bytes of rand.
func newIdentity(rand io.Reader, name pki.Name) (identity, error) {
	root := make([]byte, rootSize)
	if _, err := io.ReadFull(rand, root); err != nil {
		return identity{}, fmt.Errorf("agent: making an identity: %w", err)
	}
	return identity{Name: name, Root: root}, nil
}

// NewKeyonly makes a pseudonym in the folder that has no home yet: keys and nothing else. It
// does not use the network. New gives it a name. Errors: a *TakenError if the folder belongs
// to somebody.
func NewKeyonly(cfg Config) (*Agent, error) {
	a, err := openOrCreate(cfg)
	if err != nil {
		return nil, err
	}
	id, err := newIdentity(a.cfg.Rand, pki.Name{})
	if err == nil {
		id.Keyonly = true
		err = a.settle(id)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// settle makes an identity durable in a folder that has none, and the agent its own.
func (a *Agent) settle(id identity) (err error) {
	if a.self, err = id.self(); err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		if err := vacant(tx); err != nil {
			return err
		}
		if id.Restored {
			if err := save(tx, keyTwin, twin{Restored: true, Began: a.now().UTC()}); err != nil {
				return err
			}
		}
		return errors.Join(save(tx, keyIdentity, id), a.makeRevoker(tx, id))
	})
}

// vacant is a *TakenError if the folder belongs to somebody.
func vacant(tx *vault.Tx) error {
	known, ok, err := load[identity](tx, keyIdentity)
	if err != nil || !ok {
		return err
	}
	return &TakenError{Name: known.Name, Begun: known.begun()}
}

// A revoker is the key that ends the identity key if that is lost. Whoever has it can do
// nothing else with it, and whoever has the identity key does not need it: so it may lie in
// the folder, and is of use only outside of it (Revocable).
type revoker struct {
	Seed    []byte `json:"seed"`
	Binding []byte `json:"binding"` // the identity key's word for it, 64 bytes
}

// makeRevoker makes a revocation key of fresh randomness: it does not follow from the root,
// so that paper that can end an identity cannot be one.
func (a *Agent) makeRevoker(tx *vault.Tx, id identity) error {
	s, err := id.self()
	if err != nil {
		return err
	}
	key, err := pki.NewRevocationKey(a.cfg.Rand)
	if err != nil {
		return err
	}
	return save(tx, keyRevoker, revoker{key.Seed(), s.key.BindRevoker(key.Public())})
}

func (a *Agent) revoker() (r revoker, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		r, ok, err = load[revoker](tx, keyRevoker)
		return err
	})
	return r, ok, err
}
