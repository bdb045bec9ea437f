package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/p3do/p3do/internal/dial"
)

// Specification constants.
const (
	// ALPN is the protocol name that both sides must agree on (RFC 7301). It is in clear in the ClientHello.
	ALPN = "p3do/1"

	// maxSlots is how many slots one side sends under one TLS key: RFC 8446 section 5.5 allows 2^24.5 full records with
	// AES-GCM, and crypto/tls never updates a key of its own accord. The link then ends with ErrSpent, after 256 GiB.
	maxSlots = 1 << 24
)

// Implementation constants.
const (
	// DefaultQueue is how many packet and forward slots may wait on a link: 4 MiB, shared between links that send the
	// same packet.
	DefaultQueue = 256

	// ControlQueue is how many control slots may wait on a link, beside the packets: 4 MiB, room for three messages of
	// the longest kind.
	ControlQueue = 256

	// DefaultHandshakeTimeout bounds the time from a connection to a judged link.
	DefaultHandshakeTimeout = 10 * time.Second

	// WriteTimeout is how long a peer may take for one slot before the link is closed.
	WriteTimeout = 30 * time.Second

	// partTimeout and partBytes bound how long a failed handshake waits for the other side to read why it failed.
	partTimeout = time.Second
	partBytes   = 64 << 10

	// MaxHandshakes is how many connections of a listener may be in the midst of the handshake. One more, and the oldest
	// of them is closed: who says nothing keeps nobody out for longer than it takes others to come.
	MaxHandshakes = 256

	// DefaultMaxNodes and DefaultMaxUsers are how many node links and user links a listener holds at a time. The newest
	// beyond it is closed right after its handshake.
	DefaultMaxNodes = 1024
	DefaultMaxUsers = 4096
)

// Config says who this side is and whom it talks to. The zero value of a field means its default, where it has one. A
// Config is not changed by this package and may serve many links.
type Config struct {
	// Certificate is this node's own: the leaf alone, with its private key. A user has none. Needed to listen.
	Certificate tls.Certificate

	// Judge says whether the side that shows leaf may have a link: nil, or the reason why not. Needed. It is called in
	// the handshake *before* leaf's owner has proved to hold its key, so it must only judge, not record: a Conn exists
	// only if the proof followed. It may be called from many goroutines at once. No public CA is ever asked.
	Judge func(leaf *x509.Certificate) error

	// Dial connects to an address. Needed to dial.
	Dial dial.Func

	// Pace is the schedule of what this side sends: on links that it dials, and on node links that it accepts; UserPace on
	// user links that it accepts. Default: none.
	Pace, UserPace Pace

	// Queue is how many packet and forward slots may wait. Default DefaultQueue.
	Queue int

	// HandshakeTimeout bounds the handshake on both sides, once TCP is connected. Default DefaultHandshakeTimeout.
	HandshakeTimeout time.Duration

	// MaxNodes and MaxUsers are how many links of either sort a listener holds. Default DefaultMaxNodes, DefaultMaxUsers.
	MaxNodes, MaxUsers int

	// NodeBudget and UserBudget bound what all node links, and all user links, hold of control messages together; the same
	// ones may be in several Configs. Nil: a listener makes one of DefaultBudget for each, and who dials has none.
	NodeBudget, UserBudget *Budget

	// Faults, if not nil, loses and delays slots on the sending side: for tests and the lab.
	Faults *Faults

	// Log hears of refused handshakes, without addresses. Default: nobody does.
	Log *slog.Logger

	random *rand.Rand // of schedules; nil but in tests: a source of each link's own
}

// withDefaults returns c complete, or all that is wrong with it.
func (c Config) withDefaults() (Config, error) {
	orDefault(&c.Queue, DefaultQueue)
	orDefault(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	orDefault(&c.MaxNodes, DefaultMaxNodes)
	orDefault(&c.MaxUsers, DefaultMaxUsers)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if c.Judge == nil {
		errs = append(errs, errors.New("no judge of certificates"))
	}
	if c.Queue < 0 || c.HandshakeTimeout < 0 || c.MaxNodes < 0 || c.MaxUsers < 0 {
		errs = append(errs, errors.New("a bound is negative"))
	}
	if n := len(c.Certificate.Certificate); n > 1 {
		errs = append(errs, fmt.Errorf("own certificate comes with %d others", n-1))
	}
	errs = append(errs, c.Faults.validate(), c.Pace.validate(), c.UserPace.validate())
	if err := errors.Join(errs...); err != nil {
		return Config{}, fmt.Errorf("link: config: %w", err)
	}
	return c, nil
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// isNode tells whether this side shows a certificate.
func (c Config) isNode() bool { return len(c.Certificate.Certificate) > 0 }
