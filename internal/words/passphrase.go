package words

// PassphraseSize is what 12 words of a passphrase stand for, in bytes: 128 bits that nobody
// chose.
const PassphraseSize = PrefixSize

// Passphrase returns the 12 words of a passphrase, in lower case with a space between any two.
func Passphrase(secret [PassphraseSize]byte) string { return encode(secret[:], bip39) }

// ParsePassphrase reads the 12 words of a passphrase, and returns them as Passphrase writes
// them. Errors are those of Fingerprint, with no word in them.
func ParsePassphrase(text string) (string, error) {
	raw, err := decode(text, FingerprintWords, false, bip39)
	if err != nil {
		return "", err
	}
	return encode(raw, bip39), nil
}
