package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/cryptobyte"
)

const (
	magic   = "P3DOVALT" // first 8 bytes of every vault file
	version = 1

	saltSize     = 32
	fileIDSize   = 16
	keySize      = 32
	verifierSize = sha256.Size
	checksumSize = sha256.Size

	headerSize = len(magic) + 2 + 4 + 4 + 1 + saltSize + fileIDSize + 8 + verifierSize + checksumSize
)

// Bounds of what a header may ask of the reader's machine: a hostile file costs
// at most half a GiB and some seconds.
const (
	maxCostTime      = 10      // passes
	maxCostMemoryKiB = 1 << 19 // 512 MiB
	maxCostThreads   = 16
)

// A cost says how hard it is to try a passphrase: the parameters of Argon2id
// (RFC 9106).
type cost struct {
	time      uint32 // passes over the memory
	memoryKiB uint32
	threads   uint8
}

// weakCost is the least there is, for Config.Weak.
var weakCost = cost{time: 1, memoryKiB: 8, threads: 1}

// productCost is the cost of every other vault that Create makes: 64 MiB and three
// passes, the second recommended option of RFC 9106 section 4; a fifth of a
// second or so.
var productCost = cost{time: 3, memoryKiB: 64 << 10, threads: 4}

func (c cost) valid() bool {
	return c.time >= 1 && c.time <= maxCostTime &&
		c.memoryKiB >= 8*uint32(c.threads) && c.memoryKiB <= maxCostMemoryKiB &&
		c.threads >= 1 && c.threads <= maxCostThreads
}

// A header opens a vault file. salt and cost stay the same in all generations
// of a vault, fileID is drawn anew for each.
type header struct {
	cost       cost
	salt       [saltSize]byte
	fileID     [fileIDSize]byte
	generation uint64 // 0 at Create, one more at each compaction
}

// newHeader returns the header of a new vault: salt and file id from the
// system's randomness.
func newHeader(c cost) header {
	h := header{cost: c}
	rand.Read(h.salt[:])
	rand.Read(h.fileID[:])
	return h
}

// next returns the header of the generation that follows h.
func (h header) next() header {
	h.generation++
	rand.Read(h.fileID[:])
	return h
}

// fields returns the part of the header that the verifier covers:
//
//	magic        8  "P3DOVALT"
//	version      2  1
//	time         4  Argon2id passes
//	memory       4  Argon2id memory in KiB
//	threads      1  Argon2id lanes
//	salt        32
//	file id     16
//	generation   8
func (h header) fields() []byte {
	var b cryptobyte.Builder
	b.AddBytes([]byte(magic))
	b.AddUint16(version)
	b.AddUint32(h.cost.time)
	b.AddUint32(h.cost.memoryKiB)
	b.AddUint8(h.cost.threads)
	b.AddBytes(h.salt[:])
	b.AddBytes(h.fileID[:])
	b.AddUint64(h.generation)
	return b.BytesOrPanic()
}

// marshal returns the whole header:
//
//	fields      75  as above
//	verifier    32  HMAC-SHA256(header key, fields): knows the passphrase
//	checksum    32  SHA-256(fields | verifier): knows damage
func (h header) marshal(root rootKey) []byte {
	out := h.fields()
	out = append(out, root.verifier(out)...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// A sealedHeader is a header as read: whole, but its verifier not yet compared,
// because that takes the passphrase.
type sealedHeader struct {
	header
	verifier []byte
}

// parseHeader reads the headerSize bytes of a header. Every byte of it is
// covered by the checksum.
func parseHeader(b []byte) (sealedHeader, error) {
	if len(b) != headerSize || string(b[:len(magic)]) != magic {
		return sealedHeader{}, fmt.Errorf("%w: not a vault file", ErrDamaged)
	}
	covered := b[:headerSize-checksumSize]
	sum := sha256.Sum256(covered)
	if !hmac.Equal(sum[:], b[len(covered):]) {
		return sealedHeader{}, fmt.Errorf("%w: header checksum", ErrDamaged)
	}
	return parseFields(covered[len(magic):])
}

func parseFields(b []byte) (sealedHeader, error) {
	var h sealedHeader
	var v uint16
	s := cryptobyte.String(b)
	ok := s.ReadUint16(&v) &&
		s.ReadUint32(&h.cost.time) &&
		s.ReadUint32(&h.cost.memoryKiB) &&
		s.ReadUint8(&h.cost.threads) &&
		s.CopyBytes(h.salt[:]) &&
		s.CopyBytes(h.fileID[:]) &&
		s.ReadUint64(&h.generation) &&
		s.ReadBytes(&h.verifier, verifierSize) &&
		s.Empty()
	switch {
	case !ok:
		return sealedHeader{}, fmt.Errorf("%w: header fields", ErrDamaged)
	case v != version:
		return sealedHeader{}, fmt.Errorf("vault: file version %d, this program reads version %d", v, version)
	case !h.cost.valid():
		return sealedHeader{}, fmt.Errorf("%w: header asks for more work than allowed", ErrDamaged)
	}
	return h, nil
}

// A rootKey is what the passphrase becomes; all other keys come from it. It
// lives in memory only.
type rootKey struct {
	_ [0]func() // not comparable: == is not constant-time
	b [keySize]byte
}

// String returns "secret", so that a root key cannot be printed.
func (rootKey) String() string { return "secret" }

// GoString returns "secret", for %#v.
func (rootKey) GoString() string { return "secret" }

// maxPassphrase is the longest passphrase, in bytes.
const maxPassphrase = 1024

// deriveRoot is Argon2id(passphrase, salt) with the cost of the header.
func deriveRoot(passphrase []byte, h header) (rootKey, error) {
	if len(passphrase) == 0 {
		return rootKey{}, errors.New("vault: the passphrase is empty")
	}
	if len(passphrase) > maxPassphrase {
		return rootKey{}, fmt.Errorf("vault: the passphrase is longer than %d bytes", maxPassphrase)
	}
	var root rootKey
	copy(root.b[:], argon2.IDKey(passphrase, h.salt[:], h.cost.time, h.cost.memoryKiB, h.cost.threads, keySize))
	return root, nil
}

// expand is HKDF-Expand with SHA-256 (RFC 5869), 32 bytes.
func (k rootKey) expand(label string, context []byte) []byte {
	out, err := hkdf.Expand(sha256.New, k.b[:], label+string(context), keySize)
	if err != nil {
		panic("vault: hkdf refused 32 bytes: " + err.Error()) // unreachable: the limit is 255 * 32
	}
	return out
}

// verifier is the tag by which a header knows its passphrase.
func (k rootKey) verifier(fields []byte) []byte {
	mac := hmac.New(sha256.New, k.expand("p3do vault header", nil))
	mac.Write(fields)
	return mac.Sum(nil)
}

// check compares the header's verifier in constant time.
func (h sealedHeader) check(root rootKey) error {
	if !hmac.Equal(root.verifier(h.fields()), h.verifier) {
		return ErrPassphrase
	}
	return nil
}
