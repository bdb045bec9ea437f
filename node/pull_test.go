package node

import (
	"slices"
	"testing"
)

// Of what a peer lists we keep a bounded sample, in which each has the same chance, and no
// place in the list is a better one.
func TestSample(t *testing.T) {
	const most, all, rounds = 4, 16, 4000
	var kept, first [all]int
	for range rounds {
		s := sample{most: most}
		for i := range all {
			s.add([]byte{byte(i)})
			if len(s.kept) > most || s.seen != i+1 {
				t.Fatalf("%d kept of %d, %d seen", len(s.kept), i+1, s.seen)
			}
		}
		for _, raw := range s.kept {
			kept[raw[0]]++
		}
		first[s.kept[0][0]]++
	}
	for _, x := range []struct {
		what   string
		counts [all]int
		mean   int
	}{{"kept", kept, rounds * most / all}, {"first", first, rounds / all}} {
		if least, greatest := slices.Min(x.counts[:]), slices.Max(x.counts[:]); least < x.mean/2 || greatest > x.mean*3/2 {
			t.Errorf("%s: %d times on the average, %v", x.what, x.mean, x.counts)
		}
	}
}
