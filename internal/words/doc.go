// Package words writes keys as English words, so that people can read them out, compare
// them and copy them by hand.
//
// There are two kinds. The 12 words of a fingerprint stand for its first 128 bits and are
// public. The 24 words of a secret stand for all of its 32 bytes: who has them has the
// secret.
//
//	text := words.Of(fingerprint)              // "otter piano ...", 12 words
//	prefix, err := words.Fingerprint(text)     // as somebody typed them
//	ok := prefix.Matches(fingerprint)
//	text = words.Secret(seed)                  // 24 words: for a backup
//	seed, err = words.ParseSecret(text)
//	text = words.Revocation(seed)              // 24 other words: for the day on which a key ends
//	seed, err = words.ParseRevocation(text)
//
// # Encoding
//
// It is that of BIP-39 (github.com/bitcoin/bips, bip-0039.mediawiki) with its English list of
// 2 048 words and without its passphrase. After n bits of data come the first n/32 bits of
// their SHA-256, and each 11 bits of the whole are the number of a word:
//
//	data 128 | checksum 4      12 words
//	data 256 | checksum 8      24 words
//
// The 24 words of a revocation key have all 8 bits of the checksum the other way round. So the two
// kinds of 24 words cannot be taken for each other, and the parser of one knows the other: with what
// ends a key nobody is made, and other programs for BIP-39 do not take it for a purse.
//
// Both parsers want the exact number of words and a checksum that fits, and are generous
// about the rest: capitals, more than one space, lines, "-" between words, and words cut
// after four letters or more, of which the first four tell any two words of the list apart. The
// error says at which place a word is not of the list. For secret words it never repeats one.
//
// # What 128 bits mean
//
// To show somebody another key under the same 12 words, an attacker has to make about 2^128
// keys. Two keys of his own with the same words he finds after 2^64; that gains him nothing,
// for both are his. Programs compare whole fingerprints of 256 bits wherever they have them,
// and the words only with what a person brought.
//
// The specification is docs/spec/user.md, section 2, with vectors. The list is english.txt, as
// published with BIP-39; a test holds its SHA-256.
package words
