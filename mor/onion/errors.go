package onion

import "errors"

// The refusals that a caller may branch on. Whatever arrives, the functions of this package return one of these
// (perhaps wrapped) and never panic; none carries key material or plaintext.
var (
	// ErrLength: the input does not have the one length that its kind has, or is the zero value.
	ErrLength = errors.New("onion: wrong length")
	// ErrVersion: byte 0 is not Version.
	ErrVersion = errors.New("onion: unknown version")
	// ErrSuite: byte 1 is not Suite.
	ErrSuite = errors.New("onion: unknown suite")
	// ErrEpoch: the wire epoch is not the present one, the one before or the one after.
	ErrEpoch = errors.New("onion: epoch is not near")
	// ErrKey: the bytes are not the canonical form of a public key, or no key at all.
	ErrKey = errors.New("onion: malformed key")
	// ErrLowOrder: an X25519 point generates a group of at most eight elements.
	ErrLowOrder = errors.New("onion: low-order point")
	// ErrAuth: the tag or the AEAD refused; the packet was not built for this key, hint and epoch, or was changed.
	ErrAuth = errors.New("onion: authentication failed")
	// ErrCommand: an authenticated command (or entry frame) has an unknown type or a reserved bit set.
	ErrCommand = errors.New("onion: malformed command")
	// ErrPayload: the body does not open to 32 zero bytes; it was changed on the way, or is not for these keys.
	ErrPayload = errors.New("onion: payload was changed")
	// ErrRoute: a builder was given no hops, more than four, or a value that the command cannot hold.
	ErrRoute = errors.New("onion: impossible route")
)
