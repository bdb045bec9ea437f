package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// enoughPeers is how many peers of ours must say a key that is not pinned, if we have as many.
// One is enough for a domain of which nothing is pinned if DNS says the same to ourselves; and
// against DNS it takes as many in any case, so who has one peer only does not believe that alone.
const enoughPeers = 2

// evidence is all that we know of the key of a domain, verified.
func (n *Node) evidence(_ context.Context, domain pki.Domain) pki.Evidence {
	now := time.Now()
	if domain == n.cfg.Domain {
		own := n.authority().CA().Fingerprint()
		return pki.Evidence{Domain: domain, Pin: pki.Pin{Subject: domain.String(), Key: own, Trust: pki.Verified}, Home: own, Quorum: enoughPeers}
	}
	p, isPinned := n.beliefs.pin(domain)
	seen := n.beliefs.sighting(domain)
	e := pki.Evidence{
		Domain: domain, Pin: p.Pin, Home: seen.Home, DNS: pki.DNSEvidence{Key: seen.DNS, Secure: seen.Secure},
		Log:     n.logEvidence(domain),
		Vouches: n.peersVouches(domain, now), Quorum: max(1, min(enoughPeers, n.peers.countBut(domain))),
	}
	if againstDNS(e) {
		e.Quorum = enoughPeers
	}
	if same := wordsFor(e.Vouches, seen.DNS); !isPinned && same > 0 {
		e.Quorum = min(e.Quorum, same)
	}
	e = e.Follow(n.heirs(domain, p))
	if e.Log.State == pki.NoLog {
		e.Log = n.newKey(e, p, now)
	}
	return e
}

// peersVouches are what our peers say of a domain now.
func (n *Node) peersVouches(domain pki.Domain, now time.Time) []pki.Vouch {
	return slices.DeleteFunc(n.beliefs.vouches(domain, now), func(v pki.Vouch) bool {
		_, peer := n.peers.crossOf(v.Peer)
		return !peer
	})
}

// againstDNS tells whether somebody vouches for a key that is neither the pinned one nor the one
// that DNS names.
func againstDNS(e pki.Evidence) bool {
	return !e.DNS.Key.IsZero() && slices.ContainsFunc(e.Vouches, func(v pki.Vouch) bool {
		return v.Key != e.DNS.Key && v.Key != e.Pin.Key
	})
}

// wordsFor is how many of the vouches are for a key.
func wordsFor(all []pki.Vouch, key pki.Fingerprint) (words int) {
	for _, v := range all {
		if v.Key == key {
			words++
		}
	}
	return words
}

// judge says what to do about the key of a domain. Everything here that asks whether a key is
// a domain's asks this.
func (n *Node) judge(ctx context.Context, domain pki.Domain) pki.Verdict {
	return pki.Judge(n.evidence(ctx, domain), time.Now())
}

// heirs are the authorities that follow the pinned one by right.
func (n *Node) heirs(domain pki.Domain, p pinned) []pki.Commitment {
	return commitmentOf(domain, p).Heirs(n.beliefs.line(domain))
}

func commitmentOf(domain pki.Domain, p pinned) pki.Commitment {
	return pki.Commitment{Domain: domain, Key: p.Key, Next: p.next, Root: p.root}
}

// isHeir reports whether a key is the one that the pinned key of domain has handed over to.
func (n *Node) isHeir(domain pki.Domain, key pki.Fingerprint) bool {
	p, ok := n.beliefs.pin(domain)
	heirs := n.heirs(domain, p)
	return ok && len(heirs) > 0 && heirs[len(heirs)-1].Key == key
}

// A ContestedError says that a domain showed a key that all evidence together is against, and
// who vouches for what. It is a *pki.KeyChangedError.
type ContestedError struct {
	Shown   pki.Fingerprint
	Known   pki.Fingerprint // zero: none
	Domain  pki.Domain
	Verdict pki.Verdict
}

// Error says it in one line.
func (e *ContestedError) Error() string {
	text := fmt.Sprintf("node: %s", e.Unwrap())
	if e.Known.IsZero() {
		text = fmt.Sprintf("node: the key of %s is not sure: shown %s", e.Domain, e.Shown)
	}
	return text + "; " + e.Verdict.Reason() + vouchers(e.Verdict)
}

// Unwrap is the change.
func (e *ContestedError) Unwrap() error {
	return &pki.KeyChangedError{Subject: e.Domain.String(), Pinned: e.Known, Shown: e.Shown}
}

// vouchers says who vouches for the key of a verdict, and who for another; "" if nobody does
// for any.
func vouchers(v pki.Verdict) (text string) {
	all := len(v.For) + len(v.Against)
	if len(v.For) > 0 {
		text += fmt.Sprintf("; %d of %d peers vouch for %s: %s", len(v.For), all, v.Key, listed(v.For))
	}
	if len(v.Against) > 0 {
		text += fmt.Sprintf("; %d of %d peers vouch for another: %s", len(v.Against), all, listed(v.Against))
	}
	return text
}

// maxListed is how many domains a sentence names.
const maxListed = 8

func listed(domains []pki.Domain) string {
	words := make([]string, 0, maxListed)
	for _, d := range domains[:min(len(domains), maxListed)] {
		words = append(words, d.String())
	}
	text := strings.Join(words, ", ")
	if more := len(domains) - len(words); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// contested is the error of a domain that shows a key which is not the one to use.
func (n *Node) contested(ctx context.Context, domain pki.Domain, shown pki.Fingerprint) error {
	v := n.judge(ctx, domain)
	known := v.Key
	if p, ok := n.beliefs.pin(domain); ok {
		known = p.Key
	}
	return &ContestedError{Shown: shown, Known: known, Domain: domain, Verdict: v}
}

// A bench judges domains whose evidence has changed, one at a time.
type bench struct {
	n    *Node
	busy chan struct{} // has room for one: who moves a pin

	mu      sync.Mutex // guards what follows
	dirty   map[pki.Domain]bool
	coming  map[pki.Domain]pki.SignedDescriptor // under the key that the pinned one handed over to
	changed chan struct{}                       // has room for one: something is dirty
}

func newBench(n *Node) *bench {
	return &bench{
		n: n, busy: make(chan struct{}, 1), dirty: make(map[pki.Domain]bool),
		coming: make(map[pki.Domain]pki.SignedDescriptor), changed: make(chan struct{}, 1),
	}
}

// again has domains judged again soon.
func (b *bench) again(domains ...pki.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range domains {
		b.dirty[d] = true
	}
	offer(b.changed, struct{}{})
}

func (b *bench) next() (all []pki.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := range b.dirty {
		all = append(all, d)
	}
	clear(b.dirty)
	return all
}

// await keeps the descriptor of a domain under the key that is to follow.
func (b *bench) await(d pki.SignedDescriptor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.coming[d.Domain] = d
}

func (b *bench) comingOf(domain pki.Domain, key pki.Fingerprint) (pki.SignedDescriptor, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.coming[domain]
	return d, ok && d.CA.Fingerprint() == key
}

func (b *bench) arrived(domain pki.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.coming, domain)
}

// run judges what has become dirty until ctx ends.
func (b *bench) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.changed:
		}
		for _, domain := range b.next() {
			if _, err := b.settle(ctx, domain); err != nil && ctx.Err() == nil {
				b.n.log.Error("judging", "domain", domain, "err", err)
			}
		}
	}
}

// settle judges a domain by all that is known, and pins what the verdict says: for the first
// time, or in place of another key. A key is pinned only if its descriptor is here.
func (b *bench) settle(ctx context.Context, domain pki.Domain) (pki.Verdict, error) {
	select {
	case b.busy <- struct{}{}:
		defer func() { <-b.busy }()
	case <-ctx.Done():
		return pki.Verdict{}, ctx.Err()
	}
	if domain == b.n.cfg.Domain {
		return b.n.judge(ctx, domain), nil
	}
	was, isPinned := b.n.beliefs.pin(domain)
	v := b.n.judge(ctx, domain)
	next := v.Pin(was.Pin)
	if next.Key == was.Key {
		return v, b.complete(ctx, domain, was.Key)
	}
	next.Subject = domain.String()
	if !isPinned {
		return v, b.first(ctx, domain, next, v)
	}
	return v, b.move(ctx, domain, was, next, v)
}

// complete has a peer countersigned under its pinned key, if a node that died or failed after
// the pin had moved has not done so.
func (b *bench) complete(ctx context.Context, domain pki.Domain, key pki.Fingerprint) error {
	cross, peer := b.n.peers.crossOf(domain)
	ca, ok := b.n.directory.authority(domain)
	if !peer || !ok || key.IsZero() || cross.Fingerprint() == key || ca.Fingerprint() != key {
		return nil
	}
	return b.n.peers.follow(ctx, domain, ca)
}

// first pins a domain that has no pin, if its descriptor in the directory is under that key.
func (b *bench) first(ctx context.Context, domain pki.Domain, next pki.Pin, v pki.Verdict) error {
	known, err := b.n.directory.descriptor(ctx, domain)
	if errors.Is(err, store.ErrNotFound) || err == nil && known.CA.Fingerprint() != next.Key {
		return nil
	}
	if err == nil {
		err = b.pin(ctx, known, pinned{Pin: next, since: time.Now()}, pinned{}, nil)
	}
	if err == nil {
		b.n.note(ctx, domain, EventPinned, fmt.Sprintf("its key is %s, %s: %s%s", next.Key, next.Trust, v.Reason(), vouchers(v)))
	}
	return err
}

// moveTime is how long a pin may take to move, whoever goes away meanwhile.
const moveTime = 5 * time.Second

// move lets the pinned key give way. Who is our peer is countersigned under the new one.
func (b *bench) move(ctx context.Context, domain pki.Domain, was pinned, next pki.Pin, v pki.Verdict) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), moveTime)
	defer cancel()
	descriptor, ok := b.comingOf(domain, next.Key)
	if !ok && v.Row == pki.RowReplaced { // nobody could hand it on: it is by no heir
		descriptor, ok = b.n.directory.shownBy(domain.String())
		ok = ok && descriptor.CA.Fingerprint() == next.Key && descriptor.CheckTime(time.Now()) == nil
	}
	if !ok {
		b.n.watcher.soon(domain) // its servers have it, or peers will
		return nil
	}
	old, _ := b.n.directory.authority(domain)
	p := pinned{Pin: next, since: time.Now(), root: was.root}
	if heirs := b.n.heirs(domain, was); len(heirs) > 0 && heirs[len(heirs)-1].Key == next.Key {
		heir := heirs[len(heirs)-1]
		p.next, p.root = heir.Next, heir.Root
	}
	if err := b.pin(ctx, descriptor, p, was, old.DER()); err != nil {
		return err
	}
	if err := b.n.directory.replace(ctx, descriptor); err != nil {
		return err
	}
	b.arrived(domain)
	b.n.note(ctx, domain, EventRotated, fmt.Sprintf("its key is %s, and was %s: %s", next.Key, was.Key, v.Reason()))
	return b.n.peers.follow(ctx, domain, descriptor.CA)
}

// pin writes a pin down, with what the descriptor says beside, and believes it.
func (b *bench) pin(ctx context.Context, d pki.SignedDescriptor, p, was pinned, old []byte) error {
	learnt := commitmentOf(d.Domain, p).Learn(d)
	p.next, p.root = learnt.Next, learnt.Root
	row := store.Pin{
		Kind: pinDomain, Subject: d.Domain.String(), Key: p.Key, Trust: uint8(p.Trust), Since: p.since, Next: p.next, Root: p.root,
	}
	for _, key := range p.Former[max(0, len(p.Former)-store.MaxFormer):] {
		row.Former = append(row.Former, key)
	}
	if err := b.n.store.MovePin(ctx, was.Key, row, old); err != nil {
		return fmt.Errorf("node: pinning %s: %w", d.Domain, err)
	}
	b.n.beliefs.setPin(d.Domain, p)
	b.n.directory.change(d.Domain)
	b.n.sayAnew()
	return b.n.refollow(ctx)
}

// adopt pins the key of a descriptor because the operator says so, if nothing is pinned.
func (b *bench) adopt(ctx context.Context, d pki.SignedDescriptor) error {
	if _, err := b.settle(ctx, d.Domain); err != nil {
		return err
	}
	select {
	case b.busy <- struct{}{}:
		defer func() { <-b.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, ok := b.n.beliefs.pin(d.Domain); ok {
		return nil
	}
	p := pinned{Pin: pki.Pin{Subject: d.Domain.String(), Key: d.CA.Fingerprint(), Trust: pki.FirstSeen}, since: time.Now()}
	if err := b.pin(ctx, d, p, pinned{}, nil); err != nil {
		return err
	}
	b.n.note(ctx, d.Domain, EventPinned, fmt.Sprintf("its key is %s, %s: the operator added it as a peer", p.Key, p.Trust))
	return nil
}

// learn adds what a descriptor under the pinned key says of its end, if that is new.
func (b *bench) learn(ctx context.Context, d pki.SignedDescriptor) error {
	p, ok := b.n.beliefs.pin(d.Domain)
	if c := commitmentOf(d.Domain, p); !ok || c.Learn(d) == c {
		return nil
	}
	select {
	case b.busy <- struct{}{}:
		defer func() { <-b.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p, ok = b.n.beliefs.pin(d.Domain) // it may have moved meanwhile
	if !ok || p.Key != d.CA.Fingerprint() {
		return nil
	}
	return b.pin(ctx, d, p, p, nil)
}

// seeView takes what a peer says, and judges again whom it says something new of.
func (n *Node) seeView(view pki.View) {
	if _, ok := n.peers.crossOf(view.Domain); !ok {
		return // who is no peer of ours has no say
	}
	before, _ := n.beliefs.view(view.Domain)
	n.beliefs.look(view)
	var changed []pki.Domain
	for _, s := range slices.Concat(view.Sightings, before.Sightings) {
		was, _ := before.Of(s.Domain)
		is, _ := view.Of(s.Domain)
		if p, ok := n.beliefs.pin(s.Domain); was.Key != is.Key || !ok && !is.Key.IsZero() || p.Key != is.Key {
			changed = append(changed, s.Domain)
		}
	}
	n.bench.again(changed...)
}
