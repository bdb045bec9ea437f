package node

import (
	"context"
	"time"

	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// silentRounds is how many audits in a row may go without an answer, while the domain's node has a link with us, before that is
// found: an hour or so. Of a node that is not there nothing is said.
const silentRounds = 6

// A silence is how long a domain's own key server has not answered audits.
type silence struct {
	since  time.Time
	rounds int
}

// answers notes whether a domain's own key server has answered an audit; failed is why it has not.
func (m *mirrors) answers(ctx context.Context, is witness.Case, failed error) {
	domain := is.Descriptor.Domain
	if failed == nil {
		m.answered(domain)
		m.n.mended(domain, witness.Silent)
		return
	}
	linked, err := m.n.linked(ctx)
	switch {
	case err != nil:
		return
	case !linked[domain]:
		m.answered(domain) // the whole node is away, and its time begins anew
		return
	}
	now := m.silentFor(domain)
	if now.rounds < silentRounds || time.Since(now.since) < silentRounds*m.every/2 {
		return
	}
	if x, err := is.Silence(now.since, failed); err == nil {
		m.n.found(ctx, x)
	}
}

func (m *mirrors) answered(domain pki.Domain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.silent, domain)
}

// silentFor is the silence of a domain with this round.
func (m *mirrors) silentFor(domain pki.Domain) silence {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.silent[domain]
	if now.rounds == 0 {
		now.since = time.Now()
	}
	now.rounds++
	m.silent[domain] = now
	return now
}
