package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/p3do/p3do/internal/golden"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// A second implementation of sections 2 and 3 of docs/spec/vault.md, for writing: it draws
// nothing, so the files come out the same.

// plan is a vault file by what goes into it.
type plan struct {
	passphrase      []byte
	version         uint16
	time, memoryKiB uint32
	threads         uint8
	salt, fileID    []byte
	generation      uint64
	records         []recordPlan
}

type recordPlan struct {
	nonce  []byte
	blocks uint32 // 0: as many as there are
	body   []byte
}

// written is a plan carried out.
type written struct {
	keys    *keys
	header  []byte
	records [][]byte
}

func (w written) file() golden.Octets { return slices.Concat(w.header, slices.Concat(w.records...)) }

func (p plan) write(t *testing.T) written {
	t.Helper()
	expand := func(root []byte, label string, context []byte) []byte {
		key, err := hkdf.Expand(sha256.New, root, label+string(context), 32)
		must(t, err)
		return key
	}
	root := argon2.IDKey(p.passphrase, p.salt, max(p.time, 1), min(p.memoryKiB, 64), max(p.threads, 1), 32)
	k := &keys{
		Root: root, Header: expand(root, "p3do vault header", nil),
		Head: expand(root, "p3do vault head", p.fileID), Body: expand(root, "p3do vault body", p.fileID),
	}
	b := binary.BigEndian.AppendUint16([]byte("P3DOVALT"), p.version)
	b = binary.BigEndian.AppendUint32(b, p.time)
	b = binary.BigEndian.AppendUint32(b, p.memoryKiB)
	b = slices.Concat(b, []byte{p.threads}, p.salt, p.fileID)
	b = binary.BigEndian.AppendUint64(b, p.generation)
	mac := hmac.New(sha256.New, k.Header)
	mac.Write(b)
	w := written{keys: k, header: withChecksum(mac.Sum(b))}
	for n, r := range p.records {
		w.records = append(w.records, r.seal(t, k, binary.BigEndian.AppendUint64(bytes.Clone(p.fileID), uint64(n))))
	}
	return w
}

func withChecksum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(slices.Clip(b), sum[:]...)
}

func (r recordPlan) seal(t *testing.T, k *keys, ad []byte) []byte {
	t.Helper()
	head, err := chacha20poly1305.NewX(k.Head)
	must(t, err)
	body, err := chacha20poly1305.NewX(k.Body)
	must(t, err)
	blocks := r.blocks
	if blocks == 0 {
		blocks = uint32(len(r.body) / 256)
	}
	out := head.Seal(bytes.Clone(r.nonce), r.nonce, binary.BigEndian.AppendUint32(nil, blocks), ad)
	return body.Seal(out, r.nonce, r.body, ad)
}

// bodyOf is a body of the given bytes, padded.
func bodyOf(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return append(b, make([]byte, (256-len(b)%256)%256)...)
}

func putOf(key, value string) string {
	n := len(value)
	return string([]byte{1, byte(len(key) >> 8), byte(len(key))}) + key + string([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) + value
}

func deleteOf(key string) string { return string([]byte{2, byte(len(key) >> 8), byte(len(key))}) + key }

// planOf is a vault of the cheapest cost with records of the given bodies.
func planOf(bodies ...[]byte) plan {
	p := plan{
		passphrase: []byte("correct horse battery staple"), version: 1, time: 1, memoryKiB: 8, threads: 1,
		salt: bytes.Repeat([]byte{0x5a}, 32), fileID: []byte("file id, sixteen"),
	}
	for i, b := range bodies {
		p.records = append(p.records, recordPlan{nonce: bytes.Repeat([]byte{byte(0xa0 + i)}, 24), body: b})
	}
	return p
}

const (
	last = "\x00" // the first byte of a body: nothing more of a snapshot follows
	more = "\x01"
)

func makeVectors(t *testing.T) vectorFile {
	t.Helper()
	list := slices.Concat(goodFiles(t), tornFiles(t), damagedFiles(t), rearrangedFiles(t), badHeaders(t), badBodies(t))
	return vectorFile{"Made by P3DO_REWRITE=1 go test ./internal/vault -run Vectors. The specification is docs/spec/vault.md.", list}
}

// vectorOf says all that went into a file.
func vectorOf(t *testing.T, comment string, p plan, contents ...pair) vector {
	t.Helper()
	w := p.write(t)
	v := vector{
		Kind: "file", Comment: comment, Expect: "accept", Passphrase: p.passphrase, Time: p.time, MemoryKiB: p.memoryKiB, Threads: p.threads,
		Salt: p.salt, FileID: p.fileID, Generation: p.generation, Keys: w.keys, File: w.file(), Contents: contents, End: len(w.file()),
	}
	for _, r := range p.records {
		v.Records = append(v.Records, record{r.nonce, r.body})
	}
	return v
}

func goodFiles(t *testing.T) []vector {
	three := planOf(bodyOf(last, putOf("a", "1"), putOf("b", "")),
		bodyOf(last, putOf("a", "2"), deleteOf("b"), deleteOf("c")), bodyOf(last, putOf("", "the empty key"), putOf("b\x00", "\x00\xff")))
	second := planOf(bodyOf(more, putOf("b", "2"), putOf("c", "3")), bodyOf(last, putOf("a", "1")), bodyOf(last, deleteOf("c")))
	second.fileID, second.generation = []byte("another, sixteen"), 1<<40
	dear := planOf(bodyOf(last))
	dear.time, dear.memoryKiB, dear.threads, dear.passphrase = 2, 64, 3, bytes.Repeat([]byte{0, 0xff}, 512)
	return []vector{
		vectorOf(t, "an empty vault", planOf(bodyOf(last))),
		vectorOf(t, "a snapshot and two transactions", three, pair{"", "the empty key"}, pair{"a", "2"}, pair{"b\x00", "\x00\xff"}),
		vectorOf(t, "a later generation, its snapshot of two records", second, pair{"a", "1"}, pair{"b", "2"}),
		vectorOf(t, "a body that fills its blocks without padding", planOf(bodyOf(last, putOf("k", string(bytes.Repeat([]byte("v"), 504))))),
			pair{"k", string(bytes.Repeat([]byte("v"), 504))}),
		vectorOf(t, "another cost, and the longest passphrase", dear),
	}
}

// two is a vault with a snapshot and a transaction, taken apart.
func two(t *testing.T) (plan, written) {
	t.Helper()
	p := planOf(bodyOf(last, putOf("a", "1")), bodyOf(last, putOf("a", "2")))
	return p, p.write(t)
}

// tornFiles are read without what a crash left at their end.
func tornFiles(t *testing.T) (list []vector) {
	p, w := two(t)
	p.records = p.records[:1]
	add := func(comment string, rest []byte) {
		v := vectorOf(t, comment, p, pair{"a", "1"})
		v.File = append(v.File, rest...)
		list = append(list, v)
	}
	r := w.records[1]
	zeros := make([]byte, len(r))
	add("torn: one byte of the next record", r[:1])
	add("torn: a byte less than a head", r[:43])
	add("torn: a head and nothing else", r[:44])
	add("torn: a byte less than the record", r[:len(r)-1])
	add("torn: the last 16 bytes were not written", append(bytes.Clone(r[:len(r)-16]), zeros[:16]...))
	add("torn: nothing of the body was written", append(bytes.Clone(r[:44]), zeros[44:]...))
	add("torn: the head's tag was not written either", append(bytes.Clone(r[:28]), zeros[28:]...))
	add("torn: nothing was written", zeros)
	return list
}

// refused is a file that does not open.
func refused(comment, reason string, passphrase, file []byte) vector {
	return vector{Kind: "file", Comment: comment, Expect: "refuse", Reason: reason, Passphrase: passphrase, File: file}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func damagedFiles(t *testing.T) (list []vector) {
	p, w := two(t)
	file := w.file()
	end := len(file)
	add := func(comment string, b []byte) { list = append(list, refused(comment, "damaged", p.passphrase, b)) }
	add("nothing", golden.Octets{})
	add("a byte less than a header", file[:138])
	add("a header and no snapshot", file[:139])
	add("a snapshot that is not whole", file[:139+315])
	add("a snapshot of zeros", append(bytes.Clone(file[:139]), make([]byte, 316)...))
	for _, bit := range []struct {
		what string
		at   int
	}{
		{"the magic", 0}, {"the version", 9}, {"the cost", 13}, {"the salt", 19}, {"the file id", 51}, {"the generation", 74},
		{"the verifier", 75}, {"the checksum", 138}, {"the snapshot's nonce", 139}, {"the snapshot's head", 163}, {"the snapshot's body", 183},
		{"the last nonce", 455}, {"the last head", 479}, {"the last head's tag", 483}, {"the last body", 499}, {"the last tag", end - 1},
	} {
		add("a bit flipped in "+bit.what, flipped(file, bit.at))
	}
	zeros := func(from, to int) []byte {
		b := bytes.Clone(file)
		clear(b[from:to])
		return b
	}
	add("the last tag not written, and something behind it", append(zeros(end-16, end), 0))
	add("the last 15 bytes not written", zeros(end-15, end))
	add("the last head's tag not written, and the body is there", zeros(483, 499))
	add("garbage of the size of a record behind it", append(bytes.Clone(file), bytes.Repeat([]byte{7}, 316)...))
	list = append(list, refused("another passphrase", "wrong passphrase", []byte("correct horse battery stapler"), file),
		refused("a verifier that is not right, under a checksum that is", "wrong passphrase", p.passphrase,
			append(withChecksum(flipped(file[:107], 75)), file[139:]...)),
		refused("no passphrase", "passphrase", golden.Octets{}, file),
		refused("a passphrase of 1 025 bytes", "passphrase", bytes.Repeat([]byte{'p'}, 1025), file))
	return list
}

// rearrangedFiles are of whole records in places that are not theirs.
func rearrangedFiles(t *testing.T) (list []vector) {
	p := planOf(bodyOf(last), bodyOf(last, putOf("a", "1")), bodyOf(last, putOf("a", "2")))
	w := p.write(t)
	other := planOf(bodyOf(last), bodyOf(last, putOf("a", "3")))
	other.fileID = []byte("another, sixteen")
	o := other.write(t)
	add := func(comment string, records ...[]byte) {
		file := append(bytes.Clone(w.header), slices.Concat(records...)...)
		list = append(list, refused(comment, "damaged", p.passphrase, file))
	}
	r := w.records
	add("two records exchanged", r[0], r[2], r[1])
	add("a record left out", r[0], r[2])
	add("a record twice", r[0], r[1], r[1])
	add("the snapshot twice", r[0], r[0])
	add("a record of another generation", r[0], o.records[1])
	middle := planOf(bodyOf(last), bodyOf(more, putOf("a", "1"))).write(t)
	add("a record that says more, behind the snapshot", middle.records...)
	endless := planOf(bodyOf(more, putOf("a", "1"))).write(t)
	add("a snapshot that says more, and the end", endless.records...)
	return list
}

func badHeaders(t *testing.T) (list []vector) {
	add := func(comment, reason string, change func(*plan)) {
		p := planOf(bodyOf(last))
		change(&p)
		list = append(list, refused(comment, reason, p.passphrase, p.write(t).file()))
	}
	add("no pass", "damaged", func(p *plan) { p.time = 0 })
	add("11 passes", "damaged", func(p *plan) { p.time = 11 })
	add("a KiB less than 8 for each lane", "damaged", func(p *plan) { p.memoryKiB = 7 })
	add("a KiB more than 512 MiB", "damaged", func(p *plan) { p.memoryKiB = 512<<10 + 1 })
	add("the greatest memory", "damaged", func(p *plan) { p.memoryKiB = 1<<32 - 1 })
	add("no lane", "damaged", func(p *plan) { p.threads = 0 })
	add("17 lanes", "damaged", func(p *plan) { p.threads, p.memoryKiB = 17, 8*17 })
	add("version 2", "version", func(p *plan) { p.version = 2 })
	add("version 0", "version", func(p *plan) { p.version = 0 })
	return list
}

// badBodies are transactions behind a good snapshot, rightly sealed.
func badBodies(t *testing.T) (list []vector) {
	add := func(comment string, body []byte, blocks uint32) {
		p := planOf(bodyOf(last), body)
		p.records[1].blocks = blocks
		list = append(list, refused("a body: "+comment, "damaged", p.passphrase, p.write(t).file()))
	}
	add("more is 2", bodyOf("\x02"), 0)
	add("an unknown op", bodyOf(last, "\x03\x00\x00"), 0)
	add("keys that descend", bodyOf(last, putOf("b", ""), putOf("a", "")), 0)
	add("a key twice", bodyOf(last, putOf("a", ""), deleteOf("a")), 0)
	add("a block of padding too many", append(bodyOf(last), make([]byte, 256)...), 0)
	add("padding that is not zero", bodyOf(last, "\x00\x01"), 0)
	add("a key beyond the end", bodyOf(last, "\x02\xff\xff"), 0)
	add("a key of 513 bytes", bodyOf(last, deleteOf(string(make([]byte, 513)))), 0)
	add("a value beyond the end", bodyOf(last, "\x01\x00\x00\xff\xff\xff"), 0)
	add("an op cut off", bodyOf(last, putOf("a", string(make([]byte, 247))), "\x02"), 0)
	add("a head that says 32 769 blocks", bodyOf(last), 32769)
	return list
}
