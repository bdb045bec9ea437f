package onion_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// A user seals a message for a mailbox; a server wraps it for a context; the owner of the context peels it and finds
// that the inner packet is for a server; that server peels it and finds the mailbox.
func Example() {
	now := time.Now()
	server, _ := onion.NewServerKey(rand.Reader)
	context, _ := onion.NewContextKey(rand.Reader)
	hint, _ := onion.NewHint(rand.Reader)

	payload := make([]byte, onion.PayloadSize)
	copy(payload, "meet me at the bridge")
	route := []onion.InnerHop{{Key: server.Public()}}
	in, err := onion.BuildInner(rand.Reader, route, onion.Mailbox{1}, now.Add(24*time.Hour), payload)
	if err != nil {
		fmt.Println(err)
		return
	}

	leg := []onion.OuterHop{{Key: context.Public(), Hint: hint, Delay: 200 * time.Millisecond}}
	end := onion.OuterEnd{Server: server.Public().ID(), Budget: onion.MaxBudget}
	sent, err := onion.Wrap(rand.Reader, onion.EpochAt(now), leg, end, in)
	if err != nil {
		fmt.Println(err)
		return
	}

	heard, err := onion.Parse(sent.Bytes()[:]) // in life: the bytes of a slot, which nobody else keeps
	if err != nil {
		fmt.Println(err)
		return
	}
	_, known := onion.NewMatcher([]onion.Hint{hint}).Match(heard)
	outer, err := onion.PeelOuter(context, hint, heard)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(known, outer.Command == onion.Exposed, outer.Server == server.Public().ID(), outer.Delay)

	inner, err := onion.PeelInner(server, outer.Inner)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(inner.Command == onion.Deliver, string(bytes.TrimRight(inner.Payload, "\x00")))
	// Output:
	// true true true 200ms
	// true meet me at the bridge
}

// With a single-use reply block somebody answers without learning to whom.
func ExampleBuildSURB() {
	server, _ := onion.NewServerKey(rand.Reader)
	route := []onion.InnerHop{{Key: server.Public()}}
	surb, keys, err := onion.BuildSURB(rand.Reader, route, onion.Mailbox{1}, onion.SURBID{2}, time.Now().Add(24*time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}

	answer := make([]byte, onion.PayloadSize)
	copy(answer, "at nine")
	reply, err := surb.Use(answer) // by the other side, which brings it to surb.First()
	if err != nil {
		fmt.Println(err)
		return
	}

	peel, err := onion.PeelInner(server, reply)
	if err != nil {
		fmt.Println(err)
		return
	}
	payload, err := keys.Open(peel.Body) // by the maker, who knows the keys by peel.SURB
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(peel.Command == onion.Reply, peel.SURB == onion.SURBID{2}, string(bytes.TrimRight(payload, "\x00")))
	// Output:
	// true true at nine
}
