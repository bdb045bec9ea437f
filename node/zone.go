package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/pki"
)

// zoneFile holds the seed of the key that our zone is signed with, in the key folder.
const zoneFile = "zone"

// ErrNoZone: the configuration does not say that the node serves a zone.
var ErrNoZone = errors.New("node: no zone is served")

// zoneFaults are what is wrong with serve and nameservers: both, or none, and no updates beside them.
func (d DNS) zoneFaults() (faults []error) {
	if d.Serve == "" && len(d.Nameservers) == 0 {
		return nil
	}
	if at, err := netip.ParseAddrPort(d.Serve); err != nil || at.Addr().IsUnspecified() || at.Addr().Zone() != "" {
		faults = append(faults, fmt.Errorf(`dns.serve is %q, not one address of this machine as "192.0.2.1:53"`, d.Serve))
	}
	if n := len(d.Nameservers); n == 0 || n > dnstxt.MaxNameservers {
		faults = append(faults, fmt.Errorf("dns.nameservers has %d names, not 1 to %d", n, dnstxt.MaxNameservers))
	}
	if d.Update != (DNSUpdate{}) {
		faults = append(faults, errors.New("dns.serve and [dns.update] are two ways to say the same: keep the one by which DNS comes to the record"))
	}
	seen := make(map[pki.Domain]bool)
	for _, name := range d.Nameservers {
		server, err := pki.ParseDomain(name)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("dns.nameservers: %w", err))
		case seen[server]:
			faults = append(faults, fmt.Errorf("dns.nameservers has %s twice", server))
		}
		seen[server] = true
	}
	return faults
}

// nameservers are the names, which validate has looked at.
func (d DNS) nameservers() (names []pki.Domain, err error) {
	for _, text := range d.Nameservers {
		name, err := pki.ParseDomain(text)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// zone returns the key of our zone. It is made if it is missing; the zone above has to name
// another one then.
func (k keyring) zone() (dnstxt.ZoneKey, error) {
	seed, err := k.readOrMake(zoneFile, func() ([]byte, error) {
		key, err := dnstxt.NewZoneKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return key.Seed(), nil
	})
	if err != nil {
		return dnstxt.ZoneKey{}, err
	}
	return dnstxt.ParseZoneKey(seed)
}

// zoneConfig is our zone, as the configuration has it.
func (c Config) zoneConfig(keys keyring) (z dnstxt.ZoneConfig, err error) {
	z = dnstxt.ZoneConfig{Domain: c.Domain, TTL: RecordTTL}
	if z.Nameservers, err = c.DNS.nameservers(); err != nil {
		return z, err
	}
	z.Key, err = keys.zone()
	return z, err
}

// Delegation returns what the zone above that of the node in dir needs: NS and DS lines. The
// key is made if it is missing. ErrNoZone: the configuration says nothing of a zone.
func Delegation(dir string) (pki.Domain, []string, error) {
	c, err := ReadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return pki.Domain{}, nil, err
	}
	if c.DNS.Serve == "" {
		return c.Domain, nil, ErrNoZone
	}
	z, err := c.zoneConfig(keyring{filepath.Join(dir, keysFolder)})
	if err != nil {
		return c.Domain, nil, err
	}
	lines, err := dnstxt.Delegation(z.Domain, z.Nameservers, z.Key, z.TTL)
	return c.Domain, lines, err
}

// listenZone signs our zone and opens its server, if the configuration says so.
func (n *Node) listenZone() (*dnstxt.Nameserver, error) {
	if n.cfg.DNS.Serve == "" {
		return nil, nil
	}
	z, err := n.cfg.zoneConfig(n.keys)
	if err != nil {
		return nil, err
	}
	if n.zone, err = dnstxt.NewSignedZone(z, n.record(), time.Now()); err != nil {
		return nil, fmt.Errorf("node: the zone: %w", err)
	}
	server, err := dnstxt.Serve(n.cfg.DNS.Serve, n.zone)
	if err != nil {
		return nil, fmt.Errorf("node: listening for DNS: %w", err)
	}
	n.addresses.DNS = server.Addr()
	n.publisher.served.Store(server)
	return server, nil
}

// record is what DNS is to say of our domain while we serve.
func (n *Node) record() dnstxt.Record {
	authority, servers := n.authority(), n.cfg.Publish.KeyServers
	if len(servers) == 0 {
		servers = []string{n.addresses.KeyServer}
	}
	return dnstxt.Record{Fingerprint: authority.CA().Fingerprint(), Next: authority.Commitment().Next, KeyServers: servers}
}

// sayRecord says what DNS is to say of us, wherever we say it ourselves: the record is another.
func (n *Node) sayRecord() {
	n.publisher.soon()
	if n.zone == nil {
		return
	}
	if err := n.zone.Set(n.record(), time.Now()); err != nil {
		n.log.Error("signing our zone", "err", err)
	}
}
