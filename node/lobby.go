package node

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

const (
	// maxVisitors is how many user links there are on which nobody has logged in: a quarter
	// of the places that users have. One more, and the oldest is closed.
	maxVisitors = link.DefaultMaxUsers / 4
	// maxLinksEach is how many links one user is logged in on. One more, and her oldest is
	// closed.
	maxLinksEach = 16
	// maxGuests is how many links there are of users of other homes: another quarter. One more,
	// and the oldest of them is closed: so the node's own users keep half of the places.
	maxGuests = link.DefaultMaxUsers / 4
)

// A lobby knows the user links by who is logged in on them; the zero fingerprint is nobody. An
// honest program logs in at once: so strangers who come in masses push out each other, and a
// user who does pushes out herself.
type lobby struct {
	mu    sync.Mutex                       // guards what follows
	links map[pki.Fingerprint][]*link.Conn // of each user the oldest first
	users map[*link.Conn]pki.Fingerprint

	guests  []*link.Conn            // of users of other homes, the oldest first
	devices map[*link.Conn]onDevice // those of links on which a device is logged in
}

// enter makes conn a link of user, who is a guest if her home is elsewhere. It returns the link
// that has to go for it, nil if none has.
func (l *lobby) enter(conn *link.Conn, user pki.Fingerprint, guest bool) (gone *link.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(conn)
	most := maxLinksEach
	if user == (pki.Fingerprint{}) {
		most = maxVisitors
	}
	if len(l.links[user]) >= most {
		gone = l.links[user][0]
	} else if guest && len(l.guests) >= maxGuests {
		gone = l.guests[0]
	}
	if gone != nil {
		l.remove(gone)
	}
	if guest {
		l.guests = append(l.guests, conn)
	}
	if l.links == nil {
		l.links, l.users = make(map[pki.Fingerprint][]*link.Conn), make(map[*link.Conn]pki.Fingerprint)
	}
	l.links[user], l.users[conn] = append(l.links[user], conn), user
	return gone
}

// linksOf are the links on which user is logged in.
func (l *lobby) linksOf(user pki.Fingerprint) []*link.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.links[user])
}

// user is who is logged in on conn: nobody once it is out.
func (l *lobby) user(conn *link.Conn) (user pki.Fingerprint, isGuest bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users[conn], slices.Contains(l.guests, conn)
}

// askerOn is who asks on conn.
func (n *Node) askerOn(conn *link.Conn) asker {
	user, isGuest := n.lobby.user(conn)
	if isGuest || user == (pki.Fingerprint{}) { // nobody: she was put out while she was asking
		return guest(user, conn.RemoteAddr())
	}
	return asker{user: user}
}

// leave lets conn out, if it is still in.
func (l *lobby) leave(conn *link.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(conn)
}

// remove is called with mu held.
func (l *lobby) remove(conn *link.Conn) {
	user, in := l.users[conn]
	if !in {
		return
	}
	delete(l.users, conn)
	delete(l.devices, conn)
	if i := slices.Index(l.guests, conn); i >= 0 {
		l.guests = slices.Delete(l.guests, i, i+1)
	}
	i := slices.Index(l.links[user], conn)
	if l.links[user] = slices.Delete(l.links[user], i, i+1); len(l.links[user]) == 0 {
		delete(l.links, user)
	}
}

// serveUser serves a user link until it ends.
func (n *Node) serveUser(ctx context.Context, conn *link.Conn) {
	if gone := n.lobby.enter(conn, pki.Fingerprint{}, false); gone != nil {
		gone.Close()
	}
	defer n.lobby.leave(conn)
	if err := session.Serve(ctx, conn, n.desk(conn)); err != nil && ctx.Err() == nil {
		n.log.Info("user link ended", "err", err)
	}
}

// How many new names one client (an IPv4 address, an IPv6 /64) is given at once, and how
// often one more: so that nobody uses up alone what there is for all.
const (
	newcomersEach     = 10
	newcomerEachEvery = 10 * time.Minute
)

// mayTake reports whether the client at remote may have one more name, and counts it if so,
// for the client and for all. What is refused costs neither anything.
func (n *Node) mayTake(remote net.Addr, now time.Time) bool {
	return n.newcomers.take(now, func() bool { return takeOwn(n.clients, remote, now) })
}

// takeOwn takes one from what the client at remote may have. Those on this machine have no
// limit of their own: it may be a lab, or an onion service through which all come.
func takeOwn(clients *keyserver.Clients, remote net.Addr, now time.Time) bool {
	if at, err := netip.ParseAddrPort(remote.String()); err == nil && at.Addr().Unmap().IsLoopback() {
		return true
	}
	return clients.Allow(remote.String(), now)
}
