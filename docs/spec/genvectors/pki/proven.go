package main

import (
	"time"

	"github.com/p3do/p3do/pki"
)

var (
	logWords  = []string{"none", "away", "stale", "current", "fork", "missing"} // by pki.LogState
	sendWords = []string{"nothing", "public", "warned", "all"}                  // by pki.Sending
)

// proven asks what may be sent to a user, by her pin, her card, the log of her home and what may be sent there.
func (w *world) proven() (list []vector, err error) {
	k, n := pki.Fingerprint{1}, pki.Fingerprint{2}
	for _, c := range []struct {
		comment          string
		pin, card, entry pki.Fingerprint
		log              pki.LogState
		home             pki.Sending
		ago              time.Duration // how long others have seen the entry there; 0: an hour
	}{
		{"met now, in the log", pki.Fingerprint{}, n, n, pki.LogCurrent, pki.SendAll, 0},
		{"met now, no log is kept", pki.Fingerprint{}, n, pki.Fingerprint{}, pki.NoLog, pki.SendAll, 0},
		{"met now, not shown in the log", pki.Fingerprint{}, n, pki.Fingerprint{}, pki.LogMissing, pki.SendAll, 0},
		{"met now, nobody has seen the log for a week", pki.Fingerprint{}, n, pki.Fingerprint{}, pki.LogStale, pki.SendAll, 0},
		{"met now, the log has another key", pki.Fingerprint{}, n, k, pki.LogCurrent, pki.SendAll, 0},
		{"met now, the log contradicts itself", pki.Fingerprint{}, n, pki.Fingerprint{}, pki.LogForked, pki.SendAll, 0},
		{"met now, in the log of a home that nobody confirms", pki.Fingerprint{}, n, n, pki.LogCurrent, pki.SendNothing, 0},
		{"met now, in the log of a home against which DNS speaks", pki.Fingerprint{}, n, n, pki.LogCurrent, pki.SendWarned, 0},
		{"known, not shown in the log", k, k, pki.Fingerprint{}, pki.LogMissing, pki.SendAll, 0},
		{"known, nobody has seen the log for a week", k, k, pki.Fingerprint{}, pki.LogStale, pki.SendAll, 0},
		{"known, another key in the log", k, n, n, pki.LogCurrent, pki.SendAll, 0},
		{"known, another key in the log for less than 72 h", k, n, n, pki.LogCurrent, pki.SendAll, pki.LogPatience - time.Second},
		{"known, another key in the log for 72 h", k, n, n, pki.LogCurrent, pki.SendAll, pki.LogPatience},
		{"known, another key in the log for 72 h, and DNS speaks against the home", k, n, n, pki.LogCurrent, pki.SendWarned, pki.LogPatience},
		{"known, another key, and the log was stale for 72 h", k, n, pki.Fingerprint{}, pki.LogStale, pki.SendAll, pki.LogPatience},
		{"known, another key, not shown in the log", k, n, pki.Fingerprint{}, pki.LogMissing, pki.SendAll, 0},
	} {
		e := pki.Evidence{Home: c.card, Log: pki.LogEvidence{State: c.log, Newest: c.entry, Since: now()}}
		ago := max(c.ago, time.Hour)
		in := map[string]string{"card": hexed(c.card[:]), "log": logWords[c.log], "home": sendWords[c.home], "since": unix(now()), "now": unix(now().Add(ago))}
		if !c.pin.IsZero() {
			e.Pin = pki.Pin{Key: c.pin, Trust: pki.FirstSeen}
			in["pin"] = hexed(c.pin[:])
		}
		if !c.entry.IsZero() {
			in["entry"] = hexed(c.entry[:])
		}
		verdict := pki.JudgeName(e, pki.Verdict{Row: pki.RowAgreed, Send: c.home, Trust: pki.Vouched}, now().Add(ago))
		v := vector{Kind: "logged", Comment: c.comment, Expect: "refuse", In: in}
		if verdict.Send > pki.SendNothing {
			v.Expect, v.Out = "accept", map[string]string{"key": hexed(verdict.Key[:]), "send": sendWords[verdict.Send]}
		}
		list = append(list, v)
	}
	return list, nil
}
