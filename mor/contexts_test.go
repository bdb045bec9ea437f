package mor_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// A context may be added, is spoken on and asked for, and takes with it all that hung on it when it is dropped. The
// last one stays.
func TestContextsComeAndGo(t *testing.T) {
	a, b, c := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil)
	b.listen(a, 0)
	a.listen(b, 0)
	second := must(mor.NewContext(stream("second"), start))
	a.own = append(a.own, second)
	if !a.AddContext(second) || a.AddContext(second) || a.AddContext(mor.OwnContext{ID: b.own[0].ID}) {
		t.Fatal("added not once, or in the place of another's")
	}
	a.bind(1, c, 0)
	c.listen(a, 1)
	all := []*server{a, b, c}
	for _, s := range []*server{c, b} {
		if _, ok, err := a.ask(start, s, 0, all); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if kept, _, err := b.ask(start, a, 0, all); kept != 3 || err != nil {
		t.Errorf("%d records of the gateway and what is beyond: %v", kept, err)
	}
	if _, err := a.Submit(start, onion.Entry{First: c.key.Public().ID(), Inner: inner(stream("in"), onion.Mailbox{}, start, c)}); err != nil {
		t.Error(err)
	}
	if !a.DropContext(second.ID) || a.DropContext(second.ID) || a.DropContext(a.own[0].ID) {
		t.Error("dropped not once, or the last one")
	}
	if out := a.Tick(start.Add(mor.LostFor)); len(out.Broadcast) > 0 {
		t.Error("something is said on a context that is dropped")
	}
	if _, known := a.Status(); known != 1 {
		t.Errorf("%d contexts known by the one that is left", known)
	}
	if _, ok := a.Ask(start, second.ID, c.cfg.Domain); ok {
		t.Error("answered on a context that is dropped")
	}
	var leg *mor.LegError
	_, err := a.Submit(start, onion.Entry{First: c.key.Public().ID(), Inner: inner(stream("on"), onion.Mailbox{}, start, c)})
	if !errors.As(err, &leg) || leg.Reason != mor.DropNoRoute {
		t.Errorf("sent over a context that is dropped: %v", err)
	}
}

// There is room for sixteen.
func TestContextsAreCapped(t *testing.T) {
	a := newServer("a", mor.MaxOwn, nil)
	if a.AddContext(must(mor.NewContext(stream("more"), start))) {
		t.Error("one more")
	}
	a.cfg.Contexts = append(slices.Clone(a.own), must(mor.NewContext(stream("more"), start)))
	if _, err := mor.NewRouter(a.cfg); err == nil {
		t.Error("one more from the start")
	}
}

// Of two gateways to a cell either is taken; one whose link is lost is not, as long as there is the other.
func TestEitherGateway(t *testing.T) {
	a, g, h, b := newServer("a", 1, nil), newServer("g", 2, nil), newServer("h", 2, nil), newServer("b", 1, nil)
	all := []*server{a, g, h, b}
	for _, gateway := range []*server{g, h} {
		a.listen(gateway, 0)
		gateway.listen(a, 0)
		b.listen(gateway, 1)
		gateway.bind(1, b, 0)
		if _, _, err := gateway.ask(start, b, 0, all); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.ask(start, gateway, 0, all); err != nil {
			t.Fatal(err)
		}
	}
	through := func(label string) (chosen string) {
		t.Helper()
		out, err := a.Submit(start, onion.Entry{First: b.key.Public().ID(), Inner: inner(stream(label), onion.Mailbox{}, start, b)})
		if err != nil {
			t.Fatal(err)
		}
		out = a.Tick(out.Wake)
		for _, gateway := range []*server{g, h} {
			for _, f := range out.Forward {
				if f.To == gateway.cfg.Domain {
					chosen += gateway.name
				}
			}
		}
		return chosen
	}
	counts := make(map[string]int)
	for i := range 40 {
		counts[through(fmt.Sprint(i))]++
	}
	if len(counts) != 2 || counts["g"] < 5 || counts["h"] < 5 {
		t.Errorf("%v", counts)
	}
	a.Lost(start, g.cfg.Domain)
	for i := range 20 {
		if got := through(string(rune('A' + i))); got != "h" {
			t.Fatalf("by %q, and the link with g is lost", got)
		}
	}
	a.Lost(start, h.cfg.Domain)
	if got := through("a"); got != "g" && got != "h" {
		t.Errorf("by %q", got)
	}
}

// A way over what was refused, or is nowhere in the answer, is none; and none of it makes the router fail.
func TestWaysThatLie(t *testing.T) {
	a, b, c := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil)
	a.listen(b, 0)
	near := mor.Answered{Depth: 1, Beyond: true, Raw: must(record(b).Sign(b.authority.Sign))}
	bad := mor.Answered{Depth: 1, Beyond: true, Raw: must(record(b).Sign(c.authority.Sign))}
	ours := mor.Answered{Depth: 1, Beyond: true, Raw: must(record(a).Sign(a.authority.Sign))}
	far := func(way ...uint8) mor.Answered {
		return mor.Answered{Depth: 2, Way: way, Raw: must(record(c).Sign(c.authority.Sign))}
	}
	all := authorities([]*server{a, b, c})
	for what, answer := range map[string][]mor.Answered{
		"over what is refused": {bad, far(0)}, "over our own": {ours, far(0)}, "over itself": {near, far(1)}, "over nothing": {near, far(200)},
		"over too many": {near, far(0, 0)},
	} {
		_, _ = a.Learn(start, b.own[0].ID, answer, all)
		if _, known := a.Status(); known > 1 {
			t.Errorf("%s: known", what)
		}
	}
	if learnt := must(a.Learn(start, b.own[0].ID, []mor.Answered{near, far(0)}, all)); learnt.Kept == 0 {
		t.Error("an honest way was not learnt")
	}
	if learnt := must(a.Learn(start, b.own[0].ID, []mor.Answered{near, far()}, all)); !learnt.News {
		t.Error("without a gateway is no news")
	}
}
