// Command mor writes the test vectors of docs/spec/mor.md. Run it from the root of the
// module:
//
//	go run ./docs/spec/genvectors/mor
//
// It writes docs/spec/vectors/mor.json: a list of vectors, each with all its inputs and,
// where it is to be accepted, what comes out. Bytes are written in hexadecimal. The same
// source always writes the same file.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

const path = "docs/spec/vectors/mor.json"

// What a vector expects.
const (
	accept = "accept"
	refuse = "refuse"
)

// A file is the whole of mor.json.
type file struct {
	Comment string   `json:"comment"`
	Vectors []vector `json:"vectors"`
}

// A vector is one question to an implementation, with the right answer.
type vector struct {
	Kind    string            `json:"kind"`          // what is asked; see docs/spec/mor.md
	Comment string            `json:"comment"`       // why this vector is here
	Expect  string            `json:"expect"`        // "accept" or "refuse"
	In      map[string]string `json:"in"`            // bytes in hexadecimal, numbers and names as text
	Out     map[string]string `json:"out,omitempty"` // with "accept": what is found out
}

func main() {
	text, err := generate()
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genvectors/mor: error:", err)
		os.Exit(1)
	}
}

// generate returns the contents of mor.json.
func generate() ([]byte, error) {
	f := file{Comment: "Made by go run ./docs/spec/genvectors/mor. The specification is docs/spec/mor.md."}
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	for _, part := range []func() ([]vector, error){w.records, w.answers, letters, receipts, queries, findings, messageIDs, addresses} {
		vectors, err := part()
		if err != nil {
			return nil, err
		}
		f.Vectors = append(f.Vectors, vectors...)
	}
	text, err := json.MarshalIndent(f, "", "\t")
	return append(text, '\n'), err
}
