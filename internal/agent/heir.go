package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// reachHeir is reach for a domain that may have changed its key while we were away. If it shows
// another key, its key servers are asked who handed over to whom, before anybody logs in
// there; and if that key follows the pinned one by right, it is pinned, and reached.
func (a *Agent) reachHeir(ctx context.Context, domain pki.Domain, reach func(context.Context) (*link.Conn, error)) (*link.Conn, error) {
	conn, err := reach(ctx)
	shown, told, other := shownBy(err, domain)
	if !other {
		return conn, err
	}
	moved, failed := a.succeed(ctx, domain, shown, told)
	if failed != nil || !moved {
		return nil, errors.Join(err, failed)
	}
	return reach(ctx)
}

// shownBy is the other key of a domain that an error tells of: its servers show it, or DNS alone, which
// told of key servers then.
func shownBy(err error, domain pki.Domain) (shown pki.Fingerprint, told []string, ok bool) {
	var changed *pki.KeyChangedError
	var altered *DNSAlteredError
	switch {
	case errors.As(err, &changed) && changed.Subject == domain.String():
		return changed.Shown, nil, true
	case errors.As(err, &altered) && altered.Domain == domain:
		return altered.Shown, altered.at, true
	}
	return shown, nil, false
}

// succeed asks the servers of a domain that show a key how they came by it, and pins that if it
// follows the pinned one by right; moved is true then.
func (a *Agent) succeed(ctx context.Context, domain pki.Domain, shown pki.Fingerprint, told []string) (moved bool, err error) {
	all, err := a.keyServers(domain, told)
	if err != nil {
		return false, err
	}
	for _, address := range all {
		client, at := keyserver.Client{Dial: a.cfg.Dial}, keyserver.Endpoint{Address: address, CA: shown}
		all, err := client.Successions(ctx, at, domain)
		if err != nil {
			a.cfg.Log.Debug("asking who handed over to whom", "err", err)
			continue
		}
		heir, err := a.isHeir(domain, shown, all)
		if err != nil || !heir {
			return false, err
		}
		d, err := client.Server(ctx, at, domain)
		if err != nil {
			a.cfg.Log.Debug("asking for the descriptor of an heir", "err", err)
			continue
		}
		return a.inherit(d)
	}
	return false, nil
}

// keyServers are the addresses at which those of a domain may be: as it said last, and as we were told. DNS
// is not asked for it: where a server was lost it was asked by whoever looked for that, and else there is
// no need.
func (a *Agent) keyServers(domain pki.Domain, told []string) (all []string, err error) {
	d, ok, err := a.descriptor(domain)
	var changed *pki.KeyChangedError
	if err != nil && !errors.As(err, &changed) {
		return nil, err
	}
	if ok && err == nil {
		all = append(all, d.KeyServers...)
	}
	for _, address := range told {
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	return all, nil
}

// isHeir keeps some successions of a domain, and tells whether a key follows the pinned one by
// them.
func (a *Agent) isHeir(domain pki.Domain, key pki.Fingerprint, all []pki.SignedSuccession) (yes bool, err error) {
	err = a.vault.Update(func(tx *vault.Tx) error {
		p, pinned, err := loadPin(tx, domain)
		if err != nil || !pinned {
			return err
		}
		known, err := successions(tx, domain) // that others have told of, too: two heirs are none
		if err != nil {
			return err
		}
		heirs := p.commitment(domain).Heirs(append(known, all...))
		if yes = len(heirs) > 0 && heirs[len(heirs)-1].Key == key; !yes {
			return nil // what does not lead there is not worth its room
		}
		for range all { // each matters when those before it are known, in whatever order they came
			for _, s := range all {
				if err := a.keepSuccession(tx, s.Raw()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return yes, err
}

// inherit takes in the descriptor of an heir, and has it judged.
func (a *Agent) inherit(d pki.SignedDescriptor) (moved bool, err error) {
	err = a.vault.Update(func(tx *vault.Tx) error {
		if err := a.keepDescriptor(tx, d); err != nil {
			return err
		}
		b, err := a.bench(tx)
		if err != nil {
			return err
		}
		moved, err = a.follow(tx, b, d.Domain)
		return err
	})
	return moved, err
}
