package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/node"
)

// ErrNoLab: the folder is not that of a lab.
var ErrNoLab = errors.New("lab: no lab")

// ErrNoWay: no way of that name is remembered.
var ErrNoWay = errors.New("lab: no such way")

// A Way is the true way of a packet, from the node where it was handed in to the mailbox, through all floods.
// No node knows it; a lab puts it together from what each of its nodes remembers.
type Way struct {
	ID     string     `json:"id"`     // of the inner packet, as its sender's program knows it; of the first packet if it had none
	Node   string     `json:"node"`   // where it began
	Change mor.Change `json:"change"` // by what
	At     time.Time  `json:"at"`
	Floods []Flood    `json:"floods"`
	End    string     `json:"end,omitempty"` // the node that delivered it; empty: none has
	Took   Millis     `json:"ms,omitempty"`  // until then
}

// Millis is a time in whole milliseconds.
type Millis int64

func millis(d time.Duration) Millis { return Millis(d.Milliseconds()) }

// A Flood is one packet, as it went through a cell.
type Flood struct {
	Packet  string     `json:"packet"`
	By      string     `json:"by"`     // the node that made it
	Change  mor.Change `json:"change"` // of what was there before
	Layers  int        `json:"layers,omitempty"`
	Since   Millis     `json:"since"` // the beginning of the way, until it was made
	Arrived []Arrival  `json:"arrived"`
	Owner   string     `json:"owner,omitempty"` // the node that took a layer off; empty: none has
}

// An Arrival is the first time that a node heard a packet.
type Arrival struct {
	Node   string `json:"node"`
	From   string `json:"from"`   // the neighbour who said it
	After  Millis `json:"after"`  // since the packet was made
	Copies int    `json:"copies"` // heard in all
}

// A sight is an event with the node that it is of.
type sight struct {
	node string
	node.TraceEvent
}

// ReadMap reads lab.json in the folder of a lab.
func ReadMap(dir string) (m Map, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, labFile))
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("%w in %s", ErrNoLab, dir)
	}
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		return m, fmt.Errorf("lab: %s: %w", labFile, err)
	}
	return m, nil
}

// Ways asks the nodes of the lab that runs in a folder, and puts together the ways of all packets that they
// remember, the oldest first. Cover is left out: it leads nowhere. Nodes that do not answer, for they have ended, are
// named: ways may be without what they did. An error only if none answers.
func Ways(ctx context.Context, dir string) (ways []Way, silent []string, err error) {
	m, err := ReadMap(dir)
	if err != nil {
		return nil, nil, err
	}
	var seen []sight
	var failed error
	for _, placed := range m.Nodes {
		control, err := node.NewControl(placed.Dir)
		var events []node.TraceEvent
		if err == nil {
			events, err = control.Traced(ctx)
		}
		if err != nil {
			failed, silent = fmt.Errorf("lab: %s: %w", placed.Domain, err), append(silent, placed.Domain)
			continue
		}
		for _, e := range events {
			seen = append(seen, sight{placed.Domain, e})
		}
	}
	if len(silent) == len(m.Nodes) {
		return nil, silent, failed
	}
	return assemble(seen), silent, nil
}

// FindWay is the one way whose name, or that of a packet of it, begins with prefix.
func FindWay(ways []Way, prefix string) (Way, error) {
	var found []Way
	for _, w := range ways {
		if prefix != "" && w.hasName(strings.ToLower(prefix)) {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 0:
		return Way{}, fmt.Errorf("%w: %q", ErrNoWay, prefix)
	case 1:
		return found[0], nil
	}
	return Way{}, fmt.Errorf("%w: %q begins the names of %d ways", ErrNoWay, prefix, len(found))
}

func (w Way) hasName(prefix string) bool {
	return strings.HasPrefix(w.ID, prefix) ||
		slices.ContainsFunc(w.Floods, func(f Flood) bool { return strings.HasPrefix(f.Packet, prefix) })
}

// An atlas is all that was seen, in an order in which ways can be followed.
type atlas struct {
	heard  map[string][]sight // by packet, the first hearing first
	opened map[string]sight   // by the packet whose layer came off
	begun  []sight
}

// assemble follows each packet that was handed in.
func assemble(seen []sight) []Way {
	slices.SortStableFunc(seen, func(a, b sight) int { return a.At.Compare(b.At) })
	a := atlas{heard: make(map[string][]sight), opened: make(map[string]sight)}
	for _, s := range seen {
		switch {
		case s.Change == "":
			a.heard[s.Packet] = append(a.heard[s.Packet], s)
		case s.Of != "":
			a.opened[s.Of] = s
		case s.Change != mor.Covered:
			a.begun = append(a.begun, s)
		}
	}
	ways := make([]Way, len(a.begun))
	for i, s := range a.begun {
		ways[i] = a.follow(s)
	}
	return ways
}

// follow is the way that began so. It ends at a mailbox, or where nobody took a layer off. No packet comes twice.
func (a atlas) follow(began sight) Way {
	w := Way{ID: cmp.Or(began.Inner, began.Packet), Node: began.node, Change: began.Change, At: began.At}
	for made := began; ; {
		if made.Packet == "" {
			w.End, w.Took = made.node, millis(made.At.Sub(began.At))
			return w
		}
		if w.goneOver(made.Packet) {
			return w
		}
		f := a.flood(made)
		f.Since = millis(made.At.Sub(began.At))
		next, ok := a.opened[made.Packet]
		f.Owner = next.node
		w.Floods = append(w.Floods, f)
		if !ok {
			return w
		}
		made = next
	}
}

func (w Way) goneOver(packet string) bool {
	return slices.ContainsFunc(w.Floods, func(f Flood) bool { return f.Packet == packet })
}

// flood is how a packet went from node to node.
func (a atlas) flood(made sight) Flood {
	f := Flood{Packet: made.Packet, By: made.node, Change: made.Change, Layers: made.Layers, Arrived: []Arrival{}}
	at := map[string]int{}
	for _, s := range a.heard[made.Packet] {
		i, again := at[s.node]
		switch {
		case s.node == made.node: // its own packet came back
		case again:
			f.Arrived[i].Copies++
		default:
			at[s.node] = len(f.Arrived)
			f.Arrived = append(f.Arrived, Arrival{s.node, s.From, millis(s.At.Sub(made.At)), 1})
		}
	}
	return f
}
