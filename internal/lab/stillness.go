package lab

import (
	"context"
	"time"
)

// A pulse is what moves in a mesh: its packets and its durable writes.
type pulse struct {
	count uint64 // of both
	busy  bool   // a write has begun and not ended: the disk is slow, and nothing else may move
}

// pulseOf adds up what moves at the nodes that live. One that is dying may fail to answer.
func pulseOf(ctx context.Context, nodes []*process, dying *process) (all pulse, err error) {
	for _, p := range nodes {
		if p.dead() {
			continue
		}
		one, err := p.pulse(ctx)
		if err != nil && p != dying {
			return pulse{}, err
		}
		all.count += one.count
		all.busy = all.busy || one.busy
	}
	return all, nil
}

// pulse asks a node.
func (p *process) pulse(ctx context.Context) (one pulse, err error) {
	status, err := p.control.Status(ctx)
	if err != nil {
		return pulse{}, err
	}
	writes, err := p.control.Writes(ctx)
	if err != nil {
		return pulse{}, err
	}
	for _, c := range status.Contexts {
		one.count += c.Heard + c.Peeled + c.Spoken
	}
	one.count += writes.Count
	one.busy = writes.Begun > writes.Count
	return one, nil
}

// A stillness watches something that moves.
type stillness struct {
	long  time.Duration // for which it must not, to be still
	last  uint64
	since time.Time
}

// stir notes that it has moved.
func (s *stillness) stir() { s.since = time.Time{} }

// still reports whether it has not moved for so long, and then starts anew.
func (s *stillness) still(p pulse, err error) (bool, error) {
	now := time.Now()
	moved := p.busy || p.count != s.last || s.since.IsZero()
	if !moved && now.Sub(s.since) < s.long {
		return false, err
	}
	s.last, s.since = p.count, now
	return !moved && err == nil, err
}
