// Package golden holds the files of docs/spec/vectors to the code, in tests.
//
// The vectors of a format are made by its package's own tests, from the specification and
// not from the code under test:
//
//	func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors()) }
//
// fails if the file is not what is made. Who has changed the format on purpose sets
// P3DO_REWRITE=1 (make vectors): then the file is written, to be read as a difference
// before it is committed. [Read] gives another test what the file says, and [Octets] are
// its bytes.
package golden
