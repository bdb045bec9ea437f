package vault

import (
	"slices"
	"strings"
)

// A table is the live state in memory: every key with its value, and the keys
// in order. The zero table is empty. Values in it are never changed in place.
type table struct {
	values map[string][]byte
	keys   []string // ascending
	live   int64    // octets that a snapshot of the table would take, without padding
}

func (t *table) get(key string) ([]byte, bool) {
	value, ok := t.values[key]
	return value, ok
}

// apply carries out ops. The table keeps their values.
func (t *table) apply(ops []op) {
	for _, o := range ops {
		t.remove(o.key)
		if o.kind == opPut {
			t.insert(o)
		}
	}
}

func (t *table) insert(o op) {
	if t.values == nil {
		t.values = make(map[string][]byte)
	}
	at, _ := slices.BinarySearch(t.keys, o.key)
	t.keys = slices.Insert(t.keys, at, o.key)
	t.values[o.key] = o.value
	t.live += int64(o.size())
}

func (t *table) remove(key string) {
	value, ok := t.values[key]
	if !ok {
		return
	}
	at, _ := slices.BinarySearch(t.keys, key)
	t.keys = slices.Delete(t.keys, at, at+1)
	delete(t.values, key)
	t.live -= int64(op{kind: opPut, key: key, value: value}.size())
}

// growth returns by how many octets ops would change live.
func (t *table) growth(ops []op) int64 {
	var n int64
	for _, o := range ops {
		if old, ok := t.values[o.key]; ok {
			n -= int64(op{kind: opPut, key: o.key, value: old}.size())
		}
		if o.kind == opPut {
			n += int64(o.size())
		}
	}
	return n
}

// withPrefix returns the keys that begin with prefix, ascending. The slice is
// the table's own.
func (t *table) withPrefix(prefix string) []string {
	from, _ := slices.BinarySearch(t.keys, prefix)
	keys := t.keys[from:]
	to, _ := slices.BinarySearchFunc(keys, prefix, func(key, prefix string) int {
		if strings.HasPrefix(key, prefix) {
			return -1
		}
		return 1
	})
	return keys[:to]
}

// snapshot returns the whole table as puts, ascending, in pieces that fit into
// one record each; at least one piece, which is empty for an empty table.
func (t *table) snapshot() [][]op {
	pieces := [][]op{nil}
	size := bodyOverhead
	for _, key := range t.keys {
		o := op{kind: opPut, key: key, value: t.values[key]}
		if size+o.size() > MaxTransaction {
			pieces = append(pieces, nil)
			size = bodyOverhead
		}
		last := len(pieces) - 1
		pieces[last] = append(pieces[last], o)
		size += o.size()
	}
	return pieces
}
