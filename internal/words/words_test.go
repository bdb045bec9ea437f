package words

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/p3do/p3do/pki"
)

func Example() {
	var fingerprint pki.Fingerprint
	text := Of(fingerprint)
	fmt.Println(text)
	prefix, err := Fingerprint("ABAN-abandon  aban abandon aban abandon aban abandon aban abandon aban about")
	fmt.Println(prefix.Matches(fingerprint), err)
	// Output:
	// abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about
	// true <nil>
}

// The list is the one that was published, and any two of its words differ in the first four
// letters.
func TestList(t *testing.T) {
	const published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
	if sum := sha256.Sum256([]byte(english)); hex.EncodeToString(sum[:]) != published {
		t.Errorf("the list has SHA-256 %x", sum)
	}
	seen := make(map[string]string)
	for _, word := range list() {
		start := word[:min(len(word), leastCut)]
		if seen[start] != "" {
			t.Errorf("%s and %s begin alike", seen[start], word)
		}
		seen[start] = word
	}
	if len(seen) != 1<<wordBits {
		t.Errorf("%d words", len(seen))
	}
}

// The vectors of BIP-39 for 12 and for 24 words.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if len(lines) != 16 {
		t.Fatalf("%d vectors", len(lines))
	}
	for _, line := range lines {
		entropy, mnemonic, _ := strings.Cut(line, " ")
		data, err := hex.DecodeString(entropy)
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(data, bip39); got != mnemonic {
			t.Errorf("%s: %s, want %s", entropy, got, mnemonic)
		}
		got, err := decode(mnemonic, len(strings.Fields(mnemonic)), true, bip39)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %x, %v, want %s", mnemonic, got, err, entropy)
		}
	}
}

func TestWrong(t *testing.T) {
	eleven := strings.Repeat("abandon ", 11)
	for text, want := range map[string]string{
		"":                               "these are 0 words, there have to be 12",
		eleven:                           "these are 11 words, there have to be 12",
		eleven + "abandon about":         "these are 13 words, there have to be 12",
		eleven + "abandon":               ErrChecksum.Error(),
		eleven + "zoo":                   ErrChecksum.Error(),
		eleven + "abou":                  "",
		eleven + "ABOUT\n":               "",
		eleven + "abo":                   `word 12, "abo", is not one of the list`,
		eleven + "abouts":                `word 12, "abouts", is not one of the list`,
		eleven + "zzzz":                  `word 12, "zzzz", is not one of the list`,
		"abandn " + eleven:               `word 1, "abandn", is not one of the list`,
		eleven + strings.Repeat("x", 99): `word 12, "` + strings.Repeat("x", 20) + `", is not one of the list`,
		strings.Repeat("a", MaxText+1):   ErrLong.Error(),
		strings.Repeat(eleven, 100):      "these are 1100 words, there have to be 12",
		eleven + strings.Repeat("\n \t", 2000) + "about": "",
	} {
		_, err := Fingerprint(text)
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%.120q: %v, want %s", text, err, want)
		}
	}
}

// An error about secret words names a place, and no word.
func TestSecretIsNotRepeated(t *testing.T) {
	secret := strings.Fields(Secret([SecretSize]byte{1, 2, 3}))
	var word *WordError
	secret[6] = "mistyped"
	_, err := ParseSecret(strings.Join(secret, " "))
	if !errors.As(err, &word) || err.Error() != "word 7 is not one of the list" {
		t.Errorf("%v", err)
	}
}

// The words that end a key and those that make somebody are never each other's.
func TestKinds(t *testing.T) {
	for n := range 1000 {
		secret := sha256.Sum256([]byte{byte(n), byte(n >> 8)})
		if again, err := ParseRevocation(Revocation(secret)); err != nil || again != secret {
			t.Fatalf("%x: %v", secret, err)
		}
		if _, err := ParseSecret(Revocation(secret)); !errors.Is(err, ErrRevocation) {
			t.Fatalf("%x makes somebody: %v", secret, err)
		}
		if _, err := ParseRevocation(Secret(secret)); !errors.Is(err, ErrSecret) {
			t.Fatalf("%x ends a key: %v", secret, err)
		}
	}
	typed := strings.Fields(Revocation([SecretSize]byte{1}))
	typed[0], typed[1] = typed[1], typed[0]
	if _, err := ParseRevocation(strings.Join(typed, " ")); !errors.Is(err, ErrChecksum) {
		t.Errorf("out of order: %v", err)
	}
}

// What is written is read again, however it was typed; another fingerprint does not match.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := pki.Fingerprint(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "fingerprint"))
		typed := strings.Fields(Of(f))
		for i, word := range typed {
			if rapid.Bool().Draw(t, "cut") {
				word = word[:min(len(word), leastCut)]
			}
			if rapid.Bool().Draw(t, "capitals") {
				word = strings.ToUpper(word)
			}
			typed[i] = word
		}
		p, err := Fingerprint(strings.Join(typed, rapid.SampledFrom([]string{" ", "-", " \n\t", " - "}).Draw(t, "between")))
		if err != nil || !p.Matches(f) {
			t.Fatalf("%v: %v", typed, err)
		}
		f[rapid.IntRange(0, PrefixSize-1).Draw(t, "place")] ^= 1
		if p.Matches(f) {
			t.Fatal("another fingerprint matches")
		}
		secret, err := ParseSecret(Secret(f))
		if err != nil || secret != f {
			t.Fatal(err)
		}
	})
}

// FuzzParse: any text is words or an error, and words are those of what they say.
func FuzzParse(f *testing.F) {
	f.Add(Of(pki.Fingerprint{}))
	f.Add(Secret([SecretSize]byte{1}))
	f.Add("zoo-ZOO zoo")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := Fingerprint(text); err == nil {
			if again, err := Fingerprint(encode(p[:], bip39)); err != nil || again != p {
				t.Errorf("%q: %x, %x, %v", text, p, again, err)
			}
		}
		if s, err := ParseSecret(text); err == nil {
			if again, err := ParseSecret(Secret(s)); err != nil || again != s {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	text := Of(pki.Fingerprint{1})
	for b.Loop() {
		if _, err := Fingerprint(text); err != nil {
			b.Fatal(err)
		}
	}
}
