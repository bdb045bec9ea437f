// Package node is one P3DO server: it wires the pure core to the network and the disk.
//
// A node answers for one domain. It is the certificate authority of its users' names, has
// a key server, one link with each peer, and a session with each user that is there. One
// goroutine owns the [mor.Router] (loop.go); everybody else hands it what came and never
// touches it. The files follow a packet and a person:
//
//	config.go, keys.go, init.go   what is on the disk, and how it came there
//	node.go, options.go           what runs, and in which order it starts and ends
//	tend.go                       what time asks for: keys that turn, certificates that end
//	loop.go, scribe.go            the goroutine that owns the router, and carries out its output;
//	                              the one that makes its marks durable
//	peers.go, peerlink.go         links with the nodes of other domains: contexts, Asks, news
//	statements.go, move.go        what is said of keys, and goes from node to node
//	directory.go, lookup.go       server descriptors of all, the card of one
//	desk.go, spool.go             users: registration, look-up, mailboxes, receipts
//	control.go, status.go         what the operator sees and asks, over a local socket
//	get.go                        keys looked up as anybody could, without a node
//	doctor*.go                    what is wrong with a node, and the command that mends it
//
//	n, err := node.Open(ctx, dir, node.Options{Dial: dial.Direct(), Public: dial.Public(), Log: log})
//	err = n.Run(ctx, nil) // serves until ctx ends, drains, and leaves nothing behind
//
// All concurrency of a server lives here and in internal/link; Run returns when every
// goroutine has. docs/operating.md is the operator's page.
package node
