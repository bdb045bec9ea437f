package mor

import (
	"slices"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// MaxFormer is how many former keys a context of ours may have at a time.
const MaxFormer = 4

// A FormerKey is a key and hint of a context of ours that others have taken the place of.
// Packets for it are peeled as long as a record of it may be in use.
type FormerKey struct {
	Key   *onion.ContextPrivateKey
	Hint  onion.Hint // of Epoch
	Epoch onion.Epoch
	Until time.Time
}

// advance is [OwnContext.Advance] for one of its former keys.
func (f FormerKey) advance(oldest onion.Epoch) FormerKey {
	for ; f.Epoch < oldest; f.Epoch++ {
		f.Hint = f.Hint.Next()
	}
	return f
}

// Rekey returns c with another key and hint: those of fresh. The ones before are kept with it
// until no record of them holds; the oldest goes if there are more than [MaxFormer].
func (c OwnContext) Rekey(now time.Time, fresh OwnContext) OwnContext {
	until := now.Add(RecordLifetime + 2*onion.EpochLength)
	former := append([]FormerKey{{c.Key, c.Hint, c.Epoch, until}}, c.Former...)
	return OwnContext{ID: c.ID, Key: fresh.Key, Hint: fresh.Hint, Epoch: fresh.Epoch, Former: former[:min(len(former), MaxFormer)]}
}

// SetContext gives our context of that ID the keys of c, which [OwnContext.Rekey] made. Its
// record tells of the new one at the next Ask. It reports whether the context is ours.
func (r *Router) SetContext(c OwnContext) bool {
	own := r.context(c.ID)
	if own == nil {
		return false
	}
	own.OwnContext, own.record = c, nil
	r.routes.matchers = nil
	return true
}

// advance moves the hints of c on to the epoch before now. They cannot go back: if they are of epochs to come, the clock was
// ahead and has been set right, and the packets of now cannot be recognised. Then c gets another key and hint, and the ones
// before are former ones, which are for those epochs.
func (r *Router) advance(now time.Time, c *ownContext) {
	c.OwnContext = c.Advance(now)
	if c.Epoch <= onion.EpochAt(now) {
		return
	}
	fresh, err := NewContext(r.cfg.Rand, now)
	if err != nil {
		return // tried again when the epoch has turned
	}
	r.SetContext(c.Rekey(now, fresh))
}

// Resign has the records of our contexts signed anew: by another domain key.
func (r *Router) Resign() {
	for _, c := range r.routes.own {
		c.record = nil
	}
}

// keys are all keys by which packets of epoch e are recognised as for c.
func (c *ownContext) keys(e onion.Epoch) (all []owner) {
	if h, ok := c.hintAt(e); ok {
		all = append(all, owner{own: c, key: c.Key, hint: h})
	}
	for _, f := range c.Former {
		if h, ok := (Record{Hint: f.Hint, Epoch: f.Epoch}).HintAt(e); ok {
			all = append(all, owner{own: c, key: f.Key, hint: h})
		}
	}
	return slices.Clip(all)
}
