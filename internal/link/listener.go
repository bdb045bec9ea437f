package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// acceptPause is how long a listener waits after the system could not give it a connection, as when it is out of file
// descriptors.
const acceptPause = 100 * time.Millisecond

var errNoPlace = errors.New("link: all places are taken")

// Listener waits for links. Handshakes run side by side, so a slow one keeps nobody from being accepted. The caller
// closes it.
type Listener struct {
	config     Config // but for its certificate
	shown      atomic.Pointer[tls.Certificate]
	tcp        net.Listener
	ready      chan *Conn // unbuffered: a judged link waits in its place among nodes or users
	handshakes waitingRoom
	nodes      chan struct{} // places: a send takes one
	users      chan struct{}
	closing    <-chan struct{} // closed when Close is called: handshakes end with it
	cancel     context.CancelFunc
	running    sync.WaitGroup
	refused    atomic.Uint64
	full       atomic.Uint64
}

// ListenerStats are the counters of a listener since it was made.
type ListenerStats struct {
	Refused uint64 // handshakes that failed: no TLS, not all that is insisted on, refused by Judge, too slow, gone away
	Full    uint64 // connections closed because all places of their sort were taken
	Nodes   int    // node links open now
	Users   int    // user links open now
	Crowded uint64 // links that had to go because NodeBudget or UserBudget was full
}

// Listen listens for links at a TCP address, "host:port"; port 0 means any free one. c needs a certificate.
func Listen(c Config, address string) (*Listener, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if !c.isNode() {
		return nil, errors.New("link: config: listening without a certificate")
	}
	var tcp net.ListenConfig
	tcp.SetMultipathTCP(false) // it may tell strangers the machine's further addresses
	ln, err := tcp.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("link: listening: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if c.NodeBudget == nil {
		c.NodeBudget = NewBudget(DefaultBudget)
	}
	if c.UserBudget == nil {
		c.UserBudget = NewBudget(DefaultBudget)
	}
	l := &Listener{
		config: c, tcp: ln, closing: ctx.Done(), cancel: cancel, ready: make(chan *Conn),
		nodes: make(chan struct{}, c.MaxNodes),
		users: make(chan struct{}, c.MaxUsers),
	}
	l.shown.Store(&c.Certificate)
	l.running.Go(func() { l.serve(ctx) })
	return l, nil
}

// Addr returns the address that the listener listens at.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Renew makes the listener show certificate, a leaf alone with its private key, in the handshakes that begin from now on.
// Standing links keep what they were judged by. A node calls it before the certificate that it shows runs out.
func (l *Listener) Renew(certificate tls.Certificate) error {
	if len(certificate.Certificate) != 1 {
		return fmt.Errorf("link: renewing: %d certificates, not one", len(certificate.Certificate))
	}
	l.shown.Store(&certificate)
	return nil
}

// Accept returns the next link. It blocks until there is one, ctx ends, or the listener is closed: ErrClosed. A refused
// handshake is not an error of Accept: it is logged and counted.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("link: accepting: %w", ctx.Err())
	case <-l.closing:
		return nil, ErrClosed
	}
}

// Close stops listening, breaks off handshakes, closes links that nobody accepted, and returns when all that has ended.
// Accepted links stay open.
func (l *Listener) Close() error {
	l.cancel()
	err := l.tcp.Close()
	l.running.Wait()
	return err
}

// Stats returns the counters of this moment.
func (l *Listener) Stats() ListenerStats {
	return ListenerStats{
		Refused: l.refused.Load(), Full: l.full.Load(), Nodes: len(l.nodes), Users: len(l.users),
		Crowded: l.config.NodeBudget.Ended() + l.config.UserBudget.Ended(),
	}
}

// serve accepts connections until the listener is closed.
func (l *Listener) serve(ctx context.Context) {
	for {
		raw, err := l.tcp.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				raw.Close()
			}
			return
		case err != nil:
			l.config.Log.Error("cannot accept links", "error", bare(err))
			l.pause()
			continue
		}
		if gone := l.handshakes.enter(raw); gone != nil {
			l.full.Add(1)
			gone.Close() // and its handshake ends
		}
		l.running.Go(func() { l.handshake(ctx, raw) })
	}
}

func (l *Listener) pause() {
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.closing:
	}
}

// handshake turns one connection into a link and hands it to Accept.
func (l *Listener) handshake(ctx context.Context, raw net.Conn) {
	config := l.config
	config.Certificate = *l.shown.Load()
	conn, err := listenSide(ctx, config, raw, l.admit)
	l.handshakes.leave(raw)
	if err != nil {
		if !errors.Is(err, errNoPlace) {
			l.refused.Add(1)
		}
		l.logRefusal(ctx, err)
		return
	}
	select {
	case l.ready <- conn:
	case <-l.closing:
		conn.Close()
	}
}

// logRefusal tells of those that an operator may have to help: a node that is not welcome, a
// program that is too old. Of mere noise it tells only those who ask for more.
func (l *Listener) logRefusal(ctx context.Context, err error) {
	level := slog.LevelDebug
	var lack *LackError
	if errors.Is(err, ErrPeer) || errors.Is(err, ErrRefused) || errors.As(err, &lack) {
		level = slog.LevelInfo
	}
	l.config.Log.Log(ctx, level, "refused a link", "error", err)
}

// admit takes a place for a link of its sort; release gives it back.
func (l *Listener) admit(user bool) (release func(), err error) {
	places := l.nodes
	if user {
		places = l.users
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		l.full.Add(1)
		return nil, errNoPlace
	}
}
