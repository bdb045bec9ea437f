package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// ErrPrivate is the error of [Public] for an address that is not one of the public Internet.
var ErrPrivate = errors.New("dial: not a public address")

// Public returns a Func that connects as [Direct] does, and to public addresses only: never to this machine itself, by a
// private address or by a public one of its interfaces, to its networks, or to many at once. It is for addresses that a
// stranger names, who could otherwise have us knock where he cannot. What counts is the address that is really connected
// to, after names have been resolved. A public address that only a translator before this machine has, and that leads back
// to it, is not known here: whatever that lets in, it lets in from us. Errors: ErrPrivate; those of the system, which says
// which addresses are its own.
func Public() Func {
	d := net.Dialer{Timeout: ConnectTimeout, Control: onlyPublic(net.InterfaceAddrs)}
	d.SetMultipathTCP(false)
	return d.DialContext
}

// onlyPublic returns what is called with an address that is about to be connected to. Which addresses are this machine's
// own is asked each time, for they change: it takes less than a handshake does.
func onlyPublic(own func() ([]net.Addr, error)) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %q", ErrPrivate, address)
		}
		if !isPublic(at.Addr()) {
			return fmt.Errorf("%w: %s", ErrPrivate, at.Addr())
		}
		addresses, err := own()
		if err != nil {
			return fmt.Errorf("dial: which addresses are our own: %w", err)
		}
		if isOneOf(at.Addr(), addresses) {
			return fmt.Errorf("%w: %s is our own", ErrPrivate, at.Addr())
		}
		return nil
	}
}

// isOneOf tells whether an address, or the one that it stands for, is one of some interfaces.
func isOneOf(a netip.Addr, addresses []net.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(addresses, func(own net.Addr) bool {
		network, ok := own.(*net.IPNet)
		if !ok {
			return false
		}
		ip, ok := netip.AddrFromSlice(network.IP)
		return ok && (ip.Unmap() == a || ip.Unmap() == embedded(a))
	})
}

// notPublic are the networks that no method of netip.Addr names (IANA special-purpose registries, RFC 6890): this network,
// shared address space (RFC 6598), protocol assignments, benchmarks, reserved; site-local (RFC 3879).
func notPublic() []netip.Prefix {
	v4 := func(bits int, address ...byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(append(address, make([]byte, 4-len(address))...))), bits)
	}
	return []netip.Prefix{
		v4(8, 0), v4(10, 100, 64), v4(24, 192, 0, 0), v4(15, 198, 18), v4(4, 240),
		v6(10, 0xfe, 0xc0),
		v6(48, 0, 0x64, 0xff, 0x9b, 0, 1), // translated, where the network likes (RFC 8215)
	}
}

// v6 is the network of an address that ends in zeros.
func v6(bits int, address ...byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(append(address, make([]byte, 16-len(address))...))), bits)
}

// isPublic tells whether an address is one that anybody may be sent to.
func isPublic(a netip.Addr) bool {
	a = embedded(a.Unmap().WithZone(""))
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsPrivate() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(notPublic(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// embedded is the IPv4 address that an IPv6 one stands for: translated (64:ff9b::/96, RFC 6052), by 6to4 (2002::/16, RFC
// 3056), or compatible (::/96, RFC 4291); else the address itself.
func embedded(a netip.Addr) netip.Addr {
	if !a.Is6() || a.IsUnspecified() || a == netip.IPv6Loopback() {
		return a
	}
	b := a.As16()
	switch {
	case v6(96, 0, 0x64, 0xff, 0x9b).Contains(a), v6(96).Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case v6(16, 0x20, 0x02).Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}
