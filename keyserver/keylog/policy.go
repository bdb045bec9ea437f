package keylog

import (
	"encoding/base64"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/pki"
)

const (
	// Freshness is how old a cosignature may be to count: as old as a log's newest head may
	// be before it is stale.
	Freshness = 7 * 24 * time.Hour

	// Skew is how far ahead of the reader's clock a witness's may be.
	Skew = 5 * time.Minute
)

// Witness is a domain that cosigns others' checkpoints.
type Witness struct {
	Domain pki.Domain
	Key    pki.WitnessPublic
}

// Quorum wants the cosignatures of q of these witnesses at least. No witness may be named twice,
// by domain or by key: it would count twice. A checkpoint of the log of one of them fails it: a
// domain is no witness of its own log. With q = 0 it wants none, and nothing is counted: whoever
// names another's key as its own stops nobody.
func Quorum(q int, witnesses []Witness) (torchwood.Policy, error) {
	if q < 0 || q > len(witnesses) {
		return nil, fmt.Errorf("keylog: a quorum of %d out of %d witnesses", q, len(witnesses))
	}
	logs := make(map[string]bool, len(witnesses))
	keys := make(map[pki.WitnessPublic]bool, len(witnesses))
	policies := make([]torchwood.Policy, len(witnesses))
	for i, w := range witnesses {
		v, err := WitnessVerifier(w.Domain, w.Key)
		if err != nil {
			return nil, err
		}
		if q > 0 && (logs[Origin(w.Domain)] || keys[w.Key]) {
			return nil, fmt.Errorf("keylog: witness %s, or its key, is named twice", w.Domain)
		}
		logs[Origin(w.Domain)], keys[w.Key] = true, true
		policies[i] = torchwood.SingleVerifierPolicy(v)
	}
	return quorum{torchwood.ThresholdPolicy(q, policies...), logs}, nil
}

type quorum struct {
	torchwood.Policy
	logs map[string]bool // of the witnesses, by origin
}

func (p quorum) Check(origin string, sigs []note.Signature) error {
	if p.logs[origin] {
		return fmt.Errorf("keylog: the domain of %s is named as a witness of its own log", origin)
	}
	return p.Policy.Check(origin, sigs)
}

// Fresh is policy over those cosignatures only that are no older than [Freshness] at now, and not
// from the future.
func Fresh(policy torchwood.Policy, now time.Time) torchwood.Policy {
	return freshPolicy{policy, now}
}

type freshPolicy struct {
	policy torchwood.Policy
	now    time.Time
}

func (p freshPolicy) Verifier(name string, hash uint32) (note.Verifier, error) {
	return p.policy.Verifier(name, hash)
}

func (p freshPolicy) Check(origin string, sigs []note.Signature) error {
	var young []note.Signature
	for _, sig := range sigs {
		if at, ok := CosignedAt(sig); !ok || at.After(p.now.Add(-Freshness-time.Second)) && at.Before(p.now.Add(Skew)) {
			young = append(young, sig)
		}
	}
	return p.policy.Check(origin, young)
}

// cosignatureSize is what is in the base64 of a cosignature: hash of the key, time, signature.
const cosignatureSize = 4 + 8 + 64

// CosignedAt is when a witness made a signature, if it is a witness's: those of logs have no time.
func CosignedAt(sig note.Signature) (at time.Time, ok bool) {
	if base64.StdEncoding.DecodedLen(len(sig.Base64)) < cosignatureSize {
		return at, false
	}
	seconds, err := torchwood.CosignatureTimestamp(sig)
	if err != nil || seconds > maxTime {
		return at, false
	}
	return time.Unix(seconds, 0).UTC(), true
}
