package agent

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

// A madeDevice is a device of the one whose root is counted.
type madeDevice struct {
	seed        []byte
	public      ed25519.PublicKey
	fingerprint [32]byte
	unseal      []byte
}

func deviceOf(t *testing.T, seed []byte) madeDevice {
	t.Helper()
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	d := madeDevice{seed: seed, public: public, fingerprint: printOf(public)}
	d.unseal = derived(t, counted(0, 32), "p3do device secret v1"+string(d.fingerprint[:]), 32)
	return d
}

// sealed is what a card with these keys holds for the device.
func (d madeDevice) sealed(t *testing.T, k madeKeys) []byte {
	t.Helper()
	hash := sha256.Sum256(k.stated())
	block, err := aes.NewCipher(derived(t, d.unseal, "p3do sealed for a device v1"+string(hash[:]), 32))
	must(t, err)
	gcm, err := cipher.NewGCM(block)
	must(t, err)
	return gcm.Seal(nil, make([]byte, 12), append(bytes.Clone(k.seed), k.statement(personOf(t, counted(0, 32)))...), nil)
}

func deviceVectors(t *testing.T) (list []vector) {
	t.Helper()
	root, d := counted(0, 32), deviceOf(t, counted(0x90, 32))
	for generation, comment := range []string{"what the card holds for a device", "the same after another one was removed"} {
		list = append(list, accepted("device", comment, map[string]string{
			"root": hex.EncodeToString(root), "generation": strconv.Itoa(generation), "device": hex.EncodeToString(d.public)},
			map[string]string{"unseal": hex.EncodeToString(d.unseal), "sealed": hex.EncodeToString(d.sealed(t, keysOfRoot(t, root, generation)))}))
	}
	return list
}

// cardOf is the card of ann@a.test with that in it for the device, signed by the one of a root.
func cardOf(t *testing.T, root []byte, d madeDevice, sealed []byte) []byte {
	t.Helper()
	p, k := personOf(t, root), keysOfRoot(t, root, 1)
	key, err := pki.ParseIdentityKey(p.seed)
	must(t, err)
	device, err := pki.ParseDevicePublic(d.public)
	must(t, err)
	certificate, at := certificateOf(t, p.seed), time.Unix(madeAt, 0)
	card, err := pki.SignCard(key, pki.Card{
		Certificate: certificate, Serial: 7, Issued: at, Expires: at.Add(time.Hour), Seal: [pki.SealSize]byte(k.seal), Auth: [32]byte(k.auth),
		Requests: [32]byte(derived(t, root, "p3do requests mailbox v1", 32)), Spools: []pki.Domain{certificate.Name().Domain()},
		Devices: []pki.Device{{Key: device, Since: at, Sealed: [pki.DeviceSealSize]byte(sealed)}},
	})
	must(t, err)
	return card.Raw()
}

// linkedText is the identity of a device.
func linkedText(t *testing.T, d madeDevice, card []byte) string {
	t.Helper()
	return linkedFormer(t, d, card, 1)
}

// linkedFormer is the same with so many keys before those in the card.
func linkedFormer(t *testing.T, d madeDevice, card []byte, former int) string {
	t.Helper()
	std, root := base64.StdEncoding.EncodeToString, counted(0, 32)
	p := personOf(t, root)
	return recordText(fmt.Sprintf(`"name":"ann@a.test","root":null,"certificate":"%s","published":"%s","carded":null,"linked":{"seed":"%s","public":"%s","unseal":"%s","contacts":"%s","requests":"%s","replies":"%s","card":"%s","former":[%s],"label":"desk"}`,
		std(certificateOf(t, p.seed).DER()), madeText, std(d.seed), std(p.public), std(d.unseal),
		std(derived(t, root, "p3do secrets of contacts v1", 32)), std(derived(t, root, "p3do requests mailbox v1", 32)),
		std(derived(t, root, "p3do replies mailbox v1", 32)), std(card), strings.Join(slices.Repeat([]string{strconv.Quote(std(keysOfRoot(t, root, 0).seed))}, former), ",")))
}

func linkText(version string, records ...string) string {
	return `{"p3do_link":` + savedText(version, records...) + `}`
}

func linkVectors(t *testing.T) (list []vector) {
	t.Helper()
	const kind = "link"
	root, d, secret := counted(0, 32), deviceOf(t, counted(0x90, 32)), counted(0xc0, 16)
	p, k, text := personOf(t, root), keysOfRoot(t, root, 1), worded(t, secret, 0)
	sealed := d.sealed(t, k)
	in := func(words, json string) map[string]string {
		file := ageVector{passphrase: text, work: 4, text: json}.file(t)
		return map[string]string{"words": words, "file": hex.EncodeToString(file)}
	}
	id, home := linkedText(t, d, cardOf(t, root, d, sealed)), base64url(counted(0x44, 32))
	good := linkText("1", "identity", id, "pin/a.test", recordText(fmt.Sprintf(`"key":"%s","trust":3,"since":"%s"`, home, madeText)))
	out := map[string]string{
		"json": good, "name": "ann@a.test", "fingerprint": base64url(p.fingerprint[:]), "device": base64url(d.fingerprint[:]),
		"keys": hex.EncodeToString(k.seed), "statement": hex.EncodeToString(k.statement(p)), "records": "pin/a.test: " + home + ", verified",
	}
	most := linkText("1", "identity", linkedFormer(t, d, cardOf(t, root, d, sealed), 7))
	longest := maps.Clone(out)
	longest["json"], longest["records"] = most, ""
	list = append(list, accepted(kind, "seven keys before those in the card", in(text, most), longest))
	list = append(list, accepted(kind, "a device, and a pin", in(text, good), out), accepted(kind, "its words as somebody types them", in(cutWords(text), good), out))

	other := deviceOf(t, counted(0x91, 32))
	bent := bytes.Clone(sealed)
	bent[0] ^= 1
	all := strings.Fields(text)
	for _, bad := range []struct{ comment, reason, words, json string }{
		{"words of another link", "words", worded(t, counted(0xd0, 16), 0), good},
		{"words that do not belong together", "words", strings.Join(append(all[1:], all[0]), " "), good},
		{"no words", "words", "", good},
		{"version 0", "no link", text, linkText("0", "identity", id)},
		{"version 2", "no link", text, linkText("2", "identity", id)},
		{"a backup", "no link", text, savedText("2", "identity", identityText(root))},
		{"an identity with a root", "no link", text, linkText("1", "identity", identityText(root))},
		{"no identity", "no link", text, linkText("1")},
		{"a card of somebody else", "no link", text, linkText("1", "identity", linkedText(t, d, cardOf(t, counted(1, 32), d, sealed)))},
		{"a card that lists another device", "no link", text, linkText("1", "identity", linkedText(t, d, cardOf(t, root, other, sealed)))},
		{"what the card holds does not open", "no link", text, linkText("1", "identity", linkedText(t, d, cardOf(t, root, d, bent)))},
		{"eight keys before those in the card", "no link", text, linkText("1", "identity", linkedFormer(t, d, cardOf(t, root, d, sealed), 8))},
		{"two records with one key", "no link", text, linkText("1", "identity", id, "identity", id)},
		{"an identity of version 1", "earlier", text, linkText("1", "identity", strings.Replace(id, `"v":2`, `"v":1`, 1))},
		{"a card that is none", "no link", text, linkText("1", "identity", linkedText(t, d, nil))},
	} {
		list = append(list, refused(kind, bad.comment, bad.reason, in(bad.words, bad.json)))
	}
	return append(list, refused(kind, "nothing", "no link", map[string]string{"words": text, "file": ""}))
}
