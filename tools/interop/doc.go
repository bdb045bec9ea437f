// Package interop holds the key log against programs of others that speak the same formats (C2SP
// tlog-witness, tlog-checkpoint, tlog-cosignature): Tessera is a log that our witness cosigns, and
// the witness of transparency-dev cosigns our log. They are a module of their own, so that nobody who
// builds P3DO builds them:
//
//	cd tools/interop && go test ./...
package interop
