// Package lab runs a mesh of real nodes on one machine: processes of p3dod serve on
// loopback, each with a folder of its own, and a DNS server for the zone "test".
//
// The domains are a.test, b.test and so on. They stand in a ring with chords, each
// federated with its neighbours, so that not everybody knows everybody:
//
//	   a
//	 / | \
//	e  |  b        5 nodes: ring a b c d e, chords a-c and b-d
//	 \ | /|
//	  d-c-+
//
// [Run] starts them, writes lab.json when all of them serve and know the mesh, and lets
// two users write to each other: sent, stored, read, acknowledged, answered. Then it
// searches what each node has on its disk for the users' names, the message and their
// addresses, and says what it found. A lab of which Once is not set stays until its
// context ends, and reports nodes that end before it.
//
// Instead of the demonstration a lab can play one of the [Scenarios]. In the scenario lossy two
// users, each a program of her own, write to each other through loss while servers and programs
// are killed. When all is acknowledged and the mesh is still, a [Tally] says what arrived and what
// it cost, and then all logs are searched for what they may not show. In the scenario deaths a
// program or a server is killed right after and right before one durable write after the other
// of seven paths (registration, sending, delivery, receipts, as each party sees them); it is
// started again, and the path has to come to its good end. In the scenario rotations two users
// write, and look at each other's keys, while each kind of key of both homes and of a relay is
// changed: nothing is lost, and nobody is alarmed.
package lab
