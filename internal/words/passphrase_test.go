package words

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// A passphrase is read as it was written and as people type it, and no error repeats a word.
func TestPassphrase(t *testing.T) {
	var secret [PassphraseSize]byte
	for range 50 {
		rand.Read(secret[:])
		text := Passphrase(secret)
		for _, typed := range []string{text, strings.ToUpper(text), " " + strings.ReplaceAll(text, " ", "-") + "\n"} {
			if again, err := ParsePassphrase(typed); err != nil || again != text {
				t.Errorf("%q: %q, %v", typed, again, err)
			}
		}
	}
	var wrong *WordError
	if _, err := ParsePassphrase(strings.Repeat("sesame ", 12)); !errors.As(err, &wrong) || strings.Contains(err.Error(), "sesame") {
		t.Error(err)
	}
	if _, err := ParsePassphrase("abandon"); err == nil {
		t.Error("one word")
	}
}
