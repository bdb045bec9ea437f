// Package simulations drives the production routers and senders of package mor over a
// seeded network, under a virtual clock.
//
// A [World] is made of nodes, each with a real [mor.Router], real keys and a domain
// authority of its own, and of users, each with a real [mor.Sender]. Nodes that share an
// edge are members of each other's contexts. Nothing of the router is written again here:
// the world only carries what one says to those who listen, with latency, jitter and loss,
// keeps mailboxes, and calls everybody when it is time.
//
//	w, err := simulations.NewWorld(simulations.Config{Seed: 7, Nodes: 16, Degree: 4})
//	ann, bob := w.AddUser(0), w.AddUser(9)
//	id, err := ann.Send(bob, "hello")
//	w.Run(time.Minute)
//	fmt.Println(ann.State(id), bob.Inbox())
//
// Every node, every user and the network itself have random streams of their own (ChaCha8,
// seeded by SHA-256 of the seed, a label and an index), so that one more of any does not
// deal the others new cards. The same Config and the same calls give the same events, byte
// for byte; [World.Trace] is a hash of all of them.
//
// What is left out: TLS, links and their slots, disks, and the seal of a message. A
// message's sealed part holds its text in clear here; that it is sealed is package
// internal/message's affair, and the router cannot tell.
package simulations
