package mor_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A router hears a packet on a context of a peer, for the first time and a second time.
func ExampleRouter_Hear() {
	now := time.Now()
	domain, err := pki.ParseDomain("b.test")
	if err != nil {
		log.Fatal(err)
	}
	authority, err := pki.NewAuthority(rand.Reader, domain, now)
	if err != nil {
		log.Fatal(err)
	}
	key, err := onion.NewServerKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	own, err := mor.NewContext(rand.Reader, now)
	if err != nil {
		log.Fatal(err)
	}
	router, err := mor.NewRouter(mor.Config{
		Domain: domain, Rand: rand.Reader, Sign: authority.Sign,
		Servers:  []mor.ServerKey{{Period: pki.PeriodAt(now), Private: key}},
		Contexts: []mor.OwnContext{own},
	})
	if err != nil {
		log.Fatal(err)
	}
	peer, err := pki.ParseDomain("a.test")
	if err != nil {
		log.Fatal(err)
	}
	theirs := mor.ContextID{1} // as a.test named it
	router.Listen(peer, theirs, own.ID)

	packet := passing(now) // from the link with a.test
	for range 2 {
		out := router.Hear(now, theirs, packet)
		fmt.Println(len(out.Broadcast), "to say again")
	}
	status, _ := router.Status()
	fmt.Println("heard", status[0].Counters.Heard, "duplicates", status[0].Counters.Duplicates)
	// Output:
	// 1 to say again
	// 0 to say again
	// heard 2 duplicates 1
}

// passing is a packet for somebody far away.
func passing(now time.Time) onion.Packet {
	key, err := onion.NewContextKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	hops := []onion.OuterHop{{Key: key.Public(), Hint: onion.Hint{7}}}
	p, err := onion.Wrap(rand.Reader, onion.EpochAt(now), hops, onion.OuterEnd{Drop: true}, onion.Inner{})
	if err != nil {
		log.Fatal(err)
	}
	return p
}

// A user of a.test writes to somebody whose messages are kept at b.test. Two relays are
// drawn, and never one: with c.test alone there is no route.
func ExampleSender() {
	var servers []mor.Server
	domains := make(map[string]pki.Domain)
	for _, name := range []string{"a.test", "b.test", "c.test", "d.test"} {
		domain, err := pki.ParseDomain(name)
		if err != nil {
			log.Fatal(err)
		}
		key, err := onion.NewServerKey(rand.Reader)
		if err != nil {
			log.Fatal(err)
		}
		domains[name] = domain
		servers = append(servers, mor.Server{Domain: domain, Key: key.Public()})
	}
	sender := mor.NewSender(mor.SenderConfig{Rand: rand.Reader, Entry: domains["a.test"], Home: domains["a.test"]})
	message := mor.Outgoing{
		ID:     mor.MessageID{1},
		To:     mor.Address{Secret: [32]byte{2}, Spools: []pki.Domain{domains["b.test"]}},
		Sealed: make([]byte, mor.SealedSize),
		Hops:   mor.DefaultHops,
	}

	sender.SetServers(servers[:3])
	_, _, err := sender.Send(time.Now(), message)
	fmt.Println(err)

	sender.SetServers(servers)
	out, route, err := sender.Send(time.Now(), message)
	if err != nil {
		log.Fatal(err)
	}
	// Make out.Save durable, then hand out.Submit to the node of a.test.
	fmt.Println(len(route), "servers,", len(out.Save), "to save,", len(out.Submit), "to submit,", out.Save[0].State)
	// Output:
	// 2 relays outside a.test and b.test are needed, 1 known
	// 4 servers, 1 to save, 1 to submit, queued
}
