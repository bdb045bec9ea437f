package dial

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestIsPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"1.1.1.1": true, "203.0.113.7": true, "2606:4700::1111": true, "64:ff9b::101:101": true, "2002:101:101::1": true,
		"127.0.0.1": false, "127.8.8.8": false, "::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false,
		"10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "fc00::1": false, "fd12::1": false, "::ffff:10.0.0.1": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false,
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "0.0.0.0": false, "::": false, "0.1.2.3": false,
		"100.64.0.1": false, "192.0.0.8": false, "198.18.0.1": false, "240.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2002:c0a8:101::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}

// What is refused is the address that is connected to, whatever it is called, and before anything is sent.
func TestPublicRefuses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{})
	go func() {
		defer close(came)
		if conn, err := listener.Accept(); err == nil {
			conn.Close()
			t.Error("somebody has connected")
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "localhost", "0.0.0.0"} {
		_, err := Public()(t.Context(), "tcp", net.JoinHostPort(host, port))
		if errors.As(err, new(*net.DNSError)) { // a machine without a name for itself
			continue
		}
		if !errors.Is(err, ErrPrivate) {
			t.Errorf("%s: %v", host, err)
		}
	}
	listener.Close()
	<-came
}

// An address of this machine is refused though it is a public one, however it is written; its
// neighbours are not. If the system does not say which are its own, none is connected to.
func TestPublicRefusesOurOwn(t *testing.T) {
	own := func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.ParseIP("127.0.0.1"), Mask: net.CIDRMask(8, 32)},
			&net.IPNet{IP: net.ParseIP("203.0.113.7"), Mask: net.CIDRMask(24, 32)}, // 16 bytes, as Linux has it
			&net.IPNet{IP: net.ParseIP("2606:4700::7"), Mask: net.CIDRMask(64, 128)},
		}, nil
	}
	for address, want := range map[string]bool{
		"203.0.113.7:22": false, "[::ffff:203.0.113.7]:5432": false, "[64:ff9b::cb00:7107]:22": false, "[2002:cb00:7107::1]:22": false,
		"[2606:4700::7]:22": false, "[2606:4700::7%eth0]:22": false,
		"203.0.113.8:22": true, "[2606:4700::8]:22": true, "127.0.0.1:22": false, "203.0.113.8": false,
	} {
		if err := onlyPublic(own)("tcp", address, nil); (err == nil) != want || err != nil && !errors.Is(err, ErrPrivate) {
			t.Errorf("%s: %v", address, err)
		}
	}
	broken := errors.New("broken")
	unknown := func() ([]net.Addr, error) { return nil, broken }
	if err := onlyPublic(unknown)("tcp", "203.0.113.8:22", nil); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// What the system says of its interfaces is understood, all of it.
func TestOurOwnAddresses(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil || len(addresses) == 0 {
		t.Fatal(addresses, err)
	}
	for _, own := range addresses {
		prefix, err := netip.ParsePrefix(own.String())
		if err != nil || !isOneOf(prefix.Addr(), addresses) {
			t.Errorf("%s: %v", own, err)
		}
	}
}

func BenchmarkOnlyPublic(b *testing.B) {
	check := onlyPublic(net.InterfaceAddrs)
	for b.Loop() {
		if err := check("tcp", "1.1.1.1:443", nil); err != nil {
			b.Fatal(err)
		}
	}
}
