package agent

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// A device has neither the root nor the identity key. It has a key of its own, by which it logs in;
// what our mailboxes and what we give to contacts follow from; and a secret that opens what the card
// holds for it: the keys for messages, and the identity key's word for them. So the user can change
// these, and leave out a device that she has removed, by her card alone.

const (
	linkVersion = 1
	// MaxLink is how long a link file is at most, in bytes, that is read.
	MaxLink = 64 << 20
	// linkScrypt is what a try at the words of a link costs, two to this power. They are 128 bits
	// that nobody chose.
	linkScrypt = 15
	// keptKeys is how many pairs of keys for messages are tried at most: those in office, and those
	// before.
	keptKeys = 8

	labelUnseal   = "p3do device secret v1"        // and 32 bytes, the device's fingerprint
	labelSealed   = "p3do sealed for a device v1"  // and 32 bytes, the hash of the public keys
	labelContacts = "p3do secrets of contacts v1"  // from which those of contacts follow
	labelLater    = "p3do later message keys v1: " // and a number: after a device was removed
)

var (
	// ErrLinkWords: these words do not open the link file.
	ErrLinkWords = errors.New("these words do not open the link file (or its beginning is damaged)")
	// ErrNoLink: the file is no link file, or it is damaged.
	ErrNoLink = errors.New("this is no link file, or it is damaged")
)

// linked is who a device's folder belongs to, in place of a root.
type linked struct {
	Seed     secret32 `json:"seed"`   // of the device key
	Public   []byte   `json:"public"` // identity key of the user
	Unseal   secret32 `json:"unseal"` // opens what the card holds for this device
	Contacts secret32 `json:"contacts"`
	Requests secret32 `json:"requests"`
	Replies  secret32 `json:"replies"`
	Card     []byte   `json:"card"`           // the newest card that we have, signed
	Former   [][]byte `json:"former"`         // seeds of keys for messages before, the last first
	Label    string   `json:"label,omitzero"` // that the main folder gave it
}

// device is the key of this device.
func (l linked) device() (pki.DeviceKey, error) { return pki.ParseDeviceKey(l.Seed) }

// card is our newest card.
func (l linked) card() (pki.SignedCard, error) {
	public, err := pki.ParseIdentityPublic(l.Public)
	if err != nil {
		return pki.SignedCard{}, fmt.Errorf("agent: your identity: %w", err)
	}
	return self{public: public}.own(l.Card)
}

// own reads a card of ours.
func (s self) own(raw []byte) (pki.SignedCard, error) {
	card, err := pki.ParseCard(raw)
	if err != nil {
		return pki.SignedCard{}, fmt.Errorf("agent: your card: %w", err)
	}
	return card.Own(s.public)
}

// ownCard is the card of a device.
func (s self) ownCard() (pki.SignedCard, error) { return s.own(s.card) }

// devices are those that the card lists.
func (l linked) devices() (list []Device, err error) {
	card, err := l.card()
	if err != nil {
		return nil, err
	}
	key, err := l.device()
	for i, d := range card.Devices {
		list = append(list, Device{Number: i + 1, Fingerprint: d.Key.Fingerprint(), Since: d.Since, This: d.Key == key.Public()})
		if list[i].This {
			list[i].Label = l.Label
		}
	}
	return list, err
}

// self is what follows from what a device has.
func (l linked) self(name pki.Name) (self, error) {
	s := self{name: name, contacts: l.Contacts, requests: l.Requests.array(), replies: l.Replies.array(), card: l.Card}
	var err error
	if s.public, err = pki.ParseIdentityPublic(l.Public); err != nil {
		return self{}, fmt.Errorf("agent: your identity: %w", err)
	}
	key, err := l.device()
	if err != nil {
		return self{}, fmt.Errorf("agent: your device: %w", err)
	}
	s.device = &key
	seed, statement, err := l.keys()
	if err != nil {
		return self{}, err
	}
	s.statement = statement
	for _, seed := range append([][]byte{seed}, l.Former...) {
		keys, err := message.ParsePrivateKeys(seed)
		if err != nil {
			return self{}, fmt.Errorf("agent: your device: %w", err)
		}
		s.former = append(s.former, keys)
	}
	s.keys, s.former = s.former[0], s.former[1:]
	return s, nil
}

// keys opens what the card holds for this device: the seed of the keys for messages, and the
// identity key's word for them.
func (l linked) keys() (seed []byte, statement [pki.SignatureSize]byte, err error) {
	card, err := l.card()
	if err != nil {
		return nil, statement, err
	}
	key, err := l.device()
	if err != nil {
		return nil, statement, err
	}
	entry, ok := card.Device(key.Public())
	if !ok {
		return nil, statement, errors.New("agent: your device: the card does not list it")
	}
	aead, err := l.Unseal.sealing(message.Keys{Seal: card.Seal, Auth: card.Auth})
	if err != nil {
		return nil, statement, err
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), entry.Sealed[:], nil)
	if err != nil || len(plain) != message.SeedSize+pki.SignatureSize {
		return nil, statement, errors.New("agent: your device: what the card holds for it does not open")
	}
	return plain[:message.SeedSize], [pki.SignatureSize]byte(plain[message.SeedSize:]), nil
}

// sealing is the cipher for what a card with these keys holds for a device. One key of it seals one
// plaintext only, so that the nonce may be zero.
func (s secret32) sealing(keys message.Keys) (cipher.AEAD, error) {
	hash := sha256.Sum256(keys.Statement())
	key, err := hkdf.Key(sha256.New, s, nil, labelSealed+string(hash[:]), 32)
	if err != nil {
		return nil, fmt.Errorf("agent: sealing for a device: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("agent: sealing for a device: %w", err)
	}
	return cipher.NewGCM(block)
}

// unsealing is the secret that we share with a device.
func (s self) unsealing(key pki.DevicePublic) (secret32, error) {
	fingerprint := key.Fingerprint()
	return s.root.expand(labelUnseal+string(fingerprint[:]), 32)
}

// sealFor is what our card holds for a device.
func (s self) sealFor(key pki.DevicePublic) (sealed [pki.DeviceSealSize]byte, err error) {
	secret, err := s.unsealing(key)
	if err != nil {
		return sealed, err
	}
	aead, err := secret.sealing(s.keys.Public())
	if err != nil {
		return sealed, err
	}
	plain := append(s.keys.Seed(), s.statement[:]...)
	copy(sealed[:], aead.Seal(nil, make([]byte, aead.NonceSize()), plain, nil))
	return sealed, nil
}

// A Link makes a folder that of a device. It holds the key of that, and all that the device must
// know; who has it and its words is that device until it is removed.
type Link struct {
	Label string
	saved savedFolder
}

// link is what a device of ours gets: what a backup has but for what is the main folder's alone.
func (a *Agent) link(key pki.DeviceKey, label string) (Link, error) {
	unseal, err := a.self.unsealing(key.Public())
	if err != nil {
		return Link{}, err
	}
	saved, err := a.saved()
	if err != nil {
		return Link{}, err
	}
	l := linked{
		Seed: key.Seed(), Public: a.self.public.Bytes(), Unseal: unseal, Contacts: a.self.contacts,
		Requests: a.self.requests[:], Replies: a.self.replies[:], Card: a.card, Label: label,
	}
	for _, former := range a.self.former {
		l.Former = append(l.Former, former.Seed())
	}
	card, err := a.self.own(a.card)
	if err != nil {
		return Link{}, err
	}
	id := identity{Name: a.self.name, Certificate: card.Certificate.DER(), Published: card.Issued, Linked: &l, Left: a.self.left}
	raw, err := marshalRecord(id)
	if err != nil {
		return Link{}, err
	}
	records := []savedRecord{{keyIdentity, raw}}
	for _, r := range saved.Records {
		if !mainOnly(r.Key) {
			records = append(records, r)
		}
	}
	return Link{label, savedFolder{V: linkVersion, Made: saved.Made, Records: records}}, nil
}

// mainOnly tells the records that a device does not get.
func mainOnly(key string) bool {
	return key == keyIdentity || key == keyRevoker || key == keyEntry || strings.HasPrefix(key, prefixDevice)
}

// Write seals the link under 12 words, which it makes of rand and returns.
func (l Link) Write(w io.Writer, rand io.Reader) (text string, err error) {
	var secret [words.PassphraseSize]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return "", fmt.Errorf("agent: making words: %w", err)
	}
	text = words.Passphrase(secret)
	raw, err := json.Marshal(savedLink{l.saved})
	if err != nil {
		return "", fmt.Errorf("agent: writing a link: %w", err)
	}
	if sealedSize(len(raw)) > MaxLink {
		return "", &BackupSizeError{len(raw)}
	}
	return text, sealTo(w, raw, text, linkScrypt)
}

// savedLink tells a link from a backup.
type savedLink struct {
	Link savedFolder `json:"p3do_link"`
}

// Join makes the folder of cfg, which must have no identity, that of a device, by the link of that
// and its words. It does not use the network. Errors: a *TakenError, ErrEarlier, ErrLinkWords, ErrNoLink,
// and those of vault.Open if there is a folder.
func Join(cfg Config, file io.Reader, typed string) (*Agent, error) {
	text, err := words.ParsePassphrase(typed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLinkWords, err)
	}
	raw, err := unseal(file, []byte(text))
	switch {
	case errors.Is(err, ErrBackupPassphrase):
		return nil, ErrLinkWords
	case err != nil:
		return nil, ErrNoLink
	}
	var l savedLink
	if err := strictjson.Unmarshal(raw, &l); err != nil || l.Link.V != linkVersion {
		return nil, ErrNoLink
	}
	id, err := identityIn(l.Link)
	if err == nil && id.Linked == nil {
		err = errors.New("no device")
	}
	if err == nil {
		err = id.fits()
	}
	switch {
	case errors.Is(err, ErrEarlier):
		return nil, fmt.Errorf("agent: a link: %w", err)
	case err != nil:
		return nil, errors.Join(ErrNoLink, err)
	}
	return restore(cfg, func(a *Agent) error { return a.restored(l.Link, id) })
}

// fits tells whether the parts of a device's identity belong together.
func (id identity) fits() error {
	card, err := id.Linked.card()
	if err == nil && len(id.Linked.Former) > keptKeys-1 {
		err = errors.New("agent: your device: too many keys")
	}
	if err == nil && card.Certificate.Name() != id.Name {
		err = errors.New("agent: your card: it is of another name")
	}
	if err == nil {
		_, err = id.self()
	}
	return err
}

// loginAs logs in by the key of this device.
func (a *Agent) loginAs(ctx context.Context, id identity, authority []byte) (session.Welcome, error) {
	card, err := id.Linked.card()
	if err != nil {
		return session.Welcome{}, err
	}
	welcome, err := a.client.LoginDevice(ctx, card, *a.self.device, authority)
	var refused *session.Error
	if errors.As(err, &refused) && refused.Code == session.Refused {
		err = &RemovedError{refused}
	}
	return welcome, err
}

// recard fetches our own card, in which are the certificate that our home renewed, and the keys for
// messages, and keeps it if it is newer. That it cannot be had now is no error.
func (a *Agent) recard(ctx context.Context, ca pki.CACert) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	found, err := a.client.Lookup(ctx, a.self.name)
	var refused *session.Error
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return err
	}
	card, err := ca.VerifyCard(found.Card, a.now())
	if err != nil || card.Certificate.Key() != a.self.public || card.Certificate.Name() != a.self.name {
		return nil // watch tells of that
	}
	return a.keepOwnCard(card)
}

// keepOwnCard makes a card ours, if it is newer than the one that we have and lists this device.
func (a *Agent) keepOwnCard(card pki.SignedCard) error {
	err := a.vault.Update(func(tx *vault.Tx) error {
		id, _, err := load[identity](tx, keyIdentity)
		if err != nil {
			return err
		}
		known, err := id.Linked.card()
		if err != nil || card.Serial <= known.Serial || !card.Lists(a.self.device.Public()) {
			return err
		}
		if err := id.turn(known, card); err != nil {
			return err
		}
		return save(tx, keyIdentity, id)
	})
	if err != nil {
		return err
	}
	return a.renewSelf()
}

// turn gives a device a newer card than the known one; its keys are kept, to open what is on its way.
func (id *identity) turn(known, card pki.SignedCard) error {
	seed, _, err := id.Linked.keys()
	if err != nil {
		return err
	}
	if card.Seal != known.Seal || card.Auth != known.Auth {
		former := append([][]byte{seed}, id.Linked.Former...)
		id.Linked.Former = former[:min(len(former), keptKeys-1)]
	}
	id.Linked.Card, id.Certificate, id.Published = card.Raw(), card.Certificate.DER(), card.Issued
	_, err = id.self()
	return err
}

// opened opens a letter by our keys, those in office first. A device that cannot looks whether there
// are newer ones.
func (a *Agent) opened(ctx context.Context, sealed []byte) (m message.Content, err error) {
	if m, err = a.self.open(sealed); err == nil || !a.self.linked() || a.now().Sub(a.recarded).Abs() < recardEvery {
		return m, err
	}
	a.recarded = a.now()
	ca, failed := a.authority(a.home())
	if failed == nil {
		failed = a.recard(ctx, ca)
	}
	if failed != nil {
		return m, failed
	}
	return a.self.open(sealed)
}

// recardEvery is how often letters that do not open make a device look for newer keys.
const recardEvery = time.Minute

// open tries all keys that we have, under the name that we have, or one that we had.
func (s self) open(sealed []byte) (m message.Content, err error) {
	for _, keys := range append([]*message.PrivateKeys{s.keys}, s.former...) {
		for _, name := range append([]pki.Name{s.name}, s.left...) {
			if m, err = message.Open(keys, name, sealed); err == nil {
				return m, nil
			}
		}
	}
	return m, err
}

// linked tells whether the folder is of a device without the identity key.
func (s self) linked() bool { return s.device != nil }
