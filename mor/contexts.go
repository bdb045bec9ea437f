package mor

import "slices"

// MaxOwn is how many contexts a server may speak on.
const MaxOwn = 16

// AddContext has us speak on another context. It reports whether it did: not if the ID is that of one of ours or
// of one that we listen to, or if there are [MaxOwn].
func (r *Router) AddContext(c OwnContext) bool {
	if r.context(c.ID) != nil || r.listeners.find(c.ID) != nil || len(r.routes.own) >= MaxOwn {
		return false
	}
	r.routes.own = append(r.routes.own, &ownContext{OwnContext: c})
	r.routes.matchers = nil
	return true
}

// DropContext ends a context of ours: its members, the listeners that are bound to it, what was learnt by them, and what waits
// to be peeled with its key or said on it. It reports whether it did: not if there is no such context, or no other.
func (r *Router) DropContext(id ContextID) bool {
	c := r.context(id)
	if c == nil || len(r.routes.own) == 1 {
		return false
	}
	r.routes.own = slices.DeleteFunc(r.routes.own, func(o *ownContext) bool { return o == c })
	r.routes.matchers = nil
	r.untell(func(t teller) bool { return t.cell == c })
	delete(r.members, id)
	r.listeners.remove(func(l *listener) bool { return l.speak == c })
	r.peels = slices.DeleteFunc(r.peels, func(p peel) bool { return p.context == c })
	r.speak = slices.DeleteFunc(r.speak, func(s speaking) bool { return s.on == c })
	return true
}
