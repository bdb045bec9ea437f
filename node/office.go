package node

import (
	"sync"
	"sync/atomic"

	"github.com/p3do/p3do/pki"
)

// An office is who signs for the domain now.
type office struct {
	busy sync.Mutex // held by who changes keys, or has what they sign made anew; never by who reads
	held atomic.Pointer[pki.Authority]
}

// authority is the one in office.
func (n *Node) authority() *pki.Authority { return n.office.held.Load() }

// signStatement signs a statement of the domain.
func (n *Node) signStatement(label pki.Label, message []byte) []byte {
	return n.authority().Sign(label, message)
}
