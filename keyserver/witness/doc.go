// Package witness holds domains to one history of their key logs.
//
// The nouns:
//
//   - head: how far a log has come, a number of leaves and a root hash, signed by the log as a
//     checkpoint (C2SP tlog-checkpoint, a signed note).
//   - witness: who cosigns a head only if it continues the one cosigned before (C2SP
//     tlog-witness, tlog-cosignature). Every domain is one for the logs of its peers.
//   - mirror: a copy of a log, tile by tile (C2SP tlog-tiles), each verified against a head.
//   - fork: two heads, both signed by the log, that no one log can have. A [Fork] proves that to
//     whoever knows the domain's key; a [Reader] believes it if no key in it had left office.
//
// A witness keeps one row for each log and writes it before it answers:
//
//	w := witness.New(witness.Config{Store: st, Signer: signer, Log: logOf})
//	lines, err := w.Add(ctx, body) // of POST add-checkpoint
//
// What a node says of a log:
//
//	name      a.test/p3do/log        origin of the checkpoints of a.test
//	name      b.test/p3do/witness    of b.test's cosignatures
//
// A fork, as it travels and is kept:
//
//	1      version, 2
//	2+n    descriptor that names the key by which the first head is signed
//	2+n    the same of the second head; empty if it is that descriptor
//	2+n    first head, a signed note: the log's signature, then cosignatures
//	2+n    second head, of as many leaves or more
//	1      0: as many; 1: more, and then
//	32       root of the second tree's first leaves, as many as the first head has
//	1        number of hashes; for each
//	32         hash of the consistency proof between the two, RFC 6962, section 2.1.2
//
// The specification is docs/spec/witness.md.
package witness
