package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// perTransaction is how many descriptors one transaction of the vault takes in: 1.6 MiB
// at their greatest.
const perTransaction = 100

// refreshDirectory fetches all server descriptors from the home, unless that was done
// less than age ago.
func (a *Agent) refreshDirectory(ctx context.Context, age time.Duration) error {
	var at time.Time
	err := a.vault.View(func(tx *vault.Tx) (err error) {
		at, _, err = load[time.Time](tx, keyFetched)
		return err
	})
	if now := a.now(); err != nil || now.Sub(at) < age && !now.Before(at) {
		return err
	}
	raws, err := a.client.Directory(ctx)
	if err != nil {
		return err
	}
	if err := a.keepDescriptors(parseDescriptors(raws)); err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyFetched, a.now()) })
}

// freshen fetches the directory anew if a message is to be copied again: no receipt may have
// come because a server has other keys by now. That keeps no copy back. A home that does not
// tell is not asked again before the time, and the copy is made of what is known.
func (a *Agent) freshen(ctx context.Context) error {
	now := a.now()
	if since := now.Sub(a.fresh); since >= 0 && since < directoryStale {
		return nil
	}
	again, err := a.copiesAgain(now)
	if err != nil || !again {
		return err
	}
	a.fresh = now
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := a.refreshDirectory(ctx, directoryStale); err != nil {
		a.cfg.Log.Debug("refreshing the directory", "err", err)
	}
	return nil
}

// parseDescriptors leaves out what is no descriptor: one bad one does not hide the rest.
func parseDescriptors(raws [][]byte) []pki.SignedDescriptor {
	var all []pki.SignedDescriptor
	for _, raw := range raws[:min(len(raws), maxServers)] {
		if d, err := pki.ParseDescriptor(raw); err == nil {
			all = append(all, d)
		}
	}
	return all
}

// keepDescriptors takes in descriptors that are valid now and newer than what is there. The
// authority of a domain is pinned at first sight; a descriptor by another one is not
// taken, but remembered as a conflict, and nothing is sent to or through that domain.
func (a *Agent) keepDescriptors(all []pki.SignedDescriptor) error {
	for len(all) > 0 {
		part := all[:min(len(all), perTransaction)]
		err := a.vault.Update(func(tx *vault.Tx) error {
			for _, d := range part {
				if err := a.keepDescriptor(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		all = all[len(part):]
	}
	return nil
}

func (a *Agent) keepDescriptor(tx *vault.Tx, d pki.SignedDescriptor) error {
	if d.CheckTime(a.now()) != nil {
		return nil
	}
	var changed *pki.KeyChangedError
	err := checkDomainPin(tx, d.Domain, d.CA.Fingerprint())
	if errors.As(err, &changed) {
		return save(tx, prefixConflict+d.Domain.String(), pin{changed.Shown, a.now()})
	}
	if err != nil {
		return err
	}
	tx.Delete(prefixConflict + d.Domain.String())
	if raw, ok := tx.Get(prefixServer + d.Domain.String()); ok {
		known, err := pki.ParseDescriptor(raw)
		if err != nil || known.Serial >= d.Serial {
			return err
		}
	} else if err := save(tx, prefixPin+d.Domain.String(), pin{d.CA.Fingerprint(), a.now()}); err != nil {
		return err
	}
	tx.Put(prefixServer+d.Domain.String(), d.Raw())
	return nil
}

// checkDomainPin returns a *pki.KeyChangedError if the domain is pinned to another key.
func checkDomainPin(tx *vault.Tx, domain pki.Domain, shown pki.Fingerprint) error {
	p, ok, err := load[pin](tx, prefixPin+domain.String())
	if err != nil || !ok {
		return err
	}
	return pki.CheckPin(p.Key, shown, domain.String())
}

// checkConflict returns a *pki.KeyChangedError if the domain was last seen with another
// key than the pinned one.
func checkConflict(tx *vault.Tx, domain pki.Domain) error {
	shown, ok, err := load[pin](tx, prefixConflict+domain.String())
	if err != nil || !ok {
		return err
	}
	return checkDomainPin(tx, domain, shown.Key)
}

// descriptor returns what is known of a domain's server, by its pinned authority, whatever
// its age.
func (a *Agent) descriptor(domain pki.Domain) (d pki.SignedDescriptor, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		raw, found := tx.Get(prefixServer + domain.String())
		if ok = found; !ok {
			return nil
		}
		if d, err = pki.ParseDescriptor(raw); err != nil {
			return err
		}
		return checkDomainPin(tx, domain, d.CA.Fingerprint())
	})
	return d, ok, err
}

// authority returns the pinned authority of a domain. Errors: a *NoServerError if there is
// none in the directory, a *pki.KeyChangedError if the domain was last seen with another.
func (a *Agent) authority(domain pki.Domain) (pki.CACert, error) {
	d, ok, err := a.descriptor(domain)
	if err != nil {
		return pki.CACert{}, err
	}
	if !ok {
		return pki.CACert{}, &NoServerError{domain}
	}
	return d.CA, a.vault.View(func(tx *vault.Tx) error { return checkConflict(tx, domain) })
}

// servers returns the servers that a route can be made of now, by domain.
func (a *Agent) servers(tx *vault.Tx) ([]mor.Server, error) {
	var servers []mor.Server
	now := a.now()
	err := tx.Range(prefixServer, func(_ string, raw []byte) error {
		d, err := pki.ParseDescriptor(raw)
		if err != nil {
			return fmt.Errorf("agent: a descriptor in the folder: %w", err)
		}
		routing, ok := d.ServerKeyFor(pki.PeriodAt(now))
		if !ok || d.CheckTime(now) != nil || checkConflict(tx, d.Domain) != nil {
			return nil
		}
		key, err := a.serverKey(routing.Public[:])
		if err == nil { // else it is no key, and no server to us
			servers = append(servers, mor.Server{Domain: d.Domain, Key: key})
		}
		return nil
	})
	return servers, err
}

// serverKey parses a server key, once per Agent.
func (a *Agent) serverKey(raw []byte) (onion.ServerKey, error) {
	id := sha256.Sum256(raw)
	if key, ok := a.keys[id]; ok {
		return key, nil
	}
	key, err := onion.ParseServerKey(raw)
	if err == nil {
		a.keys[id] = key
	}
	return key, err
}
