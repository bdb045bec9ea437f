package dial

import (
	"context"
	"net"
	"time"
)

// ConnectTimeout bounds one attempt of [Direct] or [Unix] to connect, name resolution included. The context given to the
// Func can only shorten it.
const ConnectTimeout = 10 * time.Second

// Func connects to address, "host:port", on network, "tcp" or "udp". It returns when the connection stands, when ctx
// ends, or with the reason why not. It is safe for concurrent use.
type Func func(ctx context.Context, network, address string) (net.Conn, error)

// Direct returns a Func that connects straight from this machine: every peer, and everybody in between, sees its address.
// Multipath TCP is off, since it may tell the other side the machine's further addresses.
func Direct() Func {
	d := net.Dialer{Timeout: ConnectTimeout}
	d.SetMultipathTCP(false)
	return d.DialContext
}

// Unix returns a Func that connects to the Unix socket at path whatever network and address it is asked for: for a
// program that talks to the control socket of a daemon on the same machine.
func Unix(path string) Func {
	d := net.Dialer{Timeout: ConnectTimeout}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}
}
