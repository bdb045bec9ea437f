package node

import (
	"errors"
	"fmt"
	"testing"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
)

// Each profile is named with what it costs in a day, which follows from its schedules.
func TestProfiles(t *testing.T) {
	for profile, want := range map[Profile]string{
		ProfileOff:  "off: neither cover nor delay; whoever watches the links sees when something is sent",
		ProfileLow:  "low: 2.83 GB a day each way for each linked peer, 2.83 GB for each connected user, whatever there is to say",
		ProfileHigh: "high: 14.17 GB a day each way for each linked peer, 5.67 GB for each connected user, whatever there is to say",
	} {
		if got := profile.Cost(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	for _, p := range Profiles() {
		users := p.shape().users
		if users.Every > 0 && (users.Every < session.MinPace || users.Every > session.MaxPace) {
			t.Errorf("%s: users would refuse a slot each %s", p, users.Every)
		}
	}
	if got := Profile("").status(); got.Profile != ProfileOff || got.PeerPerDay != 0 {
		t.Errorf("none is %+v", got)
	}
}

// A node with cover sends slots to peers and users while there is nothing to say, has its users do so, and packets go
// through it.
func TestCoveredNode(t *testing.T) {
	m := newMesh(t)
	high := func(c *Config) { c.Cover = ProfileHigh }
	m.add("a.test", high).start()
	m.add("b.test", high).start()
	m.federate("a.test", "b.test")
	ann := m.user("ann@a.test")
	dummies := func(what string, more uint64, now func() uint64) {
		t.Helper()
		before := now()
		m.until(what, func() error {
			if n := now(); n < before+more {
				return fmt.Errorf("%d, and %d before", n, before)
			}
			return nil
		})
	}
	peer := func() link.Stats {
		s := m.status("a.test").Links
		if len(s) != 1 {
			return link.Stats{}
		}
		return s[0].Stats
	}
	dummies("dummies to the peer", 20, func() uint64 { return peer().Sent[link.KindDummy] })
	dummies("dummies from the peer", 20, func() uint64 { return peer().Received[link.KindDummy] })
	if s := m.status("a.test").Cover; s.Profile != ProfileHigh || s.PeerPerDay != 864000*16406 {
		t.Errorf("%+v", s)
	}
	if _, err := ann.client.Items(t.Context(), session.Items{}); err != nil {
		t.Error(err)
	}
	dummies("dummies from the user", 4, func() uint64 { return ann.conn.Stats().Sent[link.KindDummy] })
	dummies("dummies to the user", 4, func() uint64 { return ann.conn.Stats().Received[link.KindDummy] })

	y := m.rawPeers("a.test", "y.test")[0]
	before := m.counters("b.test")
	if err := y.conn.SendPacket(0, packetForNobody(t).Bytes()); err != nil {
		t.Fatal(err)
	}
	m.until("b.test to hear a packet", func() error {
		if m.counters("b.test").Heard == before.Heard {
			return errors.New("not yet")
		}
		return nil
	})
}
