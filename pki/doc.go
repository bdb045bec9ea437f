// Package pki is who is who in P3DO: names, keys, certificates, and the signed
// records that servers and users publish about themselves.
//
// A [Domain] such as a.test has an [Authority]: its certificate authority,
// which signs for that domain and no other. What it signs is judged by whoever
// holds its exported [CACert], whose [Fingerprint] is pinned or comes by DNS.
// Domains that federate countersign each other: [Authority.Countersign] makes
// a [CrossCert] over the peer's key, constrained to the peer's domain, by a
// second key that never leaves the authority. No other authority is trusted.
//
//	federation root of a.test (private, 2nd key)      CACert of b.test (exported)
//	        | signs                                           | signs
//	CrossCert over b.test's key, for b.test only  ==same key==+
//	        | so a.test verifies                              | so pinners verify
//	        +-- UserCert bob@b.test, LinkCert b.test ---------+
//
// A user has an [IdentityKey], which contacts pin, and a certificate for her
// [Name] by her home. She proves the key at login ([IdentityKey.SignLogin],
// bound to one TLS connection) and signs a [Card]: what to seal messages to,
// and where. A node signs a [Descriptor]: what to encrypt to, where to
// connect, and where to look up keys.
//
// What ends and what follows is signed too. A [Revocation] ends an identity key, by that
// or by its [RevocationKey], or a name, by its domain or the domain's [OfflineRoot]. A
// [Succession] hands a domain over to its [Successor], a key made in advance, to which the
// one in use has committed itself: [Commitment.Heirs] says who follows by right. A [View]
// is what a domain says of the others. A [Move] says that who has an identity key has another name
// from now on: [Follow] finds the one that she has now. A [Challenge] is her word against whatever other
// key is shown under her name. These five travel from node to node as
// a [Statement].
//
// Whether a key is believed is judged in one place: [Judge] reads all [Evidence] about a
// subject and gives one [Verdict].
//
// # Usage
//
//	authority, err := pki.NewAuthority(rand.Reader, domain, now)       // p3dod init
//	request, err := pki.ParseUserRequest(der)                          // proves possession
//	cert, err := authority.SignUser(rand.Reader, now, request, pki.UserLifetime)
//	user, err := ca.VerifyUser(cert.DER(), now)                        // anywhere
//	domain, err := authority.VerifyPeer(cross, leaf, now)              // in VerifyConnection
//	err = pki.CheckPin(pinned, ca.Fingerprint(), domain.String())      // *KeyChangedError
//	heir, said, err := successor.Succeed(rand.Reader, now, authority, next) // p3dod rotate
//	evidence = evidence.Follow(pinned.Heirs(successions))              // then Judge
//
// # Rules
//
// The package is pure: evidence in, verdict out. It has no clock (now is an
// argument), no randomness (rand is), no I/O and no state; it may be called
// concurrently. The same arguments make the same bytes.
//
// Certificates are read and verified by crypto/x509, always with a time, pools
// of our own and a purpose. On top of it each must be of its profile to the
// byte, and names are compared exactly, for verifiers are known to be looser
// than that in a dozen ways: the tests of the pitfalls have one of each.
//
// Parsers accept one spelling only. What they return cannot be wrong, and what
// is not vouched for yet has a type of its own ([UnvouchedCard]). The key types
// do not convert into each other, and print as "secret".
//
// # Wire formats
//
// Certificates are DER (RFC 5280, RFC 8410); descriptors, cards, logins, views,
// revocations, successions and moves are laid out in comments at Descriptor.body, Card.body,
// loginMessage, View.body, Revocation.body, Succession.body and Move.body. Every
// statement is signed over
//
//	"p3do " | label | 00 | message
//
// The specification, docs/spec/pki.md, has it all for a second implementation,
// with vectors in docs/spec/vectors/pki.json.
package pki
