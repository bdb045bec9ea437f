// Package rivals holds the protocols that multicast onion routing is compared with, each small enough to
// be held to what is known about it in closed form, over the same graphs and latencies and with the same
// observers.
package rivals
