// Package standin is cryptography for large simulations: fast, and no protection at all.
//
// A [KEM] stands in for X25519 and X-Wing. What it encapsulates, whoever knows the public key can open: a secret is the
// hash of the public key and of the encapsulation. All else is that of mor/onion: sizes, layers, tags, ids, refusals and what
// a peel makes of the bytes. So a packet for another key, or one that was changed, is refused as it is really, no two packets of a
// flood share bytes that the real ones would not, and as much randomness is read, so that everybody draws the same routes.
//
// Nothing but simulations may import it; a test of the house holds that.
package standin
