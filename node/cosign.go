package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

const (
	// maxAsked is how many peers are asked at a time to cosign, and askTime how long one may take:
	// who is gone keeps a place so long.
	maxAsked = 128
	askTime  = 5 * time.Second
)

// Cosigners remember how far our peers have cosigned our log, so that each is given the right
// proof at once. What is not remembered a peer says itself.
type cosigners struct {
	mu   sync.Mutex // guards olds
	olds map[pki.Domain]int64
}

func (c *cosigners) old(peer pki.Domain) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.olds[peer]
}

func (c *cosigners) set(peer pki.Domain, old int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.olds == nil {
		c.olds = make(map[pki.Domain]int64)
	}
	c.olds[peer] = old
}

// cosignOwn has all our peers cosign a checkpoint of our own log at once, and gives each good
// signature to take, one at a time, as it comes. prove makes the consistency proof from an older
// size. It returns when all have answered, or ctx has ended.
func (n *Node) cosignOwn(ctx context.Context, _ tlog.Tree, signed []byte, prove func(old int64) (tlog.TreeProof, error), take func(note.Signature)) {
	head := n.ownHead(signed)
	if err := n.keepShown(head); err != nil {
		n.log.Error("having our log cosigned", "err", err)
		return
	}
	domains, peers := n.cosigners(ctx)
	olds, errs := witness.Gather(ctx, head, prove, peers, take)
	var err error
	failed := 0
	for i, domain := range domains {
		n.cosigned.set(domain, olds[i])
		if errs[i] != nil {
			failed++
			err = errs[i]
		}
		if olds[i] > head.Size {
			n.seeCosigned(ctx, domain, olds[i])
		}
	}
	if failed > 0 && ctx.Err() == nil {
		n.log.Info("not cosigned by all", "leaves", head.Size, "peers", len(domains), "without", failed, "last", err)
	}
}

// cosigners are the peers that keep a log, and so are witnesses.
func (n *Node) cosigners(ctx context.Context) (domains []pki.Domain, peers []witness.Peer) {
	places := make(chan struct{}, maxAsked)
	for domain := range n.peers.known() {
		d, err := n.directory.descriptor(ctx, domain)
		if err != nil || !d.HasLog() {
			continue
		}
		by, err := keylog.WitnessVerifier(domain, d.Witness)
		if err != nil {
			continue
		}
		domains = append(domains, domain)
		peers = append(peers, witness.Peer{Verifier: by, Old: n.cosigned.old(domain), Ask: func(ctx context.Context, r witness.Request) ([]byte, error) {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return n.askCosigner(ctx, d, r)
		}})
	}
	return domains, peers
}

// askCosigner asks at the first key server of a peer that answers.
func (n *Node) askCosigner(ctx context.Context, d pki.SignedDescriptor, r witness.Request) (lines []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for _, address := range d.KeyServers {
		lines, err = n.client.Cosign(ctx, keyserver.Endpoint{Address: address, CA: d.CA.Fingerprint()}, r)
		if err == nil || answered(err) {
			break
		}
	}
	return lines, err
}

// answered tells what a witness said from a connection that failed.
func answered(err error) bool {
	var conflict *witness.ConflictError
	return errors.As(err, &conflict) || errors.Is(err, witness.ErrMalformed) || errors.Is(err, witness.ErrUnknownLog) ||
		errors.Is(err, witness.ErrSignature) || errors.Is(err, witness.ErrProof) || errors.Is(err, keyserver.ErrBusy)
}

// cosignBy has our log cosigned anew if a peer, with whom we have a link now, has not cosigned
// its newest head; and has its copy asked for, if we miss a part of it.
func (n *Node) cosignBy(peer pki.Domain) {
	offer(n.logPeer, struct{}{})
	signed, _, _ := n.ledger.Published()
	if head := n.ownHead(signed); head.Size > n.cosigned.old(peer) {
		n.ledger.Again()
	}
}
