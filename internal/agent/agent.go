package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// An Agent is a user's side: her folder, and a link to her home. Its methods belong to
// one goroutine; any number of Agents, in any number of processes, may share a folder.
type Agent struct {
	cfg   Config
	vault *vault.Vault
	self  self

	client    *session.Client              // nil: not connected
	scanned   *session.Client              // on which we have read the key log of our home
	scanTried time.Time                    // when that came to nothing
	watched   *session.Client              // on which we have looked at our own card
	through   pki.Domain                   // the node that the link leads, or led, to
	since     time.Time                    // when it began
	base      pki.Domain                   // where we are connected, or were: through, but while letters are fetched elsewhere
	view      session.HomeView             // what that node says of the home
	pace      *session.Pace                // of its slots, and of ours; nil: there is no schedule
	after     int64                        // the last item seen on this link
	fresh     time.Time                    // when the directory was last asked for by freshen
	claimed   map[pki.Name]int64           // day up to which this link has claimed a contact's mailboxes; of no name: our own
	keys      map[[32]byte]onion.ServerKey // parsed, by the hash of their bytes: parsing is dear
	trouble   map[string]error             // why messages were held back, by whose key it is about
	warning   map[string]error             // what to tell her without stopping, by what it is about
	wrong     OwnKeyError                  // what was wrong with our own name when she was warned of it; zero: nothing
	told      []notice                     // that stand in the folder still
	ending    ExpiryError                  // of which she was warned last
	counts    Counts

	card     []byte    // ours, as it was published last by this program; nil: it was not
	recarded time.Time // when a letter that did not open had us look for newer keys

	views       map[[32]byte]pki.SignedView       // verified, by the hash of authority and bytes
	descriptors map[[32]byte]pki.SignedDescriptor // parsed, by the hash of their bytes
	full        *session.Error                    // why the last copy was not taken; nil: not for a quota
}

// Counts are what an Agent has dropped or held back since it was opened.
type Counts struct {
	Unopened int `json:"unopened"` // sealed parts that did not open, or letters that were none
	Unasked  int `json:"unasked"`  // receipts and acknowledgements of nothing that is on its way
	Unknown  int `json:"unknown"`  // held back: the writer's home is not in the directory, or did not vouch
	Crowded  int `json:"crowded"`  // dropped, since too many are held back already
}

// Open opens the folder of an existing identity. It does not use the network. Errors:
// ErrNoIdentity, a *TakenError if registration was begun and not finished, and those of
// vault.Open.
func Open(_ context.Context, cfg Config) (*Agent, error) {
	a, err := openFolder(cfg)
	if err != nil {
		return nil, err
	}
	id, ok, err := a.identity()
	switch {
	case err == nil && !ok:
		err = ErrNoIdentity
	case err == nil && id.begun():
		err = &TakenError{Name: id.Name, Begun: true}
	case err == nil:
		a.self, err = id.self()
	}
	if err != nil {
		return nil, errors.Join(err, a.vault.Close())
	}
	return a, nil
}

// openFolder opens the vault; ErrNoIdentity if there is none.
func openFolder(cfg Config) (*Agent, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	v, err := cfg.vault().Open(cfg.Passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoIdentity
	}
	if err != nil {
		return nil, fmt.Errorf("agent: opening your folder: %w", err)
	}
	return newAgent(cfg, v), nil
}

func newAgent(cfg Config, v *vault.Vault) *Agent {
	return &Agent{
		cfg: cfg, vault: v, keys: make(map[[32]byte]onion.ServerKey),
		trouble: make(map[string]error), warning: make(map[string]error),
		views: make(map[[32]byte]pki.SignedView), descriptors: make(map[[32]byte]pki.SignedDescriptor),
	}
}

// Close ends the link and forgets the passphrase. Nothing is lost by it: what she has to be told and
// was not goes to Config.Tell.
func (a *Agent) Close() error {
	a.disconnect()
	return errors.Join(a.tellRest(), a.vault.Close())
}

// Counts returns what was dropped or held back.
func (a *Agent) Counts() Counts { return a.counts }

// Trouble returns, and forgets, what is wrong with keys of others: why messages were held back
// at the home, where another key than the known one is the reason. It is a *TrustError, a *pki.KeyChangedError or a *CertifiedError each.
func (a *Agent) Trouble() []error { return emptied(a.trouble) }

// Warnings returns, and forgets, what she is to be told though it stops nothing: a
// *DNSAlteredError, an *OwnKeyError, an *UnsureEntryError, an *UnshownLabelsError, an *UnreadLogError, a *ForkedError, or an *ExpiryError, each; and a
// *TrustError for each contact who has ended her key, once, whichever program has heard of it.
func (a *Agent) Warnings() []error {
	a.warnOfEnd()
	failed := a.forgetTold() // of the last time: that was shown by now
	ended, err := a.notices()
	err = errors.Join(failed, err)
	if err != nil {
		a.cfg.Log.Debug("looking who has ended a key", "err", err)
	}
	return append(emptied(a.warning), ended...)
}

// emptied returns what is in a map, by its keys, and empties it.
func emptied(m map[string]error) (all []error) {
	for _, subject := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[subject])
	}
	clear(m)
	return all
}

// home is our home; none of a pseudonym that has none.
func (a *Agent) home() pki.Domain { return a.self.name.Domain() }

func (a *Agent) now() time.Time { return a.cfg.Now() }
