package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/pki"
)

// A Judgement is what p3dod peer verify shows: the verdict about a domain's key, and what it
// was reached by.
type Judgement struct {
	Domain       pki.Domain      `json:"domain"`
	Known        pki.Fingerprint `json:"known"` // what is pinned; zero, here and below: none
	Key          pki.Fingerprint `json:"key"`   // what to use
	DNS          pki.Fingerprint `json:"dns"`
	Security     string          `json:"dns_security"` // secure (DNSSEC, verified here), plain or none
	Home         pki.Fingerprint `json:"home"`         // what its own servers show
	Trust        string          `json:"trust"`
	Row          pki.Row         `json:"row"` // of the table in docs/spec/pki.md, "Judgement"
	Reason       string          `json:"reason"`
	For          []pki.Domain    `json:"vouching"`    // for Key
	Against      []pki.Domain    `json:"vouching_no"` // for another
	Contradicted bool            `json:"contradicted"`
}

// Verify asks DNS and a domain's own servers for its key, and judges it anew.
func (n *Node) Verify(ctx context.Context, domain string) (Judgement, error) {
	d, err := pki.ParseDomain(domain)
	if err != nil {
		return Judgement{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	looking, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	_, silent := n.lookDNS(looking, d)
	n.lookHome(looking, d)
	v, err := n.bench.settle(ctx, d)
	if err != nil {
		return Judgement{}, err
	}
	e := n.evidence(ctx, d)
	j := Judgement{
		Domain: d, Known: e.Pin.Key, Key: v.Key, DNS: e.DNS.Key, Security: e.DNS.Security(), Home: e.Home, Trust: v.Trust.String(),
		Row: v.Row, Reason: v.Reason(), For: v.For, Against: v.Against,
		Contradicted: v.DNSAltered || v.Send == pki.SendNothing,
	}
	if silent != nil && v.Key.IsZero() && len(v.Against) == 0 {
		return j, fmt.Errorf("node: nothing is known of %s: %w", d, silent)
	}
	return j, nil
}

// An Edge says that one domain countersigned another, or that both did.
type Edge struct {
	From   pki.Domain `json:"from"`
	To     pki.Domain `json:"to"`
	Mutual bool       `json:"mutual"` // then From is the first by name
}

// Graph returns who countersigned whom, out of all views that we hold.
func (n *Node) Graph(ctx context.Context) ([]Edge, error) {
	rows, err := n.store.Statements(ctx, uint8(pki.StatementView))
	if err != nil {
		return nil, err
	}
	signed := make(map[[2]pki.Domain]bool)
	for _, row := range rows {
		if !time.Now().Before(row.Ends) {
			continue
		}
		domain, err := pki.ParseDomain(row.Issuer)
		if err != nil {
			return nil, err
		}
		ca, ok := n.directory.authority(domain)
		view, err := ca.VerifyView(row.Raw, time.Now())
		if !ok || err != nil {
			continue // its key is another one by now
		}
		for _, s := range view.Sightings {
			if s.Standing >= pki.Countersigned {
				signed[[2]pki.Domain{domain, s.Domain}] = true
			}
			if _, states := n.holdsView(ctx, s.Domain); s.Standing == pki.Mutual && !states {
				signed[[2]pki.Domain{s.Domain, domain}] = true // whose own word we do not have
			}
		}
	}
	return edgesOf(signed), nil
}

// holdsView reports whether we have the word of a domain itself.
func (n *Node) holdsView(ctx context.Context, domain pki.Domain) (serial uint64, ok bool) {
	row, err := n.store.Statement(ctx, uint8(pki.StatementView), domain.String(), [32]byte{})
	return row.Serial, err == nil
}

func edgesOf(signed map[[2]pki.Domain]bool) []Edge {
	var edges []Edge
	for pair := range signed {
		from, to := pair[0], pair[1]
		mutual := signed[[2]pki.Domain{to, from}]
		if !mutual || from.String() < to.String() {
			edges = append(edges, Edge{from, to, mutual})
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		return cmp.Or(strings.Compare(a.From.String(), b.From.String()), strings.Compare(a.To.String(), b.To.String()))
	})
	return edges
}
