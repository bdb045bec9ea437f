package vault

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A model is a vault beside a plain map that must agree with it.
type model struct {
	dir   string
	open  [2]*Vault // two users of one folder
	state map[string]string
}

var (
	modelKey   = rapid.StringMatching(`[ab]{0,3}`)
	modelValue = rapid.StringOfN(rapid.RuneFrom([]rune("xyz\x00")), 0, 600, -1)
	errModel   = errors.New("the function refused")
)

func (m *model) update(t *rapid.T) {
	v := m.open[rapid.IntRange(0, 1).Draw(t, "vault")]
	fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
	next := maps.Clone(m.state)
	err := v.Update(func(tx *Tx) error {
		for range rapid.IntRange(0, 6).Draw(t, "ops") {
			key := modelKey.Draw(t, "key")
			if rapid.Bool().Draw(t, "delete") {
				tx.Delete(key)
				delete(next, key)
			} else {
				value := modelValue.Draw(t, "value")
				tx.Put(key, []byte(value))
				next[key] = value
			}
			if err := agree(tx, next, modelKey.Draw(t, "prefix")); err != nil {
				t.Error(err)
			}
		}
		if fails {
			return errModel
		}
		return nil
	})
	if errors.Is(err, errModel) != fails || err != nil && !fails {
		t.Fatalf("Update: %v", err)
	}
	if !fails {
		m.state = next
	}
}

func (m *model) compact(t *rapid.T) {
	if err := m.open[rapid.IntRange(0, 1).Draw(t, "vault")].writeNext(); err != nil {
		t.Fatal(err)
	}
}

func (m *model) reopen(t *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(t, "vault")
	m.open[i].Close()
	v, err := Open(m.dir, testPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	m.open[i] = v
}

// tear leaves half a record at the end, as a crash does. The check before it
// read the file to its end.
func (m *model) tear(t *rapid.T) {
	end := m.open[0].journal.end
	torn := rapid.SliceOfN(rapid.Byte(), 0, recordHeadSize-1).Draw(t, "torn")
	file, err := os.OpenFile(filepath.Join(m.dir, fileName), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(end); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(torn, end); err != nil {
		t.Fatal(err)
	}
}

func (m *model) check(t *rapid.T) {
	for i, v := range m.open {
		err := v.View(func(tx *Tx) error { return agree(tx, m.state, "") })
		if err != nil {
			t.Fatalf("vault %d: %v", i, err)
		}
	}
}

// agree compares what Range and Get say with a map.
func agree(tx *Tx, want map[string]string, prefix string) error {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	err := tx.Range(prefix, func(key string, value []byte) error {
		if len(keys) == 0 || keys[0] != key || want[key] != string(value) {
			return fmt.Errorf("range %q: got %q = %q, want the keys %q", prefix, key, value, keys)
		}
		keys = keys[1:]
		if got, ok := tx.Get(key); !ok || string(got) != string(value) {
			return fmt.Errorf("get %q: %q, %v", key, got, ok)
		}
		return nil
	})
	if err == nil && len(keys) > 0 {
		return fmt.Errorf("range %q left out %q", prefix, keys)
	}
	return err
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, err := os.MkdirTemp("", "vault")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(base)
		m := &model{dir: filepath.Join(base, "home"), state: map[string]string{}}
		if m.open[0], err = create(m.dir, testPassphrase, testCost); err != nil {
			t.Fatal(err)
		}
		if m.open[1], err = Open(m.dir, testPassphrase); err != nil {
			t.Fatal(err)
		}
		defer func() { m.open[0].Close(); m.open[1].Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"update": m.update, "compact": m.compact, "reopen": m.reopen, "tear": m.tear, "": m.check,
		})
	})
}

// FuzzOpen: any bytes give a vault or an error, never a panic; and whoever opens
// them reads the same.
func FuzzOpen(f *testing.F) {
	s := newSpecimen(f, 2)
	whole := s.bytes()
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(s.header)
	f.Add([]byte{})
	f.Add(append(slices.Clone(whole), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		if h, err := parseHeader(b[:min(len(b), headerSize)]); err == nil && h.cost != testCost {
			return // valid and slow
		}
		v, err := s.open(t, b)
		if err != nil {
			return
		}
		defer v.Close()
		again := mustOpen(t, s.dir)
		defer again.Close()
		if contents(t, again) != contents(t, v) {
			t.Error("opened twice, read differently")
		}
	})
}

// FuzzBody: what parses has exactly one encoding.
func FuzzBody(f *testing.F) {
	full, _ := body{more: true, ops: []op{{opDelete, "a", nil}, {opPut, "b", []byte("1")}}}.marshal()
	empty, _ := body{}.marshal()
	f.Add(full)
	f.Add(empty)
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := parseBody(b)
		if err != nil {
			return
		}
		again, err := parsed.marshal()
		if err != nil || string(again) != string(b) {
			t.Errorf("%x came back as %x (%v)", b, again, err)
		}
	})
}
