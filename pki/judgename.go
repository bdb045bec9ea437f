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
// needs no log: that a proof is absent is no disagreement. It gives way, if nobody has verified it, to
// another that stands in the log for [LogPatience] while nobody objects, and while nobody has anything
// against the home: row 10 without DNS and peers, who know no users.
//
// The table is docs/spec/pki.md, "Names".
func JudgeName(e Evidence, home Verdict, now time.Time) Verdict {
	v := Judge(e, now)
	if v.Row == RowNone && e.supersedes() {
		return e.superseded(v, home, now)
	}
	if v.Row != RowNone || !e.Pin.Key.IsZero() || e.Home.IsZero() || slices.Contains(e.Revoked, e.Home) {
		return v
	}
	v.Row, v.Key, v.Trust, v.Send = home.Row, e.Home, min(home.Trust, FirstSeen), home.Send
	if !e.Log.shows(e.Home) && v.Send > SendPublic {
		v.Row, v.Trust, v.Send, v.Recheck = RowUnproven, Untrusted, SendPublic, RecheckPlain
	}
	return v
}

// supersedes reports whether a user's card and the log of her home have one other key than the pinned.
func (e Evidence) supersedes() bool {
	old := e.Home == e.Pin.Key || slices.Contains(slices.Concat(e.Pin.Former, e.Passed), e.Home) || slices.Contains(e.Revoked, e.Home)
	return !e.Pin.Key.IsZero() && !e.Home.IsZero() && !old && e.Log.State == LogCurrent && e.Log.Newest == e.Home
}

// superseded is row 10 of a user: v keeps her pin, until the other key is ripe.
func (e Evidence) superseded(v, home Verdict, now time.Time) Verdict {
	v.Row, v.Recheck = RowReplaced, RecheckPlain
	if e.Log.ripe(now) && e.Pin.Trust < Verified && home.Send == SendAll && home.Trust > Untrusted {
		v.Key, v.Trust, v.Send, v.Recheck = e.Home, FirstSeen, SendAll, 0
	}
	return v
}

// shows reports whether a log that there is has a key as its newest.
func (l LogEvidence) shows(k Fingerprint) bool {
	return l.State == NoLog || l.State == LogCurrent && l.Newest == k
}
