package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "docs/spec/vectors/onion.json", "write the vectors to `FILE`")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "genvectors:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	raw, err := render()
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

// render returns the whole file.
func render() ([]byte, error) {
	vectors, err := generate()
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	enc := json.NewEncoder(&file)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err = enc.Encode(vectors)
	return file.Bytes(), err
}
