package vault

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Tx is one transaction, given to the function of Update or View and valid
// until that function returns. It is for one goroutine.
type Tx struct {
	table    *table // nil once the transaction is over
	writable bool
	pending  map[string]op
	size     int // octets of pending in a record
	err      error
}

func newTx(t *table, writable bool) *Tx {
	return &Tx{table: t, writable: writable, pending: make(map[string]op), size: bodyOverhead}
}

// Get returns a copy of the value of key, with what this transaction has put so
// far, and whether there is one.
func (tx *Tx) Get(key string) ([]byte, bool) {
	value, ok := tx.look(key)
	return slices.Clone(value), ok
}

func (tx *Tx) look(key string) ([]byte, bool) {
	if o, ok := tx.pending[key]; ok {
		return o.value, o.kind == opPut
	}
	if tx.table == nil {
		return nil, false
	}
	return tx.table.get(key)
}

// Put sets the value of key, at most MaxKey and MaxValue bytes. It copies
// value. A Put beyond a limit, or in a View, makes the whole transaction fail:
// Update or View returns ErrLimit or ErrReadOnly, unless the function returns
// an error of its own.
func (tx *Tx) Put(key string, value []byte) {
	if len(value) > MaxValue {
		tx.fail(fmt.Errorf("%w: a value of %d bytes, at most %d", ErrLimit, len(value), MaxValue))
		return
	}
	tx.set(op{kind: opPut, key: key, value: append([]byte{}, value...)})
}

// Delete removes key. Removing a key that is not there is no error. The rules
// of Put hold.
func (tx *Tx) Delete(key string) {
	tx.set(op{kind: opDelete, key: key})
}

func (tx *Tx) set(o op) {
	if !tx.writable || tx.table == nil {
		tx.fail(ErrReadOnly)
		return
	}
	if len(o.key) > MaxKey {
		tx.fail(fmt.Errorf("%w: a key of %d bytes, at most %d", ErrLimit, len(o.key), MaxKey))
		return
	}
	size := tx.size + o.size()
	if old, ok := tx.pending[o.key]; ok {
		size -= old.size()
	}
	if size > MaxTransaction {
		tx.fail(fmt.Errorf("%w: a transaction of more than %d bytes", ErrLimit, MaxTransaction))
		return
	}
	tx.pending[o.key] = o
	tx.size = size
}

// fail keeps the first error.
func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// outcome is the error of the transaction whose function returned err.
func (tx *Tx) outcome(err error) error {
	if err != nil {
		return err
	}
	return tx.err
}

// Range calls f for every key that begins with prefix, ascending by bytes, with
// a copy of its value, and stops at the first error, which it returns. It sees
// what this transaction had put and deleted when Range was called; f may put
// and delete.
func (tx *Tx) Range(prefix string, f func(key string, value []byte) error) error {
	for _, key := range tx.keys(prefix) {
		value, ok := tx.Get(key)
		if !ok {
			continue // deleted
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// keys returns the keys with prefix, stored or pending, ascending.
func (tx *Tx) keys(prefix string) []string {
	var keys []string
	if tx.table != nil {
		keys = slices.Clone(tx.table.withPrefix(prefix))
	}
	stored := len(keys)
	for key := range tx.pending {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	if len(keys) == stored {
		return keys
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// ops returns what the transaction changes, ascending by key, without deletes
// of keys that are not there.
func (tx *Tx) ops() []op {
	var ops []op
	for _, key := range slices.Sorted(maps.Keys(tx.pending)) {
		o := tx.pending[key]
		if _, stored := tx.table.get(key); stored || o.kind == opPut {
			ops = append(ops, o)
		}
	}
	return ops
}

// end makes tx useless: what a function keeps of it reads nothing.
func (tx *Tx) end() {
	tx.table = nil
	tx.pending = nil
}
