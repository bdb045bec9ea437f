package message

import (
	"io"

	"github.com/p3do/p3do/pki"
)

// Forge is [Seal] as the recipient can do it: it makes a sealed part to the holder of to, called
// name, that opens as written by the holder of c.Auth, who has no part in it. c may be any content
// that ever came from her, with another text, id and time. Nothing calls it but the tool that shows
// it (docs/spec/forge) and the tests: it is here so that nobody need take on trust that what was
// written to somebody proves nothing to others (row C13).
//
// With the same randomness Seal gives the same bytes.
func Forge(rand io.Reader, to *PrivateKeys, name pki.Name, c Content) ([]byte, error) {
	return c.seal(rand, to, c.Auth, to.keys, name)
}
