package node

import (
	"testing"

	"github.com/p3do/p3do/mor"
)

// Which clock is wrong, and by how much, is said as far as it can be told; doctor tells of our own only.
func TestClocksOfPeers(t *testing.T) {
	for _, c := range []struct {
		clocks mor.ClockStatus
		want   string
		wrong  bool
	}{
		{mor.ClockStatus{}, "", false},
		{mor.ClockStatus{Neighbours: 4}, "", false},
		{mor.ClockStatus{Neighbours: 4, Far: 1, Epochs: 2}, "the clocks of 1 of 4 peers are about 1h0m0s ahead of this one", false},
		{mor.ClockStatus{Neighbours: 4, Far: 4, Epochs: -2}, "the clocks of 4 of 4 peers are about 1h0m0s behind this one: it is ahead", true},
		{mor.ClockStatus{Neighbours: 3, Far: 2, Epochs: 48}, "the clocks of 2 of 3 peers are about 24h0m0s ahead of this one: it is behind", true},
	} {
		got := clockStatus(c.clocks)
		if got.String() != c.want {
			t.Errorf("%+v: %q", c.clocks, got)
		}
		var e examination
		e.judgeClock(got)
		if found := len(e.findings) == 1 && e.findings[0].State == Wrong && e.findings[0].Hint == clockHint; found != c.wrong {
			t.Errorf("%+v: %+v", c.clocks, e.findings)
		}
	}
}

// A node that has heard a receipt come knows that its peers' clocks agree with its own.
func TestStatusTellsOfClocks(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.federate(domains...)
	ann, bob := m.user("ann@a.test"), m.user("bob@d.test")
	ann.send(bob)
	ann.receipt()
	if c := m.status("a.test").Clock; c.Peers == 0 || c.Far != 0 || c.Wrong {
		t.Errorf("%+v", c)
	}
}
