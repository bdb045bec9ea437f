// Package keyserver keeps the signed public records of a domain where anybody
// who knows a name can have them: an HTTPS service and its client (K4).
//
// The nouns:
//
//   - card: a user's signed record (pki.SignedCard), found by her exact name or
//     by the fingerprint of her identity key.
//
//   - descriptor: a domain's signed record of its server (pki.SignedDescriptor).
//
//   - copy: a foreign user's card that was fetched from her home, verified and
//     kept; it is served when the home is gone.
//
//   - log: commitments to the domain's cards and key, in the order in which they were
//     published ([Log], package keylog). A leaf is written in the transaction of its record;
//     [Log.Run] signs checkpoints, and has witnesses cosign them.
//
// The service answers exact look-ups, and signs the keys of its own domain's users
// if Config.Sign does. Servers may be listed, users never. Records come in by the
// Publish methods, inside the process of the domain's node, and each takes one type
// of package pki, so that nothing but what a domain CA signed can get in, context
// keys and hints least of all. What the domain signed is in its key ring as
// well, written in one transaction (K5).
//
//	GET /v1/user/NAME          the card of ann@a.test
//	GET /v1/key/FINGERPRINT    the card, or link certificate, of a key
//	GET /v1/server/DOMAIN      the descriptor of a.test
//	GET /v1/servers            the first page of all descriptors
//	GET /v1/servers/DOMAIN     the page after that domain
//	GET /v1/proof/user/NAME    the card with its proof; likewise key and server
//	GET /v1/log/checkpoint     the newest checkpoint of the key log
//	GET /v1/log/tile/...       tiles of its hashes and leaves
//	POST /v1/sign              a request for a certificate: the certificate
//
// Everything else is "404 Not Found" in the same bytes, after the same work as
// for a name that does not exist.
//
// A page is a run of entries, by domain:
//
//	2  n, big endian
//	n  descriptor
//
// A node serves and publishes:
//
//	s := keyserver.New(keyserver.Config{Store: st, CA: ca, Fetch: fromHome})
//	err := s.PublishCard(ctx, card)
//	err = s.Serve(ctx, listener, certificate)
//
// and whoever knows the fingerprint of the domain's CA asks:
//
//	c := keyserver.Client{Dial: dial}
//	card, err := c.User(ctx, keyserver.Endpoint{Address: "127.0.0.1:4433", CA: fp}, name)
//
// Who trusts no server but some fingerprints takes what is needed in one go, and verifies it anywhere:
//
//	shown, err := c.Show(ctx, endpoint, keyserver.Subject{Name: name}, trusted)
//	logged, err := shown.Verify(keyserver.Subject{Name: name}, trusted, time.Now())
//
// TLS 1.3 is judged by that fingerprint alone: the server shows its link
// certificate and its CA certificate; no public CA is ever asked, and no server
// name is sent.
//
// The specification is docs/spec/keyserver.md, and docs/spec/keylog.md of the log.
package keyserver
