package pki

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// allNames is every combination of what is known of a user's key, and of the verdict about her home.
func allNames(now time.Time, f func(Evidence, Verdict)) {
	k, n := judgeKeys[0], judgeKeys[1]
	for _, pin := range []Pin{{}, {Key: k, Trust: FirstSeen}, {Key: k, Trust: Verified}} {
		for _, shown := range []Fingerprint{{}, k, n} {
			for log := range allLogs(now) {
				for _, revoked := range [][]Fingerprint{nil, {k}, {n}} {
					for send := SendNothing; send <= SendAll; send++ {
						for trust := Untrusted; trust <= Verified; trust++ {
							f(Evidence{Pin: pin, Home: shown, Log: log, Revoked: revoked}, Verdict{Row: RowAgreed, Key: judgeKeys[2], Send: send, Trust: trust})
						}
					}
				}
			}
		}
	}
}

// nameLine is a line of the table in docs/spec/pki.md, "Names".
type nameLine struct{ pin, card, log, key, send string }

func nameLines(t *testing.T) (lines []nameLine) {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile("../docs/spec/pki.md"))
	_, section, ok := strings.Cut(string(text), "### Names")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.Contains(line, "| send |") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		lines = append(lines, nameLine{cells[0], cells[1], cells[2], cells[3], cells[4]})
	}
	if !ok || len(lines) == 0 {
		t.Fatal("docs/spec/pki.md has no table of names")
	}
	return lines
}

// fits tells whether a line is about such evidence.
func (l nameLine) fits(e Evidence, now time.Time) bool {
	pin, shown := e.Pin.Key, e.Home
	if slices.Contains(e.Revoked, shown) {
		shown = Fingerprint{}
	}
	pinned := pin != Fingerprint{} && !slices.Contains(e.Revoked, pin)
	has := e.Log.State == LogCurrent && e.Log.Newest == shown
	logged := map[bool]string{true: "N", false: "other"}[has || e.Log.State == NoLog && !pinned]
	if e.Log.State == LogForked {
		logged = "fork"
	}
	if l.pin != "-" && l.card == "N" { // another key than the pinned one
		ripe := has && !e.Log.Challenged && now.Sub(e.Log.Since) >= LogPatience
		return pinned && shown != pin && shown != (Fingerprint{}) && has &&
			(l.pin == "K" || e.Pin.Trust < Verified) && (l.log == "N" || ripe)
	}
	is := func(cell, value string) bool { return cell == "*" || slices.Contains(strings.Split(cell, "/"), value) }
	card := "N"
	if shown == (Fingerprint{}) {
		card = "-"
	}
	return is(l.pin, map[bool]string{true: "-", false: "K"}[pin == Fingerprint{}]) && is(l.card, card) && is(l.log, logged)
}

// The code and the table of the specification say the same of every user.
func TestJudgeNameIsTheTable(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	lines := nameLines(t)
	used := make([]int, len(lines))
	allNames(now, func(e Evidence, home Verdict) {
		i := slices.IndexFunc(lines, func(l nameLine) bool { return l.fits(e, now) })
		if i < 0 {
			t.Fatalf("no line fits %+v", e)
		}
		used[i]++
		got, want := JudgeName(e, home, now), Judge(e, now)
		switch lines[i].send {
		case "section 10":
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%+v, want %+v: %+v", got, want, e)
			}
		case "all, if home's is":
			follows := Verdict{Row: RowReplaced, Key: e.Home, Trust: FirstSeen, Send: SendAll, Login: true}
			if home.Send < SendAll || home.Trust == Untrusted {
				follows.Key, follows.Trust, follows.Send, follows.Recheck = want.Key, want.Trust, SendNothing, RecheckPlain
			}
			if fmt.Sprint(got) != fmt.Sprint(follows) {
				t.Fatalf("%+v, want %+v: %+v", got, follows, e)
			}
		case "home's":
			if got.Key != e.Home || got.Send != home.Send || got.Row != home.Row || got.Trust != min(home.Trust, FirstSeen) {
				t.Fatalf("%+v of %+v by %+v", got, e, home)
			}
		case "home's, public at most":
			if got.Key != e.Home || got.Send != min(home.Send, SendPublic) || got.Trust > min(home.Trust, FirstSeen) {
				t.Fatalf("%+v of %+v by %+v", got, e, home)
			}
		case "nothing":
			if lines[i].key == "K" && got.Key == e.Pin.Key && got.Send == SendNothing && got.Row == RowReplaced {
				break
			}
			if got.Key != (Fingerprint{}) || got.Send != SendNothing {
				t.Fatalf("%+v of %+v", got, e)
			}
		default:
			t.Fatalf("the cell %q", lines[i].send)
		}
	})
	for i, n := range used {
		if n == 0 {
			t.Errorf("the line %+v is never reached", lines[i])
		}
	}
}

// A key that is not in the log is never better off than one that is, whoever has it; and a pinned key
// needs no log.
func TestLogMakesNoKeyWorse(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	allNames(now, func(e Evidence, home Verdict) {
		if e.Home.IsZero() || e.Log.shows(e.Home) || e.Log.State == LogForked {
			return
		}
		in := e
		in.Log = LogEvidence{State: LogCurrent, Newest: e.Home, Since: now}
		got, better := JudgeName(e, home, now), JudgeName(in, home, now)
		if worth(got, e.Home) > worth(better, e.Home) || got.Key == e.Home && got.Trust > better.Trust {
			t.Fatalf("%+v, and %+v in the log: %+v", got, better, e)
		}
		if e.Home == e.Pin.Key && e.Log.State != LogCurrent && !slices.Contains(e.Revoked, e.Home) && got.Send != SendAll {
			t.Fatalf("a pinned key is held for its log: %+v: %+v", got, e)
		}
	})
}

// What nobody but a home says of its user's key, and its log does not, is not pinned.
func TestUnprovenIsNotPinned(t *testing.T) {
	e := Evidence{Home: judgeKeys[0], Log: LogEvidence{State: LogMissing}}
	v := JudgeName(e, Verdict{Row: RowAgreed, Send: SendAll, Trust: Vouched}, time.Time{})
	if v.Row != RowUnproven || v.Send != SendPublic || v.Recheck == 0 || v.Pin(e.Pin).Key != (Fingerprint{}) || v.Reason() == "" || v.Next() != StepWait {
		t.Errorf("%+v", v)
	}
}

// A user's key gives way to none but one that others have seen in the log for 72 h, while nobody objects;
// and never if it was verified, or ended.
func TestOnlyTimeReplacesAName(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	allNames(now, func(e Evidence, home Verdict) {
		v := JudgeName(e, home, now)
		if e.Pin.Key.IsZero() || v.Key == e.Pin.Key || v.Key.IsZero() {
			return
		}
		l := e.Log
		if l.State != LogCurrent || l.Newest != v.Key || l.Challenged || now.Sub(l.Since) < LogPatience || e.Pin.Trust == Verified ||
			slices.Contains(e.Revoked, v.Key) || slices.Contains(e.Revoked, e.Pin.Key) || home.Send < SendAll {
			t.Fatalf("%+v of %+v by %+v", v, e, home)
		}
		after := e
		after.Pin = v.Pin(e.Pin)
		if again := JudgeName(after, home, now); again.Key != v.Key || again.Send != v.Send || again.Trust != v.Trust || again.Login != v.Login {
			t.Fatalf("judged again: %+v, before %+v", again, v)
		}
		for _, less := range []LogEvidence{
			{State: LogCurrent, Newest: l.Newest, Since: now.Add(-LogPatience + time.Nanosecond)},
			{State: LogCurrent, Newest: l.Newest, Since: l.Since, Challenged: true},
			{State: LogCurrent, Newest: l.Newest}, // nobody but the home has seen it there
			{State: LogStale}, {State: LogMissing}, {},
		} {
			e.Log = less
			if v := JudgeName(e, home, now); v.Key != e.Pin.Key || v.Send != SendNothing {
				t.Fatalf("%+v by %+v", v, less)
			}
		}
	})
}
