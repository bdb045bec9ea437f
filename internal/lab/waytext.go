package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/p3do/p3do/mor"
)

// WaysText lists ways, a line each.
func WaysText(ways []Way) string {
	if len(ways) == 0 {
		return "nothing was handed in yet\n"
	}
	var b strings.Builder
	for _, w := range ways {
		fmt.Fprintf(&b, "%s  %s  %-9s at %s, %s\n", w.ID, w.At.Local().Format("15:04:05.000"), w.Change, w.Node, w.outcome())
	}
	return b.String()
}

// outcome is how a way ended.
func (w Way) outcome() string {
	floods := fmt.Sprintf("%d floods", len(w.Floods))
	if len(w.Floods) == 1 {
		floods = "1 flood"
	}
	switch {
	case w.End != "":
		return fmt.Sprintf("delivered at %s after %d ms and %s", w.End, w.Took, floods)
	case len(w.Floods) == 0:
		return "nothing came of it"
	default:
		return fmt.Sprintf("%s; of nobody who took a layer off the last, and said something for it, is anything remembered", floods)
	}
}

// Text is the whole way, for people.
func (w Way) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s was %s at %s, %s; %s\n", w.ID, w.Change, w.Node, w.At.Local().Format(time.DateTime), w.outcome())
	for i, f := range w.Floods {
		fmt.Fprintf(&b, "\n%d  %s\n", i+1, f.headline())
		for _, a := range f.Arrived {
			fmt.Fprintf(&b, "   %6d ms  %s from %s%s%s\n", a.After, a.Node, a.From, times(a.Copies), opens(a.Node == f.Owner))
		}
		if len(f.Arrived) == 0 {
			fmt.Fprintf(&b, "   nobody heard it\n")
		}
	}
	if w.End != "" {
		fmt.Fprintf(&b, "\n%s takes its last layer off, and puts it into a mailbox\n", w.End)
	}
	return b.String()
}

// headline says who made a packet, and of what.
func (f Flood) headline() string {
	head := fmt.Sprintf("%s  %d ms: %s ", f.Packet, f.Since, f.By)
	layers := fmt.Sprintf("puts on %d context layers", f.Layers)
	if f.Layers == 1 {
		layers = "puts on 1 context layer"
	}
	switch f.Change {
	case mor.Relayed:
		return head + "takes a context layer off, and says what is under it"
	case mor.Passed:
		return head + "takes the last context layer off; the packet is not for it: it " + layers
	case mor.Opened:
		return head + "takes the last context layer off and its own server layer; it " + layers
	case mor.Replied:
		return head + "answers over a reply block: it " + layers
	}
	return head + layers
}

func times(copies int) string {
	if copies == 1 {
		return ""
	}
	return fmt.Sprintf(", %d times", copies)
}

func opens(owner bool) string {
	if owner {
		return "; its key opens it"
	}
	return ""
}
