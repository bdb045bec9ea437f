package node

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/p3do/p3do/internal/store"
)

// A Death is when a process of a lab kills itself, as a power cut would: right after one of
// its durable writes, before anybody is told of it, or right before one, when all that may
// happen without it has happened. It is for tests of what is lost then. The zero Death is
// none.
type Death struct {
	AfterWrite  uint64 `toml:"die_after_writes"` // the number of the write, from 1; 0: never
	BeforeWrite uint64 `toml:"die_before_write"`
}

// lateness is how long a process that dies before a write waits for everything else to
// happen, as if the disk were slow.
const lateness = 100 * time.Millisecond

// Written is for the field Durable of whoever writes; nil if there is nothing to hear.
func (d Death) Written() func(writes uint64) {
	if d.AfterWrite == 0 {
		return nil
	}
	return func(writes uint64) {
		if writes == d.AfterWrite {
			die()
		}
	}
}

// Writing is for the field Writing of whoever writes; nil if there is nothing to hear.
func (d Death) Writing() func(write uint64) {
	if d.BeforeWrite == 0 {
		return nil
	}
	return func(write uint64) {
		if write == d.BeforeWrite {
			time.Sleep(lateness)
			die()
		}
	}
}

// die ends this process by SIGKILL and does not return.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill() // nothing can be done about it here
	}
	select {}
}

// A mortal is a node of a lab that can be told, while it serves, to die at one of the next
// writes.
type mortal struct {
	death  atomic.Pointer[Death]
	writes atomic.Uint64 // durable ones since Open
	begun  atomic.Uint64 // the last one that was begun
}

func newMortal(d Death) *mortal {
	m := new(mortal)
	m.death.Store(&d)
	return m
}

// watch has m hear of a store's writes.
func (m *mortal) watch(c store.Config) store.Config {
	c.Writing = func(write uint64) {
		m.begun.Store(write)
		if f := m.death.Load().Writing(); f != nil {
			f(write)
		}
	}
	c.Durable = func(writes uint64) {
		m.writes.Store(writes)
		if f := m.death.Load().Written(); f != nil {
			f(writes)
		}
	}
	return c
}

// Writes counts what a node of a lab made durable since it was started. While Begun is more
// than Count, a write is on its way to the disk.
type Writes struct {
	Count uint64 `json:"writes"`
	Begun uint64 `json:"begun"`
}

// Writes returns how much this node of a lab made durable since Open. Outside of a lab it
// is refused.
func (n *Node) Writes() (Writes, error) {
	if n.mortal == nil {
		return Writes{}, fmt.Errorf("%w: this node is in no lab (lab.enabled)", ErrInput)
	}
	return Writes{Count: n.mortal.writes.Load(), Begun: n.mortal.begun.Load()}, nil
}

// Doom tells a node of a lab to die; its writes are counted from now on. A zero Death takes
// an earlier one back. It returns how many writes there were. Outside of a lab it is
// refused.
func (n *Node) Doom(d Death) (Writes, error) {
	now, err := n.Writes()
	if err != nil {
		return now, err
	}
	if d.AfterWrite > 0 {
		d.AfterWrite += now.Count
	}
	if d.BeforeWrite > 0 {
		d.BeforeWrite += now.Count
	}
	n.mortal.death.Store(&d)
	return now, nil
}

// handleLab answers what only a lab asks.
func (n *Node) handleLab(mux *http.ServeMux) {
	mux.HandleFunc("GET /lab/writes", func(w http.ResponseWriter, _ *http.Request) {
		writes, err := n.Writes()
		respond(w, writes, err)
	})
	mux.HandleFunc("POST /lab/cut", n.handleCut)
	n.handleTraces(mux)
	mux.HandleFunc("POST /lab/doom", func(w http.ResponseWriter, r *http.Request) {
		var writes Writes
		d, err := parseDeath(r.FormValue("after"), r.FormValue("before"))
		if err == nil {
			writes, err = n.Doom(d)
		}
		respond(w, writes, err)
	})
}

// parseDeath reads what Control.Doom has written.
func parseDeath(after, before string) (d Death, err error) {
	if d.AfterWrite, err = strconv.ParseUint(after, 10, 32); err != nil {
		return d, fmt.Errorf("%w: after is no number", ErrInput)
	}
	if d.BeforeWrite, err = strconv.ParseUint(before, 10, 32); err != nil {
		return d, fmt.Errorf("%w: before is no number", ErrInput)
	}
	return d, nil
}

// Writes asks a node of a lab how much it made durable since it was started.
func (c *Control) Writes(ctx context.Context) (w Writes, err error) {
	return w, c.call(ctx, http.MethodGet, "/lab/writes", &w)
}

// Doom has the node die as [Node.Doom] says.
func (c *Control) Doom(ctx context.Context, d Death) (w Writes, err error) {
	return w, c.call(ctx, http.MethodPost, fmt.Sprintf("/lab/doom?after=%d&before=%d", d.AfterWrite, d.BeforeWrite), &w)
}
