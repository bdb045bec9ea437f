package mor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// BenchmarkHear measures what a router does with a packet that it heard and that is for
// nobody it knows, among 1000 contexts that it knows. The packet was parsed (and hashed)
// at the border before.
func BenchmarkHear(b *testing.B) {
	a := newServer("a", 1, nil)
	r := newServer("r", 1, func(c *mor.Config) { c.SeenShare = 1 << 30 })
	r.listen(a, 0)
	learnContexts(b, r, 1000)
	b.Run("novel", func(b *testing.B) {
		packets := make([]onion.Packet, 4096)
		for i := range packets {
			packets[i] = junk(start, i)
		}
		b.ReportAllocs()
		now, n := start, 0
		for b.Loop() {
			if n++; n%len(packets) == 0 { // two epochs on, all are new again
				b.StopTimer()
				now = now.Add(2 * onion.EpochLength)
				for i := range packets {
					packets[i] = junk(now, i)
				}
				r.Tick(now)
				b.StartTimer()
			}
			if out := r.Hear(now, a.own[0].ID, packets[n%len(packets)]); len(out.Broadcast) != 1 {
				b.Fatal("not novel")
			}
		}
	})
	b.Run("duplicate", func(b *testing.B) {
		p := junk(start, 1)
		r.Hear(start, a.own[0].ID, p)
		b.ReportAllocs()
		for b.Loop() {
			r.Hear(start, a.own[0].ID, p)
		}
	})
}

// learnContexts has r know n contexts of others for a week.
func learnContexts(b *testing.B, r *server, n int) {
	b.Helper()
	var owners []*server
	var answer []mor.Answered
	for i := range (n + mor.MaxOwned - 1) / mor.MaxOwned {
		owners = append(owners, newServer(fmt.Sprintf("o%d", i), 1, nil))
	}
	for i := range n {
		owner := owners[i/mor.MaxOwned]
		c := record(owner)
		c.ID, c.NotAfter = mor.ContextID{byte(i), byte(i >> 8), 1}, start.Add(40*time.Hour)
		c.Hint[0] = byte(i % mor.MaxOwned)
		answer = append(answer, mor.Answered{Depth: 2, Raw: must(c.Sign(owner.authority.Sign))})
	}
	r.listen(owners[0], 0)
	must(r.Learn(start, owners[0].own[0].ID, answer, authorities(owners)))
	if _, known := r.Status(); known != n {
		b.Fatalf("%d known", known)
	}
}
