package keylog

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A Frontier is what a reader of all leaves keeps of those that he has read: the roots of the full
// subtrees, the greatest first. From it the tree goes on, and its root is known. The zero Frontier is of
// no leaves.
type Frontier struct {
	n     int64
	roots []tlog.Hash // one for each bit of n
}

var errFrontier = errors.New("keylog: malformed frontier")

// N is how many leaves were read.
func (f Frontier) N() int64 { return f.n }

// Add reads the next leaf.
func (f *Frontier) Add(l Leaf) {
	hash := l.Hash()
	for n := f.n; n&1 == 1; n >>= 1 {
		last := len(f.roots) - 1
		hash = tlog.NodeHash(f.roots[last], hash)
		f.roots = f.roots[:last]
	}
	f.roots = append(f.roots[:len(f.roots):len(f.roots)], hash)
	f.n++
}

// Root is the root of the tree of all leaves that were read.
func (f Frontier) Root() tlog.Hash {
	if f.n == 0 {
		root, _ := tlog.TreeHash(0, nil) // reads nothing
		return root
	}
	root := f.roots[len(f.roots)-1]
	for i := len(f.roots) - 2; i >= 0; i-- {
		root = tlog.NodeHash(f.roots[i], root)
	}
	return root
}

// Bytes is the number of leaves (8) and the roots (32 each).
func (f Frontier) Bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(f.n))
	for _, root := range f.roots {
		b = append(b, root[:]...)
	}
	return b
}

// ParseFrontier reads what Bytes wrote.
func ParseFrontier(raw []byte) (f Frontier, err error) {
	if len(raw) < 8 {
		return f, errFrontier
	}
	n := binary.BigEndian.Uint64(raw)
	if n > MaxLeaves || len(raw) != 8+tlog.HashSize*bits.OnesCount64(n) {
		return f, errFrontier
	}
	f.n = int64(n)
	for raw = raw[8:]; len(raw) > 0; raw = raw[tlog.HashSize:] {
		f.roots = append(f.roots, tlog.Hash(raw[:tlog.HashSize]))
	}
	return f, nil
}
