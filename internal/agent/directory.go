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

const (
	// perTransaction is how many descriptors one transaction of the vault takes in: 1.6 MiB
	// at their greatest.
	perTransaction = 100
	// maxParsed is how many descriptors are remembered parsed.
	maxParsed = 2048
)

// refreshDirectory fetches all server descriptors and the statements that are new from the
// node that we are connected to, unless that was done less than age ago, and judges all
// domains anew.
func (a *Agent) refreshDirectory(ctx context.Context, age time.Duration) error {
	var at time.Time
	err := a.vault.View(func(tx *vault.Tx) (err error) {
		at, _, err = load[time.Time](tx, keyFetched)
		return err
	})
	if now := a.now(); err != nil || now.Sub(at) < age && !now.Before(at) {
		return err
	}
	raws, shown, err := a.client.Directory(ctx)
	if err != nil {
		return err
	}
	if err := a.keepDescriptors(parseDescriptors(raws)); err != nil {
		return err
	}
	if err := a.inParts(parseDescriptors(shown), a.keepShown); err != nil {
		return err
	}
	if err := a.learn(ctx); err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error { return save(tx, keyFetched, a.now()) })
}

// learn takes in what statements are new, and judges all domains anew. If a view is missed
// then, the feed is read once more.
func (a *Agent) learn(ctx context.Context) error {
	for again := true; again; {
		if err := a.fetchStatements(ctx); err != nil {
			return err
		}
		err := a.vault.Update(func(tx *vault.Tx) error {
			err := errors.Join(a.judgeAll(tx), a.settleMoves(tx))
			again = !has(tx, prefixFeed+a.where().String()) // somebody new is on the list
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hear takes in what statements are new, and judges anew if there are any: once on each link,
// since who writes is to know what her node knows.
func (a *Agent) hear(ctx context.Context) error {
	key := prefixFeed + a.where().String()
	before, err := a.feed(key)
	if err != nil {
		return err
	}
	if err := a.fetchStatements(ctx); err != nil {
		return err
	}
	after, err := a.feed(key)
	if err != nil || after.Since == before.Since {
		return err
	}
	return a.learn(ctx)
}

// freshen fetches the directory anew if a message is to be copied again: no receipt may have
// come because a server has other keys by now.
func (a *Agent) freshen(ctx context.Context) error {
	again, err := a.copiesAgain(a.now())
	if err == nil && again {
		a.renewDirectory(ctx)
	}
	return err
}

// renewDirectory fetches the directory anew for a copy. That keeps none back: a home that does not
// tell is not asked again before the time, and the copy is made of what is known.
func (a *Agent) renewDirectory(ctx context.Context) {
	now := a.now()
	if since := now.Sub(a.fresh); since >= 0 && since < directoryStale {
		return
	}
	a.fresh = now
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := a.refreshDirectory(ctx, directoryStale); err != nil {
		a.cfg.Log.Debug("refreshing the directory", "err", err)
	}
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

// keepDescriptors takes in descriptors that are valid now and newer than what is there. None
// of them pins anything: that is for the verdict.
func (a *Agent) keepDescriptors(all []pki.SignedDescriptor) error {
	return a.inParts(all, a.keepDescriptor)
}

// inParts does something with every descriptor, in transactions that are not too long.
func (a *Agent) inParts(all []pki.SignedDescriptor, do func(*vault.Tx, pki.SignedDescriptor) error) error {
	for len(all) > 0 {
		part := all[:min(len(all), perTransaction)]
		err := a.vault.Update(func(tx *vault.Tx) error {
			for _, d := range part {
				if err := do(tx, d); err != nil {
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

// keepHome takes in the descriptor of our own home. Its authority is pinned at first sight:
// whoever makes a name there trusts it to that extent.
func (a *Agent) keepHome(d pki.SignedDescriptor) error {
	return a.vault.Update(func(tx *vault.Tx) error {
		_, pinned, err := loadPin(tx, d.Domain)
		if err != nil {
			return err
		}
		if !pinned && d.CheckTime(a.now()) == nil {
			p := pin{Key: d.CA.Fingerprint(), Trust: pki.FirstSeen, Since: a.now()}
			if err := savePin(tx, d.Domain, p.learn(d)); err != nil {
				return err
			}
		}
		return a.keepDescriptor(tx, d)
	})
}

// keepDescriptor takes in one descriptor. One by another authority than the pinned one is
// evidence of what the domain shows, and replaces nothing.
func (a *Agent) keepDescriptor(tx *vault.Tx, d pki.SignedDescriptor) error {
	if d.CheckTime(a.now()) != nil {
		return nil
	}
	domain := d.Domain.String()
	p, pinned, err := loadPin(tx, d.Domain)
	if err != nil {
		return err
	}
	if pinned && p.Key != d.CA.Fingerprint() {
		return save(tx, prefixShown+domain, rival{Key: d.CA.Fingerprint(), Descriptor: d.Raw(), At: a.now()})
	}
	if err := a.unshow(tx, d); err != nil {
		return err
	}
	if learnt := p.learn(d); pinned && (learnt.Next != p.Next || learnt.Root != p.Root || learnt.Log != p.Log) {
		if err := savePin(tx, d.Domain, learnt); err != nil {
			return err
		}
	}
	known, ok, err := a.serverOf(tx, d.Domain)
	if err != nil || ok && known.CA.Fingerprint() == d.CA.Fingerprint() && known.Serial >= d.Serial {
		return err
	}
	tx.Put(prefixServer+domain, d.Raw())
	return nil
}

// keepShown takes in what a domain's own servers show, if that is another key than the pinned one:
// evidence, and nothing else.
func (a *Agent) keepShown(tx *vault.Tx, d pki.SignedDescriptor) error {
	p, pinned, err := loadPin(tx, d.Domain)
	if err != nil || !pinned || p.Key == d.CA.Fingerprint() {
		return err
	}
	return a.keepDescriptor(tx, d)
}

// unshow forgets another key that a domain showed: now that the directory has the pinned one,
// if it was the directory that had another, or else if the pinned one has signed since.
func (a *Agent) unshow(tx *vault.Tx, d pki.SignedDescriptor) error {
	key := prefixShown + d.Domain.String()
	s, ok, err := load[rival](tx, key)
	if err == nil && ok && (!s.Looked || d.Issued.After(s.At)) {
		tx.Delete(key)
	}
	return err
}

// descriptor returns what is known of a domain's server, by its pinned authority if there is
// one, whatever its age.
func (a *Agent) descriptor(domain pki.Domain) (d pki.SignedDescriptor, ok bool, err error) {
	err = a.vault.View(func(tx *vault.Tx) error {
		if d, ok, err = a.serverOf(tx, domain); err != nil || !ok {
			return err
		}
		return checkDomainPin(tx, domain, d.CA.Fingerprint())
	})
	return d, ok, err
}

// checkDomainPin returns a *pki.KeyChangedError if the domain is pinned to another key.
func checkDomainPin(tx *vault.Tx, domain pki.Domain, shown pki.Fingerprint) error {
	p, ok, err := loadPin(tx, domain)
	if err != nil || !ok {
		return err
	}
	return pki.CheckPin(p.Key, shown, domain.String())
}

// authority returns the authority by which a domain is judged. Errors: a *NoServerError if
// none is known, a *TrustError if the domain is known by another key than it shows.
func (a *Agent) authority(domain pki.Domain) (pki.CACert, error) {
	s, err := a.standing(domain)
	if err == nil && s.held() {
		err = s.err()
	}
	if err == nil {
		err = s.present()
	}
	if err != nil {
		return pki.CACert{}, err
	}
	return s.line[0], nil
}

// servers returns the servers that a route can be made of now, by domain. Those that nobody
// but themselves vouches for, or stands by, can only be at an end of it.
func (a *Agent) servers(tx *vault.Tx) ([]mor.Server, error) {
	return a.serversFor(tx, pki.Domain{})
}

// serversFor is servers, with that of a domain that is to be asked something although another key is
// shown for it: by the key that is known of it, or else by that which it shows.
func (a *Agent) serversFor(tx *vault.Tx, asked pki.Domain) ([]mor.Server, error) {
	var servers []mor.Server
	now := a.now()
	b, err := a.bench(tx)
	if err != nil {
		return nil, err
	}
	err = tx.Range(prefixServer, func(_ string, raw []byte) error {
		d, err := a.parsed(raw)
		if err != nil {
			return fmt.Errorf("agent: a descriptor in the folder: %w", err)
		}
		routing, ok := d.ServerKeyFor(pki.PeriodAt(now))
		if !ok || d.CheckTime(now) != nil {
			return nil
		}
		s, err := a.judgedBy(tx, b, d.Domain)
		if err != nil || s.held() && d.Domain != asked || s.pinned && s.pin.Key != d.CA.Fingerprint() {
			return err
		}
		key, err := a.serverKey(routing.Public[:])
		if err == nil { // else it is no key, and no server to us
			may, young := b.relays(s, now)
			servers = append(servers, mor.Server{Domain: d.Domain, Key: key, Young: young, EndOnly: !may || s.held()})
		}
		return nil
	})
	return servers, err
}

// parsed parses a descriptor. Those that were parsed before are remembered by their bytes, as
// many as most meshes have: it is dear.
func (a *Agent) parsed(raw []byte) (pki.SignedDescriptor, error) {
	id := sha256.Sum256(raw)
	if d, ok := a.descriptors[id]; ok {
		return d, nil
	}
	d, err := pki.ParseDescriptor(raw)
	if err != nil {
		return d, err
	}
	if len(a.descriptors) >= maxParsed {
		clear(a.descriptors)
	}
	a.descriptors[id] = d
	return d, nil
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
