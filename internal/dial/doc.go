// Package dial is the one door to the network for outgoing connections.
//
// Whatever in P3DO wants to talk to somebody else is handed a [Func] when it is made, and uses nothing but that. So one
// value, chosen once at the start of a program, decides how all of its connections leave the machine: straight ([Direct]),
// to a control socket on the same machine ([Unix]), or by a dialler of another package that has the same shape (a SOCKS
// proxy). Nothing else in the tree may hold a net.Dialer, so no forgotten corner goes round the proxy.
//
//	link.Config{Dial: dial.Direct(), ...}
//
// # Names
//
// A [Func] takes addresses as net.Dial does, "host:port". [Direct] resolves a host that is not an IP literal with the
// resolver of the operating system, and whoever watches that resolver learns the name. Who must not ask gives IP literals.
//
// Whoever may be named by a stranger is connected to by [Public], which refuses this machine, with the public addresses
// of its interfaces, and its networks.
//
// Listening is not done here: a listener tells nobody where the machine is.
package dial
