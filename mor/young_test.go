package mor_test

import (
	"slices"
	"testing"
)

// Relays are drawn evenly among those of one age; young ones only if there are too few others.
func TestRoutesAreDrawnEvenly(t *testing.T) {
	for name, c := range map[string]struct {
		young  []string
		routes int
	}{
		"all are long-standing":      {nil, 12},
		"all are young":              {[]string{"c", "d", "e", "f"}, 12},
		"one is young":               {[]string{"f"}, 6},
		"two are long-standing":      {[]string{"e", "f"}, 2},
		"one is long-standing":       {[]string{"d", "e", "f"}, 6},
		"of ends it is all the same": {[]string{"a", "b"}, 12},
	} {
		p := newPost("a", "b", "c", "d", "e", "f")
		p.young = c.young
		p.restart()
		seen := make(map[string]int)
		for range 1200 {
			seen[must(p.Plan(start, p.bob("b"), 2, nil)).String()]++
		}
		if len(seen) != c.routes {
			t.Errorf("%s: %d routes of %d", name, len(seen), c.routes)
		}
		for route, n := range seen {
			if about := 1200 / c.routes; n < about*6/10 || n > about*15/10 {
				t.Errorf("%s: %s drawn %d times of about %d", name, route, n, about)
			}
		}
	}
}

// A young relay is taken rather than one of the copy before.
func TestYoungRelaysHaveTheirTurn(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f", "g", "h")
	p.young = []string{"e", "f", "g", "h"}
	p.restart()
	out, _, err := p.Send(start, letterTo(p.bob("b")))
	if err != nil {
		t.Fatal(err)
	}
	first := out.Save[0].Last
	p.did(out)
	again := p.did(p.Tick(out.Wake))
	if len(again.Save) != 1 || len(again.Submit) != 1 {
		t.Fatalf("the next copy is %+v", again)
	}
	for _, relay := range again.Save[0].Last[1:3] {
		if slices.Contains(first[1:3], relay) {
			t.Errorf("%s, and after it %s", first, again.Save[0].Last)
		}
	}
}
