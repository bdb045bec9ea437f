// Package dnstxt writes, parses, serves and looks up the one TXT record by
// which a domain says that it runs P3DO.
//
// # Nouns
//
// A record is the TXT record at _p3do.DOMAIN. It holds the fingerprint of the
// domain's CA key and says where the domain's key servers are; it never holds a
// key, a context key or anything about a user. A resolver asks one DNS server
// for the record of a domain. A responder is an authoritative server for one
// zone; the lab runs one for the zone "test".
//
// # Use
//
//	record := dnstxt.Record{Fingerprint: ca, KeyServers: []string{"keys.a.test:8443"}}
//	line, err := record.ZoneLine(domain, 3600) // for a zone file
//	value := record.String()                   // for a provider's web panel
//
//	resolver := dnstxt.Resolver{Server: "127.0.0.1:53", Dial: dial}
//	record, err = resolver.Lookup(ctx, domain)
//	switch {
//	case errors.Is(err, dnstxt.ErrNone):    // the domain publishes no record
//	case errors.Is(err, dnstxt.ErrInvalid): // it publishes one that is refused
//	}
//
// What DNS says is evidence and no more: an answer may be forged by anybody on
// the way. Package pki judges what it is worth beside the other evidence.
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
