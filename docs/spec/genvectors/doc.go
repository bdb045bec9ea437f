// Command genvectors writes the test vectors of the packet format, docs/spec/vectors/onion.json.
//
//	go run ./docs/spec/genvectors          # from the top of the repository
//	go run ./docs/spec/genvectors -o FILE
//
// Packets are built by package onion from fixed seeds. What is expected of each peel comes from a second decoder, in
// decoder.go, which was written from docs/spec/onion.md with nothing but the standard library and shares no line with
// package onion; the two must agree before a vector is written. The test holds the checked-in file against this program
// and every vector against both decoders.
package main
