package mor

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Specification constants of the router (docs/spec/mor.md, "Limits").
const (
	// LegBudget is how often the inner packet of one leg may be re-wrapped.
	LegBudget = 3
	// MaxQueue is how many packets may wait to be peeled, and how many to be spoken. When
	// a queue is full, what comes is dropped and counted as queue-full.
	MaxQueue = 4096
	// MaxMembers is how many domains may be members of one context.
	MaxMembers = 1024
	// MaxListeners is how many contexts of others may be listened to.
	MaxListeners = 1024

	// expirySlack is how much later than LetterLifetime from now an inner layer may expire,
	// for users whose clocks are wrong. What expires later yet is refused: its mark would
	// have to be kept as long.
	expirySlack = 24 * time.Hour

	defaultMaxDelay  = 2 * time.Second
	longestMaxDelay  = time.Minute
	defaultGrid      = 20 * time.Millisecond
	defaultSeenShare = 100_000
	defaultMarkShare = 250_000
)

// Config is what a Router starts from.
type Config struct {
	Domain   pki.Domain   // the domain of this server
	Rand     io.Reader    // all randomness; it must not fail (a packet that finds it failing is dropped)
	Sign     Signer       // signs our context records: the domain authority's Sign
	Servers  []ServerKey  // private keys of the inner layers: this period's, the next and the last
	Contexts []OwnContext // what we speak on: one to MaxOwn, each in a cell of its own
	Marks    []Mark       // what was remembered before a restart

	ExtraHops  int           // context layers added before the last on each leg: 0..3
	Delay      time.Duration // mean of the exponential delay before a rebroadcast; 0: none
	PeelDelay  time.Duration // mean of the delay that we ask of each hop that peels; 0: the next grid instant
	Cover      time.Duration // mean of the exponential time between two packets of cover that we make; 0: none
	MaxDelay   time.Duration // no delay is longer, whoever drew it; default 2 s
	Grid       time.Duration // peeled packets are spoken at multiples of this; default 20 ms
	SeenShare  int           // packets that one heard context may add to one epoch; default 100 000
	Lazy       bool          // packets go over some links only, and news of them over the others; else all over all
	FetchAfter time.Duration // the least that an announced body is waited for before it is asked for; default 250 ms

	Scheme onion.Scheme // of packets; the zero value is that of docs/spec/onion.md, and all others are for simulations

	Judged *Judged // shared with other routers of a simulation; nil: each verifies what it learns itself

	Trace bool // tell the truth about each packet in Output.Trail: for labs and simulations only

	MarkShare int // marks that one heard context may cause, some for up to 8 days; default 250 000
}

// A Signer signs a statement with the domain key, as [pki.Authority.Sign] does.
type Signer func(label pki.Label, message []byte) []byte

// A ServerKey is a private key for inner layers and the period it serves.
type ServerKey struct {
	Period  pki.Period
	Private *onion.ServerPrivateKey
}

// An OwnContext is a context that this server speaks on.
type OwnContext struct {
	ID     ContextID
	Key    *onion.ContextPrivateKey
	Hint   onion.Hint // of Epoch
	Epoch  onion.Epoch
	Former []FormerKey // the newest first, at most MaxFormer
}

// NewContext makes a context with fresh keys whose hints begin one epoch before now, so
// that packets of a slower clock are recognised.
func NewContext(rand io.Reader, now time.Time) (OwnContext, error) {
	c := OwnContext{Epoch: onion.EpochAt(now) - 1}
	if _, err := io.ReadFull(rand, c.ID[:]); err != nil {
		return OwnContext{}, fmt.Errorf("mor: naming a context: %w", err)
	}
	var err error
	if c.Key, err = onion.NewContextKey(rand); err != nil {
		return OwnContext{}, fmt.Errorf("mor: making a context key: %w", err)
	}
	if c.Hint, err = onion.NewHint(rand); err != nil {
		return OwnContext{}, fmt.Errorf("mor: making a hint: %w", err)
	}
	return c, nil
}

// Advance returns c with its hint moved to the epoch before now; the older hints are
// gone for good once the result has replaced c on disk.
func (c OwnContext) Advance(now time.Time) OwnContext {
	for oldest := onion.EpochAt(now) - 1; c.Epoch < oldest; c.Epoch++ {
		c.Hint = c.Hint.Next()
	}
	var former []FormerKey
	for _, f := range c.Former {
		if now.Before(f.Until) {
			former = append(former, f.advance(onion.EpochAt(now)-1))
		}
	}
	c.Former = former
	return c
}

// withDefaults returns c with the defaults filled in, or all its faults.
func (c Config) withDefaults() (Config, error) {
	var faults []error
	fault := func(wrong bool, text string) {
		if wrong {
			faults = append(faults, errors.New("mor: "+text))
		}
	}
	fault(c.Domain.IsZero(), "Config.Domain is missing")
	fault(c.Rand == nil, "Config.Rand is missing")
	fault(c.Sign == nil, "Config.Sign is missing")
	fault(len(c.Servers) == 0, "Config.Servers is empty")
	fault(len(c.Contexts) == 0, "Config.Contexts is empty")
	fault(len(c.Contexts) > MaxOwn, "Config.Contexts are more than 16")
	fault(c.ExtraHops < 0 || c.ExtraHops >= onion.OuterSlots, "Config.ExtraHops is not 0 to 3")
	fault(c.Delay < 0 || c.PeelDelay < 0 || c.MaxDelay < 0 || c.Grid < 0 || c.FetchAfter < 0 || c.Cover < 0, "a delay in Config is negative")
	fault(c.SeenShare < 0 || c.MarkShare < 0, "a share in Config is negative")
	c.MaxDelay = orDefault(c.MaxDelay, defaultMaxDelay)
	c.Grid = orDefault(c.Grid, defaultGrid)
	c.SeenShare = orDefault(c.SeenShare, defaultSeenShare)
	c.MarkShare = orDefault(c.MarkShare, defaultMarkShare)
	c.FetchAfter = orDefault(c.FetchAfter, defaultFetchAfter)
	fault(c.MaxDelay > longestMaxDelay, "Config.MaxDelay is over a minute")
	return c, errors.Join(faults...)
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
