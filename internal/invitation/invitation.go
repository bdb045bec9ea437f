package invitation

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"github.com/p3do/p3do/pki"
)

const (
	// TokenSize is the length of a token in bytes.
	TokenSize = 16
	// MaxOthers is how many other domains are in an invitation at most.
	MaxOthers = 4
	// MaxText is how long a text is, in bytes, that is taken for an invitation.
	MaxText = 4096

	prefix       = "P3DO1"
	version      = 1
	checksumSize = 4
)

// ErrMalformed is returned for a text that is no invitation, or not the whole of it.
var ErrMalformed = errors.New("this is no invitation, or a part of it is missing or mistyped")

// Looks tells whether a text may be an invitation, whole or not, mistyped or not, and so is not to be
// shown. It goes by how it begins, and by what the name of a file has and no code: a "/" or a ".".
func Looks(text string) bool {
	return strings.HasPrefix(normal(text), prefix) && !strings.ContainsAny(text, "/.")
}

func normal(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(strings.ToUpper(text)), ""), "-", "")
}

// A Token is what the server takes once.
type Token [TokenSize]byte

// Hash is what the server keeps of a token.
func (t Token) Hash() [sha256.Size]byte { return sha256.Sum256(t[:]) }

// A Known is a domain and the fingerprint of its authority.
type Known struct {
	Domain pki.Domain
	Key    pki.Fingerprint
}

// An Invitation invites whoever has it.
type Invitation struct {
	Token  Token
	Home   Known
	Others []Known // at most MaxOthers, ascending by domain, none of them the home
}

// New makes an invitation with a token of 16 bytes of rand.
func New(rand io.Reader, home Known, others []Known) (i Invitation, err error) {
	i = Invitation{Home: home, Others: slices.Clone(others)}
	slices.SortFunc(i.Others, byDomain)
	if err := i.check(); err != nil {
		return Invitation{}, err
	}
	if _, err := io.ReadFull(rand, i.Token[:]); err != nil {
		return Invitation{}, fmt.Errorf("invitation: making a token: %w", err)
	}
	return i, nil
}

func byDomain(a, b Known) int { return strings.Compare(a.Domain.String(), b.Domain.String()) }

// check holds the rules that the layout alone does not.
func (i Invitation) check() error { return checked(i.Home, i.Others) }

func checked(home Known, others []Known) error {
	if home.Domain.IsZero() || home.Key.IsZero() || len(others) > MaxOthers {
		return errors.New("invitation: it wants a home with a key, and at most four others")
	}
	for n, other := range others {
		if other.Key.IsZero() || other.Domain == home.Domain || n > 0 && other.Domain.String() <= others[n-1].Domain.String() {
			return errors.New("invitation: others want keys, and each domain is named once")
		}
	}
	return nil
}

// String returns the code.
func (i Invitation) String() string {
	var b cryptobyte.Builder
	b.AddUint8(version)
	b.AddBytes(i.Token[:])
	i.Home.add(&b)
	addAll(&b, i.Others)
	return encode(b.BytesOrPanic()) // unreachable panic: domains are shorter than 256 bytes
}

// encode is the text of what is in an invitation.
func encode(raw []byte) string {
	sum := sha256.Sum256(raw)
	return prefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append(raw, sum[:checksumSize]...))
}

func addAll(b *cryptobyte.Builder, others []Known) {
	b.AddUint8(uint8(len(others)))
	for _, other := range others {
		other.add(b)
	}
}

func (k Known) add(b *cryptobyte.Builder) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(k.Domain.String())) })
	b.AddBytes(k.Key[:])
}

// Parse reads a code: in capitals or not, with spaces, line breaks and "-" anywhere.
func Parse(text string) (Invitation, error) {
	body, err := decode(text)
	if err != nil {
		return Invitation{}, err
	}
	i, ok := parse(body)
	if !ok || i.check() != nil || subtle.ConstantTimeCompare([]byte(i.String()), []byte(normal(text))) == 0 {
		return Invitation{}, ErrMalformed
	}
	return i, nil
}

// decode is the inverse of encode, but for how the text is written.
func decode(text string) ([]byte, error) {
	if len(text) > MaxText {
		return nil, ErrMalformed
	}
	text = normal(text)
	code, found := strings.CutPrefix(text, prefix)
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(code)
	if !found || err != nil || len(raw) < checksumSize {
		return nil, ErrMalformed
	}
	body, sum := raw[:len(raw)-checksumSize], sha256.Sum256(raw[:len(raw)-checksumSize])
	if subtle.ConstantTimeCompare(raw[len(body):], sum[:checksumSize]) == 0 {
		return nil, ErrMalformed
	}
	return body, nil
}

func parse(body []byte) (i Invitation, ok bool) {
	s := cryptobyte.String(body)
	var v uint8
	ok = s.ReadUint8(&v) && v == version && s.CopyBytes(i.Token[:]) && i.Home.read(&s) && readAll(&s, &i.Others)
	return i, ok && s.Empty()
}

func readAll(s *cryptobyte.String, others *[]Known) bool {
	var n uint8
	if !s.ReadUint8(&n) || n > MaxOthers {
		return false
	}
	for range n {
		var other Known
		if !other.read(s) {
			return false
		}
		*others = append(*others, other)
	}
	return true
}

func (k *Known) read(s *cryptobyte.String) bool {
	var domain cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&domain) || !s.CopyBytes(k.Key[:]) {
		return false
	}
	var err error
	k.Domain, err = pki.ParseDomain(string(domain))
	return err == nil
}
