package onion

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestWideBlockInverts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := bodyKey(bytesOf(bodyKeySize).Draw(t, "key"))
		text := rapid.SliceOfN(rapid.Byte(), 16, 2000).Draw(t, "text")
		work := bytes.Clone(text)
		key.wide().encrypt(work)
		key.wide().decrypt(work)
		same(t, "decrypt(encrypt(text))", work, text)
		key.wide().decrypt(work)
		key.wide().encrypt(work)
		same(t, "encrypt(decrypt(text))", work, text)
	})
}

// Whichever bit of a body changes, on the other side every 16-byte block changes, with about half of all bits: that is
// why a flipped bit is all that a hop can do to a body, and why it cannot be undone by a later one.
func TestWideBlockSpreadsEveryBit(t *testing.T) {
	key := bodyKey{3: 7}
	text := make([]byte, BodySize)
	for name, work := range map[string]func(wideBlock, []byte){"encrypt": wideBlock.encrypt, "decrypt": wideBlock.decrypt} {
		before := bytes.Clone(text)
		work(key.wide(), before)
		for _, at := range []int{0, 1, 15, 16, 31, 32, 5000, BodySize - 33, BodySize - 17, BodySize - 16, BodySize - 1} {
			after := bytes.Clone(text)
			after[at] ^= 0x10
			work(key.wide(), after)
			if bits := differentBits(before, after); bits < 8*BodySize*48/100 || bits > 8*BodySize*52/100 {
				t.Errorf("%s: a flip at byte %d changes %d of %d bits", name, at, bits, 8*BodySize)
			}
			for i := 0; i+16 <= BodySize; i += 16 {
				if bytes.Equal(before[i:i+16], after[i:i+16]) {
					t.Errorf("%s: a flip at byte %d leaves the block at byte %d as it was", name, at, i)
				}
			}
		}
	}
}

func differentBits(a, b []byte) (n int) {
	for i := range a {
		for d := a[i] ^ b[i]; d != 0; d &= d - 1 {
			n++
		}
	}
	return n
}
