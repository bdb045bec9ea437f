package pki

import "time"

// A Trust is why a key is believed to be a subject's, weakest first (row H3).
type Trust uint8

// The kinds of trust.
const (
	Untrusted Trust = iota // not at all: there is no pin
	FirstSeen              // it was the first one seen
	Vouched                // a quorum of peers vouched for it
	Verified               // its owner confirmed it by other means
)

// String is the word that people are shown.
func (t Trust) String() string {
	return [...]string{"untrusted", "first seen", "vouched", "verified"}[min(t, Verified)]
}

// Evidence is all that somebody has gathered about the key of one subject: the domain
// key of a domain, or the identity key of a user. Every signature in it has been
// verified; a zero Fingerprint says nothing. It is judged by [Judge], with
// docs/spec/pki.md, "Judgement", as its table.
type Evidence struct {
	Domain   Domain        // of the subject; it cannot vouch for itself
	Pin      Pin           // what is trusted so far
	DNS      DNSEvidence   // its TXT record
	Home     Fingerprint   // what its own servers show: link, descriptor, key server
	Vouches  []Vouch       // the newest countersignature, or observation, of each peer
	Quorum   int           // how many peers are enough; below 1 is 1
	Log      LogEvidence   // its transparency log
	Rotation Fingerprint   // the key to which the pinned one handed over by right: the last of Commitment.Heirs
	Passed   []Fingerprint // keys between the two, each of which handed over to the next
	Revoked  []Fingerprint // keys of which a revocation is known
}

// Follow sets Rotation and Passed by what Commitment.Heirs returned for the pinned key.
func (e Evidence) Follow(heirs []Commitment) Evidence {
	e.Rotation, e.Passed = Fingerprint{}, nil
	for i, heir := range heirs {
		if i < len(heirs)-1 {
			e.Passed = append(e.Passed, heir.Key)
		} else {
			e.Rotation = heir.Key
		}
	}
	return e
}

// DNSEvidence is the key that a domain's TXT record names. Secure is whether DNSSEC
// vouches for the record.
type DNSEvidence struct {
	Key    Fingerprint
	Secure bool
}

// Security returns "none" if there is no record, "plain" if nobody has shown that it is the
// domain's, "secure" if DNSSEC has.
func (d DNSEvidence) Security() string {
	switch {
	case d.Key.IsZero():
		return "none"
	case d.Secure:
		return "secure"
	}
	return "plain"
}

// A Vouch is the word of a peer whom the judge chose: that Key is the subject's.
type Vouch struct {
	Peer Domain
	Key  Fingerprint
}

// A LogState says what could be learnt of a domain's log.
type LogState uint8

// The states of a log.
const (
	NoLog      LogState = iota // the domain keeps none: it is judged without
	LogAway                    // it has one, which could not be read
	LogStale                   // its newest cosigned checkpoint is older than [LogFreshness]
	LogCurrent                 // Newest stands in it, cosigned by a quorum of late
	LogForked                  // two signed checkpoints contradict each other
	LogMissing                 // it has one, and a key was shown without a place in it that a quorum has seen
)

// LogEvidence is what a domain's log says, under a checkpoint that a quorum of the
// judge's own peers has cosigned and that continues the last one seen.
type LogEvidence struct {
	State      LogState
	Newest     Fingerprint // the subject's newest key; only if current
	Since      time.Time   // from when on the judge knows that others saw Newest stand there; only if current; zero: not known
	Challenged bool        // somebody who holds the pinned key objects to Newest
}

// ripe reports whether the newest key has stood in the log for [LogPatience], unchallenged. The log's own
// word for how long it has does not count.
func (l LogEvidence) ripe(now time.Time) bool {
	return l.State == LogCurrent && !l.Challenged && !l.Since.IsZero() && now.Sub(l.Since) >= LogPatience
}

// Times of the judgement.
const (
	// LogFreshness is the age from which a log's newest checkpoint is stale.
	LogFreshness = 7 * 24 * time.Hour
	// LogPatience is how long a new key that its predecessor did not sign must stand in
	// the log unchallenged.
	LogPatience = 72 * time.Hour
	// RecheckPlain and RecheckSecure are after what time a key that nobody but DNS vouches
	// for is judged again: sooner if DNSSEC vouches for the record.
	RecheckPlain  = 24 * time.Hour
	RecheckSecure = time.Hour
)
