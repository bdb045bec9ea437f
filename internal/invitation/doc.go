// Package invitation is the code by which the operator of a server invites somebody to take a
// name there, or a user invites somebody to write to her: a text to copy, or to show as a QR code.
//
// An [Invitation] holds a token, which the server takes once, and what its bearer has to
// believe before she has asked anybody: the key of the server's domain, and those of up to
// four other domains. By them she judges what she is told, so that her first view of the world
// is not her home's alone.
//
//	i, err := invitation.New(rand.Reader, home, others)
//	text := i.String()                     // "P3DO1" and some 300 letters and digits
//	i, err = invitation.Parse(text)        // in capitals or not, in several lines
//
// The code is a secret until it was used: who finds it can take the name first. A server keeps
// the hash of the token only.
//
// # Layout
//
//	1     version, 1
//	16    token, random
//	1+n   domain of the home
//	32    fingerprint of its authority
//	1     number of others, 0 to 4
//	      each: 1+n domain | 32 fingerprint, ascending by domain
//	4     the first bytes of the SHA-256 of all before
//
// A [Personal] names who invites, and holds a secret from which her mailbox for one letter follows,
// and what the letter has to show:
//
//	1     version, 2
//	32    secret, random
//	8     until when, Unix seconds, at most 2^40
//	2+n   name of who invites
//	32    fingerprint of her identity key
//	32    fingerprint of the authority of her home
//	1     number of others, as above
//	4     the first bytes of the SHA-256 of all before
//
//	mailbox = HKDF-Expand(SHA-256, secret, "p3do invitation mailbox", 32)
//	proof   = HKDF-Expand(SHA-256, secret, "p3do invitation proof" | fingerprint of the taker 32, 16)
//
// As text that is "P3DO1" and base32 (RFC 4648, section 6) without padding. The specification is
// docs/spec/user.md, section 7, with vectors.
package invitation
