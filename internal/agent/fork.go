package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// A domain whose key log has two histories is frozen (row 13): its pins stay, and nothing new is believed of
// it, until the user says the words of another key of it, which its offline root has named. Nodes hand the
// evidence on among their statements; it is verified here, by what we know ourselves.
const (
	maxForked     = 4096 // domains that are frozen; those of our home and contacts always are
	maxForkProofs = 32   // of which the evidence is kept, to be shown
)

// A forked says that the key log of a domain has two histories.
type forked struct {
	By    [2]pki.Fingerprint `json:"by"`              // the authorities that speak in the evidence
	Says  string             `json:"says"`            // in a few words
	At    time.Time          `json:"at"`              // when we heard of it
	Proof []byte             `json:"proof,omitempty"` // the evidence, raw; none: there was no room for it
}

// A ForkedError says that the key log of a domain has two histories.
type ForkedError struct {
	Domain pki.Domain
	Says   string
}

func (e *ForkedError) Error() string {
	return fmt.Sprintf("%s: no new key is believed of %s, and whom you know there is written to by the key that you know", e.Says, e.Domain)
}

// keepFork takes in the evidence that a domain's log has two histories, if it convinces us.
func (a *Agent) keepFork(tx *vault.Tx, raw []byte) error {
	f, err := witness.ParseFork(raw)
	if err != nil {
		return nil
	}
	frozen, err := a.frozen(tx, f.Domain)
	if err != nil || frozen != nil {
		return err
	}
	by, ok, err := a.forkReader(tx, f.Domain)
	if err != nil || !ok || f.Check(by) != nil { // it comes again when the feed is read anew, and we know more
		return err
	}
	ours, err := a.dealsWith(tx, f.Domain)
	if err != nil {
		return err
	}
	all, proofs, err := countForked(tx)
	if err != nil || all >= maxForked && !ours {
		return err
	}
	one := forked{Says: f.String(), At: a.now().UTC()}
	for i, d := range f.Descriptors {
		one.By[i] = d.CA.Fingerprint()
	}
	if proofs < maxForkProofs {
		one.Proof = raw
	}
	if ours {
		a.warning["fork of "+f.Domain.String()] = &ForkedError{f.Domain, one.Says}
	}
	return save(tx, prefixForked+f.Domain.String(), one)
}

func countForked(tx *vault.Tx) (all, proofs int, err error) {
	err = each(tx, prefixForked, func(_ string, f forked) error {
		if all++; len(f.Proof) > 0 {
			proofs++
		}
		return nil
	})
	return all, proofs, err
}

// dealsWith tells whether a domain is our home, or that of a contact.
func (a *Agent) dealsWith(tx *vault.Tx, domain pki.Domain) (yes bool, err error) {
	err = tx.Range(prefixContact, func(key string, _ []byte) error {
		if strings.HasSuffix(key, "@"+domain.String()) {
			yes = true
			return errEnough
		}
		return nil
	})
	return yes || domain == a.home(), ignoring(err, errEnough)
}

// frozen is what is known of the fork of a domain's log; nil if nothing is that counts. It counts as long as
// the domain speaks by the word of the authorities in it: those that its offline root had to replace do not.
func (a *Agent) frozen(tx *vault.Tx, domain pki.Domain) (*forked, error) {
	f, ok, err := load[forked](tx, prefixForked+domain.String())
	if err != nil || !ok {
		return nil, err
	}
	speaks, known, err := a.speaks(tx, domain)
	if err != nil || known && !(speaks(f.By[0]) && speaks(f.By[1])) {
		return nil, err
	}
	return &f, nil
}

// speaks says by whose word a domain speaks: the key that is pinned, or, if none is, the one that it is known
// by; and those that handed over to it by themselves. False: nothing is known.
func (a *Agent) speaks(tx *vault.Tx, domain pki.Domain) (by func(pki.Fingerprint) bool, known bool, err error) {
	p, pinned, err := loadPin(tx, domain)
	if err != nil {
		return nil, false, err
	}
	if !pinned {
		d, known, err := a.serverOf(tx, domain)
		is := d.CA.Fingerprint()
		return func(key pki.Fingerprint) bool { return key == is }, known, err
	}
	return func(key pki.Fingerprint) bool {
		return key == p.Key || slices.ContainsFunc(p.Former, func(f former) bool { return f.Key == key && len(f.CA) > 0 })
	}, true, nil
}

// forkReader is what we judge a fork of a domain's log by: whose word counts is a witness to us.
func (a *Agent) forkReader(tx *vault.Tx, domain pki.Domain) (by witness.Reader, ok bool, err error) {
	if by.Speaks, ok, err = a.speaks(tx, domain); err != nil || !ok {
		return by, false, err
	}
	d, known, err := a.serverOf(tx, domain)
	if err != nil {
		return by, false, err
	}
	if known && by.Speaks(d.CA.Fingerprint()) {
		by.Log = d.Log
	}
	list, _, err := load[[]listed](tx, keyList)
	for _, l := range list {
		v, failed := a.witnessOf(tx, l.Domain)
		if err = errors.Join(err, failed); v != nil && l.Domain != domain {
			by.Witnesses = append(by.Witnesses, *v)
		}
	}
	return by, true, err
}

// witnessOf is a domain that is pinned as a witness; nil if it is none.
func (a *Agent) witnessOf(tx *vault.Tx, domain pki.Domain) (*witness.Peer, error) {
	p, pinned, err := loadPin(tx, domain)
	if err != nil || !pinned {
		return nil, err
	}
	d, known, err := a.serverOf(tx, domain)
	if err != nil || !known || d.CA.Fingerprint() != p.Key || !d.HasLog() {
		return nil, err
	}
	v, err := keylog.WitnessVerifier(domain, d.Witness)
	return &witness.Peer{Verifier: v}, err
}
