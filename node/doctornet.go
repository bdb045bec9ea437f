package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"

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
		e.freeZone()
	case e.authority != nil:
		for _, address := range e.published(e.cfg.Publish.Links, e.running.Link) {
			e.reachLink(ctx, address)
		}
		for _, address := range e.published(e.cfg.Publish.KeyServers, e.running.KeyServer) {
			e.reachKeyServer(ctx, address)
		}
		e.reachZone(ctx)
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

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
