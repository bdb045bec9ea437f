package onion_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/p3do/p3do/mor/onion"
)

// leg carries a bare inner packet to a server, as a server does that holds it: it wraps the packet for some contexts,
// every owner peels its layer from the bytes that arrive, and the last one finds the packet again.
//
//	holder --wrap--> context 1 --relay--> ... --relay--> context k --exposed--> to
func leg(t *testing.T, rand *stream, contexts int, to onion.ServerID, in onion.Inner) onion.Inner {
	t.Helper()
	hops, keys := newLeg(t, rand, contexts)
	p, err := onion.Wrap(rand, testEpoch, hops, onion.OuterEnd{Server: to, Budget: 3}, in)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		p = reparse(t, p)
		matcher := onion.NewMatcher([]onion.Hint{{}, hops[i].Hint, newHint(t, rand)})
		if owner, ok := matcher.Match(p); !ok || owner != 1 {
			t.Fatalf("context %d of %d: its listeners take the packet for %d's", i, contexts, owner)
		}
		peel, err := onion.PeelOuter(key, hops[i].Hint, p)
		if err != nil {
			t.Fatalf("context %d of %d: %v", i, contexts, err)
		}
		if i == contexts-1 {
			if peel.Command != onion.Exposed || peel.Server != to {
				t.Fatalf("exposed for %v, want %v", peel.Server, to)
			}
			return peel.Inner
		}
		p = peel.Next
	}
	panic("unreachable: a leg has a last context")
}

// A user sends a message with a SURB in it over S1 to S2, which keeps mailboxes; her friend answers over S2 and S1 to
// her mailbox at S1. Each leg goes through one to four contexts that only the server that begins it chooses.
//
//	user --entry--> S1 --leg--> S2: Deliver
//	user's mailbox at S1: Reply <--leg-- S2 <--entry-- friend
func TestMessageAndReplyOverLegsOfEveryLength(t *testing.T) {
	for contexts := 1; contexts <= onion.OuterSlots; contexts++ {
		t.Run(fmt.Sprintf("%d contexts", contexts), func(t *testing.T) {
			rand := newStream(t.Name())
			route, servers := newRoute(t, rand, 2)
			back := []onion.InnerHop{route[1], route[0]}
			id := onion.SURBID(rand.bytes(16))
			surb, keys, err := onion.BuildSURB(rand, back, onion.Mailbox{7}, id, testExpiry)
			if err != nil {
				t.Fatal(err)
			}
			message := append(surb.Bytes(), rand.bytes(onion.PayloadSize-onion.SURBSize)...)
			in, err := onion.BuildInner(rand, route, testMailbox, testExpiry, message)
			if err != nil {
				t.Fatal(err)
			}
			first := peelInner(t, servers[0], enter(t, rand, route[0].Key.ID(), in))
			second := peelInner(t, servers[1], leg(t, rand, contexts, first.Next, first.Inner))
			if second.Command != onion.Deliver || second.Mailbox != testMailbox || !bytes.Equal(second.Payload, message) {
				t.Fatal("the message did not arrive")
			}

			received, err := onion.ParseSURB(second.Payload[:onion.SURBSize])
			if err != nil {
				t.Fatal(err)
			}
			answer := rand.bytes(onion.PayloadSize)
			in, err = received.Use(answer)
			if err != nil {
				t.Fatal(err)
			}
			first = peelInner(t, servers[1], enter(t, rand, received.First(), in))
			second = peelInner(t, servers[0], leg(t, rand, contexts, first.Next, first.Inner))
			if second.Command != onion.Reply || second.Mailbox != (onion.Mailbox{7}) || second.SURB != id {
				t.Fatal("the reply did not arrive")
			}
			if got, err := keys.Open(second.Body); err != nil || !bytes.Equal(got, answer) {
				t.Fatal("the reply did not open", err)
			}
		})
	}
}

// enter hands an inner packet to a server in an entry frame.
func enter(t *testing.T, rand *stream, first onion.ServerID, in onion.Inner) onion.Inner {
	t.Helper()
	frame, err := onion.Entry{First: first, Inner: in, Token: []byte("token")}.Marshal(rand)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := onion.ParseEntry(frame)
	if err != nil {
		t.Fatal(err)
	}
	if entry.First != first || entry.Inner.ID() != in.ID() || string(entry.Token[:5]) != "token" || len(entry.Token) != onion.EntryPadSize {
		t.Fatal("the entry frame changed what was in it")
	}
	return entry.Inner
}
