package agent

import (
	"slices"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// maxFormer is how many authorities that handed over are remembered of a domain: what they
// certified is good until it runs out, and what is revoked may be of them.
const maxFormer = 8

// A pin is the authority of a domain, as we trust it, and what it had said of its own end.
type pin struct {
	Key    pki.Fingerprint `json:"key"`
	Trust  pki.Trust       `json:"trust"`
	Since  time.Time       `json:"since"`
	Next   pki.Fingerprint `json:"next,omitzero"`
	Root   pki.Fingerprint `json:"root,omitzero"`
	Log    bool            `json:"log,omitempty"`    // it names a key log, or did once
	Wanted int             `json:"wanted,omitempty"` // of those who watch that log, so many are to have cosigned it; it only grows
	Former []former        `json:"former,omitempty"` // those that handed over, the last to Key
}

// A former is an authority that handed over.
type former struct {
	Key pki.Fingerprint `json:"key"`
	CA  []byte          `json:"ca,omitempty"` // its certificate; empty: its offline root took its office away
	At  time.Time       `json:"at"`           // when it handed over
}

// loadPin reads the pin of a domain; false if there is none.
func loadPin(tx *vault.Tx, domain pki.Domain) (pin, bool, error) {
	return load[pin](tx, prefixPin+domain.String())
}

// savePin pins a key. If it is the domain's first, successions that lead nowhere from there go.
func savePin(tx *vault.Tx, domain pki.Domain, p pin) error {
	first := !has(tx, prefixPin+domain.String())
	p.Former = p.Former[max(0, len(p.Former)-maxFormer):]
	if err := save(tx, prefixPin+domain.String(), p); err != nil || !first {
		return err
	}
	tx.Delete(keyStrays)
	_, err := weedHeirs(tx, domain)
	return err
}

// judged is the pin as it is judged by.
func (p pin) judged(domain pki.Domain) pki.Pin {
	j := pki.Pin{Subject: domain.String(), Key: p.Key, Trust: p.Trust}
	for _, f := range p.Former {
		j.Former = append(j.Former, f.Key)
	}
	return j
}

// former are the authorities that handed over of themselves, oldest first, as long as there may be
// certificates that they signed before.
func (p pin) former(now time.Time) (all []pki.CACert, err error) {
	for _, f := range p.Former {
		if len(f.CA) == 0 || now.Sub(f.At) >= pki.UserLifetime {
			continue
		}
		ca, err := pki.ParseCACert(f.CA)
		if err != nil {
			return nil, err
		}
		all = append(all, ca)
	}
	return all, nil
}

// follow is what is known of those that handed over when the pinned one, whose certificate is ca
// (nil: not known), does so, too. If its offline root says so, its key may be a thief's, and with it
// those of all before: they are remembered by their keys alone.
func (p pin) follow(ca []byte, h heir) []former {
	all := append(slices.Clone(p.Former), former{p.Key, ca, h.at})
	if h.rooted {
		for i := range all {
			all[i].CA = nil
		}
	}
	return all
}

func (p pin) commitment(domain pki.Domain) pki.Commitment {
	return pki.Commitment{Domain: domain, Key: p.Key, Next: p.Next, Root: p.Root}
}

// learn adds what a descriptor of the pinned authority says of its end, where nothing is
// known, and whether it keeps a key log.
func (p pin) learn(d pki.SignedDescriptor) pin {
	c := p.commitment(d.Domain).Learn(d)
	p.Next, p.Root, p.Log = c.Next, c.Root, p.Log || d.HasLog()
	return p
}

// A rival is another key than the pinned one, as the servers of a domain show it.
type rival struct {
	Key        pki.Fingerprint `json:"key,omitzero"`         // zero: which one is not known
	Descriptor []byte          `json:"descriptor,omitempty"` // by that key, raw
	At         time.Time       `json:"at"`
	Looked     bool            `json:"looked,omitempty"` // seen when a card was looked up, and not in the directory
}

// noKey stands for a key of which nothing is known but that it is not the pinned one.
func noKey() (f pki.Fingerprint) {
	for i := range f {
		f[i] = 0xff
	}
	return f
}

// key is the key that is shown.
func (r rival) key() pki.Fingerprint {
	if r.Key.IsZero() {
		return noKey()
	}
	return r.Key
}

// descriptorBy finds a descriptor of a domain by the authority of that key: the one in use, or
// the one that the domain shows beside it.
func (a *Agent) descriptorBy(tx *vault.Tx, domain pki.Domain, key pki.Fingerprint) (d pki.SignedDescriptor, ok bool, err error) {
	if d, ok, err = a.serverOf(tx, domain); err != nil || ok && d.CA.Fingerprint() == key {
		return d, ok, err
	}
	s, ok, err := load[rival](tx, prefixShown+domain.String())
	if err != nil || !ok || len(s.Descriptor) == 0 {
		return d, false, err
	}
	d, err = a.parsed(s.Descriptor)
	return d, err == nil && d.CA.Fingerprint() == key, err
}

// serverOf is the descriptor of a domain that is in use.
func (a *Agent) serverOf(tx *vault.Tx, domain pki.Domain) (d pki.SignedDescriptor, ok bool, err error) {
	raw, ok := tx.Get(prefixServer + domain.String())
	if !ok {
		return d, false, nil
	}
	d, err = a.parsed(raw)
	return d, err == nil, err
}
