package agent

import (
	"fmt"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A SupersededError tells that somebody whom we know has another key now, which hers did not sign: her home
// certified it, it stood in the open for pki.LogPatience, and nobody objected.
type SupersededError struct {
	Name pki.Name
	Was  pki.Fingerprint
	Now  pki.Fingerprint
}

func (e *SupersededError) Error() string {
	return fmt.Sprintf("%s has a new key (%s) in place of the known one (%s): it was in the key log of %s for %d hours, and nobody objected",
		e.Name, brief(e.Now, 2), brief(e.Was, 1), e.Name.Domain(), int(pki.LogPatience.Hours()))
}

// supersede lets the key of a contact give way, if the verdict says so, and tells the user. Nothing that the
// one before has said of itself counts any more; who it is to us does.
func (a *Agent) supersede(tx *vault.Tx, p person) error {
	was, key := p.evidence.Pin.Key, p.verdict.Key
	if p.verdict.Row != pki.RowReplaced || was.IsZero() || key == was {
		return nil
	}
	mine, err := a.self.contact(key)
	if err != nil {
		return err
	}
	tx.Delete(prefixCard + p.name.String())
	next := contact{Identity: key, Trust: p.verdict.Trust, Mine: mine, Met: a.now(), Chosen: p.contact.Chosen}
	if err := next.settled(tx, p.name); err != nil {
		return err
	}
	return a.note(tx, notice{Name: p.name, Key: was, At: a.now().UTC(), Now: key})
}
