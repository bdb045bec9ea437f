package node

import (
	"maps"
	"net"
	"sync"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// How many new revocations of users of all others' domains together are taken over sessions, and
// as many moves: that many at once, and one more each interval.
const (
	intakeAtOnce = 1000
	intakeEvery  = time.Second

	// As many of one name, so that nobody uses up alone what there is for her domain.
	intakeEach      = 3
	intakeEachEvery = time.Hour
)

// An intake bounds the revocations, or the moves, that are handed in over sessions, so that nobody
// fills in an afternoon what there may be of them: of one client as new names are; of one name a few; of the users of
// one domain as new names are as well, since each of them got her name like that; and of all
// domains but our own together. So who hands in those of names that were made for it holds up
// other users of that domain at most, and only domains that are known here, many of them, could
// hold up others; our own never wait for theirs.
type intake struct {
	own     pki.Domain
	clients *keyserver.Clients // who hands them in
	all     bucket

	mu     sync.Mutex             // guards what follows
	of     map[pki.Domain]*bucket // no more than there are domains in the directory
	names  map[pki.Name]*bucket   // that were not full when tidied; the buckets of their domains bound them
	tidied time.Time
}

func newIntake(own pki.Domain) *intake {
	return &intake{
		own: own, clients: keyserver.NewClients(1/newcomerEachEvery.Seconds(), newcomersEach),
		all: bucket{atOnce: intakeAtOnce, every: intakeEvery}, of: make(map[pki.Domain]*bucket), names: make(map[pki.Name]*bucket),
	}
}

// take counts one more of a name in a domain that is known here, unless it is one too many: then it
// costs nobody anything. from is nil of what came through the mesh, whose users nobody tells apart; how much
// that brings is bounded elsewhere.
func (i *intake) take(from net.Addr, name pki.Name, now time.Time) bool {
	each, of := i.buckets(name)
	client := func() bool { return from == nil || takeOwn(i.clients, from, now) }
	domain := func() bool {
		return of.take(now, func() bool {
			if name.Domain() == i.own {
				return client()
			}
			return i.all.take(now, client)
		})
	}
	if !each.take(now, domain) {
		return false
	}
	i.remember(name, each, now)
	return true
}

// remember keeps the bucket of a name while it is not full, and forgets those that are by now.
func (i *intake) remember(name pki.Name, of *bucket, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.names[name] = of; now.Sub(i.tidied) < intakeEachEvery {
		return
	}
	i.tidied = now
	maps.DeleteFunc(i.names, func(_ pki.Name, b *bucket) bool { return b.full(now) })
}

// buckets are those of a name and of its domain. They are looked up before one is taken from: who
// holds a bucket must not wait for the lock under which remember waits for buckets.
func (i *intake) buckets(name pki.Name) (each, of *bucket) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if each = i.names[name]; each == nil {
		each = &bucket{atOnce: intakeEach, every: intakeEachEvery}
	}
	if of = i.of[name.Domain()]; of == nil {
		of = &bucket{atOnce: newcomersAtOnce, every: newcomerEvery}
		i.of[name.Domain()] = of
	}
	return each, of
}
