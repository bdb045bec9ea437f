package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/link"
)

// Options is what a node is given by the program that runs it.
type Options struct {
	Dial   dial.Func    // the door to the network: to the configured resolver; needed
	Public dial.Func    // the door to what other domains name, which refuses private addresses; needed unless these are allowed
	Log    *slog.Logger // gets no name of a user, no message id, no address of a user; nil: nobody

	Swaps bool // the memory of this process may be written to the swap space: for a Doctor to know

	Faults *link.Faults // in a lab only, in place of what lab.loss and lab.delay make; nil: those
}

// faults is what makes the links of a lab bad on purpose; nil outside of one.
func (o Options) faults(lab Lab) (*link.Faults, error) {
	switch {
	case o.Faults != nil && !lab.Enabled:
		return nil, errors.New("node: Options.Faults is for a lab: it wants lab.enabled = true")
	case o.Faults != nil:
		return o.Faults, nil
	case lab.Loss == 0 && lab.Delay == 0:
		return nil, nil
	}
	return &link.Faults{
		Loss: lab.Loss, Delay: time.Duration(lab.Delay), Rand: rand.New(rand.NewPCG(lab.Seed, lab.Seed)),
	}, nil
}

// outside is the door to what other domains name. In a lab, and where the configuration says so,
// that is the one to anywhere.
func (o Options) outside(c Config) (dial.Func, error) {
	switch {
	case c.Lab.Enabled || c.Network.Private:
		return o.Dial, nil
	case o.Public == nil:
		return nil, errors.New("node: Options.Public is missing")
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := o.Public(ctx, network, address)
		if errors.Is(err, dial.ErrPrivate) {
			err = fmt.Errorf("%w (network.private in %s allows those)", err, ConfigFile)
		}
		return conn, err
	}, nil
}
