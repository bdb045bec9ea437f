package dnstxt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/miekg/dns"
)

const (
	// MaxKeyFile is the greatest size in bytes of a key file.
	MaxKeyFile = 4096

	leastSecret = 16  // bytes of a TSIG secret that is taken
	mostSecret  = 512 // and at most
)

// ErrKeyFile: what should hold a TSIG key does not.
var ErrKeyFile = errors.New("dnstxt: bad key file")

// A TSIGKey is what a name server knows us by (RFC 8945): a name, an algorithm and a
// secret. It is read by [ParseTSIGKey], and never shown.
type TSIGKey struct {
	_         [0]func() // is compared with nothing
	name      string    // lower case with the final dot
	algorithm string    // dns.HmacSHA256 or dns.HmacSHA512
	secret    string    // base64
}

// Name is the name of the key, which is no secret, without the final dot.
func (k TSIGKey) Name() string { return strings.TrimSuffix(k.name, ".") }

// String hides the secret.
func (TSIGKey) String() string { return "secret" }

// GoString hides the secret.
func (TSIGKey) GoString() string { return "secret" }

// LogValue hides the secret.
func (TSIGKey) LogValue() slog.Value { return slog.StringValue("secret") }

// MarshalText hides the secret.
func (TSIGKey) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// What the two kinds of key file look like when comments and the space around signs are gone.
// Neither a name nor a value holds a quote, a brace, a semicolon or a colon.
const (
	keyName  = `"?([A-Za-z0-9._-]+)"?`
	keyField = `(algorithm|secret)`
	keyValue = `"?([A-Za-z0-9+/=-]+)"?`
)

var (
	keyBIND = regexp.MustCompile(`^key ` + keyName + ` ?\{ ?` + keyField + ` ` + keyValue + ` ?; ?` + keyField + ` ` + keyValue + ` ?; ?\} ?;$`)
	keyKnot = regexp.MustCompile(`^key: - id: ` + keyName + ` ` + keyField + `: ` + keyValue + ` ` + keyField + `: ` + keyValue + `$`)

	keyComment = regexp.MustCompile(`(?m)(^|\s)(#|//).*$|/\*(?s:.*?)\*/`)
	keySpace   = regexp.MustCompile(`\s+`)
)

// ParseTSIGKey reads a file with one key, as tsig-keygen of BIND or keymgr -t of Knot
// writes it:
//
//	key "p3do" {                     key:
//	    algorithm hmac-sha256;         - id: p3do
//	    secret "...";                    algorithm: hmac-sha256
//	};                                   secret: ...
//
// The algorithm is hmac-sha256 or hmac-sha512, the secret 16 to 512 bytes in base64. The
// error is an ErrKeyFile, and holds nothing of the file.
func ParseTSIGKey(text string) (TSIGKey, error) {
	bad := func(want string) (TSIGKey, error) { return TSIGKey{}, fmt.Errorf("%w: want %s", ErrKeyFile, want) }
	if len(text) > MaxKeyFile {
		return bad("at most 4096 bytes")
	}
	plain := strings.TrimSpace(keySpace.ReplaceAllString(keyComment.ReplaceAllString(text, " "), " "))
	found := keyBIND.FindStringSubmatch(plain)
	if found == nil {
		found = keyKnot.FindStringSubmatch(plain)
	}
	if found == nil || found[2] == found[4] {
		return bad("one key with algorithm and secret, as tsig-keygen or keymgr -t prints it")
	}
	algorithm, secret := found[3], found[5]
	if found[2] == "secret" {
		algorithm, secret = secret, algorithm
	}
	key := TSIGKey{name: dns.CanonicalName(found[1]), secret: secret}
	if _, ok := dns.IsDomainName(key.name); !ok || key.name == "." {
		return bad("a key whose name is a domain name")
	}
	switch strings.ToLower(algorithm) {
	case "hmac-sha256":
		key.algorithm = dns.HmacSHA256
	case "hmac-sha512":
		key.algorithm = dns.HmacSHA512
	default:
		return bad("the algorithm hmac-sha256 or hmac-sha512")
	}
	if raw, err := base64.StdEncoding.Strict().DecodeString(secret); err != nil || len(raw) < leastSecret || len(raw) > mostSecret {
		return bad("a secret of 16 to 512 bytes in base64")
	}
	return key, nil
}
