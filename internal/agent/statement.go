package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// What is kept of the statements that nodes hand out. What comes beyond is not taken in; the
// feed is read from its beginning again after feedAge, and whenever something is missed: so a
// revocation for which there was no room is taken in then, if its key is somebody's whom we have met
// meanwhile. Of others it matters little: nodes let nobody in with that key.
const (
	maxViews       = 128    // of domains; those on our list are always taken
	maxEnded       = 20_000 // revocations of keys, and as many of names; those of contacts are always taken
	maxEndedOf     = 2000   // of these, by one domain: none can fill up the place of all
	maxSuccessions = 64     // of one domain that is pinned: those that matter for that
	maxStrays      = 8      // of one that is not, of which none is known to matter yet
	maxStraysInAll = 1024   // of all that are not: they take no place of the others
	maxPages       = 4096   // of the feed in one go
	feedAge        = 7 * 24 * time.Hour
)

// A feed is how far we have read what a node hands out. Its numbers are its own.
type feed struct {
	Since int64     `json:"since"`
	Began time.Time `json:"began"` // when it was read from its beginning
}

// An ended says that a key or a name is of no use any more.
type ended struct {
	Name pki.Name  `json:"name"`
	At   time.Time `json:"at"` // by the clock of who ended it
}

// fetchStatements takes in what the node has of statements that we have not read yet.
func (a *Agent) fetchStatements(ctx context.Context) error {
	key := prefixFeed + a.where().String()
	for range maxPages {
		f, err := a.feed(key)
		if err != nil {
			return err
		}
		page, err := a.client.Statements(ctx, f.Since)
		if errors.Is(err, session.ErrMalformed) && f.Since > 0 { // it has lost what it had, and counts anew
			if err := a.vault.Update(readAgain); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if len(page.Statements) > 0 || f.Since == 0 {
			anew := f.Since == 0
			f.Since = page.Last
			err = a.vault.Update(func(tx *vault.Tx) error {
				if anew {
					if err := a.sweepObjections(tx); err != nil {
						return err
					}
				}
				return errors.Join(a.keepStatements(tx, page), save(tx, key, f))
			})
		}
		if err != nil || !page.More {
			return err
		}
	}
	return nil
}

// feed is how far the feed was read; from its beginning again if that is long ago.
func (a *Agent) feed(key string) (f feed, err error) {
	err = a.vault.View(func(tx *vault.Tx) (err error) {
		f, _, err = load[feed](tx, key)
		return err
	})
	if now := a.now(); now.Sub(f.Began).Abs() > feedAge {
		f = feed{Began: now}
	}
	return f, err
}

// readAgain has the feeds read from their beginning the next time.
func readAgain(tx *vault.Tx) error {
	return tx.Range(prefixFeed, func(key string, _ []byte) error { tx.Delete(key); return nil })
}

// keepStatements takes in a page. What is no statement, or not by whom it says, is left out:
// it does not hide the rest.
func (a *Agent) keepStatements(tx *vault.Tx, page session.Stated) error {
	for _, raw := range page.Statements {
		kind, raw, err := pki.ParseStatement(raw)
		if err != nil {
			continue
		}
		switch kind {
		case pki.StatementView:
			err = a.keepView(tx, raw)
		case pki.StatementRevocation:
			err = a.keepRevocation(tx, raw)
		case pki.StatementSuccession:
			err = a.keepSuccession(tx, raw)
		case pki.StatementMove:
			err = a.keepMove(tx, raw)
		case pki.StatementChallenge:
			err = a.keepChallenge(tx, raw)
		case pki.StatementFork:
			err = a.keepFork(tx, raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepView takes in a view that is newer than the known one of the domain.
func (a *Agent) keepView(tx *vault.Tx, raw []byte) error {
	unvouched, err := pki.ParseView(raw)
	if err != nil {
		return nil
	}
	domain := unvouched.Domain()
	l, listed, err := onList(tx, domain)
	if err != nil {
		return err
	}
	line, _, err := a.inOffice(tx, domain, l.Key)
	if err != nil {
		return err
	}
	fresh, ok := a.verifiedView(line, raw)
	if !ok {
		return nil
	}
	key := prefixView + domain.String()
	if before, ok := tx.Get(key); ok {
		if known, ok := a.verifiedView(line, before); ok && known.Serial >= fresh.Serial {
			return nil
		}
	} else if n, err := count(tx, prefixView); err != nil || n >= maxViews && !listed && domain != a.home() {
		return err
	}
	tx.Put(key, raw)
	return nil
}

// verifiedView reads a view by the first of some authorities that vouches for it. Verified
// views are remembered by their bytes: they are looked at often.
func (a *Agent) verifiedView(by []pki.CACert, raw []byte) (pki.SignedView, bool) {
	for _, ca := range by {
		id := sha256.Sum256(append(ca.DER(), raw...))
		view, known := a.views[id]
		if known {
			return view, view.CheckTime(a.now()) == nil
		}
		view, err := ca.VerifyView(raw, a.now())
		if err != nil {
			continue
		}
		if len(a.views) >= maxViews {
			clear(a.views)
		}
		a.views[id] = view
		return view, true
	}
	return pki.SignedView{}, false
}

// keepRevocation notes that a key, or a name, is of no use any more. Whoever holds a key may
// end it; that a key is somebody's of a domain, and that a name is ended, is that domain's
// to say.
func (a *Agent) keepRevocation(tx *vault.Tx, raw []byte) error {
	r, err := pki.ParseRevocation(raw)
	if err != nil {
		return nil
	}
	c, met, err := load[contact](tx, prefixContact+r.Name().String())
	if err != nil {
		return err
	}
	identity := r.Key().Fingerprint()
	ours := met && c.Identity == identity || r.Key() == a.self.public
	if !(ours && r.Scope == pki.KeyRevoked) {
		known, err := a.knownOf(tx, r.Domain())
		if err != nil || r.Check(known) != nil {
			return err
		}
	}
	prefix, key := prefixRevoked, prefixRevoked+identity.String()
	if r.Scope == pki.NameRevoked {
		prefix, key = prefixEnded, prefixEnded+r.Name().String()+"/"+identity.String()
	}
	if has(tx, key) {
		return nil
	}
	objects := prefixObject + r.Name().String() + "/" + identity.String()
	if room, err := countEnded(tx, prefix, r.Domain(), ours || has(tx, objects)); err != nil || !room {
		return err
	}
	tx.Delete(objects)
	if ours && met && r.Scope == pki.KeyRevoked {
		told := a.note(tx, notice{Name: r.Name(), Key: identity, At: a.now().UTC()})
		if err := errors.Join(told, a.recall(tx, identity)); err != nil {
			return err
		}
	}
	return save(tx, key, ended{r.Name(), r.Issued})
}

// countEnded counts another revocation of that prefix by a domain; false if there is no room, and it is not
// ours. To count is to look at two numbers, and to look whether a key or a name was ended is one look.
func countEnded(tx *vault.Tx, prefix string, by pki.Domain, ours bool) (room bool, err error) {
	every, its := prefixTally+prefix, prefixTally+prefix+by.String()
	all, _, err := load[int](tx, every)
	if err != nil {
		return false, err
	}
	of, _, err := load[int](tx, its)
	if err != nil || !ours && (all >= maxEnded || of >= maxEndedOf) {
		return false, err
	}
	return true, errors.Join(save(tx, every, all+1), save(tx, its, of+1))
}

// recall ends all that is on its way to somebody whose key was revoked.
func (a *Agent) recall(tx *vault.Tx, identity pki.Fingerprint) error {
	return each(tx, prefixOutbox, func(key string, r outgoing) error {
		if r.Identity != identity {
			return nil
		}
		id, err := mor.ParseMessageID(key)
		if err != nil {
			return err
		}
		o := r.outgoing(id, nil)
		o.State = mor.Expired
		return a.saveOutgoing(tx, r.Kind, r.To, o)
	})
}

// knownOf is what we know of a domain to check its revocations by.
func (a *Agent) knownOf(tx *vault.Tx, domain pki.Domain) (k pki.Known, err error) {
	line, err := a.anchors(tx, domain, pki.Fingerprint{})
	if err != nil || len(line) == 0 {
		return k, err
	}
	p, pinned, err := loadPin(tx, domain)
	if err != nil {
		return k, err
	}
	k = pki.Known{CA: line[0], Former: line[1:]}
	if !pinned {
		d, _, err := a.serverOf(tx, domain)
		k.Root = d.Root
		return k, err
	}
	all, err := successions(tx, domain)
	roots := p.commitment(domain).Roots(all)
	k.Root, k.FormerRoots = roots[len(roots)-1], roots[:len(roots)-1]
	return k, err
}

// keepSuccession takes in that a key of a domain, which is in our directory, handed over. If one
// is pinned for it, it has to matter for that; of a domain that is not, all is taken in, and what
// does not matter then goes when room is needed. Whether it had the right to is judged when it
// matters.
func (a *Agent) keepSuccession(tx *vault.Tx, raw []byte) error {
	s, err := pki.ParseSuccession(raw)
	if err != nil || !has(tx, prefixServer+s.Domain.String()) {
		return nil
	}
	key := fmt.Sprintf("%s%s/%x", prefixHeir, s.Domain, sha256.Sum256(raw))
	if has(tx, key) {
		return nil
	}
	p, pinned, err := loadPin(tx, s.Domain)
	if err != nil {
		return err
	}
	known, err := successions(tx, s.Domain)
	if err != nil || pinned && !p.commitment(s.Domain).Admits(known, s) {
		return err
	}
	if room, err := roomForHeirs(tx, s.Domain, pinned); err != nil || !room {
		return err
	}
	tx.Put(key, raw)
	return nil
}

// roomForHeirs tells whether there is room for another succession of a domain. If there is none for
// one that is pinned, what does not matter goes first. Of one that is not, more are left out, and read
// again when it is pinned (missed).
func roomForHeirs(tx *vault.Tx, domain pki.Domain, pinned bool) (bool, error) {
	of, err := count(tx, prefixHeir+domain.String()+"/")
	switch {
	case err != nil:
		return false, err
	case pinned && of < maxSuccessions:
		return true, nil
	case pinned:
		gone, err := weedHeirs(tx, domain)
		return gone > 0, err
	case of >= maxStrays:
		return false, nil
	}
	all, err := strays(tx)
	if err != nil || all >= maxStraysInAll {
		return false, err
	}
	return true, save(tx, keyStrays, all+1)
}

// strays is how many successions there are of domains that are not pinned. It is counted anew after
// one was (savePin).
func strays(tx *vault.Tx) (n int, err error) {
	n, ok, err := load[int](tx, keyStrays)
	if ok || err != nil {
		return n, err
	}
	err = tx.Range(prefixHeir, func(key string, _ []byte) error {
		domain, _, _ := strings.Cut(key[len(prefixHeir):], "/")
		if !has(tx, prefixPin+domain) {
			n++
		}
		return nil
	})
	return n, err
}

// missed tells whether successions of a domain that is not pinned may have been left out.
func missed(tx *vault.Tx, domain pki.Domain) (bool, error) {
	of, err := count(tx, prefixHeir+domain.String()+"/")
	if err != nil || of >= maxStrays {
		return err == nil, err
	}
	all, err := strays(tx)
	return all >= maxStraysInAll, err
}

// weedHeirs takes out the successions of a domain that do not matter for its pin.
func weedHeirs(tx *vault.Tx, domain pki.Domain) (gone int, err error) {
	p, pinned, err := loadPin(tx, domain)
	if err != nil || !pinned {
		return 0, err
	}
	all, err := successions(tx, domain)
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if !p.commitment(domain).Admits(all, s) {
			tx.Delete(fmt.Sprintf("%s%s/%x", prefixHeir, domain, sha256.Sum256(s.Raw())))
			gone++
		}
	}
	return gone, nil
}

// successions are those that are known of a domain.
func successions(tx *vault.Tx, domain pki.Domain) (all []pki.SignedSuccession, err error) {
	err = tx.Range(prefixHeir+domain.String()+"/", func(_ string, raw []byte) error {
		s, err := pki.ParseSuccession(raw)
		all = append(all, s)
		return err
	})
	return all, err
}
