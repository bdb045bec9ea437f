// Package rivals holds the protocols that multicast onion routing is compared with, each small enough to be held to what is
// known about it in closed form, over the same graphs and latencies and with the same observers.
//
// Flood, Gossip, Diffusion and Dandelion spread a message over a [Network]: [Network.Play] returns a [Run], which says when each node
// had the message, what it cost, and what everybody saw of it. Crowds and Paths choose ways: a list of nodes. [MixNet] delays
// messages in mixes, and says how undecided a watcher of all links is about one of them. Package validate compares all of these with
// their closed forms, in closed.go.
package rivals
