package onion_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"pgregory.net/rapid"
)

var testExpiry = testEpoch.Start().Add(7 * 24 * time.Hour)

func reparseInner(t testing.TB, in onion.Inner) onion.Inner {
	t.Helper()
	got, err := onion.ParseInner(bytes.Clone(in.Bytes()[:]))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != in.ID() {
		t.Fatal("the ID of a built inner packet is not that of its bytes")
	}
	return got
}

func TestBuildAndPeelEveryHopCount(t *testing.T) {
	for n := 1; n <= onion.InnerSlots; n++ {
		rand := newStream("inner")
		hops, keys := newRoute(t, rand, n)
		payload := rand.bytes(onion.PayloadSize)
		in, err := onion.BuildInner(rand, hops, testMailbox, testExpiry, payload)
		if err != nil {
			t.Fatal(err)
		}
		for i := range keys[:n-1] {
			peel := peelInner(t, keys[i], reparseInner(t, in))
			wantForward(t, peel, hops[i+1].Key.ID())
			wantTimes(t, peel, i)
			in = peel.Inner
		}
		peel := peelInner(t, keys[n-1], reparseInner(t, in))
		wantTimes(t, peel, n-1)
		if peel.Command != onion.Deliver || peel.Mailbox != testMailbox || !bytes.Equal(peel.Payload, payload) ||
			!peel.Inner.IsZero() || peel.Body != nil || peel.SURB != (onion.SURBID{}) {
			t.Errorf("%d hops: what was delivered is not what was sent", n)
		}
	}
}

func peelInner(t testing.TB, key *onion.ServerPrivateKey, in onion.Inner) onion.InnerPeel {
	t.Helper()
	peel, err := onion.PeelInner(key, in)
	if err != nil {
		t.Fatal(err)
	}
	return peel
}

func wantForward(t testing.TB, peel onion.InnerPeel, next onion.ServerID) {
	t.Helper()
	if peel.Command != onion.Forward || peel.Next != next || peel.Inner.IsZero() || peel.Payload != nil || peel.Body != nil ||
		peel.Mailbox != (onion.Mailbox{}) || peel.SURB != (onion.SURBID{}) {
		t.Fatalf("want a forward to %v, got command %d for %v", next, peel.Command, peel.Next)
	}
}

func wantTimes(t testing.TB, peel onion.InnerPeel, hop int) {
	t.Helper()
	if want := time.Duration(hop+1) * time.Second; peel.Delay != want || !peel.Expiry.Equal(testExpiry) {
		t.Errorf("hop %d: delay %v, expiry %v", hop, peel.Delay, peel.Expiry)
	}
}

func TestBuildInnerRefuses(t *testing.T) {
	rand := newStream("refuse")
	five, _ := newRoute(t, rand, onion.InnerSlots+1)
	payload := make([]byte, onion.PayloadSize)
	slow := []onion.InnerHop{{Key: five[0].Key, Delay: onion.MaxDelay + time.Millisecond}}
	for name, c := range map[string]struct {
		hops    []onion.InnerHop
		expiry  time.Time
		payload []byte
		want    error
	}{
		"no hops":       {nil, testExpiry, payload, onion.ErrRoute},
		"five hops":     {five, testExpiry, payload, onion.ErrRoute},
		"delay":         {slow, testExpiry, payload, onion.ErrRoute},
		"no key":        {make([]onion.InnerHop, 1), testExpiry, payload, onion.ErrKey},
		"zero time":     {five[:1], time.Time{}, payload, onion.ErrRoute},
		"far future":    {five[:1], time.Unix(1<<45, 0), payload, onion.ErrRoute},
		"short payload": {five[:1], testExpiry, payload[1:], onion.ErrLength},
		"long payload":  {five[:1], testExpiry, make([]byte, onion.PayloadSize+1), onion.ErrLength},
	} {
		in, err := onion.BuildInner(rand, c.hops, testMailbox, c.expiry, c.payload)
		if !errors.Is(err, c.want) || !in.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, n := range []int64{0, 63, 2*64 + 2399} {
		if _, err := onion.BuildInner(io.LimitReader(newStream("short"), n), five[:2], testMailbox, testExpiry, payload); err == nil {
			t.Errorf("built with %d bytes of randomness", n)
		}
		if _, _, err := onion.BuildSURB(io.LimitReader(newStream("short"), n+32), five[:2], testMailbox, onion.SURBID{}, testExpiry); err == nil {
			t.Errorf("SURB with %d bytes of randomness", n+32)
		}
	}
}

func TestExpiryIsRoundedDownToAnEpoch(t *testing.T) {
	rand := newStream("expiry")
	hops, keys := newRoute(t, rand, 1)
	for _, late := range []time.Duration{0, time.Nanosecond, onion.EpochLength - time.Nanosecond} {
		in, err := onion.BuildInner(rand, hops, testMailbox, testExpiry.Add(late), make([]byte, onion.PayloadSize))
		if err != nil {
			t.Fatal(err)
		}
		if peel := peelInner(t, keys[0], in); !peel.Expiry.Equal(testExpiry) {
			t.Errorf("%v late: %v, want %v", late, peel.Expiry, testExpiry)
		}
	}
}

func TestSURBRoundTripEveryHopCount(t *testing.T) {
	for n := 1; n <= onion.InnerSlots; n++ {
		rand := newStream("surb")
		hops, servers := newRoute(t, rand, n)
		id := onion.SURBID(rand.bytes(16))
		surb, keys, err := onion.BuildSURB(rand, hops, testMailbox, id, testExpiry)
		if err != nil {
			t.Fatal(err)
		}
		surb, keys = storeSURB(t, surb, keys)
		if surb.First() != hops[0].Key.ID() {
			t.Error("the SURB names another server than the first")
		}
		payload := rand.bytes(onion.PayloadSize)
		in, err := surb.Use(payload)
		if err != nil {
			t.Fatal(err)
		}
		for i := range servers[:n-1] {
			peel := peelInner(t, servers[i], reparseInner(t, in))
			wantForward(t, peel, hops[i+1].Key.ID())
			in = peel.Inner
		}
		peel := peelInner(t, servers[n-1], in)
		if peel.Command != onion.Reply || peel.Mailbox != testMailbox || peel.SURB != id || peel.Payload != nil || len(peel.Body) != onion.BodySize {
			t.Fatalf("%d hops: command %d", n, peel.Command)
		}
		kept := bytes.Clone(peel.Body)
		opened, err := keys.Open(peel.Body)
		if err != nil || !bytes.Equal(opened, payload) || !bytes.Equal(kept, peel.Body) {
			t.Errorf("%d hops: %v; the reply is not what was sent, or Open changed its argument", n, err)
		}
		wrongReply(t, keys, peel.Body)
	}
}

// storeSURB sends both halves of a SURB through their stored forms.
func storeSURB(t *testing.T, surb onion.SURB, keys onion.SURBKeys) (onion.SURB, onion.SURBKeys) {
	t.Helper()
	parsed, err := onion.ParseSURB(surb.Bytes())
	if err != nil || !bytes.Equal(parsed.Bytes(), surb.Bytes()) {
		t.Fatal("a SURB does not survive its stored form", err)
	}
	stored, err := onion.ParseSURBKeys(keys.Bytes())
	if err != nil || !bytes.Equal(stored.Bytes(), keys.Bytes()) {
		t.Fatal("SURB keys do not survive their stored form", err)
	}
	return parsed, stored
}

// wrongReply sees that nothing but the reply opens.
func wrongReply(t *testing.T, keys onion.SURBKeys, body []byte) {
	t.Helper()
	for _, at := range []int{0, 31, 32, 5000, onion.BodySize - 1} {
		changed := bytes.Clone(body)
		changed[at] ^= 4
		if payload, err := keys.Open(changed); !errors.Is(err, onion.ErrPayload) || payload != nil {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	if _, err := keys.Open(body[1:]); !errors.Is(err, onion.ErrLength) {
		t.Errorf("short body: %v", err)
	}
	if _, err := (onion.SURBKeys{}).Open(body); !errors.Is(err, onion.ErrPayload) {
		t.Errorf("zero keys: %v", err)
	}
}

func TestSURBRefuses(t *testing.T) {
	if _, err := onion.ParseSURB(make([]byte, onion.SURBSize-1)); !errors.Is(err, onion.ErrLength) {
		t.Errorf("short SURB: %v", err)
	}
	if _, err := (onion.SURB{}).Use(make([]byte, onion.PayloadSize)); !errors.Is(err, onion.ErrLength) {
		t.Errorf("zero SURB: %v", err)
	}
	surb, err := onion.ParseSURB(make([]byte, onion.SURBSize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := surb.Use(make([]byte, onion.PayloadSize-1)); !errors.Is(err, onion.ErrLength) {
		t.Errorf("short payload: %v", err)
	}
	good := append([]byte{1, 2}, make([]byte, onion.SURBKeysSize-2)...)
	for name, change := range map[string]func([]byte) []byte{
		"short":           func(b []byte) []byte { return b[1:] },
		"version":         func(b []byte) []byte { b[0] = 2; return b },
		"no hops":         func(b []byte) []byte { b[1] = 0; return b },
		"five hops":       func(b []byte) []byte { b[1] = 5; return b },
		"key of no hop":   func(b []byte) []byte { b[onion.SURBKeysSize-1] = 1; return b },
		"key of no hop 2": func(b []byte) []byte { b[2+32+64] = 1; return b },
	} {
		if _, err := onion.ParseSURBKeys(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := onion.ParseSURBKeys(good); err != nil {
		t.Error(err)
	}
}

func TestSURBProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rand := newStream(rapid.String().Draw(t, "seed"))
		n := rapid.IntRange(1, onion.InnerSlots).Draw(t, "hops")
		hops, servers := make([]onion.InnerHop, n), make([]*onion.ServerPrivateKey, n)
		for i := range hops {
			servers[i], _ = onion.NewServerKey(rand)
			hops[i].Key = servers[i].Public()
		}
		surb, keys, err := onion.BuildSURB(rand, hops, onion.Mailbox(rand.bytes(32)), onion.SURBID{}, testExpiry)
		if err != nil {
			t.Fatal(err)
		}
		payload := rand.bytes(onion.PayloadSize)
		in, _ := surb.Use(payload)
		var peel onion.InnerPeel
		for _, server := range servers {
			if peel, err = onion.PeelInner(server, in); err != nil {
				t.Fatal(err)
			}
			in = peel.Inner
		}
		if got, err := keys.Open(peel.Body); err != nil || !bytes.Equal(got, payload) {
			t.Fatal("the reply did not open", err)
		}
	})
}

// A reply whose header is on its way looks like any other packet: only the last server learns that it is one.
func TestReplyAndMessageAreAlikeBeforeTheLastHop(t *testing.T) {
	rand := newStream("alike")
	hops, servers := newRoute(t, rand, 2)
	message, err := onion.BuildInner(rand, hops, testMailbox, testExpiry, rand.bytes(onion.PayloadSize))
	if err != nil {
		t.Fatal(err)
	}
	surb, _, err := onion.BuildSURB(rand, hops, testMailbox, onion.SURBID{1}, testExpiry)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := surb.Use(rand.bytes(onion.PayloadSize))
	if err != nil {
		t.Fatal(err)
	}
	one, two := peelInner(t, servers[0], message), peelInner(t, servers[0], reply)
	one.Inner, two.Inner = onion.Inner{}, onion.Inner{}
	if one.Replay == two.Replay {
		t.Error("two packets have one replay id")
	}
	one.Replay, two.Replay = onion.ReplayID{}, onion.ReplayID{}
	if one.Command != two.Command || one.Next != two.Next || one.Delay != two.Delay || one.Expiry != two.Expiry {
		t.Errorf("the first server can tell %+v from %+v", one, two)
	}
}
