package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/keyserver"
)

// What a node should have left of its disk: both.
const (
	leastDisk    = 100 << 20 // bytes
	leastPercent = 1
)

// disk: there is room for mail.
func (e *examination) disk() {
	free, size, err := diskSpace(e.Dir)
	if err != nil {
		e.unknown("disk", "df -h "+e.Dir, "the disk of %s: %v", e.Dir, err)
		return
	}
	if free < leastDisk || free*100 < size*leastPercent {
		e.wrong("disk", "df -h "+e.Dir+"   (make room, or mail is refused)", "the disk of %s has %d MiB left of %d", e.Dir, free>>20, size>>20)
	}
}

// ports: others reach the node where it says that it is. If it does not serve, the
// addresses to listen on are free.
func (e *examination) ports(ctx context.Context) {
	switch {
	case e.cfg == nil:
	case !e.serves:
		e.free(ctx, "link", e.cfg.Listen.Link)
		e.free(ctx, "keyserver", e.cfg.Listen.KeyServer)
	case e.authority != nil:
		for _, address := range e.published(e.cfg.Publish.Links, e.running.Link) {
			e.reachLink(ctx, address)
		}
		for _, address := range e.published(e.cfg.Publish.KeyServers, e.running.KeyServer) {
			e.reachKeyServer(ctx, address)
		}
	}
}

func (e *examination) free(ctx context.Context, key, address string) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		_, port, _ := net.SplitHostPort(address) // was checked with the configuration
		e.wrong("ports", fmt.Sprintf("ss -ltnp 'sport = :%s'   (who has it?), or another %s under [listen] in %s", port, key, e.path(ConfigFile)),
			"cannot listen on %s: %v", address, err)
	}
}

// reachLink connects as a user does, and leaves.
func (e *examination) reachLink(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	conn, err := link.Dial(ctx, link.Config{
		Judge: func(leaf *x509.Certificate) error { return e.authority.CA().VerifyLink(leaf, e.now) }, Dial: e.Dial,
	}, address)
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		e.unreachable("publish.links", address, errors.Is(err, link.ErrPeer), err)
	}
}

func (e *examination) reachKeyServer(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	at := keyserver.Endpoint{Address: address, CA: e.authority.CA().Fingerprint()}
	if _, err := (keyserver.Client{Dial: e.Dial}).Server(ctx, at, e.authority.Domain()); err != nil {
		e.unreachable("publish.keyservers", address, errors.Is(err, keyserver.ErrWrongKey), err)
	}
}

func (e *examination) unreachable(key, address string, other bool, err error) {
	if other {
		e.wrong("ports", fmt.Sprintf("edit %s in %s   (somebody else answers there)", key, e.path(ConfigFile)),
			"%s, which is published, shows another key than ours: %v", address, err)
		return
	}
	_, port, _ := net.SplitHostPort(address)
	e.wrong("ports", fmt.Sprintf("let TCP port %s through to this machine, or edit %s in %s", port, key, e.path(ConfigFile)),
		"%s, which is published, cannot be reached from here: %v", address, err)
}

// dns: what the resolver says of our domain is what [Record] says.
func (e *examination) dns(ctx context.Context) {
	if e.cfg == nil || e.authority == nil || e.cfg.Domain != e.authority.Domain() {
		return // of which domain?
	}
	ask, err := NewResolver(e.Dir, e.DNS, e.Dial)
	if err != nil {
		e.wrong("dns", "P3DO_DNS=127.0.0.1:53 "+e.command("doctor"), "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	want := dnstxt.Record{
		Fingerprint: e.authority.CA().Fingerprint(), Next: e.authority.Commitment().Next,
		KeyServers: e.published(e.cfg.Publish.KeyServers, e.running.KeyServer),
	}
	said, err := ask.Lookup(ctx, e.cfg.Domain)
	hint := e.zoneLine(want)
	switch {
	case errors.Is(err, dnstxt.ErrNone):
		e.wrong("dns", hint, "%s has no record of P3DO in DNS", e.cfg.Domain)
	case errors.Is(err, dnstxt.ErrInvalid):
		e.wrong("dns", hint, "the record of %s in DNS is refused: %v", e.cfg.Domain, err)
	case err != nil:
		e.unknown("dns", fmt.Sprintf("edit dns.server in %s, or start the resolver", e.path(ConfigFile)), "%s does not say what is in DNS: %v", ask.Server, err)
	case said.Fingerprint != want.Fingerprint:
		e.wrong("dns", hint, "DNS says that the fingerprint of %s is %s, and it is %s", e.cfg.Domain, said.Fingerprint, want.Fingerprint)
	case said.Next != want.Next:
		e.wrong("dns", hint, "DNS says that the key to follow that of %s is %s, and it is %s", e.cfg.Domain, said.Next, want.Next)
	case len(want.KeyServers) > 0 && !sameSet(said.KeyServers, want.KeyServers):
		e.wrong("dns", hint, "DNS says ks=%s of %s, and its key server is %s",
			strings.Join(said.KeyServers, ","), e.cfg.Domain, strings.Join(want.KeyServers, ","))
	}
}

// zoneLine is what to paste into the zone.
func (e *examination) zoneLine(record dnstxt.Record) string {
	line, err := record.ZoneLine(e.cfg.Domain, RecordTTL)
	if err != nil { // its key server has no address as long as it does not serve
		return e.command("serve") + ", then: " + e.command("dns print")
	}
	return "copy this line into your zone: " + line
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
