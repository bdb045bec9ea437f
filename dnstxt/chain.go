package dnstxt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// What a proof may cost. Whoever owns a zone chooses what is in it: many keys of one tag
// and many signatures, each a reason to verify once more (CVE-2023-50387).
const (
	maxQueries    = 17 // questions of a look-up: the record, and two for each of eight zones
	maxChecks     = 32 // signatures verified in a look-up
	maxTried      = 4  // keys tried on one set
	maxSignatures = 8  // signatures looked at over one set
	maxDelegation = 8  // DS records looked at of one zone
)

// ErrBogus: a record is signed, and the signature or what it hangs on is wrong under keys
// that are verified. It is an ErrInvalid.
var ErrBogus = fmt.Errorf("%w: its DNSSEC signature is wrong", ErrInvalid)

// An unproven says what is missing between a record and a trust anchor.
type unproven struct{ why string }

func (e *unproven) Error() string { return "dnstxt: " + e.why }

func lacking(format string, args ...any) error { return &unproven{fmt.Sprintf(format, args...)} }

// A zone is the verified keys of a zone, or some.
type zoneKeys struct {
	zone  string // lower case, with the final dot
	keys  []*dns.DNSKEY
	until time.Time // when what they hang on must be asked again
}

// prove verifies a set from a trust anchor down, and returns how long that holds. Errors:
// an *unproven if the chain ends in between; ErrBogus.
func (w *walk) prove(ctx context.Context, set rrset) (time.Time, error) {
	if len(w.Anchors.zones) == 0 {
		return time.Time{}, lacking("nothing is verified here")
	}
	signer, err := set.signer()
	if err != nil {
		return time.Time{}, err
	}
	keys, cached, err := w.keysOf(ctx, signer)
	if err != nil {
		return time.Time{}, err
	}
	until, err := w.verify(set, keys)
	if err != nil && cached { // it may be by a key that is newer
		w.Keys.drop(signer)
		if keys, _, err = w.keysOf(ctx, signer); err == nil {
			until, err = w.verify(set, keys)
		}
	}
	return earlier(until, keys.until), err
}

// signer is the zone that signed a set, which is the one that holds it.
func (s rrset) signer() (string, error) {
	signer := ""
	for _, sig := range s.usable() {
		name := dns.CanonicalName(sig.SignerName)
		if signer != "" && name != signer {
			return "", fmt.Errorf("%w: two zones signed %s", ErrBogus, s.name)
		}
		signer = name
	}
	switch {
	case len(s.sigs) == 0:
		return "", lacking("%s is not signed", s.what())
	case signer == "":
		return "", lacking("%s is signed by no algorithm that is known here", s.what())
	case !dns.IsSubDomain(signer, s.name):
		return "", fmt.Errorf("%w: %s cannot sign %s", ErrBogus, signer, s.name)
	}
	return signer, nil
}

// what names a set in words.
func (s rrset) what() string {
	if len(s.records) == 0 {
		return s.name
	}
	return fmt.Sprintf("the %s record of %s", dns.Type(s.records[0].Header().Rrtype), strings.TrimSuffix(s.name, "."))
}

// usable are the signatures that can be verified, at most maxSignatures.
func (s rrset) usable() []*dns.RRSIG {
	known := make([]*dns.RRSIG, 0, maxSignatures)
	for _, sig := range s.sigs {
		if isKnown(sig.Algorithm) && len(known) < maxSignatures {
			known = append(known, sig)
		}
	}
	return known
}

// isKnown tells which algorithms count (RFC 8624, section 3.1, without those on SHA-1, and
// what nobody uses): all others are as if they were not there.
func isKnown(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA256, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

// keysOf returns the verified keys of a zone, and whether they were known before.
func (w *walk) keysOf(ctx context.Context, zone string) (keys zoneKeys, cached bool, err error) {
	if keys, ok := w.Keys.get(zone, w.now); ok {
		return keys, true, nil
	}
	anchors, until := w.Anchors.of(zone), w.now.Add(maxKeysKept)
	if len(anchors) == 0 {
		if anchors, until, err = w.delegation(ctx, zone); err != nil {
			return zoneKeys{}, false, err
		}
	}
	set, err := w.fetch(ctx, question{name: zone, qtype: dns.TypeDNSKEY})
	if err != nil {
		return zoneKeys{}, false, err
	}
	entry := zoneKeys{zone: zone, keys: entrusted(set, anchors)}
	if len(entry.keys) == 0 {
		return zoneKeys{}, false, fmt.Errorf("%w: %s has no key that its delegation or a trust anchor names", ErrBogus, zone)
	}
	held, err := w.verify(set, entry)
	if err != nil {
		return zoneKeys{}, false, err
	}
	entry.keys, entry.until = zoneSigning(set), earlier(held, until)
	w.Keys.put(entry, w.now)
	return entry, false, nil
}

// delegation returns the verified DS records of a zone, which its parent signed.
func (w *walk) delegation(ctx context.Context, zone string) ([]*dns.DS, time.Time, error) {
	if !w.Anchors.enclose(zone) {
		return nil, time.Time{}, lacking("no trust anchor is for %s", zone)
	}
	set, err := w.fetch(ctx, question{name: zone, qtype: dns.TypeDS})
	if err != nil {
		return nil, time.Time{}, err
	}
	if len(set.records) == 0 {
		return nil, time.Time{}, lacking("%s is signed, and the zone above it has no DS record for it", zone)
	}
	signer, err := set.signer()
	if err == nil && signer == zone {
		err = fmt.Errorf("%w: %s signed its own delegation", ErrBogus, zone)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	until, err := w.prove(ctx, set)
	if err != nil {
		return nil, time.Time{}, err
	}
	var known []*dns.DS
	for _, rr := range set.records {
		if ds, ok := rr.(*dns.DS); ok && canEntrust(ds) && len(known) < maxDelegation {
			known = append(known, ds)
		}
	}
	if len(known) == 0 {
		return nil, time.Time{}, lacking("%s has no DS record of a kind that is known here", zone)
	}
	return known, until, nil
}

// fetch asks for a set. A server that has none, or does not say, has an empty one.
func (w *walk) fetch(ctx context.Context, q question) (rrset, error) {
	m, err := w.ask(ctx, q)
	var refused rcodeError
	switch {
	case errors.Is(err, ErrNone):
		return rrset{name: q.name}, nil
	case errors.As(err, &refused) && int(refused) != dns.RcodeServerFailure:
		return rrset{}, lacking("asked for the %s record of %s, the server answered %s", dns.Type(q.qtype), q.name, rcodeName(int(refused)))
	case err != nil:
		return rrset{}, err
	}
	return q.collect(m)
}

// canEntrust tells whether a DS record, or an anchor, can be compared with a key: SHA-256
// or SHA-384.
func canEntrust(ds *dns.DS) bool {
	return isKnown(ds.Algorithm) && (ds.DigestType == dns.SHA256 || ds.DigestType == dns.SHA384)
}

// entrusted are the keys of a set that one of the DS records names.
func entrusted(set rrset, by []*dns.DS) (keys []*dns.DNSKEY) {
	for _, key := range zoneSigning(set) {
		if slices.ContainsFunc(by, func(ds *dns.DS) bool { return names(ds, key) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

func names(ds *dns.DS, key *dns.DNSKEY) bool {
	if ds.Algorithm != key.Algorithm || ds.KeyTag != key.KeyTag() {
		return false
	}
	made := key.ToDS(ds.DigestType)
	return made != nil && strings.EqualFold(made.Digest, ds.Digest)
}

// zoneSigning are the keys of a set that may sign: of a zone, and not revoked.
func zoneSigning(set rrset) (keys []*dns.DNSKEY) {
	for _, rr := range set.records {
		key, ok := rr.(*dns.DNSKEY)
		if ok && key.Flags&dns.ZONE != 0 && key.Flags&dns.REVOKE == 0 && key.Protocol == 3 && isKnown(key.Algorithm) {
			keys = append(keys, key)
		}
	}
	return keys
}

// verify verifies a set under the keys of a zone: one good signature is enough. It returns
// how long that holds.
func (w *walk) verify(set rrset, by zoneKeys) (time.Time, error) {
	failed := fmt.Errorf("%w: no key of %s made a signature of %s", ErrBogus, by.zone, set.what())
	tried := 0
	for _, sig := range set.usable() {
		if left, begun := period(sig, w.now); !begun || left < 0 {
			failed = fmt.Errorf("%w: the signature of %s is good at another time only", ErrBogus, set.what())
			continue
		}
		for _, key := range by.keys {
			if sig.KeyTag != key.KeyTag() || sig.Algorithm != key.Algorithm {
				continue
			}
			if tried++; tried > maxTried {
				return time.Time{}, fmt.Errorf("%w: more than %d keys to try on %s", ErrBogus, maxTried, set.what())
			}
			if w.checks--; w.checks < 0 {
				return time.Time{}, fmt.Errorf("%w: its proof takes more than %d signatures", ErrBogus, maxChecks)
			}
			if sig.Verify(key, set.records) == nil {
				return set.until(sig, w.now), nil
			}
		}
	}
	return time.Time{}, failed
}

// period compares a signature's two times, counted modulo 2^32 seconds (RFC 4034, section
// 3.1.5), with now: whether the first has come, and how long it is to the second.
func period(sig *dns.RRSIG, now time.Time) (left time.Duration, begun bool) {
	at := uint32(now.Unix())
	return time.Duration(int32(sig.Expiration-at)) * time.Second, int32(at-sig.Inception) >= 0
}

// until is when a verified set must be asked for again (RFC 4035, section 5.3.3).
func (s rrset) until(sig *dns.RRSIG, now time.Time) time.Time {
	left, _ := period(sig, now)
	ttl := min(sig.OrigTtl, sig.Header().Ttl)
	for _, rr := range s.records {
		ttl = min(ttl, rr.Header().Ttl)
	}
	return now.Add(min(left, time.Duration(ttl)*time.Second))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
