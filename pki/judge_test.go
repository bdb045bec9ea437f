package pki

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The keys of the exhaustive tests. The first is the pinned one.
var judgeKeys = []Fingerprint{{'K'}, {'N'}, {'X'}}

const judgeQuorum = 2

func judgeDomain(t testing.TB, i int) Domain {
	t.Helper()
	d, err := ParseDomain(fmt.Sprintf("p%d.test", i))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// allEvidence is every combination of what the sources can say of three keys.
func allEvidence(t testing.TB, now time.Time) iter.Seq[Evidence] {
	peers := make([]Domain, 6)
	for i := range peers {
		peers[i] = judgeDomain(t, i)
	}
	var pins []Pin
	pins = append(pins, Pin{})
	for trust := FirstSeen; trust <= Verified; trust++ {
		pins = append(pins, Pin{Key: judgeKeys[0], Trust: trust})
	}
	stated := append([]Fingerprint{{}}, judgeKeys...)
	return func(yield func(Evidence) bool) {
		for _, pin := range pins {
			for _, dns := range stated {
				for _, home := range stated {
					for _, heir := range stated[:3] {
						for _, revoked := range [][]Fingerprint{nil, judgeKeys[:1], judgeKeys[1:2]} {
							for log := range allLogs(now) {
								for vouches := range allVouches(peers) {
									e := Evidence{
										Pin: pin, DNS: DNSEvidence{Key: dns}, Home: home, Vouches: vouches,
										Quorum: judgeQuorum, Log: log, Rotation: heir, Revoked: revoked,
									}
									if !yield(e) {
										return
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

func allLogs(now time.Time) iter.Seq[LogEvidence] {
	logs := []LogEvidence{{State: NoLog}, {State: LogAway}, {State: LogStale}, {State: LogForked}, {State: LogMissing}}
	for _, k := range judgeKeys {
		for _, since := range []time.Duration{0, LogPatience} {
			logs = append(logs, LogEvidence{State: LogCurrent, Newest: k, Since: now.Add(-since)})
		}
	}
	logs = append(logs, LogEvidence{State: LogCurrent, Newest: judgeKeys[1], Since: now.Add(-LogPatience), Challenged: true})
	return slices.Values(logs)
}

// allVouches is how many peers, up to a quorum, vouch for each key.
func allVouches(peers []Domain) iter.Seq[[]Vouch] {
	return func(yield func([]Vouch) bool) {
		for n := range 18 { // 3 x 3 x 2
			counts := []int{n % 3, n / 3 % 3, 2 * (n / 9)}
			var vouches []Vouch
			for i, count := range counts {
				for range count {
					vouches = append(vouches, Vouch{peers[len(vouches)], judgeKeys[i]})
				}
			}
			if !yield(vouches) {
				return
			}
		}
	}
}

// A judgeLine is a line of the table in docs/spec/pki.md.
type judgeLine struct {
	pin, dns, home, peers, log, heir string
	row                              string
	key, send                        string
}

// An assignment is what the letters of a line stand for.
type assignment struct {
	k, n    Fingerprint
	e       Evidence
	revoked bool // the pin
	heir    Fingerprint
	backed  []Fingerprint
}

func judgeLines(t *testing.T) (lines []judgeLine) {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile("../docs/spec/pki.md"))
	_, section, ok := strings.Cut(string(text), "## 10. Judgement")
	if !ok {
		t.Fatal("docs/spec/pki.md has no section 10. Judgement")
	}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		if len(cells) != 9 || strings.Contains(line, "---") || strings.Contains(line, "| row |") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		lines = append(lines, judgeLine{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7], cells[8]})
	}
	return lines
}

// The code and the table of the specification say the same of every evidence.
func TestJudgeIsTheTable(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	lines := judgeLines(t)
	used := make([]int, len(lines))
	total := 0
	for e := range allEvidence(t, now) {
		total++
		v := Judge(e, now)
		i, a, ok := firstLine(lines, e, now)
		if !ok {
			t.Fatalf("no line fits %+v", e)
		}
		used[i]++
		if got, want := fmt.Sprint(v.Row), lines[i].row; got != want {
			t.Fatalf("row %s, want %s by %+v: %+v", got, want, lines[i], e)
		}
		if want := a.stands(lines[i].key); v.Key != want {
			t.Fatalf("key %v, want %v by %+v: %+v", v.Key, want, lines[i], e)
		}
		if want := a.sending(lines[i].send, v.Key); v.Send != want {
			t.Fatalf("send %v, want %v by %+v: %+v", v.Send, want, lines[i], e)
		}
	}
	for i, n := range used {
		if n == 0 {
			t.Errorf("the line %+v is never reached", lines[i])
		}
	}
	t.Logf("%d combinations, %d lines", total, len(lines))
}

func firstLine(lines []judgeLine, e Evidence, now time.Time) (int, assignment, bool) {
	for i, line := range lines {
		for _, k := range judgeKeys {
			for _, n := range judgeKeys {
				if a := assign(e, k, n); n != k && a.fits(line, now) {
					return i, a, true
				}
			}
		}
	}
	return 0, assignment{}, false
}

// assign takes out what revoked keys say.
func assign(e Evidence, k, n Fingerprint) assignment {
	a := assignment{k: k, n: n}
	without := func(key *Fingerprint) {
		if slices.Contains(e.Revoked, *key) {
			*key = Fingerprint{}
		}
	}
	pinned := e.Pin.Key != Fingerprint{}
	without(&e.Pin.Key)
	a.revoked = pinned && e.Pin.Key == Fingerprint{}
	for _, key := range []*Fingerprint{&e.DNS.Key, &e.Home, &e.Rotation, &e.Log.Newest} {
		without(key)
	}
	a.heir = e.Rotation
	if !pinned {
		a.heir = Fingerprint{}
	}
	for _, key := range judgeKeys {
		count := 0
		for _, v := range e.Vouches {
			if v.Key == key && !slices.Contains(e.Revoked, key) {
				count++
			}
		}
		if count >= judgeQuorum {
			a.backed = append(a.backed, key)
		}
	}
	a.e = e
	return a
}

func (a assignment) fits(l judgeLine, now time.Time) bool {
	return a.fitsPin(l.pin) && a.says(l.dns, a.e.DNS.Key) && a.says(l.home, a.e.Home) && a.fitsPeers(l.peers) &&
		a.fitsLog(l.log, now) && a.says(l.heir, a.heir)
}

func (a assignment) fitsPin(cell string) bool {
	switch cell {
	case "revoked":
		return a.revoked
	case "-":
		return !a.revoked && a.e.Pin.Key == Fingerprint{}
	case "K":
		return !a.revoked && a.e.Pin.Key == a.k
	case "K unverified":
		return !a.revoked && a.e.Pin.Key == a.k && a.e.Pin.Trust < Verified
	}
	panic("pin " + cell)
}

// says reports whether a source that states key fits a cell.
func (a assignment) says(cell string, key Fingerprint) bool {
	if not, ok := strings.CutPrefix(cell, "not "); ok {
		return !a.says(not, key)
	}
	return slices.ContainsFunc(strings.Split(cell, "/"), func(symbol string) bool {
		switch symbol {
		case "*":
			return true
		case "-":
			return key == Fingerprint{}
		case "x":
			return key != Fingerprint{} && key != a.k && key != a.heir
		case "K":
			return key == a.k
		case "N":
			return key == a.n
		}
		panic("symbol " + symbol)
	})
}

func (a assignment) fitsPeers(cell string) bool {
	return slices.ContainsFunc(strings.Split(cell, "/"), func(choice string) bool {
		if choice == "*" {
			return true
		}
		if choice == "-" {
			return len(a.backed) == 0
		}
		choice, open := strings.CutSuffix(choice, "+")
		symbols := strings.Split(choice, ", ")
		for _, symbol := range symbols {
			if !slices.ContainsFunc(a.backed, func(key Fingerprint) bool { return a.says(symbol, key) }) {
				return false
			}
		}
		return open || len(a.backed) == len(symbols)
	})
}

func (a assignment) fitsLog(cell string, now time.Time) bool {
	if cell == "not N" {
		return a.e.Log.State != NoLog && !(a.e.Log.State == LogCurrent && a.e.Log.Newest == a.n)
	}
	return slices.ContainsFunc(strings.Split(cell, "/"), func(symbol string) bool {
		state := a.e.Log.State
		switch symbol {
		case "*":
			return true
		case "none":
			return state == NoLog
		case "-":
			return state == LogAway || state == LogMissing || state == LogCurrent && a.e.Log.Newest == Fingerprint{}
		case "stale":
			return state == LogStale
		case "fork":
			return state == LogForked
		case "N ripe":
			return state == LogCurrent && a.e.Log.Newest == a.n && !a.e.Log.Challenged && now.Sub(a.e.Log.Since) >= LogPatience
		}
		return state == LogCurrent && a.says(symbol, a.e.Log.Newest)
	})
}

// stands is the key that a letter stands for.
func (a assignment) stands(letter string) Fingerprint {
	return map[string]Fingerprint{"K": a.k, "N": a.n}[letter]
}

func (a assignment) sending(cell string, key Fingerprint) Sending {
	contradicted := a.says("x", a.e.Home) || a.fitsPeers("x+") ||
		a.e.Log.State == LogCurrent && a.says("x", a.e.Log.Newest)
	dns := a.e.DNS.Key
	altered := dns != Fingerprint{} && dns != key && dns != a.e.Pin.Key && dns != a.heir
	switch cell {
	case "nothing":
		return SendNothing
	case "public":
		return SendPublic
	case "held", "held, warned":
		if contradicted {
			return SendNothing
		}
	}
	if altered || cell == "held, warned" {
		return SendWarned
	}
	return SendAll
}

// The laws, over every combination.
func TestJudgeLaws(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for e := range allEvidence(t, now) {
		v := Judge(e, now)
		a := assign(e, judgeKeys[0], judgeKeys[1])
		pinned := a.e.Pin.Key != Fingerprint{}
		if v.Key != (Fingerprint{}) && slices.Contains(e.Revoked, v.Key) {
			t.Fatalf("a revoked key is used: %+v %+v", v, e)
		}
		if (v.Send > SendNothing || v.Login) && v.Key == (Fingerprint{}) {
			t.Fatalf("no key, and something may be sent: %+v %+v", v, e)
		}
		inherited := v.Key == a.heir && v.Key == a.e.Home
		if pinned && v.Key != a.e.Pin.Key && !slices.Contains(a.backed, v.Key) && !inherited {
			t.Fatalf("a pin gave way without a quorum, and not to its heir at home: %+v %+v", v, e)
		}
		if a.e.Pin.Trust == Verified && pinned && v.Key != a.e.Pin.Key && v.Key != a.heir {
			t.Fatalf("a verified pin gave way: %+v %+v", v, e)
		}
		if pinned && quiet(a) && (v.Send < SendAll || v.Key != a.e.Pin.Key) {
			t.Fatalf("absence counted as disagreement: %+v %+v", v, e)
		}
		dnsAloneChangesNothing(t, e, v, now)
		staysWhatItIs(t, e, v, now)
	}
}

// A verdict that was followed is reached again by the same evidence.
func staysWhatItIs(t *testing.T, e Evidence, v Verdict, now time.Time) {
	t.Helper()
	again := e
	again.Pin = v.Pin(e.Pin)
	if again.Pin.Key != e.Pin.Key {
		again.Rotation = Fingerprint{} // it was the old key's
	}
	w := Judge(again, now)
	if w.Key != v.Key || w.Trust != v.Trust || w.Send != v.Send || w.Login != v.Login {
		t.Fatalf("judged again: %+v, before %+v, of %+v", w, v, e)
	}
}

// quiet reports whether nobody states another key than the pinned one.
func quiet(a assignment) bool {
	k := a.e.Pin.Key
	for _, stated := range append([]Fingerprint{a.e.DNS.Key, a.e.Home}, a.backed...) {
		if !silentOr(stated, k) {
			return false
		}
	}
	return a.e.Log.State != LogForked && (a.e.Log.State != LogCurrent || silentOr(a.e.Log.Newest, k))
}

// DNS alone: what a pinned subject's evidence leads to without DNS is neither replaced nor
// stopped by what DNS says, unless all others already stand behind that.
func dnsAloneChangesNothing(t *testing.T, e Evidence, v Verdict, now time.Time) {
	t.Helper()
	without := e
	without.DNS = DNSEvidence{}
	before := Judge(without, now)
	if e.Pin.Key == (Fingerprint{}) || slices.Contains(e.Revoked, e.Pin.Key) {
		return
	}
	if before.Send > SendNothing && v.Send == SendNothing {
		t.Fatalf("DNS stopped a message: %+v, before %+v, %+v", v, before, e)
	}
	if a := assign(e, judgeKeys[0], judgeKeys[1]); v.Key != before.Key && !slices.Contains(a.backed, v.Key) {
		t.Fatalf("DNS replaced a pin: %+v, before %+v, %+v", v, before, e)
	}
}

// One word more for a key never lowers the trust in it.
func TestJudgeIsMonotonous(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	extra := []Domain{judgeDomain(t, 90), judgeDomain(t, 91)}
	for e := range allEvidence(t, now) {
		before := Judge(e, now)
		for _, k := range judgeKeys[:2] {
			for name, more := range wordsFor(e, k, extra, now) {
				if after := Judge(more, now); worth(after, k) < worth(before, k) {
					t.Fatalf("%s lowered the trust in %q: %+v, then %+v; of %+v", name, k[0], before, after, e)
				}
			}
		}
	}
}

// wordsFor is e with one source more, of those that say nothing yet, that states k.
func wordsFor(e Evidence, k Fingerprint, extra []Domain, now time.Time) map[string]Evidence {
	all := make(map[string]Evidence)
	if e.DNS.Key == (Fingerprint{}) {
		more := e
		more.DNS.Key = k
		all["DNS"] = more
	}
	if e.Home == (Fingerprint{}) {
		more := e
		more.Home = k
		all["home"] = more
	}
	if e.Log.State == LogAway || e.Log.State == LogMissing || e.Log.State == LogStale {
		more := e
		more.Log = LogEvidence{State: LogCurrent, Newest: k, Since: now}
		all["log"] = more
	}
	for n := range extra {
		more := e
		more.Vouches = slices.Clone(e.Vouches)
		for _, peer := range extra[:n+1] {
			more.Vouches = append(more.Vouches, Vouch{peer, k})
		}
		all[fmt.Sprint(n+1, " peers")] = more
	}
	return all
}

// worth is how far k is trusted: whether it may be written to, and whether it stands.
func worth(v Verdict, k Fingerprint) int {
	if v.Key != k {
		return 0
	}
	return 1 + int(v.Send)
}
