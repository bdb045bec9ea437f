package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/pki"
)

// A Cut is what a node of a lab is told to do without, to see what it finds out all the same.
// The zero Cut is none.
type Cut struct {
	Directory  pki.Domain // what it knows of that domain by itself does not count when its users log in
	DNS        bool       // not reached
	KeyServers bool       // none is reached
}

// errCut is why a node of a lab does not reach what it was cut off from.
var errCut = errors.New("node: cut off, since this is a lab that was told so")

// cuts are where a [Cut] is obeyed.
type cuts struct{ now atomic.Pointer[Cut] }

func (c *cuts) get() Cut {
	if cut := c.now.Load(); cut != nil {
		return *cut
	}
	return Cut{}
}

// forget takes out of the evidence what we know by ourselves, if it is not to count; false if it
// is.
func (c *cuts) forget(e *pki.Evidence) bool {
	if c.now.Load() == nil || c.get().Directory != e.Domain {
		return false
	}
	e.Pin, e.Home, e.DNS, e.Quorum = pki.Pin{}, pki.Fingerprint{}, pki.DNSEvidence{}, 1
	return true
}

// door is a door to the network that may be cut.
func (c *cuts) door(through dial.Func, cut func(Cut) bool) dial.Func {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if cut(c.get()) {
			return nil, errCut
		}
		return through(ctx, network, address)
	}
}

// Cut cuts a node of a lab off from c, in place of what it was cut off from before. Outside of a
// lab it is refused.
func (n *Node) Cut(c Cut) error {
	if n.mortal == nil {
		return fmt.Errorf("%w: this node is in no lab (lab.enabled)", ErrInput)
	}
	n.cuts.now.Store(&c)
	return nil
}

func (n *Node) handleCut(w http.ResponseWriter, r *http.Request) {
	c, err := parseCut(r.FormValue("directory"), r.FormValue("dns"), r.FormValue("keyservers"))
	if err == nil {
		err = n.Cut(c)
	}
	respond(w, struct{}{}, err)
}

// parseCut reads what Control.Cut has written.
func parseCut(directory, dns, keyServers string) (c Cut, err error) {
	if directory != "" {
		if c.Directory, err = pki.ParseDomain(directory); err != nil {
			return c, fmt.Errorf("%w: %w", ErrInput, err)
		}
	}
	if c.DNS, err = strconv.ParseBool(dns); err == nil {
		c.KeyServers, err = strconv.ParseBool(keyServers)
	}
	if err != nil {
		return c, fmt.Errorf("%w: neither true nor false", ErrInput)
	}
	return c, nil
}

// Cut has the node do as [Node.Cut] says.
func (c *Control) Cut(ctx context.Context, cut Cut) error {
	form := url.Values{
		"directory": {cut.Directory.String()}, "dns": {strconv.FormatBool(cut.DNS)}, "keyservers": {strconv.FormatBool(cut.KeyServers)},
	}
	var done struct{}
	return c.call(ctx, http.MethodPost, "/lab/cut?"+form.Encode(), &done)
}
