// Package store is what a node still knows after its power was cut: the keys
// that its domain signed, the records of its key server, pins, peers, mailboxes
// and the marks of packets that must not be seen twice.
//
// A [Store] is one SQLite file. What a method reported as done is on the disk:
// a SIGKILL or a power cut after it changes nothing. Methods are safe for
// concurrent use.
//
//	s, err := store.Open(ctx, "/var/lib/p3do/node.db")
//	defer s.Close()
//	fresh, err := s.Deposit(ctx, store.Item{Mailbox: addr, Kind: 1, ID: id, Body: sealed, At: now})
//	// only now may the sender hear that the message is stored
//
// The nouns:
//
//   - key ring: a copy of every key that the domain signed; the key server's
//     tables hold a second one. [Store.AddSigned] is the only road to both and
//     writes both in one transaction (K5); [Store.CompareRing] tells where they
//     differ, and [Store.Restore] makes them agree again.
//   - log: commitments to what the key server published, in a Merkle tree that only grows.
//     An [Entry] is written in the transaction of the record that it is about, so what is
//     published is logged, and the other way round.
//   - cached user: a verified copy of a foreign user's card, kept so that it
//     can be had after the death of its home (K4).
//   - pin: the first fingerprint that was seen for a subject; it stays.
//   - mailbox: a 32-byte address that its owner claimed. Items wait in it until
//     the owner forgets them. The triple (mailbox, kind, id) stays known after
//     that until [ItemLife] is over, so that a late copy is a duplicate.
//   - device: a second reader of an owner's queue. An item goes when the owner
//     and all her devices have forgotten it.
//   - invitation: the hash of a token by which somebody may take a name, once.
//   - mark: the 16-byte ID of something the router did once, with an end.
//
// What the key server has of users cannot be listed: no query of its tables returns
// more than one of them, by its exact name or its exact fingerprint. (The operator,
// who has the file, sees rows that differ by CompareRing, and the names of his own
// domain in the key ring by OwnUsers.)
//
// # How it writes
//
// One goroutine owns the one write connection. Callers that come while it
// waits for the disk are committed together, each inside a savepoint of its own,
// so one fsync serves all of them and the failure of one leaves the others
// (group commit). Reads go through a pool of their own and never wait for writes.
//
// Deleted rows are overwritten with zeros (secure_delete); the write-ahead log
// may hold older bytes until SQLite reuses it.
//
// # How it is made
//
// migrations/ is the schema (goose), queries/ the SQL; sqlc makes the package
// db out of the two: "cd internal/store && sqlc generate". Both are written in
// the part of SQL that SQLite and PostgreSQL share, parameters ascending and
// never repeated, because drivers number them differently.
//
// The package stands at the ground: it knows bytes, strings and times, and
// imports nothing else of this module. The tree is that of golang.org/x/mod/sumdb/tlog.
package store
