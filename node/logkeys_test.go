package node

import (
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// The newest key counts, and its clock begins when it comes.
func TestNewestKey(t *testing.T) {
	k, n := [32]byte{1}, [32]byte{2}
	leaf := func(kind keylog.Kind, record [32]byte) []byte { return keylog.Leaf{Kind: kind, Record: record}.Bytes() }
	since := time.Unix(1_800_000_000, 0).UTC()
	has := store.LogKey{Key: k, Since: since, Seen: since}
	for what, c := range map[string]struct {
		leaves [][]byte
		want   store.LogKey
	}{
		"nothing new":    {[][]byte{leaf(keylog.Card, n), leaf(keylog.Revocation, n), {1}}, has},
		"the same":       {[][]byte{leaf(keylog.Authority, k)}, has},
		"another":        {[][]byte{leaf(keylog.Authority, n)}, store.LogKey{Key: n}},
		"there and back": {[][]byte{leaf(keylog.Authority, n), leaf(keylog.Authority, k)}, store.LogKey{Key: k}},
	} {
		if got := newestKey(has, c.leaves); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

// The clock begins by ours, when enough have cosigned of late; what they say of the time sets nothing back.
func TestStood(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	at := func(d time.Duration) time.Time { return now.Add(d) }
	fresh := store.LogKey{Key: [32]byte{1}}
	old := store.LogKey{Key: [32]byte{1}, Since: at(-80 * time.Hour), Seen: at(-2 * time.Hour)}
	for what, c := range map[string]struct {
		is       store.LogKey
		cosigned []time.Time
		want     store.LogKey
	}{
		"nobody":                 {fresh, nil, fresh},
		"one":                    {fresh, []time.Time{now}, fresh},
		"two":                    {fresh, []time.Time{at(-time.Hour), at(-100 * time.Hour)}, store.LogKey{Key: fresh.Key, Since: now, Seen: now}},
		"one, and one long ago":  {fresh, []time.Time{now, at(-pki.LogFreshness - time.Second)}, fresh},
		"one, and one to come":   {fresh, []time.Time{now, at(keylog.Skew + time.Second)}, fresh},
		"two again":              {old, []time.Time{now, now}, store.LogKey{Key: old.Key, Since: old.Since, Seen: now}},
		"one again":              {old, []time.Time{now}, old},
		"two, and there is none": {store.LogKey{}, []time.Time{now, now}, store.LogKey{}},
	} {
		if got := stood(c.is, c.cosigned, 2, now); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

// A domain's new key that is in its log ripens by row 10: and not sooner, nor while the pinned key speaks,
// nor if the head has grown old.
func TestLoggedKeyRipens(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	k, n, x := pki.Fingerprint{1}, pki.Fingerprint{2}, pki.Fingerprint{3}
	c, err := pki.ParseDomain("c.test")
	must(t, err)
	long, day := now.Add(-1000*time.Hour), now.Add(-pki.LogPatience-time.Hour)
	ripe := store.LogKey{Key: n, Since: now.Add(-pki.LogPatience), Seen: now}
	early := store.LogKey{Key: n, Since: ripe.Since.Add(time.Second), Seen: now}
	stale := store.LogKey{Key: n, Since: long.Add(time.Hour), Seen: now.Add(-pki.LogFreshness - time.Second)}
	for what, test := range map[string]struct {
		k      store.LogKey
		pinned time.Time
		said   time.Time
		heir   pki.Fingerprint
		trust  pki.Trust
		want   pki.Fingerprint
	}{
		"in time":                     {ripe, long, day, pki.Fingerprint{}, pki.Vouched, n},
		"a second before":             {early, long, day, pki.Fingerprint{}, pki.Vouched, k},
		"stale":                       {stale, long, day, pki.Fingerprint{}, pki.Vouched, k},
		"pinned after":                {ripe, now.Add(-time.Hour), day, pki.Fingerprint{}, pki.Vouched, k},
		"the pinned key speaks":       {ripe, long, now.Add(-time.Hour), pki.Fingerprint{}, pki.Vouched, k},
		"it handed over to a third":   {ripe, long, day, x, pki.Vouched, k},
		"verified":                    {ripe, long, day, pki.Fingerprint{}, pki.Verified, k},
		"a third key in the log":      {store.LogKey{Key: x, Since: ripe.Since, Seen: now}, long, day, pki.Fingerprint{}, pki.Vouched, k},
		"too few have cosigned it":    {store.LogKey{Key: n}, long, day, pki.Fingerprint{}, pki.Vouched, k},
		"the pinned key in the log":   {store.LogKey{Key: k, Since: ripe.Since, Seen: now}, long, day, pki.Fingerprint{}, pki.Vouched, k},
		"no copy of the log was read": {store.LogKey{}, long, day, pki.Fingerprint{}, pki.Vouched, k},
	} {
		e := pki.Evidence{
			Pin: pki.Pin{Key: k, Trust: test.trust}, DNS: pki.DNSEvidence{Key: n}, Home: n, Quorum: 1, Vouches: []pki.Vouch{{Peer: c, Key: n}},
			Rotation: test.heir,
		}
		e.Log = loggedKey(e, test.pinned, test.k, test.said, now)
		v := pki.Judge(e, now)
		if v.Key != test.want || v.Key == k && v.Send != pki.SendNothing {
			t.Errorf("%s: %+v", what, v)
		}
	}
}

// A node reads the keys of its peers in its copies of their logs, and who has cosigned them; and a log that
// agrees adds nothing.
func TestKeysAreReadInCopies(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	m.settled("a.test", "b.test", "c.test")
	a, b := m.nodes["a.test"].node, m.nodes["b.test"].domain
	pin, _ := a.beliefs.pin(b)
	m.until("a.test to read the key in the log of b.test", func() error {
		kept, err := a.store.LogKeys(t.Context())
		must(t, err)
		if k := kept[keylog.Origin(b)]; pki.Fingerprint(k.Key) != pin.Key || k.Since.IsZero() || k.Read == 0 {
			return errors.New("it has not")
		}
		return nil
	})
	if e := a.evidence(t.Context(), b); e.Log != (pki.LogEvidence{}) {
		t.Errorf("a log that agrees adds %+v", e.Log)
	}
}
