package node

import (
	cryptorand "crypto/rand"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

const (
	// checkedPeels is how many layers of each kind a goroutine takes off to find out how fast it can, and checkedTimes how
	// often it tries: the best counts, for whatever else runs can only make it slower.
	checkedPeels = 24
	checkedTimes = 3
)

// Peels is how many layers a second this machine can take off, as it found out when the node was started: one goroutine
// alone, and one on each processor at once. The router takes them off in one goroutine.
type Peels struct {
	Outer      float64 `json:"outer"`      // context layers
	Inner      float64 `json:"inner"`      // layers of servers
	Processors int     `json:"processors"` // that were used at once
	OuterAtAll float64 `json:"outer_saturated"`
	InnerAtAll float64 `json:"inner_saturated"`
}

// String says it in a line.
func (p Peels) String() string {
	return fmt.Sprintf("%.0f context layers and %.0f server layers a second alone, %.0f and %.0f on %d processors", p.Outer, p.Inner, p.OuterAtAll, p.InnerAtAll, p.Processors)
}

// A peelBench holds a layer of each kind with the keys that open it.
type peelBench struct {
	context *onion.ContextPrivateKey
	hint    onion.Hint
	packet  onion.Packet
	server  *onion.ServerPrivateKey
	inner   onion.Inner
}

func newPeelBench(now time.Time) (b peelBench, err error) {
	if b.context, err = onion.NewContextKey(cryptorand.Reader); err != nil {
		return b, err
	}
	if b.hint, err = onion.NewHint(cryptorand.Reader); err != nil {
		return b, err
	}
	if b.server, err = onion.NewServerKey(cryptorand.Reader); err != nil {
		return b, err
	}
	hops := []onion.InnerHop{{Key: b.server.Public()}}
	if b.inner, err = onion.BuildInner(cryptorand.Reader, hops, onion.Mailbox{}, now.Add(mor.LetterLifetime), make([]byte, onion.PayloadSize)); err != nil {
		return b, err
	}
	b.packet, err = onion.Wrap(cryptorand.Reader, onion.EpochAt(now), []onion.OuterHop{{Key: b.context.Public(), Hint: b.hint}}, onion.OuterEnd{Drop: true}, onion.Inner{})
	return b, err
}

func (b peelBench) outer() error { _, err := onion.PeelOuter(b.context, b.hint, b.packet); return err }
func (b peelBench) open() error  { _, err := onion.PeelInner(b.server, b.inner); return err }

// rate is how often a second so many goroutines do f together, at best.
func rate(goroutines int, f func() error) (best float64, err error) {
	for range checkedTimes {
		once, err := rateOnce(goroutines, f)
		if err != nil {
			return 0, err
		}
		best = max(best, once)
	}
	return best, nil
}

func rateOnce(goroutines int, f func() error) (float64, error) {
	var working sync.WaitGroup
	var failed atomic.Pointer[error]
	began := time.Now()
	for range goroutines {
		working.Go(func() {
			for range checkedPeels {
				if err := f(); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	working.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(goroutines*checkedPeels) / time.Since(began).Seconds(), nil
}

// measurePeels takes some tens of milliseconds.
func measurePeels(now time.Time) (p Peels, err error) {
	b, err := newPeelBench(now)
	if err != nil {
		return p, fmt.Errorf("node: self-check: %w", err)
	}
	p.Processors = runtime.GOMAXPROCS(0)
	for _, m := range []struct {
		into       *float64
		goroutines int
		f          func() error
	}{
		{&p.Outer, 1, b.outer}, {&p.Inner, 1, b.open}, {&p.OuterAtAll, p.Processors, b.outer}, {&p.InnerAtAll, p.Processors, b.open},
	} {
		if *m.into, err = rate(m.goroutines, m.f); err != nil {
			return p, fmt.Errorf("node: self-check: a layer of our own does not open: %w", err)
		}
	}
	return p, nil
}

// checkSelf finds out how fast this machine takes layers off, and says so. A machine that cannot open its own layers serves
// nobody: the node ends.
func (n *Node) checkSelf() error {
	p, err := measurePeels(time.Now())
	if err != nil {
		return err
	}
	n.peels.Store(&p)
	n.log.Info("self-check", "peels", p)
	return nil
}
