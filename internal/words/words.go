package words

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed" // the list
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/p3do/p3do/pki"
)

const (
	// PrefixSize is how much of a fingerprint its words stand for, in bytes.
	PrefixSize = 16
	// FingerprintWords is how many words that makes.
	FingerprintWords = 12
	// SecretSize is how long a secret is, in bytes.
	SecretSize = 32
	// SecretWords is how many words that makes.
	SecretWords = 24
	// MaxText is how long a text is, in bytes, that is taken for words, with all that stands
	// between them.
	MaxText = 16 << 10

	wordBits = 11
	leastCut = 4 // letters that tell the words apart
)

//go:embed english.txt
var english string

// list is the 2 048 words, in the order of the alphabet.
func list() []string { return strings.Fields(english) }

// A CountError says that there are more or fewer words than there have to be.
type CountError struct{ Got, Want int }

func (e *CountError) Error() string {
	return fmt.Sprintf("these are %d words, there have to be %d", e.Got, e.Want)
}

// A WordError says which word is not one of the list.
type WordError struct {
	Position int    // from 1
	Word     string // at most 20 bytes of it; empty: it is not to be shown
}

func (e *WordError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("word %d is not one of the list", e.Position)
	}
	return fmt.Sprintf("word %d, %q, is not one of the list", e.Position, e.Word)
}

// ErrChecksum: all words are of the list, and they do not belong together.
var ErrChecksum = errors.New("the words do not belong together: one is wrong, or their order is")

// Errors of texts that are other words than those that were wanted.
var (
	ErrRevocation = errors.New("these are the words of a revocation key: it can end a key, and make nobody")
	ErrSecret     = errors.New("these are the words of a backup, and not of a revocation key")
	ErrLong       = errors.New("this is too long to be words")
)

// A kind says what secret words are for. Its bits are added to those of the checksum, so words of
// one kind are never of the other.
type kind byte

const (
	bip39  kind = 0x00 // fingerprints, passphrases, and secrets that make somebody
	ending kind = 0xff // revocation keys
)

// Of returns the 12 words of a fingerprint, in lower case with a space between any two.
func Of(f pki.Fingerprint) string { return encode(f[:PrefixSize], bip39) }

// A Prefix is what 12 words say of a fingerprint: its first 128 bits.
type Prefix [PrefixSize]byte

// Fingerprint reads the 12 words of a fingerprint. Errors: a *CountError, a *WordError or
// ErrChecksum, ErrLong.
func Fingerprint(text string) (p Prefix, err error) {
	raw, err := decode(text, FingerprintWords, true, bip39)
	copy(p[:], raw)
	return p, err
}

// Matches reports whether f begins with p.
func (p Prefix) Matches(f pki.Fingerprint) bool {
	return subtle.ConstantTimeCompare(p[:], f[:PrefixSize]) == 1
}

// Secret returns the 24 words of a secret, in lower case with a space between any two.
func Secret(secret [SecretSize]byte) string { return encode(secret[:], bip39) }

// ParseSecret reads the 24 words of a secret. Errors are those of Fingerprint, with no word
// in them, and ErrRevocation.
func ParseSecret(text string) (secret [SecretSize]byte, err error) {
	raw, err := decode(text, SecretWords, false, bip39)
	copy(secret[:], raw)
	return secret, err
}

// Revocation returns the 24 words of a revocation key.
func Revocation(seed [SecretSize]byte) string { return encode(seed[:], ending) }

// ParseRevocation reads the 24 words of a revocation key. Errors are those of Fingerprint, with no
// word in them, and ErrSecret.
func ParseRevocation(text string) (seed [SecretSize]byte, err error) {
	raw, err := decode(text, SecretWords, false, ending)
	copy(seed[:], raw)
	return seed, err
}

// encode writes data of a multiple of 4 bytes.
func encode(data []byte, k kind) string {
	sum := sha256.Sum256(data)
	bits := append(slices.Clone(data), sum[0]^byte(k))
	words, all := make([]string, 0, SecretWords), list()
	for at := 0; at+wordBits <= len(data)*8+len(data)/4; at += wordBits {
		words = append(words, all[number(bits, at)])
	}
	return strings.Join(words, " ")
}

// number is the 11 bits at bit at of b.
func number(b []byte, at int) (n int) {
	for i := at; i < at+wordBits; i++ {
		n = n<<1 | int(b[i/8]>>(7-i%8))&1
	}
	return n
}

// decode is the strict inverse of encode for count words; show says whether an error may
// have a word in it.
func decode(text string, count int, show bool, want kind) ([]byte, error) {
	if len(text) > MaxText {
		return nil, ErrLong
	}
	typed := strings.Fields(strings.ReplaceAll(strings.ToLower(text), "-", " "))
	if len(typed) != count {
		return nil, &CountError{len(typed), count}
	}
	all, bits := list(), make([]byte, (count*wordBits+7)/8)
	for i, word := range typed {
		n, ok := find(all, word)
		if !ok {
			return nil, wrong(i, word, show)
		}
		put(bits, i*wordBits, n)
	}
	data := bits[:count*wordBits*32/33/8]
	sum, least := sha256.Sum256(data), 8-len(data)/4
	switch off := kind(sum[0]^bits[len(data)]) >> least; {
	case off == want>>least:
		return data, nil
	case len(data) == SecretSize && off == ending:
		return nil, ErrRevocation
	case len(data) == SecretSize && off == bip39:
		return nil, ErrSecret
	}
	return nil, ErrChecksum
}

// find returns the number of a word that may be cut after four letters or more.
func find(all []string, word string) (int, bool) {
	n, exact := slices.BinarySearch(all, word)
	if exact || len(word) < leastCut {
		return n, exact
	}
	return n, n < len(all) && strings.HasPrefix(all[n], word)
}

// put writes the 11 bits n at bit at of b, which are zero.
func put(b []byte, at, n int) {
	for i := range wordBits {
		b[(at+i)/8] |= byte(n>>(wordBits-1-i)&1) << (7 - (at+i)%8)
	}
}

func wrong(i int, word string, show bool) error {
	const most = 20
	if !show {
		word = ""
	}
	return &WordError{i + 1, word[:min(len(word), most)]}
}
