package golden

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// Rewrite is the environment variable that, when it is "1", has Check write files anew.
const Rewrite = "P3DO_REWRITE"

// Check fails t if the file at path is not value as JSON, indented by one space.
func Check(t testing.TB, path string, value any) {
	t.Helper()
	var made bytes.Buffer
	e := json.NewEncoder(&made)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(value); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(Rewrite) == "1" {
		if err := os.WriteFile(path, made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(held, made.Bytes()) {
		t.Errorf("%s is not what is made now; run the test with %s=1, and read the difference", path, Rewrite)
	}
}

// Read takes the file at path into value, as encoding/json does.
func Read(t testing.TB, path string, value any) {
	t.Helper()
	held, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(held, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Octets are bytes that a file holds in hexadecimal.
type Octets []byte

// MarshalText implements encoding.TextMarshaler.
func (o Octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *Octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}
