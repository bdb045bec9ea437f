package pki

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// ServerKeySize is the length of a server key in bytes: MLKEM768X25519, an
	// ML-KEM-768 encapsulation key (1 184) and an X25519 public key (32).
	ServerKeySize = 1216

	// MaxServerKeys, MaxLinks and MaxKeyServers bound the lists of a
	// Descriptor. Each list holds one at least.
	MaxServerKeys = 3
	MaxLinks      = 8
	MaxKeyServers = 4

	// DescriptorLifetime is how long a descriptor is valid by default, and
	// MaxDescriptorLifetime the longest that is accepted.
	DescriptorLifetime    = 7 * 24 * time.Hour
	MaxDescriptorLifetime = 31 * 24 * time.Hour

	// MaxDescriptorSize is the greatest length of a signed descriptor in
	// bytes. That of a.test with two server keys has about 3 200.
	MaxDescriptorSize = 16384

	// The version of a descriptor says whether its domain keeps a key log.
	versionNoLog = 2
	versionLog   = 3
)

// A ServerKey is a node's routing key for one period. This package carries it
// and does not look into it.
type ServerKey struct {
	Period Period
	Public [ServerKeySize]byte
}

// A Descriptor is what a domain says of its node: what to encrypt to, where to
// connect, where to look up keys, and by which authority.
type Descriptor struct {
	Domain     Domain
	Serial     uint64      // of two descriptors of one authority, the greater serial wins
	Issued     time.Time   // whole seconds, UTC
	Expires    time.Time   // whole seconds, UTC; at most MaxDescriptorLifetime later
	ServerKeys []ServerKey // 1 to MaxServerKeys, periods ascending
	Links      []string    // 1 to MaxLinks host:port that CheckEndpoint accepts
	KeyServers []string    // 1 to MaxKeyServers host:port that CheckEndpoint accepts
	Next       Fingerprint // of the only key that may follow that of CA; zero: not committed to one
	Root       Fingerprint // of the domain's offline root; zero: it has none
	CA         CACert      // of Domain; its key signs the descriptor

	// The keys of the domain's key log: all three, or none.
	Log     LogPublic        // signs the checkpoints of its own log
	Witness WitnessPublic    // cosigns the checkpoints of others
	Labels  [LabelsSize]byte // public key of vrf-r255, which makes the labels; not looked into
}

// HasLog reports whether the domain keeps a key log, and so cosigns those of others.
func (d Descriptor) HasLog() bool { return !d.Log.IsZero() }

// A SignedDescriptor is a descriptor whose signature is good under the
// authority that it names itself. Whether that is the domain's true authority
// the caller finds out by CA.Fingerprint and a pin. Its fields are to be read
// only.
type SignedDescriptor struct {
	Descriptor
	raw []byte
}

// SignDescriptor signs what the domain says of its node. Domain, CA, Next and
// Root are those of the authority; the caller leaves them empty or sets the
// same domain. Issued and Expires lose their fractions of a second.
func (a *Authority) SignDescriptor(d Descriptor) (SignedDescriptor, error) {
	if !d.Domain.IsZero() && d.Domain != a.Domain() {
		return SignedDescriptor{}, fmt.Errorf("pki: signing a descriptor: %s may not sign for %s", a.Domain(), d.Domain)
	}
	d.Domain, d.CA, d.Next, d.Root = a.Domain(), a.ca, a.next, a.offline
	d.Issued, d.Expires = seconds(d.Issued), seconds(d.Expires)
	if err := d.check(); err != nil {
		return SignedDescriptor{}, fmt.Errorf("pki: signing a descriptor: %w", err)
	}
	raw := sealStatement(a.domain.domain, LabelDescriptor, d.body())
	return ParseDescriptor(raw)
}

// ParseDescriptor reads a signed descriptor of at most MaxDescriptorSize
// bytes. It verifies the signature by the authority inside, that this is of the
// same domain, and all bounds. It does not look at the time: see CheckTime.
func ParseDescriptor(raw []byte) (SignedDescriptor, error) {
	d, err := parseDescriptor(raw)
	if err != nil {
		return SignedDescriptor{}, fmt.Errorf("pki: server descriptor: %w", err)
	}
	return SignedDescriptor{Descriptor: d, raw: bytes.Clone(raw)}, nil
}

func parseDescriptor(raw []byte) (Descriptor, error) {
	body, signature, err := splitStatement(raw, MaxDescriptorSize)
	if err != nil {
		return Descriptor{}, err
	}
	var d Descriptor
	if err := d.read(body); err != nil {
		return Descriptor{}, err
	}
	if err := d.check(); err != nil {
		return Descriptor{}, err
	}
	if !d.CA.Key().Verify(LabelDescriptor, body, signature) {
		return Descriptor{}, errSignature
	}
	return d, nil
}

// Raw returns the bytes that ParseDescriptor read.
func (d SignedDescriptor) Raw() []byte { return bytes.Clone(d.raw) }

// CheckTime returns nil if the descriptor is valid now: from ClockSkew before
// it was issued until it expires. Else the error is ErrTime.
func (d SignedDescriptor) CheckTime(now time.Time) error {
	if err := checkNow(d.Issued, d.Expires, now); err != nil {
		return fmt.Errorf("pki: server descriptor of %s: %w", d.Domain, err)
	}
	return nil
}

// ServerKeyFor returns the server key of a period, if the descriptor has one.
func (d Descriptor) ServerKeyFor(period Period) (ServerKey, bool) {
	for _, key := range d.ServerKeys {
		if key.Period == period {
			return key, true
		}
	}
	return ServerKey{}, false
}

// check holds the rules that the layout alone does not.
func (d Descriptor) check() error {
	if d.CA.cert == nil || d.CA.domain != d.Domain {
		return errors.New("its authority is not of its domain")
	}
	if err := checkSpan(d.Issued, d.Expires, MaxDescriptorLifetime); err != nil {
		return err
	}
	if len(d.ServerKeys) < 1 || len(d.ServerKeys) > MaxServerKeys {
		return fmt.Errorf("want 1 to %d server keys, not %d", MaxServerKeys, len(d.ServerKeys))
	}
	for i := 1; i < len(d.ServerKeys); i++ {
		if d.ServerKeys[i-1].Period >= d.ServerKeys[i].Period {
			return errors.New("the periods of its server keys do not ascend")
		}
	}
	if err := checkEndpoints("links", d.Links, MaxLinks); err != nil {
		return err
	}
	if err := checkEndpoints("key servers", d.KeyServers, MaxKeyServers); err != nil {
		return err
	}
	if err := d.checkLog(); err != nil {
		return err
	}
	return checkCommitment(d.CA.Fingerprint(), d.Next, d.Root)
}

// checkLog wants all three keys or none, none of them in two offices.
func (d Descriptor) checkLog() error {
	none := [LabelsSize]byte{}
	if d.Log.IsZero() != d.Witness.IsZero() || d.Log.IsZero() != (d.Labels == none) {
		return errors.New("it names some of the three keys of a log and not all")
	}
	keys := [...]point{d.Log.log, d.Witness.witness, d.Labels, d.CA.Key().domain}
	for i, key := range keys {
		if d.HasLog() && slices.Contains(keys[:i], key) {
			return errors.New("one key is to serve two offices")
		}
	}
	return nil
}

// checkCommitment wants three keys, where there are three: each serves one office.
func checkCommitment(key, next, root Fingerprint) error {
	if next == key || root == key || !next.IsZero() && next == root {
		return errors.New("its key, the next one and the offline root are not three different keys")
	}
	return nil
}

func checkEndpoints(what string, list []string, most int) error {
	if len(list) < 1 || len(list) > most {
		return fmt.Errorf("want 1 to %d %s, not %d", most, what, len(list))
	}
	for _, endpoint := range list {
		if err := CheckEndpoint(endpoint); err != nil {
			return err
		}
	}
	return nil
}

// body writes what is signed, all integers big-endian.
//
//	1      version: 3, or 2 for a domain that keeps no log
//	1+n    domain
//	8      serial
//	8      issued, seconds since 1970
//	8      expires, seconds since 1970
//	1      number of server keys, 1 to 3; for each
//	4        period
//	1216     public key
//	1      number of links, 1 to 8; for each
//	1+n      host:port
//	1      number of key servers, 1 to 4; for each
//	1+n      host:port
//	32     fingerprint of the next key, or zeros
//	32     fingerprint of the offline root, or zeros
//	       only in version 3:
//	32       public key of the log
//	32       public key of the witness
//	32       public key of the labels
//	2+n    certificate of the domain authority, DER
//
// The signature follows, 64 bytes, with the label "server descriptor v1".
func (d Descriptor) body() []byte {
	var b cryptobyte.Builder
	b.AddUint8(d.version())
	addText8(&b, d.Domain.String())
	b.AddUint64(d.Serial)
	addTime(&b, d.Issued)
	addTime(&b, d.Expires)
	b.AddUint8(uint8(len(d.ServerKeys)))
	for _, key := range d.ServerKeys {
		b.AddUint32(uint32(key.Period))
		b.AddBytes(key.Public[:])
	}
	addTexts8(&b, d.Links)
	addTexts8(&b, d.KeyServers)
	b.AddBytes(d.Next[:])
	b.AddBytes(d.Root[:])
	if d.version() == versionLog {
		b.AddBytes(d.Log.Bytes())
		b.AddBytes(d.Witness.Bytes())
		b.AddBytes(d.Labels[:])
	}
	addBytes16(&b, d.CA.DER())
	return b.BytesOrPanic()
}

func (d Descriptor) version() uint8 {
	if d.Log.IsZero() && d.Witness.IsZero() && d.Labels == [LabelsSize]byte{} {
		return versionNoLog
	}
	return versionLog
}

// read takes the fields that body wrote.
func (d *Descriptor) read(body []byte) error {
	input := cryptobyte.String(body)
	var version uint8
	var domain string
	var ca []byte
	if !input.ReadUint8(&version) || version != versionNoLog && version != versionLog ||
		!readText8(&input, &domain) || !input.ReadUint64(&d.Serial) ||
		!readTime(&input, &d.Issued) || !readTime(&input, &d.Expires) ||
		!readServerKeys(&input, &d.ServerKeys) ||
		!readTexts8(&input, MaxLinks, &d.Links) ||
		!readTexts8(&input, MaxKeyServers, &d.KeyServers) ||
		!input.CopyBytes(d.Next[:]) || !input.CopyBytes(d.Root[:]) ||
		version == versionLog && !d.readLog(&input) ||
		!readBytes16(&input, &ca) || !input.Empty() {
		return errMalformed
	}
	var err error
	if d.Domain, err = ParseDomain(domain); err != nil {
		return err
	}
	d.CA, err = ParseCACert(ca)
	return err
}

// readLog refuses points of small order, and so zeros: without a log there is version 2.
func (d *Descriptor) readLog(input *cryptobyte.String) bool {
	var log, witness [32]byte
	if !input.CopyBytes(log[:]) || !input.CopyBytes(witness[:]) || !input.CopyBytes(d.Labels[:]) {
		return false
	}
	var err1, err2 error
	d.Log, err1 = ParseLogPublic(log[:])
	d.Witness, err2 = ParseWitnessPublic(witness[:])
	return err1 == nil && err2 == nil
}

func readServerKeys(input *cryptobyte.String, out *[]ServerKey) bool {
	var count uint8
	if !input.ReadUint8(&count) || count < 1 || count > MaxServerKeys {
		return false
	}
	keys := make([]ServerKey, count)
	for i := range keys {
		if !input.ReadUint32((*uint32)(&keys[i].Period)) || !input.CopyBytes(keys[i].Public[:]) {
			return false
		}
	}
	*out = keys
	return true
}
