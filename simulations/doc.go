// Package simulations drives the production routers and senders of package mor over a
// seeded network, under a virtual clock.
//
// A [World] is made of nodes, each with a real [mor.Router] and keys of its own, and of
// users, each with a real [mor.Sender]. Nodes that share an edge are members of each other's
// contexts. The world only carries what one says to those who listen, with latency, jitter
// and loss, keeps mailboxes, and calls everybody when it is time.
//
// Every node, every user and the network itself have random streams of their own (ChaCha8,
// seeded by SHA-256 of the seed, a label and an index), so that one more of any does not
// deal the others new cards. The same Config and the same calls give the same events, byte
// for byte; [World.Trace] is a hash of all of them. Package kernel keeps what is planned.
//
// Left out are TLS, links and their slots, disks, and the seal of a message: its sealed part
// holds the text in clear here, which the router cannot tell.
package simulations
