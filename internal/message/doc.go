// Package message is what one user writes to another: the sealed part of a letter,
// 6 254 bytes ([Size]) whatever is in it.
//
// The nouns: a [Content] is what is said (a text, or the acknowledgement of one), by
// whom, and where to answer. [PrivateKeys] are a user's two keys for messages, [Keys]
// their public halves as in her card: the seal key, to which messages to her are
// encrypted, and the auth key, by which hers are told from anybody else's.
//
//	sealed, err := message.Seal(rand, mine, hers, herName, content)
//	content, err := message.Open(mine, myName, sealed)   // ErrOpen: drop it in silence
//
// # Who can read it, and who wrote it
//
// The seal is HPKE (RFC 9180) with MLKEM768X25519, HKDF-SHA-256 and AES-256-GCM, in
// base mode. Inside, a MAC over everything is keyed with the X25519 secret of both auth
// keys and a secret of this HPKE encryption, and names the recipient. Either of the two
// could have computed it: it convinces the recipient and nobody else (row C13), and [Forge]
// is how the recipient does it. No message is signed. What is signed is a statement that never changes: which two keys are an
// identity's.
//
// Open believes the certificate of nobody: it shows that the writer holds the private
// half of [Content].Auth. That this is the key of [Content].Name is shown by
// [Content.Vouched], with the certificate authority of the name's home.
//
// # A sealed part
//
//	enc     1120   MLKEM768X25519 encapsulation
//	sealed  5134   AES-256-GCM of the plaintext (5 118) with its tag behind, additional data empty
//
// # The plaintext
//
//	mac         32   HMAC-SHA-256 over all that follows
//	version      1   1
//	kind         1   1 text, 2 acknowledgement, 3 hello
//	id          16   of this message; the letter that carries it has the same
//	about       16   of the message that is acknowledged; of a hello its proof; else zeros
//	at           8   Unix seconds by the sender's clock
//	secret      32   the recipient's right to write back
//	auth        32   X25519 public key of the sender
//	sealhash    32   SHA-256 of the sender's seal key
//	statement   64   the sender's identity key over auth | sealhash
//	name         1 + n
//	spools       1 + (1 + n) each, 1 to 4
//	certificate  2 + n   DER
//	seal         2 + n   the sender's seal key (1 216 bytes), or nothing
//	text         2 + n   UTF-8
//	padding      zeros
//
// The sender's seal key is left out only where a long text needs its place. The
// specification is docs/spec/message.md, its vectors docs/spec/vectors/message.json.
package message
