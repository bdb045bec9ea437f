package node

import (
	"context"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
)

// sealAgain is when a log that could not be sealed, because the disk is full for example, is tried
// again.
const sealAgain = time.Minute

// logConfig is what the log of our domain is made of.
func (n *Node) logConfig() (keyserver.LogConfig, error) {
	labels, err := keylog.ParseLabelKey(n.logging.labels.Bytes())
	return keyserver.LogConfig{
		Store: n.store, Domain: n.cfg.Domain, Key: n.logging.log, Labels: labels,
		Cosign: n.cosignOwn, Quorum: n.cosignQuorum,
	}, err
}

// openKeyServer opens the log, and the key server that publishes into it and answers for us as a
// witness of others' logs.
func (n *Node) openKeyServer(ctx context.Context) error {
	if err := n.openLog(ctx); err != nil {
		return err
	}
	door, err := n.witnessDoor()
	if err != nil {
		return err
	}
	n.published = keyserver.New(keyserver.Config{
		Store: n.store, Log: n.ledger, CA: n.authority().CA(), Fetch: n.homeCard, Copied: n.copiedUser, Sign: n.sign, Revoked: n.revoked, Witness: door,
	})
	return nil
}

// openLog opens the log; what was published before there was one gets its leaves. If the database
// has lost a part of it, these leaves are under no checkpoint before the log was regained: what would
// be signed would contradict what peers have cosigned, and that freezes a domain for good.
func (n *Node) openLog(ctx context.Context) error {
	n.logPaused, n.pauseLog = context.WithCancel(context.Background())
	config, err := n.logConfig()
	if err == nil {
		n.ledger, err = keyserver.OpenLog(ctx, config)
	}
	if err == nil {
		err = n.ledger.Fill(ctx)
	}
	return err
}

// sealLog seals what is published, as long as the node runs and nobody has a head of our log that
// we have not; what others have of it is regained first.
func (n *Node) sealLog(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(n.logPaused, cancel)
	defer stop()
	for ctx.Err() == nil {
		err := n.regainLog(ctx)
		if err == nil {
			err = n.sealWhole(ctx)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Error("sealing the key log", "err", err, "again_in", sealAgain)
			wait(ctx, sealAgain)
		}
	}
	return nil
}

// sealWhole seals until the log turns out not to be whole.
func (n *Node) sealWhole(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-n.logBehind:
		case <-ctx.Done():
		}
	}()
	return n.ledger.Run(ctx)
}
