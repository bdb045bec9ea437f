package link

import (
	"context"
	"errors"
	"fmt"
)

// Dial connects to a node's link address by c.Dial, and returns a link once each side has accepted the other: as a node
// if c has a certificate, else as a user. ctx bounds the whole; c.HandshakeTimeout what follows the connection. Errors:
// ErrPeer if this side refused the other, ErrRefused if it was the other way round.
func Dial(ctx context.Context, c Config, address string) (*Conn, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if c.Dial == nil {
		return nil, errors.New("link: config: no way to dial")
	}
	raw, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("link: connecting: %w", err)
	}
	return dialSide(ctx, c, raw)
}
