package pki

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// What people are told, a case for each row of the table.
func TestJudgeRows(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	k, n := judgeKeys[0], judgeKeys[1]
	pin := Pin{Key: k, Trust: Vouched}
	two := func(key Fingerprint) []Vouch {
		return []Vouch{{judgeDomain(t, 1), key}, {judgeDomain(t, 2), key}}
	}
	four := append(two(k), Vouch{judgeDomain(t, 3), n}, Vouch{judgeDomain(t, 4), n})
	logged := func(key Fingerprint, ago time.Duration) LogEvidence {
		return LogEvidence{State: LogCurrent, Newest: key, Since: now.Add(-ago)}
	}
	dns := func(key Fingerprint) DNSEvidence { return DNSEvidence{Key: key} }
	for _, c := range []struct {
		name string
		e    Evidence
		row  Row
		key  Fingerprint
		send Sending
		next Step
	}{
		{"nothing is known", Evidence{}, RowNone, Fingerprint{}, SendNothing, StepAskInWord},
		{"all agree on a new key", Evidence{DNS: dns(k), Vouches: two(k), Log: logged(k, 0)}, RowQuorum, k, SendAll, StepNone},
		{"DNS alone", Evidence{DNS: dns(k)}, RowProvisional, k, SendPublic, StepWait},
		{"DNS is blocked", Evidence{Vouches: two(k), Log: logged(k, 0)}, RowDNSAbsent, k, SendAll, StepNone},
		{"DNS lies about a new one", Evidence{DNS: dns(n), Vouches: two(k)}, RowDNSConflict, k, SendWarned, StepReport},
		{"two quorums", Evidence{DNS: dns(k), Vouches: four}, RowContested, Fingerprint{}, SendNothing, StepAskInWord},
		{"home and DNS are down", Evidence{Pin: pin, Vouches: two(k)}, RowAgreed, k, SendAll, StepNone},
		{"everything is down", Evidence{Pin: pin}, RowAgreed, k, SendAll, StepNone},
		{"DNS was hijacked", Evidence{Pin: pin, DNS: dns(n), Vouches: two(k)}, RowDNSAltered, k, SendWarned, StepReport},
		{"DNS was hijacked, peers are away", Evidence{Pin: pin, DNS: dns(n)}, RowDNSAlone, k, SendWarned, StepReport},
		{"a hand-over", Evidence{Pin: pin, DNS: dns(n), Home: n, Vouches: two(n), Rotation: n}, RowRotated, n, SendAll, StepNone},
		{"a hand-over begins: the home first", Evidence{Pin: pin, Home: n, Vouches: two(k), Rotation: n}, RowRotated, n, SendAll, StepNone},
		{"a hand-over begins: the home and DNS", Evidence{Pin: pin, DNS: dns(n), Home: n, Vouches: two(k), Rotation: n}, RowRotated, n, SendAll, StepNone},
		{"a hand-over begins: DNS first", Evidence{Pin: pin, DNS: dns(n), Home: k, Vouches: two(k), Rotation: n}, RowAgreed, k, SendAll, StepNone},
		{"a hand-over is known and not shown", Evidence{Pin: pin, Vouches: two(k), Rotation: n}, RowAgreed, k, SendAll, StepNone},
		{"a hand-over shown while peers have a third key", Evidence{Pin: pin, Home: n, Vouches: two(judgeKeys[2]), Rotation: n}, RowNone, k, SendNothing, StepAskInWord},
		{"a hand-over that its log does not have", Evidence{Pin: pin, Home: n, Vouches: two(k), Rotation: n, Log: logged(k, 0)}, RowAgreed, k, SendAll, StepNone},
		{"two hand-overs, of which DNS and peers have the first", Evidence{Pin: pin, DNS: dns(judgeKeys[2]), Home: n, Vouches: two(judgeKeys[2]), Rotation: n, Passed: judgeKeys[2:]}, RowRotated, n, SendAll, StepNone},
		{"two hand-overs, all have the first", Evidence{Pin: pin, DNS: dns(judgeKeys[2]), Home: judgeKeys[2], Vouches: two(judgeKeys[2]), Rotation: n, Passed: judgeKeys[2:]}, RowAgreed, k, SendAll, StepNone},
		{"a change without a signature", Evidence{Pin: pin, DNS: dns(n), Home: n, Vouches: two(n)}, RowReplaced, k, SendNothing, StepAskInWord},
		{"such a change after its time", Evidence{Pin: pin, DNS: dns(n), Vouches: two(n), Log: logged(n, LogPatience)}, RowReplaced, n, SendAll, StepNone},
		{"the home was taken", Evidence{Pin: pin, DNS: dns(n), Home: n, Vouches: two(k)}, RowHomeAltered, k, SendNothing, StepAskInWord},
		{"peers vouch for what was not logged", Evidence{Pin: pin, Vouches: two(n), Log: logged(k, 0)}, RowUnlogged, k, SendNothing, StepAskInWord},
		{"a home lags behind its hand-over", Evidence{Pin: Pin{Key: k, Trust: Verified, Former: []Fingerprint{n}}, DNS: dns(n), Home: n}, RowAgreed, k, SendAll, StepNone},
		{"the log forks", Evidence{Pin: pin, Log: LogEvidence{State: LogForked}}, RowForked, k, SendWarned, StepNone},
		{"the log stands still", Evidence{Pin: pin, DNS: dns(k), Log: LogEvidence{State: LogStale}}, RowLogStale, k, SendAll, StepNone},
		{"the key was revoked", Evidence{Pin: pin, DNS: dns(k), Vouches: two(k), Revoked: judgeKeys[:1]}, RowRevoked, Fingerprint{}, SendNothing, StepAskInWord},
	} {
		c.e.Quorum = judgeQuorum
		v := Judge(c.e, now)
		if v.Row != c.row || v.Key != c.key || v.Send != c.send || v.Next() != c.next || v.Reason() == "" {
			t.Errorf("%s: row %d, key %q, send %d, next %d, %q", c.name, v.Row, v.Key[0], v.Send, v.Next(), v.Reason())
		}
	}
}

// A peer counts once, not at all if it says two things, and a domain never for itself.
func TestJudgeCountsPeers(t *testing.T) {
	k, n := judgeKeys[0], judgeKeys[1]
	own, a, b := judgeDomain(t, 0), judgeDomain(t, 1), judgeDomain(t, 2)
	for name, vouches := range map[string][]Vouch{
		"one peer, twice":          {{a, k}, {a, k}},
		"the domain itself":        {{a, k}, {own, k}},
		"a peer that says two":     {{a, k}, {b, k}, {b, n}},
		"a revoked key does not":   {{a, judgeKeys[2]}, {b, judgeKeys[2]}},
		"nobody, and q is nothing": nil,
	} {
		e := Evidence{Domain: own, Vouches: vouches, Quorum: judgeQuorum, Revoked: judgeKeys[2:]}
		if vouches == nil {
			e.Quorum = 0
		}
		if v := Judge(e, time.Time{}); v.Row != RowNone || v.Key != (Fingerprint{}) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	v := Judge(Evidence{Domain: own, Vouches: []Vouch{{b, k}, {a, k}, {judgeDomain(t, 3), n}}, Quorum: 2}, time.Time{})
	if fmt.Sprint(v.For) != "[p1.test p2.test]" || fmt.Sprint(v.Against) != "[p3.test]" || v.Trust != Vouched {
		t.Errorf("for %v, against %v, %v", v.For, v.Against, v.Trust)
	}
}

// The keys between the pinned one and its heir say nothing, whoever states them.
func TestJudgePassesOverTheLine(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	passed, count := judgeKeys[2], 0
	silent := func(k Fingerprint) Fingerprint {
		if k == passed {
			return Fingerprint{}
		}
		return k
	}
	for e := range allEvidence(t, now) {
		if count++; count%7 != 0 || e.Pin.Key.IsZero() { // a seventh will do
			continue
		}
		without := e
		without.DNS.Key, without.Home, without.Log.Newest = silent(e.DNS.Key), silent(e.Home), silent(e.Log.Newest)
		without.Vouches = slices.DeleteFunc(slices.Clone(e.Vouches), func(v Vouch) bool { return v.Key == passed })
		want := Judge(without, now)
		e.Passed = judgeKeys[2:]
		got := Judge(e, now)
		if got.Row != want.Row || got.Key != want.Key || got.Send != want.Send || got.Trust != want.Trust || got.DNSAltered != want.DNSAltered {
			t.Fatalf("%+v, want %+v: %+v", got, want, e)
		}
		if (got.Row == RowRotated) != (len(got.Passed) == 1) {
			t.Fatalf("row %d has passed %v", got.Row, got.Passed)
		}
	}
}

// DNSSEC shortens the wait, and does nothing more.
func TestJudgeDNSSEC(t *testing.T) {
	plain := Judge(Evidence{DNS: DNSEvidence{Key: judgeKeys[0]}}, time.Time{})
	secure := Judge(Evidence{DNS: DNSEvidence{Key: judgeKeys[0], Secure: true}}, time.Time{})
	if plain.Recheck != RecheckPlain || secure.Recheck != RecheckSecure {
		t.Errorf("judged again after %v and %v", plain.Recheck, secure.Recheck)
	}
	secure.Recheck = plain.Recheck
	if fmt.Sprint(plain) != fmt.Sprint(secure) {
		t.Errorf("%+v, with DNSSEC %+v", plain, secure)
	}
}

// A pinned domain whose DNS record was altered while its home is down.
func ExampleJudge() {
	peer := func(text string) Domain { d, _ := ParseDomain(text); return d }
	known, shown := Fingerprint{1}, Fingerprint{2}
	v := Judge(Evidence{
		Domain:  peer("b.test"),
		Pin:     Pin{Subject: "b.test", Key: known, Trust: Vouched},
		DNS:     DNSEvidence{Key: shown},
		Vouches: []Vouch{{peer("a.test"), known}, {peer("c.test"), known}},
		Quorum:  2,
	}, time.Unix(1_800_000_000, 0))
	fmt.Println(v.Reason(), v.For, v.Key == known, v.Send == SendWarned)
	// Output: DNS names another key; peers confirm the known one [a.test c.test] true true
}
