package keylog

import (
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// TileWidth is how many hashes or leaves a full tile holds (C2SP tlog-tiles).
	TileWidth = torchwood.TileWidth

	// MaxTilePath is the length of the longest path of a tile, in bytes, that can be good.
	MaxTilePath = len("tile/entries/x000/x000/x000/000.p/255")

	// entriesLevel is the level that tlog gives to tiles of leaves.
	entriesLevel = -1
)

// Tile is a part of the log that is fetched at once: hashes of a level, or leaves.
type Tile struct {
	Entries bool  // leaves, not hashes
	Level   int   // of hashes: 8 Level is the height of their subtrees
	Index   int64 // of the tile in its level
	Width   int   // 1 to TileWidth
}

// ParseTilePath reads the path of a tile behind the log's prefix: "tile/0/x001/234.p/5". There is
// one spelling of each.
func ParseTilePath(path string) (Tile, error) {
	if len(path) > MaxTilePath {
		return Tile{}, fmt.Errorf("keylog: malformed tile path")
	}
	t, err := torchwood.ParseTilePath(path)
	if err != nil || torchwood.TilePath(t) != path || t.N > MaxLeaves/TileWidth || t.L > 5 {
		return Tile{}, fmt.Errorf("keylog: malformed tile path")
	}
	if t.L == entriesLevel {
		return Tile{Entries: true, Index: t.N, Width: t.W}, nil
	}
	return Tile{Level: t.L, Index: t.N, Width: t.W}, nil
}

// Path is the inverse of ParseTilePath.
func (t Tile) Path() string {
	level := t.Level
	if t.Entries {
		level = entriesLevel
	}
	return torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: level, N: t.Index, W: t.Width})
}

// Height is the height of the subtrees whose hashes are in the tile; 0 for leaves.
func (t Tile) Height() int { return t.Level * torchwood.TileHeight }

// First is the number of the first hash, in its level, or leaf in the tile.
func (t Tile) First() int64 { return t.Index * TileWidth }

// In reports whether a tree of n leaves has all that is in the tile.
func (t Tile) In(n int64) bool { return t.First()+int64(t.Width) <= n>>t.Height() }

// AppendEntry writes a leaf behind those before it in a tile of entries: 2 bytes of length, then
// the leaf.
func AppendEntry(tile, leaf []byte) ([]byte, error) { return torchwood.AppendTileEntry(tile, leaf) }

// SplitEntries reads the leaves of a tile of entries, each as its bytes.
func SplitEntries(tile []byte) (leaves [][]byte, err error) {
	for len(tile) > 0 {
		var leaf []byte
		if leaf, tile, err = torchwood.ReadTileEntry(tile); err != nil {
			return nil, fmt.Errorf("keylog: tile of entries: %w", err)
		}
		if len(leaf) != LeafSize {
			return nil, errLeaf
		}
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}
