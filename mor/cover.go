package mor

import (
	"math"
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// This file is cover against insiders. Dummies hide from a watcher of a link what goes over it, and not from the node at
// its end, which drops them. So a server also makes packets that are like those of a leg in all that others can see: said
// by it at a time of its own, for as many contexts, peeled and said again by their owners, until the last one reads that
// it is to be dropped. They count on the maker's context at all who hear them, as everything that it says.

// longestCover is how many times Config.Cover the time between two cover packets may be.
const longestCover = 10

// cover makes what is due.
func (r *Router) cover(now time.Time) {
	if r.cfg.Cover == 0 {
		return
	}
	if r.covered.IsZero() {
		r.covered = now.Add(r.coverPause())
	}
	if !now.Before(r.covered) {
		r.covered = now.Add(r.coverPause())
		r.makeCover(now)
	}
}

// coverPause is an exponential time with the mean Config.Cover.
func (r *Router) coverPause() time.Duration {
	return time.Duration(min(r.exponential(), longestCover) * float64(r.cfg.Cover))
}

// exponential draws a number with the mean 1.
func (r *Router) exponential() float64 {
	return -math.Log(float64(r.random()>>11+1) / (1 << 53)) // of a number in (0, 1]
}

// makeCover says a packet for nobody in one of our cells. Where nobody else is known there is nothing to say.
func (r *Router) makeCover(now time.Time) {
	cell, epoch := r.routes.own[r.pick(len(r.routes.own))], onion.EpochAt(now)
	near := r.present(now, r.routes.beside(way{cell: cell}, epoch))
	var hops []onion.OuterHop
	for len(hops) <= r.cfg.ExtraHops && len(near) > 0 {
		i := r.pick(len(near))
		hops = append(hops, r.hop(near[i], epoch))
		near = slices.Delete(near, i, i+1)
	}
	if len(hops) == 0 {
		return
	}
	packet, err := r.cfg.Scheme.Wrap(r.cfg.Rand, epoch, hops, onion.OuterEnd{Drop: true}, onion.Inner{})
	if err != nil {
		cell.counters.Dropped[DropAuth]++
		return
	}
	r.hold(Trace{Change: Covered, Layers: len(hops)})
	if reason, ok := r.emit(now, 1, cell, cell.ID, packet); !ok {
		cell.counters.Dropped[reason]++
		return
	}
	cell.counters.Cover++
}

// hop is a layer for the owner of k, with a delay for it to keep.
func (r *Router) hop(k *known, epoch onion.Epoch) onion.OuterHop {
	hint, _ := k.HintAt(epoch)
	return onion.OuterHop{Key: k.Key, Hint: hint, Delay: r.peelDelay()}
}
