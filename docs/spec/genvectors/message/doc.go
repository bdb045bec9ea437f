// Command message writes the test vectors of docs/spec/message.md. Run it from the
// root of the module:
//
//	go run ./docs/spec/genvectors/message
//
// It writes docs/spec/vectors/message.json: sealed parts with all that went into them,
// those that open and those that are to be refused, as section 7 of the specification
// says. What package message makes is checked by a second implementation in this command,
// which also makes what package message would not. The same source always writes the same
// file.
package main
