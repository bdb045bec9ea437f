package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/p3do/p3do/mor/onion"
)

const checkedIn = "../vectors/onion.json"

// The checked-in file is what the program writes now, byte for byte.
func TestFileIsWhatTheProgramWrites(t *testing.T) {
	want, err := render()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(checkedIn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is not what the program writes (%d bytes, %d wanted): the format changed. "+
			"If that was meant, run go run ./docs/spec/genvectors and raise the version", checkedIn, len(got), len(want))
	}
}

// load reads the checked-in file as a stranger would: the tests below use nothing of the generator's memory.
func load(t *testing.T) *Vectors {
	t.Helper()
	raw, err := os.ReadFile(checkedIn)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var v Vectors
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return &v
}

func same(t *testing.T, name, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %s is %.40x, want %.40x", name, what, got, want)
	}
}

func ok[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestSmallVectors(t *testing.T) {
	v := load(t)
	for _, c := range v.Streams {
		same(t, "stream", c.Seed, streamBytes(c.Seed, len(c.Bytes)), c.Bytes)
	}
	for _, c := range v.Hints {
		next := onion.Hint(c.Hint).Next()
		same(t, "hint", "next", next[:], c.Next)
	}
	for _, c := range v.Wide {
		encrypted := wideEncrypt(c.Key, streamBytes(c.TextSeed, c.Length))
		same(t, "wide block", c.TextSeed, sum(encrypted), c.SHA256)
		same(t, "wide block", "inverse", wideDecrypt(c.Key, encrypted), streamBytes(c.TextSeed, c.Length))
	}
	for _, c := range v.Keys {
		if c.Kind == "context" {
			public := ok[*onion.ContextPrivateKey](t)(onion.ParseContextPrivateKey(c.Private)).Public().Bytes()
			same(t, "context key", "public", public[:], c.Public)
			continue
		}
		public := ok[*onion.ServerPrivateKey](t)(onion.ParseServerPrivateKey(c.Private)).Public()
		id := public.ID()
		same(t, "server key", "public", public.Bytes(), c.Public)
		same(t, "server key", "id", id[:], c.ID)
	}
	for _, c := range v.KeyErrors {
		parse := func(raw []byte) error { _, err := onion.ParseContextKey(raw); return err }
		if c.Kind == "server" {
			parse = func(raw []byte) error { _, err := onion.ParseServerKey(raw); return err }
		}
		if got := nameOf(t, parse(c.Public)); got != c.Error {
			t.Errorf("%s: %s, want %s", c.Name, got, c.Error)
		}
	}
}

func TestOuterVectors(t *testing.T) {
	commands := map[onion.OuterCommand]string{onion.Relay: "relay", onion.Exposed: "exposed", onion.Drop: "drop"}
	for _, c := range load(t).Outer {
		p := ok[onion.Packet](t)(c.wrap())
		same(t, c.Name, "packet", p.Bytes()[:], c.Packet)
		raw := c.Packet
		for i, want := range c.Peels {
			second := ok[OuterPeel](t)(decodeOuter(c.Hops[i].Private, c.Hops[i].Hint, raw))
			p := ok[onion.Packet](t)(onion.Parse(bytes.Clone(raw)))
			core, tag := p.Core(), p.Tag()
			same(t, c.Name, "core", core[:], want.Core)
			same(t, c.Name, "tag", tag[:], want.Tag)
			key := ok[*onion.ContextPrivateKey](t)(onion.ParseContextPrivateKey(c.Hops[i].Private))
			peel := ok[onion.OuterPeel](t)(onion.PeelOuter(key, onion.Hint(c.Hops[i].Hint), p))
			same(t, c.Name, "replay id", peel.Replay[:], want.Layer.Replay)
			if commands[peel.Command] != want.Command || peel.Delay != millis(want.DelayMS) || peel.Budget != want.Budget {
				t.Errorf("%s, hop %d: %s, %v, budget %d", c.Name, i, commands[peel.Command], peel.Delay, peel.Budget)
			}
			if want.Command == "exposed" {
				same(t, c.Name, "server", peel.Server[:], want.Server)
				same(t, c.Name, "inner packet", sum(peel.Inner.Bytes()[:]), want.Inner)
			}
			if want.Command == "relay" {
				raw = peel.Next.Bytes()[:]
				same(t, c.Name, "next packet", sum(raw), want.Next)
			}
			wantJSON(t, c.Name, second, want)
		}
	}
}

// wantJSON compares what the second decoder found with the file, field by field.
func wantJSON(t *testing.T, name string, got, want any) {
	t.Helper()
	same(t, name, "second decoder", ok[[]byte](t)(json.Marshal(got)), ok[[]byte](t)(json.Marshal(want)))
}

func TestInnerVectors(t *testing.T) {
	for _, c := range load(t).Inner {
		in := ok[onion.Inner](t)(c.build())
		same(t, c.Name, "packet", in.Bytes()[:], c.Packet)
		last := followInner(t, c.Name, c.Hops, c.Packet, c.Peels)
		same(t, c.Name, "payload", last.Payload, streamBytes(c.PayloadSeed, onion.PayloadSize))
		same(t, c.Name, "mailbox", last.Mailbox[:], c.Mailbox)
	}
}

func TestSURBVectors(t *testing.T) {
	for _, c := range load(t).SURBs {
		surb, keys, err := c.build()
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.Name, "SURB", surb.Bytes(), c.SURB)
		same(t, c.Name, "keys", keys.Bytes(), c.Keys)
		payload := streamBytes(c.PayloadSeed, onion.PayloadSize)
		parsed := ok[onion.SURB](t)(onion.ParseSURB(c.SURB))
		first, hop := parsed.First(), ok[*onion.ServerPrivateKey](t)(onion.ParseServerPrivateKey(c.Hops[0].Private)).Public().ID()
		same(t, c.Name, "first server", first[:], hop[:])
		same(t, c.Name, "reply", ok[onion.Inner](t)(parsed.Use(payload)).Bytes()[:], c.Reply)
		last := followInner(t, c.Name, c.Hops, c.Reply, c.Peels)
		same(t, c.Name, "SURB id", last.SURB[:], c.ID)
		stored := ok[onion.SURBKeys](t)(onion.ParseSURBKeys(c.Keys))
		same(t, c.Name, "payload", ok[[]byte](t)(stored.Open(last.Body)), payload)
		same(t, c.Name, "payload, second decoder", ok[[]byte](t)(openReply(c.Keys, last.Body)), payload)
	}
}

// followInner peels an inner packet at every hop, by both decoders, and returns the last peel.
func followInner(t *testing.T, name string, hops []InnerHop, raw []byte, peels []InnerPeel) (peel onion.InnerPeel) {
	t.Helper()
	commands := map[onion.InnerCommand]string{onion.Forward: "forward", onion.Deliver: "deliver", onion.Reply: "reply"}
	for i, want := range peels {
		wantJSON(t, name, ok[InnerPeel](t)(decodeInner(hops[i].Private, raw)), want)
		key := ok[*onion.ServerPrivateKey](t)(onion.ParseServerPrivateKey(hops[i].Private))
		in := ok[onion.Inner](t)(onion.ParseInner(bytes.Clone(raw)))
		id := in.ID()
		same(t, name, "inner id", id[:], want.ID)
		peel = ok[onion.InnerPeel](t)(onion.PeelInner(key, in))
		same(t, name, "replay id", peel.Replay[:], want.Layer.Replay)
		if commands[peel.Command] != want.Command || peel.Delay != millis(want.DelayMS) || !peel.Expiry.Equal(onion.Epoch(want.Expiry).Start()) {
			t.Errorf("%s, hop %d: %s, %v, %v", name, i, commands[peel.Command], peel.Delay, peel.Expiry)
		}
		if peel.Command == onion.Forward {
			raw = peel.Inner.Bytes()[:]
			same(t, name, "next", sum(raw), want.Next)
			same(t, name, "next server", peel.Next[:], want.To)
		}
	}
	return peel
}

func TestEntryVectors(t *testing.T) {
	for _, c := range load(t).Entries {
		same(t, c.Name, "frame", ok[[]byte](t)(c.build()), c.Frame)
		entry := ok[onion.Entry](t)(onion.ParseEntry(bytes.Clone(c.Frame)))
		same(t, c.Name, "first", entry.First[:], c.First)
		same(t, c.Name, "inner", entry.Inner.Bytes()[:], streamBytes(c.InnerSeed, onion.InnerSize))
		same(t, c.Name, "token", entry.Token[:len(c.Token)], c.Token)
	}
}

// nameOf is the name of an error of package onion, as the specification has it.
func nameOf(t *testing.T, err error) string {
	t.Helper()
	for name, sentinel := range map[string]error{
		"ErrLength": onion.ErrLength, "ErrVersion": onion.ErrVersion, "ErrSuite": onion.ErrSuite, "ErrKey": onion.ErrKey,
		"ErrLowOrder": onion.ErrLowOrder, "ErrAuth": onion.ErrAuth, "ErrCommand": onion.ErrCommand, "ErrPayload": onion.ErrPayload,
	} {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	t.Fatalf("no error of the specification: %v", err)
	return ""
}

func TestRefusals(t *testing.T) {
	v := load(t)
	outer, inner, surbs, entries := map[string]OuterCase{}, map[string]InnerCase{}, map[string]SURBCase{}, map[string]EntryCase{}
	for _, c := range v.Outer {
		outer[c.Name] = c
	}
	for _, c := range v.Inner {
		inner[c.Name] = c
	}
	for _, c := range v.SURBs {
		surbs[c.Name] = c
	}
	for _, c := range v.Entries {
		entries[c.Name] = c
	}
	for _, r := range v.Refusals {
		var first, second error
		switch r.Of {
		case "outer":
			first, second = refuseOuter(t, r, outer[r.Case])
		case "inner":
			first, second = refuseInner(t, r, inner[r.Case])
		case "surb":
			first, second = refuseReply(t, r, surbs[r.Case])
		case "entry":
			_, first = onion.ParseEntry(r.apply(entries[r.Case].Frame))
			second = refusal(r.Error) // the second decoder has no entry frames
		default:
			t.Fatalf("%s: refusal of %q", r.Name, r.Of)
		}
		if got := nameOf(t, first); got != r.Error || second == nil || second.Error() != r.Error {
			t.Errorf("%s: %s, second decoder %v, want %s", r.Name, got, second, r.Error)
		}
	}
}

func refuseOuter(t *testing.T, r Refusal, c OuterCase) (first, second error) {
	t.Helper()
	raw := c.Packet
	for _, hop := range c.Hops[:r.Hop] {
		raw = ok[OuterPeel](t)(decodeOuter(hop.Private, hop.Hint, raw)).next
	}
	private, hint := c.Hops[r.Hop].Private, c.Hops[r.Hop].Hint
	if r.Private != nil {
		private = r.Private
	}
	if r.Hint != nil {
		hint = r.Hint
	}
	changed := r.apply(raw)
	_, second = decodeOuter(private, hint, changed)
	p, err := onion.Parse(changed)
	if err != nil {
		return err, second
	}
	key := ok[*onion.ContextPrivateKey](t)(onion.ParseContextPrivateKey(private))
	_, first = onion.PeelOuter(key, onion.Hint(hint), p)
	return first, second
}

func refuseInner(t *testing.T, r Refusal, c InnerCase) (first, second error) {
	t.Helper()
	private := c.Hops[r.Hop].Private
	if r.Private != nil {
		private = r.Private
	}
	changed := r.apply(c.Packet)
	_, second = decodeInner(private, changed)
	in, err := onion.ParseInner(changed)
	if err != nil {
		return err, second
	}
	_, first = onion.PeelInner(ok[*onion.ServerPrivateKey](t)(onion.ParseServerPrivateKey(private)), in)
	return first, second
}

func refuseReply(t *testing.T, r Refusal, c SURBCase) (first, second error) {
	t.Helper()
	raw := c.Reply
	for _, hop := range c.Hops {
		raw = ok[InnerPeel](t)(decodeInner(hop.Private, raw)).next
	}
	changed := r.apply(raw)
	keys := ok[onion.SURBKeys](t)(onion.ParseSURBKeys(c.Keys))
	_, first = keys.Open(changed)
	if second = refusal("ErrLength"); len(changed) == onion.BodySize {
		_, second = openReply(c.Keys, changed)
	}
	return first, second
}
