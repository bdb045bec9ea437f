package pki

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Descriptors and cards share a frame: a version byte, fields that can be
// written in one way only, and a signature over all bytes before it.

var (
	errMalformed = errors.New("it does not have the fields that it should, or not to the last byte")
	errSignature = errors.New("its signature is not good")
)

// lastSecond is 9999-12-31T23:59:59Z, the last time that X.509 and RFC 3339
// can write.
const lastSecond = 253402300799

// sealStatement appends the signature of body.
func sealStatement(key ed25519.PrivateKey, label Label, body []byte) []byte {
	return append(body[:len(body):len(body)], signStatement(key, label, body)...)
}

// splitStatement separates the body from the signature behind it.
func splitStatement(raw []byte, most int) (body, signature []byte, err error) {
	if len(raw) > most {
		return nil, nil, fmt.Errorf("longer than %d bytes", most)
	}
	if len(raw) < SignatureSize {
		return nil, nil, errMalformed
	}
	return raw[:len(raw)-SignatureSize], raw[len(raw)-SignatureSize:], nil
}

// checkSpan bounds the time between two fields.
func checkSpan(issued, expires time.Time, most time.Duration) error {
	switch {
	case issued.Unix() < 0 || expires.Unix() > lastSecond:
		return errors.New("its times are not between 1970 and 9999")
	case !issued.Before(expires):
		return errors.New("it expires before it is issued")
	case expires.Sub(issued) > most:
		return fmt.Errorf("it is for longer than %s", most)
	}
	return nil
}

// checkNow is how descriptors and cards are judged by the clock: valid from
// ClockSkew before issued to the last second before expires.
func checkNow(issued, expires, now time.Time) error {
	return within(issued.Add(-ClockSkew), expires.Add(-time.Nanosecond), now)
}

func addTime(b *cryptobyte.Builder, t time.Time) { b.AddUint64(uint64(t.Unix())) }

func readTime(input *cryptobyte.String, out *time.Time) bool {
	var s uint64
	if !input.ReadUint64(&s) || s > lastSecond {
		return false
	}
	*out = time.Unix(int64(s), 0).UTC()
	return true
}

// addText8 writes 1 byte of length and text.
func addText8(b *cryptobyte.Builder, text string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

func readText8(input *cryptobyte.String, out *string) bool {
	var value cryptobyte.String
	if !input.ReadUint8LengthPrefixed(&value) {
		return false
	}
	*out = string(value)
	return true
}

// addTexts8 writes 1 byte of count and that many texts.
func addTexts8(b *cryptobyte.Builder, texts []string) {
	b.AddUint8(uint8(len(texts)))
	for _, text := range texts {
		addText8(b, text)
	}
}

// readTexts8 reads 1 to most texts.
func readTexts8(input *cryptobyte.String, most int, out *[]string) bool {
	var count uint8
	if !input.ReadUint8(&count) || count == 0 || int(count) > most {
		return false
	}
	texts := make([]string, count)
	for i := range texts {
		if !readText8(input, &texts[i]) {
			return false
		}
	}
	*out = texts
	return true
}

// addBytes16 writes 2 bytes of length and value.
func addBytes16(b *cryptobyte.Builder, value []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

// readBytes16 reads what addBytes16 wrote, as a copy.
func readBytes16(input *cryptobyte.String, out *[]byte) bool {
	var value cryptobyte.String
	if !input.ReadUint16LengthPrefixed(&value) {
		return false
	}
	*out = bytes.Clone(value)
	return true
}
