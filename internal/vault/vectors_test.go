package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/golden"
)

const vectorsFile = "../../docs/spec/vectors/vault.json"

// vectorFile is docs/spec/vectors/vault.json. docs/spec/vault.md says what is asked. Bytes
// are in hexadecimal.
type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

// A vector is a file and, if it opens, all that went into it and comes out.
type vector struct {
	Kind       string        `json:"kind"` // file
	Comment    string        `json:"comment"`
	Expect     string        `json:"expect"`
	Reason     string        `json:"reason,omitempty"` // damaged, wrong passphrase, passphrase (none, or too long) or version
	Passphrase golden.Octets `json:"passphrase"`
	Time       uint32        `json:"time,omitempty"`
	MemoryKiB  uint32        `json:"memory,omitempty"`
	Threads    uint8         `json:"threads,omitempty"`
	Salt       golden.Octets `json:"salt,omitempty"`
	FileID     golden.Octets `json:"file_id,omitempty"`
	Generation uint64        `json:"generation,omitempty"`
	Keys       *keys         `json:"keys,omitempty"`
	Records    []record      `json:"records,omitempty"`
	File       golden.Octets `json:"file"`
	End        int           `json:"end,omitempty"` // of the last whole record in file: what follows is torn
	Contents   []pair        `json:"contents,omitempty"`
}

type keys struct {
	Root   golden.Octets `json:"RK"`
	Header golden.Octets `json:"HK"`
	Head   golden.Octets `json:"AK"`
	Body   golden.Octets `json:"BK"`
}

type record struct {
	Nonce golden.Octets `json:"nonce"`
	Body  golden.Octets `json:"body"` // plaintext
}

// A pair is a key and its value.
type pair struct{ key, value string }

func (p pair) MarshalText() ([]byte, error) {
	return []byte(hex.EncodeToString([]byte(p.key)) + "=" + hex.EncodeToString([]byte(p.value))), nil
}

func (p *pair) UnmarshalText(text []byte) error {
	key, value, _ := strings.Cut(string(text), "=")
	k, err := hex.DecodeString(key)
	if err != nil {
		return err
	}
	v, err := hex.DecodeString(value)
	*p = pair{string(k), string(v)}
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestVectorsAreUpToDate: the file is what makeVectors makes.
func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors(t)) }

// TestVectors: what the file says is what this package does.
func TestVectors(t *testing.T) {
	var file vectorFile
	golden.Read(t, vectorsFile, &file)
	if len(file.Vectors) < 60 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Comment, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Chmod(dir, folderMode))
			must(t, os.WriteFile(filepath.Join(dir, fileName), v.File, fileMode))
			opened, err := Open(dir, v.Passphrase)
			if err == nil {
				defer opened.Close()
			}
			if v.Expect == "refuse" {
				checkReason(t, err, v.Reason)
				return
			}
			must(t, err)
			checkContents(t, opened, v)
			checkWritten(t, opened.root, v)
		})
	}
}

func checkReason(t *testing.T, err error, reason string) {
	t.Helper()
	switch reason {
	case "damaged":
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("err = %v", err)
		}
	case "wrong passphrase":
		if !errors.Is(err, ErrPassphrase) {
			t.Errorf("err = %v", err)
		}
	default: // "passphrase", "version"
		if err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), reason+" ") {
			t.Errorf("err = %v, want one about the %s", err, reason)
		}
	}
}

func checkContents(t *testing.T, v *Vault, want vector) {
	t.Helper()
	var got []pair
	must(t, v.View(func(tx *Tx) error {
		return tx.Range("", func(key string, value []byte) error {
			got = append(got, pair{key, string(value)})
			return nil
		})
	}))
	if !slices.Equal(got, want.Contents) {
		t.Errorf("holds %q, want %q", got, want.Contents)
	}
	if v.journal.end != int64(want.End) {
		t.Errorf("ends at %d, want %d", v.journal.end, want.End)
	}
}

// checkWritten writes the file again, from what went into it. Nonces are drawn when records
// are sealed, so the records are compared as they open.
func checkWritten(t *testing.T, root rootKey, v vector) {
	t.Helper()
	h := header{
		cost: cost{v.Time, v.MemoryKiB, v.Threads}, salt: [saltSize]byte(v.Salt), fileID: [fileIDSize]byte(v.FileID), generation: v.Generation,
	}
	if !bytes.Equal(h.marshal(root), v.File[:headerSize]) {
		t.Error("another header")
	}
	k := keys{root.b[:], root.expand("p3do vault header", nil), root.expand("p3do vault head", v.FileID), root.expand("p3do vault body", v.FileID)}
	for i, got := range [][]byte{k.Root, k.Header, k.Head, k.Body} {
		if want := []golden.Octets{v.Keys.Root, v.Keys.Header, v.Keys.Head, v.Keys.Body}[i]; !bytes.Equal(got, want) {
			t.Errorf("key %d is %x, want %x", i, got, want)
		}
	}
	s, err := newSealer(root, h.fileID)
	must(t, err)
	rest := bytes.Clone(v.File[headerSize:v.End])
	for n, r := range v.Records {
		head := rest[:recordHeadSize]
		size, ok := s.openHead(uint64(n), head)
		if !ok || !bytes.Equal(head[:nonceSize], r.Nonce) {
			t.Fatalf("the head of record %d", n)
		}
		plain, ok := s.openBody(uint64(n), head, rest[recordHeadSize:recordHeadSize+size])
		parsed, err := parseBody(r.Body)
		must(t, err)
		again, err := parsed.marshal()
		must(t, err)
		if !ok || !bytes.Equal(plain, r.Body) || !bytes.Equal(again, r.Body) {
			t.Errorf("the body of record %d", n)
		}
		rest = rest[recordHeadSize+size:]
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes of no record", len(rest))
	}
}
