package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/pki"
)

// inLog says in a few words what is wrong with the place of a key in the log of its home; "" if nothing is.
func inLog(l *agent.LogReport) string {
	switch {
	case l == nil || l.State == "none" || l.State == "current":
		return ""
	case l.State == "stale":
		return "its log stands still"
	case l.State == "forked":
		return "its log contradicts itself"
	case l.Entry > 0:
		return "too few have seen it in its log"
	}
	return "not shown in its log"
}

// whyLog says where the key is in the log of its home, who has seen it there, and what that means:
//
//	log of b.test: the key is entry 12 of 40, since 3 Oct; cosigned by c.test, d.test, the last 2 h ago
//	  (2 of 3 servers that you know to watch it; 2 are enough)
//	  bob's server shows everybody the same: a key that is not bob's would be found there.
func whyLog(l *agent.LogReport) string {
	if l == nil {
		return ""
	}
	if l.State == "none" {
		return fmt.Sprintf("log of %s: it keeps none\n  A key that it showed to you alone would not be found there.\n", l.Domain)
	}
	lines := []string{fmt.Sprintf("log of %s: %s", l.Domain, placeIn(l))}
	if l.Entry > 0 {
		lines = append(lines, "  ("+watchedBy(l)+")")
	}
	return strings.Join(append(lines, "  "+meaning(l)), "\n") + "\n"
}

// placeIn is the place of the key, and who has cosigned.
func placeIn(l *agent.LogReport) string {
	switch {
	case l.Dropped:
		return "it kept one, and shows none now"
	case l.Refuted:
		return "what it showed as a proof does not hold"
	case l.Entry == 0:
		return "it has not shown that the key is in it"
	}
	text := fmt.Sprintf("the key is entry %d of %d, since %s", l.Entry, l.Entries, day(l.Since))
	if len(l.Cosigned) > 0 {
		text += fmt.Sprintf("; cosigned by %s, the last %s ago", pki.JoinDomains(l.Cosigned, ", "), age(time.Since(l.Head)))
	}
	return text
}

func watchedBy(l *agent.LogReport) string {
	switch n := len(l.Watchers); {
	case n == 0:
		return "no server that you know watches it"
	case l.Wanted == 0:
		return fmt.Sprintf("%d of %d server that you know to watch it; that is too few to ask for", len(l.Cosigned), n)
	default:
		enough := "1 is enough"
		if l.Wanted > 1 {
			enough = fmt.Sprintf("%d are enough", l.Wanted)
		}
		return fmt.Sprintf("%d of %d servers that you know to watch it; %s, if not older than 7 days", len(l.Cosigned), n, enough)
	}
}

// meaning is what a place in the log, or the lack of one, means for whoever writes.
func meaning(l *agent.LogReport) string {
	switch {
	case !l.Ripe.IsZero():
		return "It is not the known key. It takes the place of that at a look-up after " + l.Ripe.UTC().Format("2 Jan 15:04 UTC") + ", if the owner of the known key does not object."
	case l.State == "current" && len(l.Cosigned) == 0:
		return "Everybody who reads that log sees the key; but to you it may show another one than to the rest."
	case l.State == "current":
		return "It shows everybody the same: a key that is not its owner's would be found there."
	case l.Known:
		return "You know the key from before, so that stops nothing. A new one would not be taken."
	}
	return "You have not known the key before: nothing is sent before it is shown there, or its owner has told you its words."
}

// age is a time that has passed, in its greatest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than 1 min"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
