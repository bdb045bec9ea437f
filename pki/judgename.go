package pki

import (
	"slices"
	"time"
)

// JudgeName is [Judge] for the key of a user: e is what is known of it, with what her card shows as Home
// and its place in the log of her home as Log; home is the verdict about the domain that certified the
// card. Of a user whom nobody knows yet, nobody but her home can say anything. So what the home's verdict
// allows is allowed, and no more trust than in what was seen first; unless the home keeps a log and the
// key was not shown in it: then nothing that is secret may be sent, and it is judged again. A pinned key
// needs no log: that a proof is absent is no disagreement.
//
// The table is docs/spec/pki.md, "Names".
func JudgeName(e Evidence, home Verdict, now time.Time) Verdict {
	v := Judge(e, now)
	if v.Row != RowNone || !e.Pin.Key.IsZero() || e.Home.IsZero() || slices.Contains(e.Revoked, e.Home) {
		return v
	}
	v.Row, v.Key, v.Trust, v.Send = home.Row, e.Home, min(home.Trust, FirstSeen), home.Send
	if !e.Log.shows(e.Home) && v.Send > SendPublic {
		v.Row, v.Trust, v.Send, v.Recheck = RowUnproven, Untrusted, SendPublic, RecheckPlain
	}
	return v
}

// shows reports whether a log that there is has a key as its newest.
func (l LogEvidence) shows(k Fingerprint) bool {
	return l.State == NoLog || l.State == LogCurrent && l.Newest == k
}
