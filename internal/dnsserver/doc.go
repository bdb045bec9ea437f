// Package dnsserver starts other people's name servers for tests: Knot and BIND, which hold
// zones, sign them and take updates, and unbound, which resolves and validates. They judge what
// we publish, ask and answer. Nothing but tests imports it.
//
// Each runs unprivileged in a folder of its own, on one free port of 127.0.0.1 (UDP and TCP),
// and ends with its test, also with one that is killed. A test is skipped where the program is
// missing, and fails there if P3DO_REQUIRE names it (knotd, named, unbound).
//
//	knot := dnsserver.Knot(t, dnsserver.Config{
//		Zones: []dnsserver.Zone{{Name: "a.test", Signed: true, Records: []string{"www A 127.0.0.1"}}},
//		Keys:  []dnsserver.Key{{Name: "p3do", Secret: secret, Owner: "_p3do.a.test"}},
//	})
//	unbound := dnsserver.Unbound(t, dnsserver.Resolver{
//		Stubs:   map[string]string{"a.test": knot.Addr},  // zone: who is asked for it
//		Anchors: knot.Anchors(t, "a.test"),              // DS lines: what is below is validated
//	})
//	// ask knot.Addr, or unbound.Addr and look at its AD bit
//
// A [Test] is a *testing.T, or whatever runs a script. [Program] finds any other program that a
// test needs, by the same rule.
package dnsserver
