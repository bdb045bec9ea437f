package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/scrypt"

	"github.com/p3do/p3do/pki"
)

const (
	madeAt     = 1_795_334_400 // 2026-11-22T08:00:00Z
	madeText   = "2026-11-22T08:00:00Z"
	backupPass = "otter piano"
)

// An ageVector is a file of age (age-encryption.org/v1) for one passphrase, that draws nothing.
type ageVector struct {
	passphrase string
	work       int    // scrypt's cost, two to this power
	said       string // what the file says it is; empty: work
	stanzas    string // before that of the passphrase
	text       string
}

func stanzaText(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

func (a ageVector) file(t *testing.T) []byte {
	t.Helper()
	fileKey, salt, nonce := counted(1, 16), counted(0xa0, 16), counted(0xb0, 16)
	wrap, err := scrypt.Key([]byte(a.passphrase), append([]byte("age-encryption.org/v1/scrypt"), salt...), 1<<a.work, 8, 1, 32)
	must(t, err)
	said := a.said
	if said == "" {
		said = strconv.Itoa(a.work)
	}
	body := chacha(t, wrap).Seal(nil, make([]byte, 12), fileKey, nil)
	head := "age-encryption.org/v1\n" + a.stanzas + "-> scrypt " + stanzaText(salt) + " " + said + "\n" + stanzaText(body) + "\n---"
	mac := hmac.New(sha256.New, hkdfOf(t, fileKey, nil, "header"))
	mac.Write([]byte(head))
	out := append([]byte(head+" "+stanzaText(mac.Sum(nil))+"\n"), nonce...)
	payload := chacha(t, hkdfOf(t, fileKey, nonce, "payload"))
	return payload.Seal(out, append(make([]byte, 11), 1), []byte(a.text), nil) // the first chunk is the last
}

func chacha(t *testing.T, key []byte) interface {
	Seal(dst, nonce, plain, data []byte) []byte
} {
	t.Helper()
	c, err := chacha20poly1305.New(key)
	must(t, err)
	return c
}

func hkdfOf(t *testing.T, key, salt []byte, info string) []byte {
	t.Helper()
	out, err := hkdf.Key(sha256.New, key, salt, info, 32)
	must(t, err)
	return out
}

// sealedText is a backup with that in it.
func sealedText(t *testing.T, text string) []byte {
	t.Helper()
	return ageVector{passphrase: backupPass, work: 4, text: text}.file(t)
}

// savedText is the JSON of a backup, by its records: a key and the value, in turn.
func savedText(version string, records ...string) string {
	var all []string
	for i := 0; i < len(records); i += 2 {
		all = append(all, fmt.Sprintf(`{"key":"%s","value":"%s"}`, records[i], base64.StdEncoding.EncodeToString([]byte(records[i+1]))))
	}
	return fmt.Sprintf(`{"p3do_backup":%s,"made":"%s","records":[%s]}`, version, madeText, strings.Join(all, ","))
}

func recordText(fields string) string { return `{"v":2,"r":{` + fields + `}}` }

func identityText(root []byte) string {
	return recordText(fmt.Sprintf(`"name":"ann@a.test","root":"%s","certificate":"","published":"0001-01-01T00:00:00Z","carded":""`,
		base64.StdEncoding.EncodeToString(root)))
}

func backupVectors(t *testing.T) []vector {
	t.Helper()
	std := base64.StdEncoding.EncodeToString
	root, seed, binding := counted(0, 32), counted(0x60, 32), counted(0x80, 64)
	p, theirs, mine := personOf(t, root), counted(0x11, 32), counted(0x22, 32)
	bob, home := base64url(counted(0x33, 32)), base64url(counted(0x44, 32))
	pinned := recordText(fmt.Sprintf(`"key":"%s","trust":2,"since":"%s"`, home, madeText))
	met := recordText(fmt.Sprintf(`"identity":"%s","trust":3,"seal":"","auth":"%s","theirs":"%s","spools":["b.test","c.test"],"mine":"%s","stated":"%s","met":"%s","chosen":true`,
		bob, std(counted(0x55, 32)), std(theirs), std(mine), madeText, madeText))
	revoking := recordText(fmt.Sprintf(`"seed":"%s","binding":"%s"`, std(seed), std(binding)))
	whole := savedText("2", "contact/bob@b.test", met, "identity", identityText(root), "pin/a.test", pinned, "revoker", revoking)
	outOf := func(text, records string) map[string]string {
		return map[string]string{
			"json": text, "words": worded(t, root, 0), "name": "ann@a.test", "fingerprint": base64url(p.fingerprint[:]), "records": records,
		}
	}
	all := fmt.Sprintf("contact/bob@b.test: %s, verified, %x, %x, [b.test c.test]; pin/a.test: %s, vouched; revoker: %x", bob, theirs, mine, home, seed)
	least := savedText("2", "identity", identityText(root))
	in := func(file []byte) map[string]string {
		return map[string]string{"passphrase": backupPass, "file": hex.EncodeToString(file)}
	}
	list := []vector{
		accepted("backup", "contact, identity, pin and revocation key", in(sealedText(t, whole)), outOf(whole, all)),
		accepted("backup", "an identity and nothing else", in(sealedText(t, least)), outOf(least, "")),
		accepted("backup", "records that nobody knows", in(sealedText(t, savedText("2", "identity", identityText(root), "hat", "red"))),
			outOf(savedText("2", "identity", identityText(root), "hat", "red"), "")),
	}
	return slices.Concat(list, badSeals(t, least), badSaved(t, root))
}

// badSeals are files that do not open.
func badSeals(t *testing.T, text string) (list []vector) {
	t.Helper()
	good := sealedText(t, text)
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	dear := ageVector{passphrase: backupPass, work: 4, said: "21", text: text}
	two := ageVector{passphrase: backupPass, work: 4, stanzas: "-> X25519 " + stanzaText(counted(9, 32)) + "\n" + stanzaText(counted(9, 32)) + "\n", text: text}
	head := bytes.Index(good, []byte("\n---"))
	for _, bad := range []struct {
		comment, reason, passphrase string
		file                        []byte
	}{
		{"another passphrase", "passphrase", "otter pianos", good},
		{"a bit of the sealed file key turned", "passphrase", backupPass, flip(head - 2)},
		{"a bit of the header's code turned", "damaged", backupPass, flip(head + 8)},
		{"a bit of what is in it turned", "damaged", backupPass, flip(len(good) - 20)},
		{"the last octet missing", "damaged", backupPass, good[:len(good)-1]},
		{"an octet too many", "damaged", backupPass, append(bytes.Clone(good), 0)},
		{"the header alone", "damaged", backupPass, good[:head+1]},
		{"a cost of 2^21", "damaged", backupPass, dear.file(t)},
		{"for a key beside the passphrase", "damaged", backupPass, two.file(t)},
		{"nothing", "no backup", backupPass, nil},
		{"something else", "no backup", backupPass, []byte("hello")},
		{"the JSON in clear", "no backup", backupPass, []byte(text)},
		{"in the armour of age", "no backup", backupPass, []byte("-----BEGIN AGE ENCRYPTED FILE-----\n")},
	} {
		list = append(list, refused("backup", bad.comment, bad.reason, map[string]string{"passphrase": bad.passphrase, "file": hex.EncodeToString(bad.file)}))
	}
	return list
}

// badSaved are files that open, with no backup in them.
func badSaved(t *testing.T, root []byte) (list []vector) {
	t.Helper()
	id := identityText(root)
	good := savedText("2", "identity", id)
	for _, bad := range []struct{ comment, reason, text string }{
		{"version 1", "earlier", savedText("1", "identity", id)},
		{"version 3", "later", savedText("3", "identity", id)},
		{"an identity of version 1", "earlier", savedText("2", "identity", strings.Replace(id, `"v":2`, `"v":1`, 1))},
		{"no identity", "no backup", savedText("2", "pin/a.test", recordText(""))},
		{"no records", "no backup", savedText("2")},
		{"a root of 31", "no backup", savedText("2", "identity", identityText(root[:31]))},
		{"a root of 33", "no backup", savedText("2", "identity", identityText(counted(0, 33)))},
		{"an identity that is no JSON", "no backup", savedText("2", "identity", "ann")},
		{"a name in capitals", "no backup", savedText("2", "identity", strings.Replace(id, "ann@", "Ann@", 1))},
		{"a record without a key", "no backup", savedText("2", "identity", id, "", "x")},
		{"two identities", "no backup", savedText("2", "identity", id, "identity", id)},
		{"two records with one key", "no backup", savedText("2", "identity", id, "hat", "red", "hat", "red")},
		{"a key of 513", "no backup", savedText("2", "identity", id, strings.Repeat("k", 513), "x")},
		{"a field that nobody knows", "no backup", strings.Replace(good, `"made"`, `"hat":1,"made"`, 1)},
		{"a field in capitals", "no backup", strings.Replace(good, `"made"`, `"Made"`, 1)},
		{"a field twice", "no backup", strings.Replace(good, `"made"`, `"p3do_backup":2,"made"`, 1)},
		{"more than one value", "no backup", good + "{}"},
		{"not the whole of it", "no backup", good[:len(good)-1]},
		{"the link of a device", "no backup", linkText("1", "identity", id)},
		{"nothing in it", "no backup", ""},
	} {
		list = append(list, refused("backup", bad.comment, bad.reason, map[string]string{"passphrase": backupPass, "file": hex.EncodeToString(sealedText(t, bad.text))}))
	}
	return list
}

// revocableVectors are of the file that ends the key of the root of counted bytes, as ann@a.test.
func revocableVectors(t *testing.T) (list []vector) {
	t.Helper()
	const kind = "revocation file"
	p, seed := personOf(t, counted(0, 32)), counted(0x60, 32)
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	binding := ed25519.Sign(ed25519.NewKeyFromSeed(p.seed), append([]byte("p3do revocation key v1\x00"), public...))
	certificate := certificateOf(t, p.seed).DER()
	text := fmt.Sprintf("{\n  \"what\": \"p3do revocation key v1\",\n  \"name\": \"ann@a.test\",\n  \"words\": \"%s\",\n  \"binding\": \"%s\",\n  \"certificate\": \"%s\"\n}\n",
		worded(t, seed, 0xff), base64.StdEncoding.EncodeToString(binding), base64.StdEncoding.EncodeToString(certificate))

	body := binary.BigEndian.AppendUint64([]byte{1, 1, 2}, madeAt)
	body = binary.BigEndian.AppendUint16(body, uint16(len(certificate)))
	body = slices.Concat(body, certificate, public, binding)
	revocation := append(bytes.Clone(body), ed25519.Sign(private, append([]byte("p3do revocation v1\x00"), body...))...)
	in := func(text string) map[string]string {
		return map[string]string{"text": text, "now": strconv.Itoa(madeAt)}
	}
	out := map[string]string{"name": "ann@a.test", "revocation": hex.EncodeToString(revocation), "text": text}
	list = append(list, accepted(kind, "as it is written", in(text), out),
		accepted(kind, "in one line", in(strings.ReplaceAll(text, "\n", "")), out),
		accepted(kind, "8 192 long", in(text+strings.Repeat(" ", 8192-len(text))), out))
	for _, bad := range []struct{ comment, reason, text string }{
		{"nothing", "malformed", ""},
		{"no fields", "malformed", "{}"},
		{"another label", "malformed", strings.Replace(text, "key v1", "key v2", 1)},
		{"a field twice", "malformed", strings.Replace(text, "{", `{"what": "p3do revocation key v1",`, 1)},
		{"a field that nobody knows", "malformed", strings.Replace(text, "{", `{"hat": 1,`, 1)},
		{"a name in capitals", "malformed", strings.Replace(text, "ann@", "Ann@", 1)},
		{"longer than 8 192", "malformed", text + strings.Repeat(" ", 8193-len(text))},
		{"more than one value", "malformed", text + "{}"},
		{"words of a secret", "of a secret", strings.Replace(text, worded(t, seed, 0xff), worded(t, seed, 0), 1)},
		{"no words", "count", strings.Replace(text, worded(t, seed, 0xff), "", 1)},
	} {
		list = append(list, refused(kind, bad.comment, bad.reason, in(bad.text)))
	}
	return list
}

// certificateOf is one of ann@a.test by an authority that draws nothing.
func certificateOf(t *testing.T, seed []byte) pki.UserCert {
	t.Helper()
	drawn, now := rand.NewChaCha8([32]byte{1}), time.Unix(madeAt, 0)
	name, err := pki.ParseName("ann@a.test")
	must(t, err)
	home, err := pki.NewAuthority(drawn, name.Domain(), now)
	must(t, err)
	key, err := pki.ParseIdentityKey(seed)
	must(t, err)
	request, err := pki.NewUserRequest(drawn, key, name)
	must(t, err)
	certificate, err := home.SignUser(drawn, now, request, pki.UserLifetime)
	must(t, err)
	return certificate
}
