package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

const path = "docs/spec/vectors/message.json"

// A file is the whole of message.json.
type file struct {
	Comment string   `json:"comment"`
	Vectors []vector `json:"vectors"`
}

// A vector is one sealed part with the right answer.
type vector struct {
	Name    string  `json:"name"`
	Comment string  `json:"comment"`
	Expect  string  `json:"expect"` // "open" or "refuse"
	Of      string  `json:"of,omitempty"`
	Offset  *int    `json:"offset,omitempty"` // with Of: the octet that is xored with 1
	Inputs  *inputs `json:"inputs,omitempty"`
	Sealed  octets  `json:"sealed,omitempty"`
	Outputs *fields `json:"outputs,omitempty"` // with "open"
}

// inputs are all that a sealed part is made of.
type inputs struct {
	Recipient     octets `json:"recipient"` // seed of the seal key 32, auth scalar 32
	Name          string `json:"recipient_name"`
	Sender        octets `json:"sender"`              // the same of the sender
	Encapsulation octets `json:"encapsulation"`       // randomness of the encapsulation, 64
	CodeKey       octets `json:"code_key"`            // section 4, key
	Plaintext     octets `json:"plaintext"`           // 5 118
	OpenWith      octets `json:"open_with,omitempty"` // keys to open with, if not the recipient's
	OpenAs        string `json:"open_as,omitempty"`   // name to open as, if not the recipient\'s
}

// fields are what an opened message says.
type fields struct {
	Kind   int    `json:"kind"`
	ID     octets `json:"id"`
	About  octets `json:"about"`
	At     int64  `json:"at"`
	Secret octets `json:"secret"`
	Name   string `json:"name"`
	Spools string `json:"spools"` // joined by commas
	Seal   bool   `json:"seal"`   // whether the seal key is in it
	Text   string `json:"text"`
}

// octets are bytes in hexadecimal.
type octets []byte

// MarshalText writes lower-case hexadecimal.
func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

func main() {
	text, err := generate()
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "genvectors/message: error:", err)
		os.Exit(1)
	}
}

// generate returns the contents of message.json.
func generate() ([]byte, error) {
	vectors, err := all()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(file{
		"Made by go run ./docs/spec/genvectors/message. The specification is docs/spec/message.md.", vectors,
	}, "", " ")
	return append(text, '\n'), err
}
