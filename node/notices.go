package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// A verb is what a notice says of a packet (docs/spec/mor.md, "Announcements").
type verb uint8

const (
	announces verb = 1 // I have it; on my context
	fetches   verb = 2 // say it to me; on your context
	prunes    verb = 3 // what you say on your context was here before: tell me of it only
)

// A notice is what two nodes tell each other of a packet: 49 bytes on a link.
type notice struct {
	verb    verb     // 4 bits, high
	channel uint8    // 4 bits, low: number of the context
	id      onion.ID // 32, the core, and 16, the tag; zero with prunes
}

func (n notice) marshal() (raw link.Notice) {
	raw[0] = byte(n.verb)<<4 | n.channel
	copy(raw[1:], n.id.Core[:])
	copy(raw[1+len(n.id.Core):], n.id.Tag[:])
	return raw
}

// parseNotice refuses unknown verbs, contexts of ours that we do not speak on, and an id where none belongs.
func parseNotice(raw link.Notice) (n notice, err error) {
	n = notice{verb: verb(raw[0] >> 4), channel: raw[0] & 0x0f}
	copy(n.id.Core[:], raw[1:])
	copy(n.id.Tag[:], raw[1+len(n.id.Core):])
	switch {
	case n.verb < announces || n.verb > prunes:
		return n, fmt.Errorf("%w: notice %#02x", errPeerMessage, raw[0])
	case n.verb != announces && n.channel != ownChannel:
		return n, fmt.Errorf("%w: notice of context %d, of which there is none", errPeerMessage, n.channel)
	case n.verb == prunes && n.id != onion.ID{}:
		return n, fmt.Errorf("%w: an id that says nothing", errPeerMessage)
	}
	return n, nil
}

// noticed takes the notices of a slot.
func (p *peerLink) noticed(ctx context.Context, raw []link.Notice) error {
	notices := make([]notice, len(raw))
	for i, r := range raw {
		n, err := parseNotice(r)
		if err != nil {
			return err
		}
		notices[i] = n
	}
	if p.heard == nil {
		return nil // before the peer's hello nothing can be placed
	}
	return p.n.loop.do(ctx, func(l *loop, now time.Time) (out mor.Output, ok bool) {
		for i, n := range notices {
			if i > 0 {
				l.carryOut(out)
			}
			out = l.notice(now, p, n)
		}
		return out, true
	})
}

// notice has the router take one notice of a peer.
func (l *loop) notice(now time.Time, p *peerLink, n notice) mor.Output {
	switch {
	case n.verb == announces && int(n.channel) < len(p.listening):
		return l.router.Announced(now, p.listening[n.channel], n.id)
	case n.verb == fetches:
		return l.router.Fetched(now, p.spoken, p.domain, n.id)
	case n.verb == prunes:
		return l.router.Pruned(now, p.spoken, p.domain)
	}
	return l.router.Tick(now)
}

// announce tells a member of what was said to others. It may wait for other news.
func (l *loop) announce(a mor.Notice) {
	if p := l.links[a.To]; p != nil && p.spoken == a.On {
		l.count(p.conn.SendNotice(notice{announces, ownChannel, a.ID}.marshal(), false))
	}
}

// retort tells a neighbour at once what we want of its context, or do not.
func (l *loop) retort(v verb, to mor.Notice) {
	p := l.links[to.To]
	if p == nil {
		return
	}
	if channel := slices.Index(p.listening, to.On); channel >= 0 {
		l.count(p.conn.SendNotice(notice{v, uint8(channel), to.ID}.marshal(), true))
	}
}
