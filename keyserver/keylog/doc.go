// Package keylog is the format of a domain's key log: an append-only list of commitments to
// what the domain's key server has published, which everybody can check and nobody can
// search. It is pure: no I/O, no clock, no goroutines. The package keyserver keeps the log.
//
// The nouns:
//
//   - leaf: 105 bytes that commit to one record, and say nothing about whose it is.
//   - label: what stands in a leaf for a name. It comes out of a verifiable random function
//     (vrf-r255), so only the domain can make it, there is one for each name, and who
//     knows the name can be shown that it is hers. Without that proof no name can be tested
//     against a leaf.
//   - checkpoint: size and root of the tree of all leaves, signed by the log's key and
//     cosigned by witnesses, who have seen that the tree only grew.
//   - proof: that a leaf is in the tree of a checkpoint (tlog-proof of C2SP), with the label's
//     proof beside it.
//
// A log is named by the descriptor of its domain:
//
//	log, ok := keylog.Of(descriptor.Descriptor)
//	witnesses, err := keylog.Quorum(2, peers)
//	in, err := log.Verify(proof, keylog.Claim{Kind: keylog.Card, Subject: "ann@a.test", Record: sha256.Sum256(card)},
//		keylog.Fresh(witnesses, now))
//
// A leaf, big endian:
//
//	1   kind
//	8   time, seconds since 1970
//	32  label
//	32  SHA-256 of the record
//
// Everything around it is of C2SP (signed notes, tlog-checkpoint, tlog-cosignature,
// tlog-tiles, tlog-proof, vrf-r255), read and written by golang.org/x/mod and
// filippo.io/torchwood, so that other people's tools read this log.
//
// The specification is docs/spec/keylog.md.
package keylog
