package link

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Errors that a caller branches on. All others are texts for a person to read.
var (
	// ErrFull is returned by the Send functions and Forward when the queue has no room: what was to be sent is refused
	// and forgotten, and the caller counts it as dropped.
	ErrFull = errors.New("link: queue is full")

	// ErrClosed is returned on a link or listener that was closed or is draining. What closed it is wrapped beside it.
	ErrClosed = errors.New("link: closed")

	// ErrStuck closes a link whose peer took no bytes for WriteTimeout.
	ErrStuck = errors.New("link: peer takes nothing")

	// ErrSpent closes a link that has sent maxSlots slots under one TLS key. Dial again.
	ErrSpent = errors.New("link: key has sent as much as it may")

	// ErrSlot closes a link on which the peer sent a slot that there is no such kind of, or a record that is not a slot.
	ErrSlot = errors.New("link: malformed slot")

	// ErrControl closes a link on which the peer sent a malformed or too long control message. SendControl returns it
	// for a message that is empty or too long.
	ErrControl = errors.New("link: malformed control message")

	// ErrPeer ends a handshake in which Config.Judge did not accept the other side's certificate, or there was none or
	// more than one. What Judge said is wrapped beside it.
	ErrPeer = errors.New("link: peer refused")

	// ErrRefused ends a handshake in which the other side said no. TLS tells no more than the name of an alert, which is
	// wrapped beside it.
	ErrRefused = errors.New("link: refused by the other side")
)

// LackError ends a handshake with a client that does not offer all that a link insists on (docs/spec/link.md).
type LackError struct {
	Missing []string // of "TLS 1.3", "X25519MLKEM768" and "ALPN p3do/1", those that the client did not offer
}

// Error names what the client lacks.
func (e *LackError) Error() string {
	return "link: client does not offer " + strings.Join(e.Missing, ", ")
}

// closedBy is the error of a call on a link that ended for the reason cause; nil means that it was closed on this side.
func closedBy(cause error) error {
	if cause == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, cause)
}

// bare takes the network addresses out of an error of package net: a user's address must not get into a log by way of an
// error's text.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

// fromPeer tells whether err is a TLS alert that the other side sent. Package crypto/tls marks them by this text only.
func fromPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
