package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

const (
	// maxPulls is how many peers' descriptors are pulled at a time. The others wait.
	maxPulls = 4
	// maxFresh is how many descriptors one pull takes that are new here, 16 MiB at most. If
	// there are more, it was not the last.
	maxFresh = 1024
)

// pull fetches the descriptors that a peer has and keeps those that are new and true. It
// reports whether the peer has more of them.
func (d *directory) pull(ctx context.Context, peer pki.Domain) (more bool, err error) {
	select {
	case d.pulls <- struct{}{}:
		defer func() { <-d.pulls }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	known, err := d.descriptor(ctx, peer)
	if err != nil {
		return false, err
	}
	var failed error
	for _, address := range known.KeyServers {
		fresh := sample{most: maxFresh}
		at := keyserver.Endpoint{Address: address, CA: known.CA.Fingerprint()}
		err := d.n.client.Servers(ctx, at, func(s pki.SignedDescriptor) {
			if d.isNew(s) {
				fresh.add(s.Raw())
			}
		})
		if err == nil {
			d.hear(ctx, fresh.kept, at)
			taken := d.takeAll(ctx, fresh.kept)
			return taken && fresh.seen > len(fresh.kept), nil
		}
		failed = errors.Join(failed, err)
	}
	return false, fmt.Errorf("node: pulling %s's descriptors: %w", peer, failed)
}

// maxHeard is of how many domains, under other keys than the pinned ones, the word of it is
// asked for after one pull.
const maxHeard = 8

// hear asks for the word of domains that are under another key than the pinned one.
func (d *directory) hear(ctx context.Context, all [][]byte, at keyserver.Endpoint) {
	heard := 0
	for _, raw := range all {
		signed, err := pki.ParseDescriptor(raw)
		if err != nil || heard == maxHeard {
			continue
		}
		if p, ok := d.n.beliefs.pin(signed.Domain); ok && p.Key != signed.CA.Fingerprint() {
			heard++
			d.n.hearSuccessions(ctx, signed.Domain, signed.CA.Fingerprint(), at)
		}
	}
}

// isNew reports whether a descriptor tells us anything, be it true or not.
func (d *directory) isNew(signed pki.SignedDescriptor) bool {
	known, ok := d.find(signed.Domain)
	return signed.Domain != d.n.cfg.Domain &&
		(!ok || signed.Serial > known.serial || signed.CA.Fingerprint() != known.ca.Fingerprint())
}

// A sample is some of all that was added, each as likely as any other, in an order that
// whoever adds them cannot choose: so what costs time, as the look-up of a name that does
// not answer, keeps out nobody for good.
type sample struct {
	most int
	seen int // of which kept are some
	kept [][]byte
}

func (s *sample) add(raw []byte) {
	s.seen++
	switch at := rand.IntN(s.seen); {
	case len(s.kept) < s.most:
		s.kept = append(s.kept, raw)
		s.kept[at], s.kept[len(s.kept)-1] = raw, s.kept[at]
	case at < s.most:
		s.kept[at] = raw
	}
}

// takeAll takes descriptors one after the other, and reports whether there was a new one.
func (d *directory) takeAll(ctx context.Context, all [][]byte) (more bool) {
	refused := 0
	var first error
	for _, raw := range all {
		signed, err := pki.ParseDescriptor(raw)
		var changed bool
		if err == nil {
			changed, err = d.take(ctx, signed)
		}
		more = more || changed
		if err != nil && !errors.Is(err, pki.ErrTime) && ctx.Err() == nil {
			if refused++; first == nil {
				first = fmt.Errorf("%s: %w", signed.Domain, err)
			}
		}
	}
	if refused > 0 {
		d.n.log.Warn("descriptors refused", "count", refused, "first", first)
	}
	if more {
		d.n.tell()
	}
	return more
}
