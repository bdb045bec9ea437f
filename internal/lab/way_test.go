package lab

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
)

// remembered is what three nodes remember of one packet that ann of a.test handed in, of one of cover, and of one that came
// to nothing; not in order.
func remembered() []sight {
	begin := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms int, n string, e node.TraceEvent) sight {
		e.At = begin.Add(time.Duration(ms) * time.Millisecond)
		return sight{n, e}
	}
	heard := func(ms int, n, from, packet string) sight {
		return at(ms, n, node.TraceEvent{From: from, Packet: packet})
	}
	return []sight{
		at(30, "b.test", node.TraceEvent{Change: mor.Opened, Of: "p1", Packet: "p2", Layers: 1}),
		at(0, "a.test", node.TraceEvent{Change: mor.Submitted, Inner: "i1", Packet: "p1", Layers: 2}),
		heard(12, "c.test", "b.test", "p1"), heard(5, "b.test", "a.test", "p1"), heard(6, "b.test", "c.test", "p1"), heard(13, "a.test", "b.test", "p1"),
		heard(40, "c.test", "b.test", "p2"),
		at(60, "c.test", node.TraceEvent{Change: mor.Delivered, Of: "p2"}),
		at(10, "a.test", node.TraceEvent{Change: mor.Covered, Packet: "p9", Layers: 2}),
		at(20, "c.test", node.TraceEvent{Change: mor.Replied, Inner: "i7", Packet: "p7"}),
	}
}

// A way is put together from what nodes remember: each flood with who heard it first from whom, to the mailbox.
func TestWays(t *testing.T) {
	ways := assemble(remembered())
	if len(ways) != 2 {
		t.Fatalf("%+v", ways)
	}
	want := `i1 was submitted at a.test, ` + ways[0].At.Local().Format(time.DateTime) + `; delivered at c.test after 60 ms and 2 floods

1  p1  0 ms: a.test puts on 2 context layers
        5 ms  b.test from a.test, 2 times; its key opens it
       12 ms  c.test from b.test

2  p2  30 ms: b.test takes the last context layer off and its own server layer; it puts on 1 context layer
       10 ms  c.test from b.test; its key opens it

c.test takes its last layer off, and puts it into a mailbox
`
	if got := ways[0].Text(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := ways[1].outcome(); got != "1 flood; of nobody who took a layer off the last, and said something for it, is anything remembered" || ways[1].ID != "i7" {
		t.Error(got, ways[1].ID)
	}
	if text := WaysText(ways); strings.Count(text, "\n") != 2 || WaysText(nil) == "" {
		t.Error(text)
	}
}

func TestFindWay(t *testing.T) {
	ways := assemble(remembered())
	for _, name := range []string{"i1", "P1", "p2"} {
		if w, err := FindWay(ways, name); err != nil || w.ID != "i1" {
			t.Error(name, w.ID, err)
		}
	}
	for _, name := range []string{"", "i", "p", "p9", "x"} {
		if _, err := FindWay(ways, name); !errors.Is(err, ErrNoWay) {
			t.Error(name, err)
		}
	}
}

// What nodes remember may be wrong, or twice; no way has an end for that.
func TestWayInACircle(t *testing.T) {
	circle := append(remembered(), sight{"c.test", node.TraceEvent{Change: mor.Relayed, Of: "p2", Packet: "p1", At: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)}})
	if w := assemble(circle)[0]; len(w.Floods) != 2 || w.End != "" {
		t.Errorf("%+v", w)
	}
}

// The picture is XML, has a panel for each flood, and nothing in it is taken for markup.
func TestPicture(t *testing.T) {
	w := assemble(remembered())[0]
	w.Node = "<a&b>"
	picture := w.Picture([]string{"a.test", "b.test", "c.test"})
	arrows, d := 0, xml.NewDecoder(strings.NewReader(picture))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "line" {
			arrows++
		}
	}
	if arrows != 3 || !strings.Contains(picture, "1. a.test, submitted") || !strings.Contains(picture, "2. b.test, opened") {
		t.Errorf("%d arrows in\n%s", arrows, picture)
	}
	if empty := (Way{}).Picture(nil); !strings.HasSuffix(empty, "</svg>\n") {
		t.Error(empty)
	}
}
