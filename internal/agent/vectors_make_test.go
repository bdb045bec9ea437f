package agent

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudflare/circl/hpke"
)

// A second implementation of docs/spec/user.md, for writing: it draws nothing, so the same comes out.

func makeVectors(t *testing.T) vectorFile {
	t.Helper()
	list := slices.Concat(rootVectors(t), wordVectors(t), serverVectors(), contactVectors(t), backupVectors(t), revocableVectors(t), deviceVectors(t), linkVectors(t))
	return vectorFile{"Made by P3DO_REWRITE=1 go test ./internal/agent -run Vectors. The specification is docs/spec/user.md.", list}
}

func accepted(kind, comment string, in, out map[string]string) vector {
	return vector{Kind: kind, Comment: comment, Expect: "accept", In: in, Out: out}
}

func refused(kind, comment, reason string, in map[string]string) vector {
	return vector{Kind: kind, Comment: comment, Expect: "refuse", Reason: reason, In: in}
}

// counted are n bytes that count from the first.
func counted(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func derived(t *testing.T, root []byte, label string, n int) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, root, nil, label, n)
	must(t, err)
	return key
}

// printOf is the fingerprint of an Ed25519 public key.
func printOf(public []byte) [32]byte {
	return sha256.Sum256(append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, public...))
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// A madePerson is what follows from a root.
type madePerson struct {
	seed        []byte
	public      ed25519.PublicKey
	fingerprint [32]byte
}

func personOf(t *testing.T, root []byte) madePerson {
	t.Helper()
	p := madePerson{seed: derived(t, root, "p3do identity key v1", 32)}
	p.public = ed25519.NewKeyFromSeed(p.seed).Public().(ed25519.PublicKey)
	p.fingerprint = printOf(p.public)
	return p
}

func rootVectors(t *testing.T) (list []vector) {
	t.Helper()
	for comment, root := range map[string][]byte{"counted": counted(0, 32), "zeros": make([]byte, 32), "ones": slices.Repeat([]byte{0xff}, 32)} {
		list = append(list, rootVector(t, comment, root, 0))
	}
	list = append(list, rootVector(t, "counted, one device was removed", counted(0, 32), 1), rootVector(t, "counted, twelve were", counted(0, 32), 12))
	slices.SortFunc(list, func(a, b vector) int { return strings.Compare(a.Comment, b.Comment) })
	root, other := counted(0, 32), printOf(counted(64, 32))
	contacts := derived(t, root, "p3do secrets of contacts v1", 32)
	secret := derived(t, contacts, "p3do contact secret v1"+string(other[:]), 32)
	list = append(list, accepted("contact", "what one contact is given", map[string]string{
		"contacts": hex.EncodeToString(contacts), "fingerprint": base64url(other[:])}, map[string]string{"secret": hex.EncodeToString(secret)}))
	of := []byte("a certificate, in DER")
	sum := sha256.Sum256(of)
	draw := binary.BigEndian.Uint64(derived(t, root, "p3do renewal v1"+string(sum[:]), 8))
	return append(list, accepted("renewal", "the draw of one certificate", map[string]string{
		"root": hex.EncodeToString(root), "of": hex.EncodeToString(of)},
		map[string]string{"quarter": hex.EncodeToString(binary.BigEndian.AppendUint64(nil, draw/4))}))
}

func rootVector(t *testing.T, comment string, root []byte, generation int) vector {
	t.Helper()
	p, k := personOf(t, root), keysOfRoot(t, root, generation)
	return accepted("root", comment, map[string]string{"root": hex.EncodeToString(root), "generation": strconv.Itoa(generation)}, map[string]string{
		"words": worded(t, root, 0), "identity": hex.EncodeToString(p.seed), "public": hex.EncodeToString(p.public),
		"fingerprint": base64url(p.fingerprint[:]), "fingerprint_words": worded(t, p.fingerprint[:16], 0),
		"keys": hex.EncodeToString(k.seed), "seal": hex.EncodeToString(k.seal), "auth": hex.EncodeToString(k.auth),
		"statement": hex.EncodeToString(k.statement(p)), "contacts": hex.EncodeToString(derived(t, root, "p3do secrets of contacts v1", 32)),
		"requests": hex.EncodeToString(derived(t, root, "p3do requests mailbox v1", 32)),
		"replies":  hex.EncodeToString(derived(t, root, "p3do replies mailbox v1", 32)),
	})
}

// madeKeys are keys for messages.
type madeKeys struct{ seed, seal, auth []byte }

func keysOfRoot(t *testing.T, root []byte, generation int) madeKeys {
	t.Helper()
	label := "p3do message keys v1"
	if generation > 0 {
		label = "p3do later message keys v1: " + strconv.Itoa(generation)
	}
	seed := derived(t, root, label, 64)
	private, err := hpke.KEM_XWING.Scheme().UnmarshalBinaryPrivateKey(seed[:32])
	must(t, err)
	seal, err := private.Public().MarshalBinary()
	must(t, err)
	auth, err := ecdh.X25519().NewPrivateKey(seed[32:])
	must(t, err)
	return madeKeys{seed, seal, auth.PublicKey().Bytes()}
}

// stated is what the statement of an identity is of.
func (k madeKeys) stated() []byte {
	hash := sha256.Sum256(k.seal)
	return append(slices.Clone(k.auth), hash[:]...)
}

func (k madeKeys) statement(p madePerson) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(p.seed), append([]byte("p3do message keys v1\x00"), k.stated()...))
}

// worded are the words of data by one large number: data, then its checksum with some bits turned round.
func worded(t *testing.T, data []byte, turned byte) string {
	t.Helper()
	raw, err := os.ReadFile("../words/english.txt")
	must(t, err)
	all := strings.Fields(string(raw))
	sum, bits := sha256.Sum256(data), uint(len(data)/4)
	n := new(big.Int).Lsh(new(big.Int).SetBytes(data), bits)
	n.Or(n, big.NewInt(int64((sum[0]^turned)>>(8-bits))))
	var text []string
	for range (len(data)*8 + int(bits)) / 11 {
		word := new(big.Int)
		n.DivMod(n, big.NewInt(2048), word)
		text = append(text, all[word.Int64()])
	}
	slices.Reverse(text)
	return strings.Join(text, " ")
}

// cutWords are words as somebody might type them.
func cutWords(text string) string {
	typed := strings.Fields(strings.ToUpper(text))
	for i, word := range typed {
		typed[i] = word[:min(len(word), 4)]
	}
	return "\n " + strings.Join(typed[:6], "-") + "\t\n" + strings.Join(typed[6:], " - ") + "\n"
}

func wordVectors(t *testing.T) (list []vector) {
	t.Helper()
	secret, prefix := counted(0x40, 32), counted(0x80, 16)
	name, other := "secret words", "of a revocation key"
	for _, turned := range []byte{0x00, 0xff} {
		text := worded(t, secret, turned)
		out := map[string]string{"secret": hex.EncodeToString(secret), "words": text}
		list = append(list, wordVectorsOf(name, text, out)...)
		list = append(list, refused(name, "words of the other kind", other, map[string]string{"text": worded(t, secret, 0xff^turned)}),
			refused(name, "one bit of the checksum turned", "checksum", map[string]string{"text": worded(t, secret, turned^0x01)}))
		name, other = "revocation words", "of a secret"
	}
	text := worded(t, prefix, 0)
	list = append(list, wordVectorsOf("fingerprint words", text, map[string]string{"prefix": hex.EncodeToString(prefix), "words": text})...)
	list = append(list, refused("fingerprint words", "longer than 16 384", "long", map[string]string{"text": text + strings.Repeat(" ", 16385-len(text))}))
	return append(list, refused("fingerprint words", "all bits of the checksum turned", "checksum", map[string]string{"text": worded(t, prefix, 0xff)}))
}

// wordVectorsOf are what every kind of words has in common.
func wordVectorsOf(kind, text string, out map[string]string) (list []vector) {
	for _, good := range []struct{ comment, text string }{{"as they are written", text}, {"cut after four letters, in capitals, with lines and -", cutWords(text)}} {
		list = append(list, accepted(kind, good.comment, map[string]string{"text": good.text}, out))
	}
	all := strings.Fields(text)
	with := func(at int, word string) string {
		typed := slices.Clone(all)
		typed[at] = word
		return strings.Join(typed, " ")
	}
	swapped := slices.Clone(all)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	for _, bad := range []struct{ comment, reason, text string }{
		{"nothing", "count", ""},
		{"one word too few", "count", strings.Join(all[1:], " ")},
		{"one word too many", "count", text + " " + all[0]},
		{"two words in one", "count", strings.Replace(text, " ", "", 1)},
		{"a word that is none", "word 7", with(6, "mistyped")},
		{"the first word that is none, of two", "word 2", with(1, "mistyped") + "s"},
		{"three letters of a word of four or more", "word 1", with(0, "abo")},
		{"more than the whole of a word", "word 1", with(0, "abouts")},
		{"a word with an accent", "word 3", with(2, "\u00e1bout")},
		{"two words in the other order", "checksum", strings.Join(swapped, " ")},
	} {
		list = append(list, refused(kind, bad.comment, bad.reason, map[string]string{"text": bad.text}))
	}
	return list
}
