package mor

import "github.com/p3do/p3do/mor/onion"

// A Change is what a Router did with a packet that nobody else can see it did.
type Change string

// The changes, in the order of a packet's way.
const (
	Submitted Change = "submitted" // a user of ours handed an inner packet in, and the first leg began
	Replied   Change = "replied"   // we handed one in ourselves, over a SURB
	Covered   Change = "covered"   // we made a packet for nobody
	Relayed   Change = "relayed"   // an outer layer came off, and there was another one under it
	Passed    Change = "passed"    // the last outer layer came off; the inner packet is for another server, and was wrapped anew
	Opened    Change = "opened"    // as well, and an inner layer of ours: the next leg began
	Delivered Change = "delivered" // as well, and the payload is for a mailbox here
)

// A Trace is the truth about one change: which packet became which. Who has the traces of all servers
// knows the whole way of every packet. So a Router makes them only if Config.Trace says so, which is for
// labs and simulations.
type Trace struct {
	Change Change
	Of     onion.ID      // of the packet whose outer layer came off; zero: it began here
	Inner  onion.InnerID // of the inner packet that was handed in, if one was
	Packet onion.ID      // of the packet that is spoken for it; zero if none is
	Layers int           // how many outer layers were put on
}

// hold begins the trace of a packet. A router that is to tell nothing remembers nothing.
func (r *Router) hold(t Trace) {
	if r.cfg.Trace {
		r.inHand = t
	}
}

// trace notes what becomes of the packet in hand.
func (r *Router) trace(packet onion.ID) {
	if !r.cfg.Trace {
		return
	}
	t := r.inHand
	t.Packet = packet
	out := r.out()
	out.Trail = append(out.Trail, t)
}
