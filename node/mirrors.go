package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

const (
	// mirrorEvery is how often the logs of all peers are looked at without a cause, outside of a lab.
	mirrorEvery = 10 * time.Minute
	// maxMirrorsAtOnce is how many logs are read at a time, so that one whose server is slow holds
	// up few others.
	maxMirrorsAtOnce = 4
	// mirrorPause is the least time between two logs, and mirrorTime what one may take.
	mirrorPause = 100 * time.Millisecond
	mirrorTime  = 2 * time.Minute
	// maxWanted is how many heads of one log wait to be compared with the copy, and how many to be
	// handed on. What is more comes too soon, and is asked for again.
	maxWanted = 8

	logPrefix = "/v1/log/"
)

// Mirrors keep copies of the key logs of our peers, each log read by one at a time.
type mirrors struct {
	n     *Node
	every time.Duration // mirrorEvery, or what a lab has for watching

	mu      sync.Mutex // guards what follows
	wanted  map[pki.Domain][]store.Head
	untold  map[pki.Domain][][]byte // heads that came too soon after others to be handed on, maxWanted at most
	copying map[pki.Domain]turn     // now
	parted  map[pki.Domain]bool     // whose log does not go on from what we hold
	full    map[pki.Domain]bool     // whose copy has no room, as the operator was told
	silent  map[pki.Domain]silence  // who does not answer
	changed chan struct{}           // has room for one: something is wanted
}

func newMirrors(n *Node) *mirrors {
	every := mirrorEvery
	if pace := time.Duration(n.cfg.Lab.Watch); pace > 0 {
		every = pace
	}
	return &mirrors{
		n: n, every: every, wanted: make(map[pki.Domain][]store.Head), untold: make(map[pki.Domain][][]byte),
		copying: make(map[pki.Domain]turn), parted: make(map[pki.Domain]bool), full: make(map[pki.Domain]bool), silent: make(map[pki.Domain]silence), changed: make(chan struct{}, 1),
	}
}

// want has a peer's log copied as far as a head, if it has not been, and compared with it. While
// enough of them wait it is a *tooSoonError.
func (m *mirrors) want(domain pki.Domain, head store.Head) error {
	if _, peer := m.n.peers.crossOf(domain); !peer {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.wanted[domain]
	same := func(h store.Head) bool { return h.Size == head.Size && h.Root == head.Root }
	switch {
	case slices.ContainsFunc(waiting, same):
		return nil
	case len(waiting) == maxWanted:
		return &tooSoonError{"a head of the log of " + domain.String(), m.n.cfg.viewPace()}
	}
	m.wanted[domain] = append(waiting, head)
	offer(m.changed, struct{}{})
	return nil
}

// catchUp has a peer's log copied as far as we have cosigned it, when the peer is there again: it may have gone
// before that was copied, and it signs nothing after it has lost that before somebody has it.
func (m *mirrors) catchUp(ctx context.Context, domain pki.Domain) {
	cosigned, err := m.n.store.Witnessed(ctx, keylog.Origin(domain))
	if err != nil {
		return // none, or the disk: it is looked at again in a round
	}
	copied, _, err := m.n.store.Mirror(ctx, cosigned.Origin)
	if err == nil && copied.Size >= cosigned.Size || notFoundIsNil(err) != nil {
		return
	}
	if err := m.want(domain, cosigned); err != nil {
		m.n.log.Debug("copying what was cosigned", "domain", domain, "err", err)
	}
}

// tell has a peer's head handed on a little later. Where enough wait it is left out.
func (m *mirrors) tell(checkpoint []byte) {
	domain, err := witness.DomainOf(originOf(checkpoint))
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.untold[domain]) < maxWanted {
		m.untold[domain] = append(m.untold[domain], checkpoint)
	}
	offer(m.changed, struct{}{})
}

// behind is of how many logs there is more than was copied, as far as is known.
func (m *mirrors) behind() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.wanted)
}

// retell hands on what waits for it, the newest first: what is older than that need not be.
func (m *mirrors) retell(ctx context.Context) {
	m.mu.Lock()
	waiting := m.untold
	m.untold = make(map[pki.Domain][][]byte)
	m.mu.Unlock()
	if len(waiting) > 0 {
		wait(ctx, m.n.cfg.viewPace())
	}
	for _, checkpoints := range waiting {
		for _, checkpoint := range slices.Backward(checkpoints) {
			m.n.sawHead(ctx, checkpoint)
		}
	}
}

// forget has nothing known of a log.
func (m *mirrors) forget(domain pki.Domain) {
	for _, kind := range witness.Kinds() {
		m.n.mended(domain, kind)
	}
	m.n.beliefs.setLogKey(domain, store.LogKey{})
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.wanted, domain)
	delete(m.untold, domain)
	delete(m.parted, domain)
	delete(m.full, domain)
	delete(m.silent, domain)
}

// parts reports whether it is new that a log does not go on from what we hold.
func (m *mirrors) parts(domain pki.Domain) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.parted[domain]
	m.parted[domain] = true
	return !was
}

// fills reports whether it is new that the copy of a log has no room.
func (m *mirrors) fills(domain pki.Domain) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.full[domain]
	m.full[domain] = true
	return !was
}

func (m *mirrors) next() (all []pki.Domain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for domain := range m.wanted {
		all = append(all, domain)
	}
	return all
}

// taken are the heads that waited for a log.
func (m *mirrors) taken(domain pki.Domain) []store.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.wanted[domain]
	delete(m.wanted, domain)
	return waiting
}

// run copies what is wanted, and now and then all, until ctx ends.
func (m *mirrors) run(ctx context.Context) error {
	all := m.pace() // not begun anew by what is wanted: heads may come all the time
	var working errgroup.Group
	working.SetLimit(maxMirrorsAtOnce)
	for ctx.Err() == nil {
		timer := time.NewTimer(time.Until(all))
		var due []pki.Domain
		round := false
		select {
		case <-ctx.Done():
		case <-m.changed:
			due = m.next()
		case <-timer.C:
			all, round = m.pace(), true
			for domain := range m.n.peers.known() {
				due = append(due, domain)
			}
		}
		timer.Stop()
		for _, domain := range due {
			turn, ok := m.begin(ctx, domain)
			if !ok {
				continue
			}
			working.Go(func() error {
				defer m.end(domain)
				if err := m.copy(turn.ctx, domain, round); err != nil && turn.ctx.Err() == nil {
					m.n.log.Info("copying a key log", "domain", domain, "err", err)
				}
				return nil
			})
			wait(ctx, mirrorPause)
		}
		m.retell(ctx)
	}
	return working.Wait()
}

// A turn is the time in which one log is copied, or nobody may copy it.
type turn struct {
	ctx   context.Context
	end   context.CancelFunc
	ended chan struct{} // closed when it is over
}

// begin reports whether a log is not being copied already, as it is from now on.
func (m *mirrors) begin(ctx context.Context, domain pki.Domain) (t turn, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok = m.copying[domain]; ok {
		return t, false
	}
	t.ended = make(chan struct{})
	t.ctx, t.end = context.WithCancel(ctx)
	m.copying[domain] = t
	return t, true
}

// halt has nobody copy a log until end: who is doing so is interrupted.
func (m *mirrors) halt(ctx context.Context, domain pki.Domain) error {
	for {
		t, ok := m.begin(ctx, domain)
		if ok {
			return nil
		}
		t.end()
		select {
		case <-t.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end has what was wanted meanwhile looked at.
func (m *mirrors) end(domain pki.Domain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.copying[domain]
	t.end()
	close(t.ended)
	delete(m.copying, domain)
	if len(m.wanted[domain]) > 0 {
		offer(m.changed, struct{}{})
	}
}

// pace is when all logs are looked at next.
func (m *mirrors) pace() time.Time { return time.Now().Add(m.every/2 + rand.N(m.every)) }

// copy brings the copy of a domain's log forward: from its own servers, or, if they do not have
// what others have seen, from peers that have copies of it.
// In a round what the domain's own server answers is audited, too.
func (m *mirrors) copy(ctx context.Context, domain pki.Domain, round bool) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	wanted := m.taken(domain)
	d, err := m.n.directory.descriptor(ctx, domain)
	if err != nil || !d.HasLog() || m.n.frozen(domain) {
		return notFoundIsNil(err)
	}
	if m.has(ctx, d, wanted) && len(wanted) > 0 {
		return m.compare(ctx, d, wanted)
	}
	shown, err := m.fromHome(ctx, d)
	failed := err
	for _, peer := range m.others(domain) {
		if m.n.frozen(domain) || m.has(ctx, d, wanted) && !(round && failed != nil) { // they may have cosignatures that we have not
			break
		}
		err = errors.Join(err, m.fromPeer(ctx, d, peer))
	}
	if errors.Is(err, store.ErrFull) && m.fills(domain) {
		m.n.note(ctx, domain, EventLog, "the copy of its log has no room for more: it is cosigned all the same, and what is newer of its users is not proven here")
	}
	m.n.wantCopies(ctx, domain)
	if ctx.Err() == nil {
		err = errors.Join(err, m.seen(ctx, d, shown, failed)) // whether peers answer does not matter here
	}
	err = errors.Join(err, m.readKeys(ctx, domain), m.n.readNewest(ctx, keylog.Origin(domain)))
	held, bad := m.n.heldHeads(ctx, domain) // what we cosigned may have been no part of the copy before
	err = errors.Join(err, bad, m.compare(ctx, d, append(wanted, held...)))
	switch {
	case !round || m.n.frozen(domain) || ctx.Err() != nil:
	case failed == nil:
		err = errors.Join(err, m.audit(ctx, d))
	case !errors.As(failed, new(*withheldError)): // which is found
		held, _, _ := m.n.store.Mirror(ctx, keylog.Origin(domain)) // there may be none
		m.answers(ctx, m.n.caseOf(ctx, d, held), failed)
	}
	return err
}

// fromHome reads the log at the domain's own servers, also if they show another key than the pinned one by
// now: it goes on under the log key that the pinned one named. What they show is handed on to others.
func (m *mirrors) fromHome(ctx context.Context, d pki.SignedDescriptor) (shown store.Head, err error) {
	for _, address := range d.KeyServers {
		at := keyserver.Endpoint{Address: address, CA: d.CA.Fingerprint()}
		if shown, err = m.from(ctx, d, at, logPrefix); err == nil {
			m.n.sawHead(ctx, shown.Checkpoint)
			return shown, nil
		}
	}
	if other, ok := m.n.directory.shownBy(d.Domain.String()); ok && other.Log == d.Log {
		for _, address := range other.KeyServers {
			at := keyserver.Endpoint{Address: address, CA: other.CA.Fingerprint()}
			if head, failed := m.from(ctx, d, at, logPrefix); failed == nil {
				m.n.sawHead(ctx, head.Checkpoint)
				return head, nil
			}
		}
	}
	return shown, err
}

func (m *mirrors) fromPeer(ctx context.Context, d pki.SignedDescriptor, peer pki.Domain) error {
	by, err := m.n.directory.descriptor(ctx, peer)
	if err != nil {
		return notFoundIsNil(err)
	}
	for _, address := range by.KeyServers {
		var head store.Head
		head, err = m.from(ctx, d, keyserver.Endpoint{Address: address, CA: by.CA.Fingerprint()}, witness.Mirror(d.Domain))
		if err == nil && m.n.copied(ctx, head) {
			m.n.sawHead(ctx, head.Checkpoint)
		}
		if err == nil || errors.Is(err, keyserver.ErrNotFound) {
			return nil
		}
	}
	return err
}

// from reads the log, or a copy of it, at one server.
func (m *mirrors) from(ctx context.Context, d pki.SignedDescriptor, at keyserver.Endpoint, prefix string) (store.Head, error) {
	ctx, reader, done := m.n.client.ReadLog(ctx, at, prefix)
	defer done()
	checkpoint, err := reader.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return store.Head{}, err
	}
	head, err := witness.HeadBy(d, checkpoint)
	if err != nil {
		return head, err
	}
	target := head
	if target.Checkpoint, err = m.cosigned(ctx, checkpoint, head); err != nil {
		return head, err
	}
	source := &listening{TileReader: reader}
	tree, err := witness.NewCopy(m.n.store, head.Origin, source).Follow(ctx, target)
	if !errors.Is(err, witness.ErrOtherTree) {
		return head, source.judge(head, err)
	}
	held, err := m.n.heldHeads(ctx, d.Domain)
	if err != nil || m.n.frozen(d.Domain) {
		return head, err
	}
	held = slices.DeleteFunc(held, func(h store.Head) bool { return h.Size > head.Size })
	return head, m.n.proveFork(ctx, d.Domain, target, held, tree)
}

// cosigned is a checkpoint with the signature of the log and those of witnesses that we know, also
// those under our copy of it.
func (m *mirrors) cosigned(ctx context.Context, checkpoint []byte, head store.Head) ([]byte, error) {
	held, _, err := m.n.store.Mirror(ctx, head.Origin)
	if notFoundIsNil(err) != nil {
		return nil, err
	}
	return witness.Cosigned(checkpoint, held.Checkpoint, head, m.n.witnessesOf(checkpoint))
}

// others are our other peers, in an order by chance.
func (m *mirrors) others(domain pki.Domain) (all []pki.Domain) {
	for peer := range m.n.peers.known() {
		if peer != domain {
			all = append(all, peer)
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), maxWanted)]
}

// has reports whether the copy has come as far as each of some heads.
func (m *mirrors) has(ctx context.Context, d pki.SignedDescriptor, wanted []store.Head) bool {
	held, _, err := m.n.store.Mirror(ctx, keylog.Origin(d.Domain))
	return !slices.ContainsFunc(wanted, func(h store.Head) bool { return err != nil || h.Size > held.Size })
}

// compare looks for a fork between the copy and heads that waited for it. Those that go beyond
// it still are not wanted again before somebody shows one anew.
func (m *mirrors) compare(ctx context.Context, d pki.SignedDescriptor, wanted []store.Head) error {
	held, _, err := m.n.store.Mirror(ctx, keylog.Origin(d.Domain))
	if err != nil {
		return notFoundIsNil(err)
	}
	for _, h := range wanted {
		if h.Size <= held.Size {
			if err := m.n.compareTree(ctx, d.Domain, h, held); err != nil {
				return err
			}
		}
	}
	return nil
}

// seen finds out if a domain's own server shows an older head than others have, or not what is under
// the one that it shows: that is no fork, but it hides what was signed.
func (m *mirrors) seen(ctx context.Context, d pki.SignedDescriptor, shown store.Head, failed error) error {
	held, _, err := m.n.store.Mirror(ctx, keylog.Origin(d.Domain))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var x witness.Finding
	var withheld *withheldError
	switch is := m.n.caseOf(ctx, d, held); {
	case errors.As(failed, &withheld):
		x, err = is.Withheld(withheld.head, withheld.err)
	case failed != nil || held.Size == 0 || shown.Origin == "":
		return nil
	case shown.Size >= held.Size:
		m.n.mended(d.Domain, witness.Rollback)
		return nil
	default:
		x, err = is.Rollback(shown)
	}
	if err == nil {
		m.n.found(ctx, x)
	}
	return err
}

// witnessesOf are those whose cosignatures are kept under the copy of a checkpoint: our peers, ourselves, and whom
// else it names. Those are no word to us, but to somebody who asks for the copy, and whose peers they are.
func (n *Node) witnessesOf(checkpoint []byte) []witness.Peer {
	keys := n.witnessKeys()
	for _, domain := range keylog.CosignersOf(checkpoint) {
		is, ok := n.directory.find(domain)
		v, err := keylog.WitnessVerifier(domain, is.witness)
		if !ok || err != nil || slices.ContainsFunc(keys, func(p witness.Peer) bool { return p.Verifier.Name() == v.Name() }) {
			continue
		}
		keys = append(keys, witness.Peer{Verifier: v})
	}
	return keys
}

// witnessKeys are those of our peers, and our own.
func (n *Node) witnessKeys() (keys []witness.Peer) {
	domains := make([]pki.Domain, 0)
	for domain := range n.peers.known() {
		domains = append(domains, domain)
	}
	slices.SortFunc(domains, func(a, b pki.Domain) int { return strings.Compare(a.String(), b.String()) })
	for _, domain := range append(domains, n.cfg.Domain) {
		if is, ok := n.directory.find(domain); ok && !is.witness.IsZero() {
			if v, err := keylog.WitnessVerifier(domain, is.witness); err == nil {
				keys = append(keys, witness.Peer{Verifier: v})
			}
		}
	}
	return keys
}
