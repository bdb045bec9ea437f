package simulations

import (
	"slices"

	"github.com/p3do/p3do/mor"
)

// Remove ends the membership of a node everywhere, as its neighbours do who want it out: they
// hear it no more, nor does it hear them, and their contexts get other keys and hints. It keeps
// what it knows, and would listen still.
func (w *World) Remove(out *Node) error {
	for _, to := range out.neighbours {
		if err := to.Node.dismiss(out); err != nil {
			return err
		}
	}
	out.neighbours = nil
	return w.askAll()
}

// dismiss has n take out as a member of none of its contexts any more.
func (n *Node) dismiss(out *Node) error {
	for _, to := range n.neighbours {
		if to.Node != out {
			continue
		}
		n.Router.Dismiss(to.spoken, out.Domain())
		n.Router.Unlisten(to.heard)
		if err := n.rekey(to.spoken); err != nil {
			return err
		}
	}
	n.Router.Forget(out.Domain())
	n.neighbours = slices.DeleteFunc(n.neighbours, func(to neighbour) bool { return to.Node == out })
	return nil
}

// rekey gives a context of n another key and hint.
func (n *Node) rekey(id mor.ContextID) error {
	fresh, err := mor.NewContext(n.random, n.now())
	if err != nil {
		return err
	}
	for _, c := range n.Router.Contexts() {
		if c.ID == id {
			n.Router.SetContext(c.Rekey(n.now(), fresh))
		}
	}
	return nil
}
