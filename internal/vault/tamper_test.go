package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A specimen is a vault file taken apart: its header and its records. Record 0
// is the empty snapshot, record n puts "k"="n".
type specimen struct {
	dir     string
	header  []byte
	records [][]byte
}

func newSpecimen(t testing.TB, updates int) specimen {
	t.Helper()
	v, dir := newVault(t)
	s := specimen{dir: dir}
	ends := []int64{int64(headerSize), fileSize(t, dir)}
	for n := 1; n <= updates; n++ {
		put(t, v, "k", fmt.Sprint(n))
		ends = append(ends, fileSize(t, dir))
	}
	v.Close()
	b := s.read(t)
	s.header = b[:headerSize]
	for i := 1; i < len(ends); i++ {
		s.records = append(s.records, b[ends[i-1]:ends[i]])
	}
	return s
}

func (s specimen) path() string { return filepath.Join(s.dir, fileName) }

func (s specimen) read(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s specimen) bytes() []byte {
	return append(slices.Clone(s.header), slices.Concat(s.records...)...)
}

// open writes b in place of the file and opens it.
func (s specimen) open(t testing.TB, b []byte) (*Vault, error) {
	t.Helper()
	if err := os.WriteFile(s.path(), b, fileMode); err != nil {
		t.Fatal(err)
	}
	return Open(s.dir, testPassphrase)
}

func (s specimen) wantDamaged(t testing.TB, what string, b []byte) {
	t.Helper()
	v, err := s.open(t, b)
	if err == nil {
		v.Close()
	}
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%s: got %v, want ErrDamaged", what, err)
	}
}

// wantCut opens b, wants "k"="n", and that an Update goes on from there.
func (s specimen) wantCut(t testing.TB, what string, b []byte, n int) {
	t.Helper()
	v, err := s.open(t, b)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer v.Close()
	wantContents(t, v, fmt.Sprintf("k=%d\n", n))
	put(t, v, "new", what)
	again := mustOpen(t, s.dir)
	defer again.Close()
	wantContents(t, again, fmt.Sprintf("k=%d\nnew=%s\n", n, what))
}

func TestTornTailAtEveryByte(t *testing.T) {
	s := newSpecimen(t, 3)
	whole := s.bytes()
	last := len(s.records[3])
	for missing := 1; missing <= last; missing++ {
		s.wantCut(t, fmt.Sprintf("%d bytes missing", missing), whole[:len(whole)-missing], 2)
	}
	s.wantCut(t, "whole", whole, 3)
}

func TestUnwrittenBlocksAtTheEnd(t *testing.T) {
	s := newSpecimen(t, 3)
	whole := s.bytes()
	start := len(whole) - len(s.records[3])
	for keep := 0; keep <= nonceSize+4; keep++ { // nothing, or part of the head before its tag
		b := slices.Clone(whole)
		clear(b[start+keep:])
		s.wantCut(t, fmt.Sprintf("%d bytes, then zeros", keep), b, 2)
	}
	for _, keep := range []int{recordHeadSize, recordHeadSize + 1, len(s.records[3]) - tagSize} {
		b := slices.Clone(whole)
		clear(b[start+keep:])
		s.wantCut(t, fmt.Sprintf("%d bytes, then zeros", keep), b, 2)
	}
	s.wantCut(t, "zeros behind", append(slices.Clone(whole), make([]byte, 4096)...), 3)
	s.wantDamaged(t, "too many zeros", append(slices.Clone(whole), make([]byte, maxRecordSize+1)...))
}

func TestTornSnapshotIsDamage(t *testing.T) {
	s := newSpecimen(t, 0)
	whole := s.bytes()
	for size := range whole {
		s.wantDamaged(t, fmt.Sprintf("%d bytes", size), whole[:size])
	}
}

func TestEveryFlippedByteIsDamage(t *testing.T) {
	s := newSpecimen(t, 2)
	whole := s.bytes()
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 1 << (i % 8)
		s.wantDamaged(t, fmt.Sprintf("byte %d", i), b)
	}
}

func TestRecordsCannotBeRearranged(t *testing.T) {
	s := newSpecimen(t, 4)
	other := newSpecimen(t, 4)
	r := s.records
	file := func(records ...[]byte) []byte {
		return append(slices.Clone(s.header), slices.Concat(records...)...)
	}
	for what, b := range map[string][]byte{
		"swapped":                file(r[0], r[2], r[1], r[3], r[4]),
		"dropped in the middle":  file(r[0], r[1], r[3], r[4]),
		"dropped before last":    file(r[0], r[1], r[2], r[4]),
		"repeated":               file(r[0], r[1], r[1], r[2], r[3], r[4]),
		"last repeated":          file(r[0], r[1], r[2], r[3], r[4], r[4]),
		"snapshot replayed":      file(r[0], r[1], r[2], r[3], r[4], r[0]),
		"snapshot dropped":       file(r[1], r[2], r[3], r[4]),
		"from another vault":     file(r[0], r[1], other.records[2], r[3], r[4]),
		"last of another vault":  file(r[0], r[1], r[2], r[3], other.records[4]),
		"head of one, body two":  file(r[0], slices.Concat(r[1][:recordHeadSize], r[2][recordHeadSize:])),
		"octets behind the last": file(r[0], r[1], bytes.Repeat([]byte{7}, recordHeadSize)),
	} {
		s.wantDamaged(t, what, b)
	}
	s.wantDamaged(t, "header of another vault", append(slices.Clone(other.header), slices.Concat(r...)...))
}

// TestAnOlderCopyOpens states what is not protected: docs/spec/vault.md says so.
func TestAnOlderCopyOpens(t *testing.T) {
	s := newSpecimen(t, 4)
	b := append(slices.Clone(s.header), slices.Concat(s.records[:3]...)...)
	s.wantCut(t, "older copy", b, 2)
}

func TestAnOlderFileUnderAnOpenVaultIsRefused(t *testing.T) {
	v, dir := newVault(t)
	s := specimen{dir: dir}
	put(t, v, "k", "1")
	old := s.read(t)
	put(t, v, "k", "2")
	now := s.read(t)

	os.WriteFile(s.path(), old, fileMode) // in place: shorter
	look := func() error { return v.View(func(*Tx) error { return nil }) }
	if err := look(); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut in place: %v", err)
	}
	replace(t, s.path(), old)
	if err := look(); !errors.Is(err, ErrDamaged) {
		t.Errorf("older copy renamed into place: %v", err)
	}
	replace(t, s.path(), now)
	wantContents(t, v, "k=2\n")
	replace(t, s.path(), newSpecimen(t, 3).bytes())
	if err := look(); !errors.Is(err, ErrDamaged) {
		t.Errorf("another vault in its place: %v", err)
	}
	os.Remove(s.path())
	if err := look(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func replace(t testing.TB, path string, b []byte) {
	t.Helper()
	next := path + ".test"
	if err := os.WriteFile(next, b, fileMode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestHostileHeader(t *testing.T) {
	s := newSpecimen(t, 1)
	const at = len(magic) + 2 // of the cost
	for _, tt := range []struct {
		name string
		edit func([]byte)
		want string
	}{
		{"1 TiB", func(b []byte) { binary.BigEndian.PutUint32(b[at+4:], 1<<30) }, "more work"},
		{"4 TiB", func(b []byte) { binary.BigEndian.PutUint32(b[at+4:], 1<<32-1) }, "more work"},
		{"many passes", func(b []byte) { binary.BigEndian.PutUint32(b[at:], maxCostTime+1) }, "more work"},
		{"no pass", func(b []byte) { binary.BigEndian.PutUint32(b[at:], 0) }, "more work"},
		{"no lane", func(b []byte) { b[at+8] = 0 }, "more work"},
		{"many lanes", func(b []byte) { b[at+8] = 255 }, "more work"},
		{"no memory", func(b []byte) { binary.BigEndian.PutUint32(b[at+4:], 0) }, "more work"},
		{"version 2", func(b []byte) { b[at-1] = 2 }, "version 2, this program reads version 1"},
		{"another magic", func(b []byte) { b[0] = 'X' }, "not a vault file"},
	} {
		b := s.bytes()
		tt.edit(b)
		covered := headerSize - checksumSize
		sum := sha256.Sum256(b[:covered])
		copy(b[covered:headerSize], sum[:])
		if _, err := s.open(t, b); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestBodyIsCanonical(t *testing.T) {
	block := func(b ...byte) []byte { return append(b, make([]byte, blockSize-len(b))...) }
	put := func(key byte) []byte { return []byte{opPut, 0, 1, key, 0, 0, 0} }
	for name, b := range map[string][]byte{
		"empty":             {},
		"not a block":       make([]byte, blockSize-1),
		"more is 2":         block(2),
		"unknown op":        block(0, 3, 0, 0),
		"descending":        block(append(append([]byte{0}, put('b')...), put('a')...)...),
		"twice":             block(append(append([]byte{0}, put('a')...), put('a')...)...),
		"a block of pad":    make([]byte, 2*blockSize),
		"pad not zero":      block(0, 0, 1),
		"key beyond end":    block(0, opDelete, 0xff, 0xff),
		"key too long":      append([]byte{0, opDelete, 2, 1}, make([]byte, 4*blockSize-4)...),
		"value beyond end":  block(0, opPut, 0, 0, 0xff, 0xff, 0xff),
		"op without length": append(append([]byte{0}, bytes.Repeat([]byte{opDelete, 0, 0}, 0)...), bytes.Repeat([]byte{opPut}, blockSize-1)...),
	} {
		if _, err := parseBody(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}
