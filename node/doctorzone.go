package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"github.com/p3do/p3do/dnstxt"
)

// zoneAddress is where the node serves its zone; empty: nowhere, or it is not known before
// it does.
func (e *examination) zoneAddress() string {
	if e.cfg.DNS.Serve == "" {
		return ""
	}
	if running, err := ReadRunning(e.Dir); err == nil && running.DNS != "" {
		return running.DNS
	}
	if at, err := netip.ParseAddrPort(e.cfg.DNS.Serve); err == nil && at.Port() != 0 {
		return at.String()
	}
	return ""
}

// freeZone: the port of the zone can be listened on, by UDP and by TCP.
func (e *examination) freeZone() {
	address := e.cfg.DNS.Serve
	if address == "" {
		return
	}
	udp, err := net.ListenPacket("udp", address)
	if err == nil {
		err = udp.Close()
	}
	if err == nil {
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", address); err == nil {
			err = tcp.Close()
		}
	}
	if err != nil {
		_, port, _ := net.SplitHostPort(address) // was checked with the configuration
		e.wrong("ports", fmt.Sprintf("ss -lntup 'sport = :%s'   (who has it?); below 1024 the node needs AmbientCapabilities=CAP_NET_BIND_SERVICE in its unit; or another dns.serve in %s", port, e.path(ConfigFile)),
			"cannot serve DNS on %s: %v", address, err)
	}
}

// reachZone asks the node's own server for the record: it must be there, and be signed with
// the key that the zone above is told of.
func (e *examination) reachZone(ctx context.Context) {
	address := e.zoneAddress()
	if address == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	switch err := e.askZone(ctx, address); {
	case errors.Is(err, fs.ErrNotExist): // readZoneKey has said so
	case errors.Is(err, dnstxt.ErrInvalid), errors.Is(err, dnstxt.ErrNone):
		e.wrong("ports", e.restart(), "%s, where our zone is served, does not say what it should, signed with our key: %v", address, err)
	case err != nil:
		e.wrong("ports", fmt.Sprintf("let TCP and UDP port 53 through to this machine, or edit dns.serve in %s", e.path(ConfigFile)),
			"%s, where our zone is served, cannot be reached: %v", address, err)
	}
}

// askZone looks the record up, from the key of the zone down.
func (e *examination) askZone(ctx context.Context, address string) error {
	raw, err := os.ReadFile(e.path(keysFolder, zoneFile))
	if err != nil {
		return err
	}
	key, err := dnstxt.ParseZoneKey(raw)
	if err != nil {
		return err
	}
	names, err := e.cfg.DNS.nameservers()
	if err != nil {
		return err
	}
	lines, err := dnstxt.Delegation(e.cfg.Domain, names, key, RecordTTL)
	if err != nil {
		return err
	}
	anchors, err := dnstxt.ParseAnchors(lines[len(lines)-1])
	if err != nil {
		return err
	}
	server, err := dnstxt.ParseServer(address)
	if err != nil {
		return err
	}
	answer, err := dnstxt.Resolver{Server: server, Dial: e.Dial, Anchors: anchors, Keys: dnstxt.NewKeyCache()}.Look(ctx, e.cfg.Domain)
	if err == nil && answer.Security != dnstxt.Secure {
		err = fmt.Errorf("%w: %s", dnstxt.ErrInvalid, answer.Why)
	}
	return err
}
