package pki

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// MaxEndpointSize is the greatest length of a host:port in bytes.
const MaxEndpointSize = 255

// CheckEndpoint accepts host:port in the one spelling that descriptors carry:
// a host name in lower case, an IPv4 address, or an IPv6 address in brackets,
// and a port from 1 to 65535 without leading zeros. The error quotes the text.
func CheckEndpoint(text string) error {
	fail := func(allowed string) error { return fmt.Errorf("pki: address %.80q: %s", text, allowed) }
	if len(text) > MaxEndpointSize {
		return fail("longer than 255 bytes")
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return fail(`want host:port, as in "node.a.test:7001"`)
	}
	host, port := text[:colon], text[colon+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fail("a port is a number from 1 to 65535")
	}
	if !validHost(host) {
		return fail("a host is a name of a-z, 0-9, - and dots, an IPv4 address, or an IPv6 address in brackets")
	}
	return nil
}

func validHost(host string) bool {
	if inner, found := strings.CutPrefix(host, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		address, err := netip.ParseAddr(inner)
		return found && err == nil && address.Is6() && address.Zone() == "" && address.String() == inner
	}
	labels := strings.Split(host, ".")
	if allDigits(labels[len(labels)-1]) {
		address, err := netip.ParseAddr(host)
		return err == nil && address.Is4()
	}
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	return len(host) <= MaxDomainSize
}
