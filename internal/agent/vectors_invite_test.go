package agent

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// coded is the text of an invitation's bytes before the checksum.
func coded(parts ...[]byte) string {
	b := slices.Concat(parts...)
	sum := sha256.Sum256(b)
	return "P3DO1" + strings.TrimRight(base32.StdEncoding.EncodeToString(append(b, sum[:4]...)), "=")
}

// knownBytes are a domain and its key as an invitation has them.
func knownBytes(domain string, key []byte) []byte {
	return slices.Concat([]byte{byte(len(domain))}, []byte(domain), key)
}

// flipped is a code with one of its characters changed.
func flipped(code string, at int) string {
	other := "A"
	if code[at] == 'A' {
		other = "B"
	}
	return code[:at] + other + code[at+1:]
}

var noKeyAt = make([]byte, 32)

// othersBytes are domains, each with a key of its own, as all invitations list them.
func othersBytes(domains ...string) []byte {
	b := []byte{byte(len(domains))}
	for n, d := range domains {
		b = append(b, knownBytes(d, counted(byte(n), 32))...)
	}
	return b
}

func othersSaid(domains ...string) string {
	var all []string
	for n, d := range domains {
		all = append(all, d+" "+base64url(counted(byte(n), 32)))
	}
	return strings.Join(all, ", ")
}

// badOthers are lists that no invitation by a.test has.
func badOthers() map[string][]byte {
	return map[string][]byte{
		"others that descend":        othersBytes("c.test", "b.test"),
		"one of the others twice":    othersBytes("b.test", "b.test"),
		"the home among the others":  othersBytes("a.test", "b.test"),
		"five others":                othersBytes("b.test", "c.test", "d.test", "e.test", "f.test"),
		"another without a key":      slices.Concat([]byte{1}, knownBytes("b.test", noKeyAt)),
		"fewer others than it says":  othersBytes("b.test", "c.test")[:1+1+6+32],
		"more behind the others":     append(othersBytes("b.test"), 0),
		"another that is no domain":  othersBytes("b_test"),
		"another of one label":       othersBytes("test"),
		"another in capitals":        othersBytes("B.test"),
		"another with no name":       othersBytes(""),
		"more domain than there is":  {1, 200, 'b'},
		"no number of others at all": {},
	}
}

// mangled are texts made of a good one that are none.
func mangled(good string) map[string]string {
	return map[string]string{
		"nothing": "", "the prefix alone": "P3DO1", "another prefix": "P3DO2" + good[5:], "no prefix": good[5:],
		"the first character flipped": flipped(good, 5), "one in the middle flipped": flipped(good, len(good)/2),
		"one of the checksum flipped": flipped(good, len(good)-3), "one character missing": good[:40] + good[41:],
		"one too many": good + "A", "the last missing": good[:len(good)-1], "padding": good + "=", "0 is not in the alphabet": good[:9] + "0" + good[10:],
		"1 is not in the alphabet": good[:9] + "1" + good[10:], "longer than 4 096": good + strings.Repeat(" ", 4097-len(good)),
	}
}

// typed are ways in which a good text may come.
func typed(good string) map[string]string {
	return map[string]string{
		"as it is written": good, "in lower case": strings.ToLower(good), "in lines": "\n" + good[:30] + "\r\n" + good[30:60] + "\t" + good[60:] + "\n",
		"with -": good[:3] + "-" + good[3:20] + " - " + good[20:], "4 096 long": good + strings.Repeat(" ", 4096-len(good)),
	}
}

func refusedTexts(kind string, texts map[string]string, beside map[string]string) (list []vector) {
	for _, comment := range slices.Sorted(maps.Keys(texts)) {
		in := maps.Clone(beside)
		in["text"] = texts[comment]
		list = append(list, refused(kind, comment, "malformed", in))
	}
	return list
}

func acceptedTexts(kind string, texts, beside, out map[string]string) (list []vector) {
	for _, comment := range slices.Sorted(maps.Keys(texts)) {
		in := maps.Clone(beside)
		in["text"] = texts[comment]
		list = append(list, accepted(kind, comment, in, out))
	}
	return list
}

func serverVectors() (list []vector) {
	const kind = "server invitation"
	version, token, key := []byte{1}, counted(0x10, 16), counted(0x20, 32)
	home := knownBytes("a.test", key)
	said := func(others ...string) (string, map[string]string) {
		text := coded(version, token, home, othersBytes(others...))
		return text, map[string]string{
			"token": hex.EncodeToString(token), "domain": "a.test", "key": base64url(key), "others": othersSaid(others...), "text": text,
		}
	}
	good, out := said("b.test", "c.test")
	list = acceptedTexts(kind, typed(good), map[string]string{}, out)
	text, out := said()
	list = append(list, accepted(kind, "no others", map[string]string{"text": text}, out))
	text, out = said("b.test", "c.test", "d.test", strings.Repeat("e.", 124)+"test2")
	list = append(list, accepted(kind, "four others, one of 253", map[string]string{"text": text}, out))

	bad := mangled(good)
	for comment, others := range badOthers() {
		bad[comment] = coded(version, token, home, others)
	}
	none := othersBytes()
	bad["version 0"], bad["version 3"] = coded([]byte{0}, token, home, none), coded([]byte{3}, token, home, none)
	bad["a home without a key"] = coded(version, token, knownBytes("a.test", noKeyAt), none)
	bad["a home that is no domain"] = coded(version, token, knownBytes("a", key), none)
	bad["nothing but a version"], bad["nothing before the checksum"] = coded(version), coded()
	bad["bits left over that are not zero"] = restBits(coded(version, token, home, none))
	bad["one to write to somebody"] = contactCode(contactParts())
	return append(list, refusedTexts(kind, bad, map[string]string{})...)
}

// restBits sets the last of the bits that base32 leaves over.
func restBits(code string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	last := strings.IndexByte(alphabet, code[len(code)-1])
	return code[:len(code)-1] + alphabet[last|1:last|1+1]
}

// contactPart are the fields of an invitation to write to somebody.
type contactPart struct {
	version                        byte
	until                          uint64
	name                           string
	secret, identity, home, others []byte
}

func contactParts() contactPart {
	return contactPart{2, 1_797_753_600, "ann@a.test", counted(0x30, 32), counted(0x50, 32), counted(0x70, 32), othersBytes("b.test", "c.test")}
}

func contactCode(p contactPart) string {
	return coded([]byte{p.version}, p.secret, binary.BigEndian.AppendUint64(nil, p.until),
		binary.BigEndian.AppendUint16(nil, uint16(len(p.name))), []byte(p.name), p.identity, p.home, p.others)
}

func contactVectors(t *testing.T) (list []vector) {
	t.Helper()
	const kind = "contact invitation"
	p, taker := contactParts(), printOf(counted(64, 32))
	beside := map[string]string{"taker": base64url(taker[:])}
	good := contactCode(p)
	out := contactOut(t, p, taker[:])
	list = acceptedTexts(kind, typed(good), beside, out)
	for comment, until := range map[string]uint64{"until 1970": 0, "until 2^40": 1 << 40} {
		at := p
		at.until = until
		list = append(list, acceptedTexts(kind, map[string]string{comment: contactCode(at)}, beside, contactOut(t, at, taker[:]))...)
	}
	slices.SortStableFunc(list, func(a, b vector) int { return strings.Compare(a.Comment, b.Comment) })

	bad := mangled(good)
	changed := func(comment string, change func(*contactPart)) {
		p := contactParts()
		change(&p)
		bad[comment] = contactCode(p)
	}
	for comment, others := range badOthers() {
		changed(comment, func(p *contactPart) { p.others = others })
	}
	changed("version 0", func(p *contactPart) { p.version = 0 })
	changed("version 3", func(p *contactPart) { p.version = 3 })
	changed("until after 2^40", func(p *contactPart) { p.until = 1<<40 + 1 })
	changed("no identity", func(p *contactPart) { p.identity = noKeyAt })
	changed("no key of the home", func(p *contactPart) { p.home = noKeyAt })
	changed("no name", func(p *contactPart) { p.name = "" })
	changed("a domain for a name", func(p *contactPart) { p.name = "a.test" })
	changed("a name in capitals", func(p *contactPart) { p.name = "Ann@a.test" })
	bad["one to take a name"] = coded([]byte{1}, counted(0x10, 16), knownBytes("a.test", counted(0x20, 32)), othersBytes())
	return append(list, refusedTexts(kind, bad, beside)...)
}

func contactOut(t *testing.T, p contactPart, taker []byte) map[string]string {
	t.Helper()
	expand := func(info string, n int) string {
		key, err := hkdf.Expand(sha256.New, p.secret, info, n)
		must(t, err)
		return hex.EncodeToString(key)
	}
	return map[string]string{
		"secret": hex.EncodeToString(p.secret), "until": strconv.FormatUint(p.until, 10), "name": p.name,
		"identity": base64url(p.identity), "home": base64url(p.home), "others": othersSaid("b.test", "c.test"), "text": contactCode(p),
		"mailbox": expand("p3do invitation mailbox", 32), "proof": expand("p3do invitation proof"+string(taker), 16),
	}
}
