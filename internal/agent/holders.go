package agent

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"slices"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// labelHolders keys the order in which those are asked who may have a copy.
const labelHolders = "p3do holders v1"

// holdersOf are the servers, beside her home, that are asked for somebody's card: the peers of her home, who
// have been given copies, and one where she can be reached, in the second place; if these are too few, any
// others. Each learns that somebody asks for her, so the order is by a secret of ours, and the same each time:
// who asks often tells no more servers than who asks once.
func (a *Agent) holdersOf(name pki.Name, peers []pki.Domain) (all []pki.Domain, err error) {
	var reached, servers []pki.Domain
	err = a.vault.View(func(tx *vault.Tx) error {
		c, _, err := load[contact](tx, prefixContact+name.String())
		if err != nil {
			return err
		}
		reached = c.Spools
		known, err := a.serversFor(tx, name.Domain())
		for _, s := range known {
			if !s.EndOnly {
				servers = append(servers, s.Domain)
			}
		}
		return err
	})
	first, spools := a.inOrder(name, peers), a.inOrder(name, reached)
	if len(first) > 0 && len(spools) > 0 {
		first = slices.Insert(first, 1, spools[0])
	}
	for _, d := range slices.Concat(first, spools, a.inOrder(name, servers)) {
		if len(all) < mor.MaxHolders && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all, err
}

// inOrder puts domains into our order for a name, without those that are not asked for a copy: her home, and
// where we are.
func (a *Agent) inOrder(name pki.Name, domains []pki.Domain) []pki.Domain {
	place := func(d pki.Domain) []byte {
		mac := hmac.New(sha256.New, a.self.contacts)
		mac.Write([]byte(labelHolders + " " + name.String() + " " + d.String()))
		return mac.Sum(nil)
	}
	near := []pki.Domain{name.Domain(), a.where(), a.home()}
	ordered := slices.DeleteFunc(slices.Clone(domains), func(d pki.Domain) bool { return slices.Contains(near, d) })
	slices.SortFunc(ordered, func(x, y pki.Domain) int { return bytes.Compare(place(x), place(y)) })
	return ordered
}
