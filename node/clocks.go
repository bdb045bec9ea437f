package node

import (
	"context"
	"fmt"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// A ClockStatus compares this clock with those of the peers that packets came from in the last hour, by the
// epochs of their packets: mor.ClockStatus.
type ClockStatus struct {
	Peers  int  `json:"peers"`  // that were heard
	Far    int  `json:"far"`    // of these, those whose packets were refused because of their epoch
	Epochs int  `json:"epochs"` // how far the clocks of those are ahead of this one, in half hours; below 0: behind
	Wrong  bool `json:"wrong"`  // they are most: this clock is the one that is wrong
}

func clockStatus(c mor.ClockStatus) ClockStatus {
	return ClockStatus{Peers: c.Neighbours, Far: c.Far, Epochs: c.Epochs, Wrong: c.Wrong()}
}

// String says it to an operator; "" if all clocks agree.
func (c ClockStatus) String() string {
	about, where := time.Duration(c.Epochs)*onion.EpochLength, "ahead of"
	if about < 0 {
		about, where = -about, "behind"
	}
	said := fmt.Sprintf("the clocks of %d of %d peers are about %v %s this one", c.Far, c.Peers, about, where)
	switch {
	case c.Far == 0:
		return ""
	case c.Wrong && c.Epochs < 0:
		return said + ": it is ahead"
	case c.Wrong:
		return said + ": it is behind"
	default:
		return said
	}
}

// peersClocks asks the node that serves how its clock compares with those of its peers.
func (e *examination) peersClocks(ctx context.Context) {
	if !e.serves {
		return
	}
	control, err := NewControl(e.Dir)
	if err != nil {
		return // other checks say so
	}
	if s, err := control.Status(ctx); err == nil {
		e.judgeClock(s.Clock)
	}
}

func (e *examination) judgeClock(c ClockStatus) {
	if c.Wrong {
		e.wrong("clock", clockHint, "%v; packets between them and this node are refused", c)
	}
}
