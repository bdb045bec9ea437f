package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
)

// sign is register for those who ask our key server, over HTTPS: the same names, keys and
// invitations, and the same bounds.
func (n *Node) sign(ctx context.Context, r keyserver.SignRequest) ([]byte, error) {
	from, err := netip.ParseAddrPort(r.From)
	if err != nil {
		return nil, fmt.Errorf("node: the address of a client: %w", err)
	}
	certificate, err := n.register(ctx, net.TCPAddrFromAddrPort(from), r.Request, r.Invite)
	var told *session.Error
	if errors.As(err, &told) && told.Code != session.Unavailable {
		err = fmt.Errorf("%w: %w", keyserver.ErrNotSigned, err)
	}
	return certificate, err
}
