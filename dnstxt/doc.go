// Package dnstxt writes, parses, serves and looks up the one TXT record by
// which a domain says that it runs P3DO.
//
// # Nouns
//
// A record is the TXT record at _p3do.DOMAIN. It holds the fingerprint of the
// domain's CA key and says where the domain's key servers are; it never holds a
// key, a context key or anything about a user. A resolver asks one DNS server
// for the record of a domain, and verifies the answer. A responder is an authoritative server for one
// zone; the lab runs one for the zone "test". A signed zone is _p3do.DOMAIN, delegated to us and
// signed with a zone key, and a name server answers for it to whoever asks.
//
// # Use
//
//	record := dnstxt.Record{Fingerprint: ca, KeyServers: []string{"keys.a.test:8443"}}
//	line, err := record.ZoneLine(domain, 3600) // for a zone file
//	value := record.String()                   // for a provider's web panel
//
//	server, err := dnstxt.ParseServer("127.0.0.1:53") // or tls://..., https://...
//	resolver := dnstxt.Resolver{Server: server, Dial: dial, Anchors: dnstxt.RootAnchors(), Keys: dnstxt.NewKeyCache()}
//	answer, err := resolver.Look(ctx, domain)
//	switch {
//	case errors.Is(err, dnstxt.ErrNone):    // the domain publishes no record
//	case errors.Is(err, dnstxt.ErrInvalid): // it publishes one that is refused
//	case answer.Security == dnstxt.Secure:  // DNSSEC proves that it is the domain's
//	case answer.Security == dnstxt.Plain:   // nobody does; answer.Why says what is missing
//	}
//
// A domain whose zone delegates the one name is served so:
//
//	zone, err := dnstxt.NewSignedZone(dnstxt.ZoneConfig{Domain: domain, Nameservers: names, Key: key, TTL: 3600}, record, now)
//	lines, err := dnstxt.Delegation(domain, names, key, 3600) // NS and DS, for the zone above
//	server, err := dnstxt.Serve("192.0.2.1:53", zone)
//	err = server.Run(ctx)        // until ctx ends
//	err = zone.Set(another, now) // is shown at once
//
// A resolver asks over TCP, TLS or HTTPS, and opens connections through Dial only. It verifies
// signatures itself, from trust anchors down: from DS to DNSKEY to the signature of the record. It
// never proves that something is not there, so Plain is also what is left when somebody takes
// signatures off. What DNS says is evidence and no more. Package pki judges what it is worth beside
// the other evidence.
//
// # The record
//
//	v=P3DO1; k=ed25519; fp=FINGERPRINT; fp2=NEXT; ks=HOST:PORT,...; o=ONION; t=SECONDS
//
//	v    P3DO1, and first
//	k    ed25519, the kind of the key behind fp
//	fp   fingerprint of the domain CA key, 43 characters of base64url
//	fp2  optional: fingerprint of the key that will follow it
//	ks   1 to 4 key servers, host:port, separated by commas
//	o    optional: version 3 onion address of the node
//	t    optional: when the record was made, seconds since 1970
//
// Tags may come in any order behind v, unknown tags are ignored, and everything
// else that is not as above is refused by a *ParseError that names the tag.
// The grammar to the octet, and the rules of looking up, are in
// docs/spec/dnstxt.md.
package dnstxt
