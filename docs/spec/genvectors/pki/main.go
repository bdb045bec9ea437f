// Command pki writes the test vectors of docs/spec/pki.md. Run it from the root
// of the module:
//
//	go run ./docs/spec/genvectors/pki
//
// It writes docs/spec/vectors/pki.json: a list of vectors, each with all its
// inputs and, where it is to be accepted, what comes out. Bytes are written in
// hexadecimal. The same source always writes the same file.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

const path = "docs/spec/vectors/pki.json"

// A file is the whole of pki.json.
type file struct {
	Comment string   `json:"comment"`
	Vectors []vector `json:"vectors"`
}

// A vector is one question to an implementation, with the right answer.
type vector struct {
	Kind    string            `json:"kind"`          // what is asked; see docs/spec/pki.md
	Comment string            `json:"comment"`       // why this vector is here
	Expect  string            `json:"expect"`        // "accept" or "refuse"
	In      map[string]string `json:"in"`            // bytes in hexadecimal, names and numbers as text
	Out     map[string]string `json:"out,omitempty"` // with "accept": what is found out
}

func main() {
	text, err := generate()
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genvectors/pki: error:", err)
		os.Exit(1)
	}
}

// generate returns the contents of pki.json.
func generate() ([]byte, error) {
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	f := file{Comment: "Made by go run ./docs/spec/genvectors/pki. The specification is docs/spec/pki.md."}
	f.Vectors = append(f.Vectors, names()...)
	for _, part := range []func() ([]vector, error){
		w.keys, w.statements, w.authorities, w.requests, w.users, w.links, w.peers, w.descriptors, w.cards,
		w.views, w.revocations, w.successions, w.envelopes, w.moves, w.challenges,
		w.formerRevocations, w.proven,
	} {
		vectors, err := part()
		if err != nil {
			return nil, err
		}
		f.Vectors = append(f.Vectors, vectors...)
	}
	text, err := json.MarshalIndent(f, "", " ")
	return append(text, '\n'), err
}
