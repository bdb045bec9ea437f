package invitation

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/pki"
)

const (
	// SecretSize is the length of the secret of a [Personal] in bytes, ProofSize that of what
	// shows that one has it.
	SecretSize = 32
	ProofSize  = 16

	versionPersonal = 2
	maxUnix         = 1 << 40
)

// A Personal invites whoever has it to write to somebody, once.
type Personal struct {
	Secret   [SecretSize]byte
	Expires  time.Time // whole seconds, UTC
	Name     pki.Name  // of who invites
	Identity pki.Fingerprint
	Home     pki.Fingerprint // of the authority of the name's domain
	Others   []Known         // as in an Invitation
}

// NewPersonal fills in a secret, 32 bytes of rand.
func NewPersonal(rand io.Reader, i Personal) (Personal, error) {
	i.Expires, i.Others = i.Expires.Truncate(time.Second).UTC(), slices.Clone(i.Others)
	slices.SortFunc(i.Others, byDomain)
	if err := i.check(); err != nil {
		return Personal{}, err
	}
	if _, err := io.ReadFull(rand, i.Secret[:]); err != nil {
		return Personal{}, fmt.Errorf("invitation: making a secret: %w", err)
	}
	return i, nil
}

func (i Personal) check() error {
	at := i.Expires.Unix()
	if i.Name.IsZero() || i.Identity.IsZero() || at < 0 || at > maxUnix {
		return fmt.Errorf("invitation: it wants a name, an identity and an end")
	}
	return checked(Known{i.Name.Domain(), i.Home}, i.Others)
}

// String returns the code.
func (i Personal) String() string {
	var b cryptobyte.Builder
	b.AddUint8(versionPersonal)
	b.AddBytes(i.Secret[:])
	b.AddUint64(uint64(i.Expires.Unix()))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(i.Name.String())) })
	b.AddBytes(i.Identity[:])
	b.AddBytes(i.Home[:])
	addAll(&b, i.Others)
	return encode(b.BytesOrPanic()) // unreachable panic: names are shorter than 65 536 bytes
}

// ParsePersonal reads a code as [Parse] does.
func ParsePersonal(text string) (Personal, error) {
	body, err := decode(text)
	if err != nil {
		return Personal{}, err
	}
	i, ok := parsePersonal(body)
	if !ok || i.check() != nil || subtle.ConstantTimeCompare([]byte(i.String()), []byte(normal(text))) == 0 {
		return Personal{}, ErrMalformed
	}
	return i, nil
}

func parsePersonal(body []byte) (i Personal, ok bool) {
	s := cryptobyte.String(body)
	var v uint8
	var at uint64
	var name cryptobyte.String
	ok = s.ReadUint8(&v) && v == versionPersonal && s.CopyBytes(i.Secret[:]) && s.ReadUint64(&at) && at <= maxUnix &&
		s.ReadUint16LengthPrefixed(&name) && s.CopyBytes(i.Identity[:]) && s.CopyBytes(i.Home[:]) && readAll(&s, &i.Others)
	if !ok || !s.Empty() {
		return Personal{}, false
	}
	var err error
	i.Expires = time.Unix(int64(at), 0).UTC()
	i.Name, err = pki.ParseName(string(name))
	return i, err == nil
}

// Mailbox is the address that takes one letter. It does not show the secret.
func (i Personal) Mailbox() [32]byte { return [32]byte(i.derive("p3do invitation mailbox", 32)) }

// Proof is what shows that the holder of an identity key has the invitation.
func (i Personal) Proof(taker pki.Fingerprint) [ProofSize]byte {
	return [ProofSize]byte(i.derive("p3do invitation proof"+string(taker[:]), ProofSize))
}

// Proves tells, in constant time, whether a proof is that of the holder of an identity key.
func (i Personal) Proves(taker pki.Fingerprint, proof [ProofSize]byte) bool {
	want := i.Proof(taker)
	return hmac.Equal(want[:], proof[:])
}

func (i Personal) derive(info string, n int) []byte {
	key, err := hkdf.Expand(sha256.New, i.Secret[:], info, n)
	if err != nil {
		return make([]byte, n) // unreachable: 32 bytes are within HKDF's limit
	}
	return key
}
