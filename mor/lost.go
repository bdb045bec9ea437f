package mor

import (
	"slices"
	"time"

	"github.com/p3do/p3do/pki"
)

// LostFor is how long a neighbour whose link has ended is left out of legs to others, unless it is
// found again. By then a mesh has forgotten a server that is dead; if others still tell of it, it lives,
// and only the link does not.
const LostFor = time.Minute

// maxLost is how many neighbours are left out at a time. More are not noted: they go when the mesh
// forgets them.
const maxLost = MaxMembers

// A loss is a neighbour whose link has ended, until it has to be one no more.
type loss struct {
	neighbour pki.Domain
	until     time.Time
}

// Lost notes that there is no link with a neighbour any more: for [LostFor] its contexts are in no
// leg that is made here, but at the end of one to itself. What the router recognises, forwards and
// answers stays as it is, until [Router.Forget].
func (r *Router) Lost(now time.Time, neighbour pki.Domain) {
	r.Found(neighbour)
	r.lost = slices.DeleteFunc(r.lost, func(l loss) bool { return !now.Before(l.until) })
	if len(r.lost) < maxLost {
		r.lost = append(r.lost, loss{neighbour, now.Add(LostFor)})
	}
}

// Found takes back [Router.Lost].
func (r *Router) Found(neighbour pki.Domain) {
	r.lost = slices.DeleteFunc(r.lost, func(l loss) bool { return l.neighbour == neighbour })
}

// present are those of the contexts whose owners are not lost.
func (r *Router) present(now time.Time, all []*known) (present []*known) {
	for _, k := range all {
		if !slices.ContainsFunc(r.lost, func(l loss) bool { return l.neighbour == k.Owner && now.Before(l.until) }) {
			present = append(present, k)
		}
	}
	return present
}
