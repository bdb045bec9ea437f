// Package session is the conversation between a user and a node, over one link.
//
// The link is TLS 1.3 without a client certificate (package link). On it the user asks
// and the node answers, in control messages of JSON: a request carries a number, its
// answer the same number and either a body or an [Error]. Besides, the user hands in
// entry frames as packet slots; the node answers each in the order of arrival.
//
//	register   a certificate request            -> the certificate
//	login      name, certificate, proof         -> the domain of the node, what it knows of her home
//	publish    the user's signed card
//	directory  after which domain               -> signed server descriptors
//	lookup     a name                           -> that user's signed card
//	claim      mailbox addresses of the user
//	items      after which one, how long to wait -> what the mailboxes hold
//	forget     which items are durable at the user's
//	statements after which one                  -> signed views, revocations and successions
//	revoke     a signed revocation
//	move       a signed move
//
// A login proves the identity key by a signature over the TLS exporter of this very link
// (row Y15), so nothing in it can be used elsewhere: not at the user's home, and not at any
// other node, where she may log in as well (row P2). Everything but register, login,
// directory and revoke wants a login first.
//
// [NewClient] makes a [Client] of a link; [Serve] answers one link with a [Desk]. Requests may be
// repeated: each has the same effect once as twice. docs/spec/session.md has the fields.
package session
