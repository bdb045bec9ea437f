package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A Role is what a key of a node is for, as the operator names it.
type Role string

// The keys that can be changed.
const (
	RoleServer  Role = "server"  // to which users build the inner layers
	RoleContext Role = "context" // of the context that the node speaks on
	RoleCA      Role = "ca"      // of the domain's authority
	RoleOffline Role = "offline" // the root that was taken away
)

// A Rotated says what became of a key.
type Rotated struct {
	Domain  pki.Domain      `json:"domain"`
	Key     Role            `json:"key"`
	Was     pki.Fingerprint `json:"was,omitzero"` // of authorities and roots
	Is      pki.Fingerprint `json:"is,omitzero"`
	Resumed bool            `json:"resumed,omitempty"` // it had been done, and only the offline file did not say so
	Words   string          `json:"words,omitempty"`   // of an offline file that was made now
}

// resignAfter is how long the records of our contexts are left as the former authority signed
// them: whoever has not followed yet could not verify new ones, and would have no way to us.
const resignAfter = 5 * time.Second

// rotateServer makes another server key for the present period at once. What was sent to the
// one before is still opened.
func (n *Node) rotateServer(ctx context.Context) (Rotated, error) {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	now := time.Now()
	if err := n.keys.replaceServer(now); err != nil {
		return Rotated{}, err
	}
	if err := n.turn(ctx, now); err != nil {
		return Rotated{}, err
	}
	n.tell() // of the record that leads here, before users can hear of the key
	if err := n.directory.publishOwn(ctx, now); err != nil {
		return Rotated{}, err
	}
	n.note(ctx, n.cfg.Domain, EventRotated, "its server key of this week was replaced")
	return Rotated{Domain: n.cfg.Domain, Key: RoleServer}, nil
}

// rotateContext gives our contexts other keys and hints at once. What is on its way to those
// before is still peeled, and may be until no record of them holds.
func (n *Node) rotateContext(ctx context.Context) (Rotated, error) {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	now := time.Now()
	own, err := n.ownContexts(ctx, now)
	if err != nil {
		return Rotated{}, err
	}
	if full := replaceable(own); !full.IsZero() {
		return Rotated{}, fmt.Errorf("%w: the context key was replaced %d times within a day; the oldest is needed until %s",
			ErrInput, mor.MaxFormer, full.Format(time.RFC3339))
	}
	return Rotated{Domain: n.cfg.Domain, Key: RoleContext}, n.rekeyAll(ctx, own, now, "its operator said so")
}

func (n *Node) rekey(ctx context.Context, name string, c mor.OwnContext, now time.Time) error {
	fresh, err := mor.NewContext(rand.Reader, now)
	if err != nil {
		return err
	}
	c = c.Rekey(now, fresh)
	if err := n.keys.writeContext(name, c); err != nil { // first: it must be known after a crash
		return err
	}
	_, err = ask(ctx, n.loop, func(l *loop, _ time.Time) bool { return l.router.SetContext(c) })
	return err
}

// A handOver is what the operator's command hands in: another authority, and the word by which
// it follows; or the word alone, of another root.
type handOver struct {
	Authority  []byte `json:"authority,omitempty"`
	Succession []byte `json:"succession,omitempty"`

	Next, Root string // what to commit to, if that is nothing so far
}

// succeed puts another authority into office. The word of it is kept first, which says nothing
// as long as nobody shows the new key; then the file of the authority is replaced, and that is
// the hand-over: before it a crash leaves the old authority, after it the new one.
func (n *Node) succeed(ctx context.Context, h handOver) (Rotated, error) {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	old := n.authority()
	fresh, s, err := n.successor(old, h)
	if err != nil {
		return Rotated{}, err
	}
	done := Rotated{Domain: n.cfg.Domain, Key: RoleCA, Was: old.CA().Fingerprint(), Is: fresh.CA().Fingerprint()}
	if err := n.store.AddFormer(ctx, n.cfg.Domain.String(), done.Was, old.CA().DER()); err != nil {
		return Rotated{}, err
	}
	if _, err := n.acceptSuccession(ctx, s.Raw()); errors.Is(err, store.ErrFull) {
		return Rotated{}, fmt.Errorf("%w: the key was replaced %d times within %d days, and others need the way to it so long",
			ErrInput, maxOwnSuccessions, int(successionLife.Hours()/24))
	} else if err != nil {
		return Rotated{}, err
	}
	if err := n.keys.write(authorityFile, fresh.Marshal()); err != nil {
		return Rotated{}, err
	}
	n.office.held.Store(fresh)
	n.sayRecord()
	return done, n.takeOffice(ctx, s)
}

// successor reads what was handed in, and refuses what others would not believe.
func (n *Node) successor(old *pki.Authority, h handOver) (*pki.Authority, pki.SignedSuccession, error) {
	fresh, err := pki.ParseAuthority(h.Authority)
	if err != nil {
		return nil, pki.SignedSuccession{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	s, err := pki.ParseSuccession(h.Succession)
	if err != nil {
		return nil, s, fmt.Errorf("%w: %w", ErrInput, err)
	}
	was, is := old.Commitment(), fresh.Commitment()
	heirs := was.Heirs(append([]pki.SignedSuccession{s}, n.beliefs.line(n.cfg.Domain)...))
	if fresh.Domain() != n.cfg.Domain || len(heirs) == 0 || heirs[len(heirs)-1] != is {
		return nil, s, fmt.Errorf("%w: nobody would believe that this authority follows the one in office", ErrInput)
	}
	return fresh, s, nil
}

// takeOffice has made anew what the authority signs: certificates, descriptor, view and
// records, and, if it has another federation key, the countersignatures. What fails here is
// tried again by tend, and when the node starts.
func (n *Node) takeOffice(ctx context.Context, s pki.SignedSuccession) error {
	now, authority := time.Now(), n.authority()
	n.published.SetAuthorities(authority.CA(), n.ownIssuers(ctx)[1:]...)
	failed := n.peers.renew(ctx, now)
	if err := n.certify(ctx, now); err != nil {
		failed = errors.Join(failed, err)
	} else {
		failed = errors.Join(failed, n.listener.Renew(n.shown()))
	}
	failed = errors.Join(failed, n.directory.publishOwn(ctx, now))
	n.sayAnew()
	n.tell()
	offer(n.succeeded, struct{}{})
	n.note(ctx, n.cfg.Domain, EventRotated, saysRotated(s))
	return failed
}

// saysRotated is what the journal says of a succession at home.
func saysRotated(s pki.SignedSuccession) string {
	return fmt.Sprintf("its key is %s, and was %s: %s", s.New(), s.Old, byWhom[s.By])
}

// byWhom says by what right a key follows.
var byWhom = map[pki.By]string{
	pki.ByOld: "by the old key's word", pki.ByCommitted: "as was said before", pki.ByRoot: "by the offline root's word",
}

// resign has the records of our contexts signed by the authority in office, some time after it
// has come there.
func (n *Node) resign(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.succeeded:
		}
		wait(ctx, resignAfter)
		err := n.loop.do(ctx, func(l *loop, _ time.Time) (out mor.Output, ok bool) {
			l.router.Resign()
			return out, false
		})
		if err == nil {
			n.tell()
		}
	}
}

// succeedRoot commits the domain to another offline root: by the word of the one before, or,
// if there was none, without one, and then to a successor, too.
func (n *Node) succeedRoot(ctx context.Context, h handOver) (Rotated, error) {
	n.office.busy.Lock()
	defer n.office.busy.Unlock()
	old := n.authority()
	was := old.Commitment()
	next, root, err := n.newRoot(was, h)
	if err != nil {
		return Rotated{}, err
	}
	fresh, err := old.Commit(next, root)
	if err != nil {
		return Rotated{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(h.Succession) > 0 {
		if _, err := n.acceptSuccession(ctx, h.Succession); err != nil {
			return Rotated{}, err
		}
	}
	if err := n.keys.write(authorityFile, fresh.Marshal()); err != nil {
		return Rotated{}, err
	}
	n.office.held.Store(fresh)
	n.sayRecord()
	if err := n.directory.publishOwn(ctx, time.Now()); err != nil {
		return Rotated{}, err
	}
	n.tell()
	n.note(ctx, n.cfg.Domain, EventRotated, "its offline root was replaced")
	return Rotated{Domain: n.cfg.Domain, Key: RoleOffline, Was: was.Root, Is: root}, nil
}

// newRoot reads what to commit to.
func (n *Node) newRoot(was pki.Commitment, h handOver) (next, root pki.Fingerprint, err error) {
	if len(h.Succession) == 0 {
		if !was.Root.IsZero() || !was.Next.IsZero() {
			return next, root, fmt.Errorf("%w: there is an offline root, and only that can name another", ErrInput)
		}
		if next, err = pki.ParseFingerprint(h.Next); err == nil {
			root, err = pki.ParseFingerprint(h.Root)
		}
	} else {
		var s pki.SignedSuccession
		s, err = pki.ParseSuccession(h.Succession)
		if err == nil && (s.Office != pki.OfficeRoot || s.Domain != n.cfg.Domain || s.Old != was.Root) {
			err = fmt.Errorf("it is not of our offline root")
		}
		if err == nil {
			next, root = was.Next, s.New()
		}
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInput, err)
	}
	return next, root, err
}

// maxHandOver bounds what the operator's command hands in.
const maxHandOver = 64 << 10

// handleRotate answers who changes keys. A change that was begun goes on to its end, whoever asked
// and went away; it ends with ctx, which is the life of the node: what the next one finds on the
// disk then is whole.
func (n *Node) handleRotate(ctx context.Context, mux *http.ServeMux) {
	plain := map[Role]func(context.Context) (Rotated, error){RoleServer: n.rotateServer, RoleContext: n.rotateContext}
	for role, rotate := range plain {
		mux.HandleFunc("POST /rotate/"+string(role), func(w http.ResponseWriter, _ *http.Request) {
			done, err := rotate(ctx)
			respond(w, done, err)
		})
	}
	given := map[Role]func(context.Context, handOver) (Rotated, error){RoleCA: n.succeed, RoleOffline: n.succeedRoot}
	for role, rotate := range given {
		mux.HandleFunc("POST /rotate/"+string(role), func(w http.ResponseWriter, r *http.Request) {
			var done Rotated
			h, err := readHandOver(r.Body)
			if err == nil {
				done, err = rotate(ctx, h)
			}
			respond(w, done, err)
		})
	}
}

func readHandOver(body io.Reader) (h handOver, err error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxHandOver))
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		return h, fmt.Errorf("%w: a hand-over that cannot be read", ErrInput)
	}
	return h, nil
}
