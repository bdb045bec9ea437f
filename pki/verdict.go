package pki

import (
	"slices"
	"time"
)

// A Row is the row of the table by which a verdict was reached (docs/spec/pki.md,
// "Judgement"). The numbers are those of the table; they have names where people speak of them.
type Row uint8

// The rows.
const (
	RowNone        Row = 0  // no row fits: the pin is kept, or there is none
	RowQuorum      Row = 1  // peers and DNS agree on a new key
	RowProvisional Row = 2  // only DNS names the new key
	RowDNSAbsent   Row = 3  // peers agree on a new key, DNS is silent
	RowDNSConflict Row = 4  // peers agree on a new key, DNS names another
	RowContested   Row = 5  // two quorums vouch for two new keys
	RowAgreed      Row = 6  // nobody contradicts the pin
	RowDNSAltered  Row = 7  // DNS alone contradicts the pin, others confirm it
	RowDNSAlone    Row = 8  // DNS alone contradicts the pin, others are silent
	RowRotated     Row = 9  // the pinned key handed over, and peers or its own servers follow
	RowReplaced    Row = 10 // everybody has another key, which the pinned one did not sign
	RowHomeAltered Row = 11 // the home has another key, peers have the pinned one
	RowUnlogged    Row = 12 // peers vouch for a key that the log does not have
	RowForked      Row = 13 // the log contradicts itself
	RowLogStale    Row = 14 // the log stands still
	RowRevoked     Row = 15 // the pinned key was revoked
	RowUnproven    Row = 16 // a user's new key was not shown in the log of her home
	RowChallenged  Row = 17 // the owner of another key of a user's name objects to the one that is shown
)

// Sending says what may be sent to a subject, least first.
type Sending uint8

// What may be sent.
const (
	SendNothing Sending = iota // commands exit with status 4, and nothing has left
	SendPublic                 // nothing that is secret: the key is not confirmed
	SendWarned                 // all, with a warning
	SendAll
)

// A Verdict is what to do about a subject's key. Messages are received whatever it says,
// with a mark when Send is less than SendAll.
type Verdict struct {
	Row        Row
	Key        Fingerprint   // to use from now on; zero: none
	Trust      Trust         // in Key
	Send       Sending       // to whoever holds Key
	Login      bool          // certificates under Key admit to logins
	DNSAltered bool          // DNS names a key that is not Key: its operator and peers are told
	For        []Domain      // the peers that vouch for Key, ascending
	Against    []Domain      // those that vouch for another, ascending
	Passed     []Fingerprint // keys between the pinned one and Key, if the one handed over to the other
	Recheck    time.Duration // after which to judge again; 0: when evidence changes
}

// Pin is what to pin from now on instead of p, by which the verdict was reached. What only
// DNS names is not pinned, and a pin that was dropped is kept, to be known as revoked.
func (v Verdict) Pin(p Pin) Pin {
	if v.Row == RowProvisional || v.Row == RowUnproven || v.Key == (Fingerprint{}) || v.Key == p.Key {
		return p
	}
	next := Pin{Subject: p.Subject, Key: v.Key, Trust: v.Trust}
	if v.Row == RowRotated {
		next.Former = slices.Concat(p.Former, []Fingerprint{p.Key}, v.Passed)
	}
	return next
}

// Reason says in words why the verdict is what it is.
func (v Verdict) Reason() string {
	reasons := [...]string{
		RowNone:        "the evidence is not enough for a change",
		RowQuorum:      "peers and DNS agree",
		RowProvisional: "only DNS names this key so far",
		RowDNSAbsent:   "peers agree; DNS says nothing",
		RowDNSConflict: "peers agree; DNS names another key",
		RowContested:   "peers contradict each other",
		RowAgreed:      "nothing contradicts the known key",
		RowDNSAltered:  "DNS names another key; peers confirm the known one",
		RowDNSAlone:    "DNS names another key, and nobody else does",
		RowRotated:     "rolled over, as the old key had it",
		RowReplaced:    "there is a new key that the old one did not sign",
		RowHomeAltered: "its own servers show another key; peers vouch for the known one",
		RowUnlogged:    "peers vouch for a key that its log does not have",
		RowForked:      "its log contradicts itself",
		RowLogStale:    "its log stands still",
		RowRevoked:     "the key was revoked",
		RowUnproven:    "its home keeps a key log, and has not shown that this key is in it",
		RowChallenged:  "the owner of another key for that name says that this one is not hers",
	}
	return reasons[v.Row]
}

// A Step is what somebody can do next about a verdict.
type Step uint8

// The steps.
const (
	StepNone      Step = iota // nothing needs to be done
	StepWait                  // judge again after Recheck
	StepReport                // tell the domain's operator that DNS is wrong
	StepAskInWord             // ask its owner by other means, and accept the key in words
)

// Next is what to do next.
func (v Verdict) Next() Step {
	switch {
	case v.Send == SendNothing:
		return StepAskInWord
	case v.DNSAltered:
		return StepReport
	case v.Send == SendPublic:
		return StepWait
	default:
		return StepNone
	}
}
