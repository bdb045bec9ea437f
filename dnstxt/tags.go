package dnstxt

import (
	"bytes"
	"crypto/sha3"
	"encoding/base32"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/p3do/p3do/pki"
)

// Names of the tags.
const (
	tagVersion     = "v"
	tagKeyType     = "k"
	tagFingerprint = "fp"
	tagNext        = "fp2"
	tagKeyServers  = "ks"
	tagOnion       = "o"
	tagTime        = "t"

	maxTagName = 16 // characters of a tag's name
)

// What is expected of a value, for errors.
const (
	wantThere       = "it to be there"
	wantText        = "printable ASCII without quotes and backslashes"
	wantTag         = "tags of the form name=value, separated by semicolons"
	wantVersion     = Version + ", as the first tag and once only"
	wantKeyType     = KeyType
	wantFingerprint = "43 characters of base64url"
	wantKeyServers  = "1 to 4 different host:port, separated by commas"
	wantOnion       = "a version 3 onion address: 56 characters of a-z and 2-7, then .onion"
	wantTime        = "seconds since 1970, without leading zeros, before the year 10000"
)

// readers holds, for each tag that may follow v, how its value is read.
var readers = map[string]func(*Record, string) error{
	tagVersion:     readVersionAgain,
	tagKeyType:     readKeyType,
	tagFingerprint: readFingerprint,
	tagNext:        readNext,
	tagKeyServers:  readKeyServers,
	tagOnion:       readOnion,
	tagTime:        readTime,
}

// A tag is one name=value of a record.
type tag struct{ name, value string }

// isRecord reports whether text claims to be a record: it begins with the tag
// v=P3DO1. TXT records that do not are somebody else's and ignored.
func isRecord(text string) bool {
	first, _, _ := strings.Cut(text, ";")
	return strings.TrimRight(first, " ") == tagVersion+"="+Version
}

// splitTags cuts text at its semicolons. The first tag is v=P3DO1. Spaces
// around a tag, and one semicolon at the end, are allowed.
func splitTags(text string) ([]tag, error) {
	if len(text) > MaxSize {
		return nil, &ParseError{"", "at most 2048 bytes"}
	}
	if !printable(text) {
		return nil, &ParseError{"", wantText}
	}
	if !isRecord(text) {
		return nil, &ParseError{tagVersion, wantVersion}
	}
	parts := strings.Split(text, ";")
	if strings.Trim(parts[len(parts)-1], " ") == "" {
		parts = parts[:len(parts)-1]
	}
	if len(parts) > maxTags {
		return nil, &ParseError{"", "at most 32 tags"}
	}
	tags := make([]tag, 0, len(parts))
	for _, part := range parts {
		name, value, ok := strings.Cut(strings.Trim(part, " "), "=")
		if !ok || !validTagName(name) {
			return nil, &ParseError{"", wantTag}
		}
		tags = append(tags, tag{name, value})
	}
	return tags, nil
}

// printable accepts space to tilde but for the two characters that need an
// escape in zone files, so that no panel or file can change a record.
func printable(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func validTagName(name string) bool {
	if name == "" || len(name) > maxTagName {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// readVersionAgain refuses a v that is not the first tag.
func readVersionAgain(*Record, string) error {
	return &ParseError{tagVersion, wantVersion}
}

func readKeyType(_ *Record, value string) error {
	if value != KeyType {
		return &ParseError{tagKeyType, wantKeyType}
	}
	return nil
}

func readFingerprint(r *Record, value string) (err error) {
	r.Fingerprint, err = parseFingerprint(tagFingerprint, value)
	return err
}

func readNext(r *Record, value string) (err error) {
	r.Next, err = parseFingerprint(tagNext, value)
	return err
}

// parseFingerprint refuses the fingerprint of 32 zero bytes, which stands for
// "none" in a Record.
func parseFingerprint(name, value string) (pki.Fingerprint, error) {
	f, err := pki.ParseFingerprint(value)
	if err != nil || f.IsZero() {
		return pki.Fingerprint{}, &ParseError{name, wantFingerprint}
	}
	return f, nil
}

func readKeyServers(r *Record, value string) error {
	r.KeyServers = strings.Split(value, ",")
	return checkKeyServers(r.KeyServers)
}

func checkKeyServers(servers []string) error {
	bad := &ParseError{tagKeyServers, wantKeyServers}
	if len(servers) < 1 || len(servers) > MaxKeyServers {
		return bad
	}
	for i, server := range servers {
		if !validHostPort(server) || slices.Contains(servers[:i], server) {
			return bad
		}
	}
	return nil
}

// validHostPort accepts a domain, an IPv4 address or an IPv6 address in
// brackets, then a colon and a port, all in their one canonical spelling.
func validHostPort(s string) bool {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return false
	}
	host, port := s[:at], s[at+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return false
	}
	return validHost(host)
}

func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return ok && err == nil && ip.Is6() && !ip.Is4In6() && ip.Zone() == "" && ip.String() == inner
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Is4() && ip.String() == host
	}
	_, err := pki.ParseDomain(host)
	return err == nil
}

func readOnion(r *Record, value string) error {
	if !validOnion(value) {
		return &ParseError{tagOnion, wantOnion}
	}
	r.Onion = value
	return nil
}

const (
	onionSuffix  = ".onion"
	onionVersion = 3
)

// onionText is base32 of RFC 4648 in lower case without padding.
var onionText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// validOnion accepts version 3 onion addresses whose checksum is right (Tor
// rend-spec-v3, section 6, "Encoding onion addresses"). 56 characters are
// exactly 35 bytes:
//
//	key       32
//	checksum   2  SHA3-256(".onion checksum" | key | version)
//	version    1  3
func validOnion(address string) bool {
	text, ok := strings.CutSuffix(address, onionSuffix)
	if !ok || len(text) != 56 || strings.ContainsAny(text, "\r\n") {
		return false
	}
	b, err := onionText.DecodeString(text)
	if err != nil || len(b) != 35 || b[34] != onionVersion {
		return false
	}
	key, checksum := b[:32], b[32:34]
	sum := sha3.Sum256(slices.Concat([]byte(".onion checksum"), key, []byte{onionVersion}))
	return bytes.Equal(sum[:2], checksum)
}

func readTime(r *Record, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	at := time.Unix(n, 0).UTC()
	if err != nil || !validTime(at) || strconv.FormatInt(n, 10) != value {
		return &ParseError{tagTime, wantTime}
	}
	r.Time = at
	return nil
}

func validTime(t time.Time) bool {
	return t.Unix() >= 0 && t.Year() < 10000 && t.Nanosecond() == 0
}
