package agent

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// A world is a user of a.test in a folder of her own, and domains that say what they like about
// each other. Nothing runs: what her home would hand out is given to her as it is.
type world struct {
	t       *testing.T
	a       *Agent
	now     time.Time
	domains map[string]*pki.Authority
	serial  uint64
	feed    [][]byte
	names   int
	dialed  []string             // by a test that counts it
	logs    map[string]*worldLog // of those that keep one
}

func newWorld(t *testing.T, domains ...string) *world {
	t.Helper()
	a, err := openOrCreate(offline(filepath.Join(t.TempDir(), "folder")))
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	w := &world{t: t, a: a, now: time.Now(), domains: make(map[string]*pki.Authority)}
	a.cfg.Now = func() time.Time { return w.now }
	name, err := pki.ParseName("ann@a.test")
	must(t, err)
	id, err := newIdentity(rand.Reader, name)
	must(t, err)
	a.self, err = id.self()
	must(t, err)
	for _, d := range domains {
		w.domains[d] = w.authority(d)
	}
	must(t, a.keepHome(w.descriptor(w.domains["a.test"])))
	return w
}

// authority makes a key for a domain. It takes effect when it is put into domains.
func (w *world) authority(domain string) *pki.Authority {
	w.t.Helper()
	a, err := pki.NewAuthority(rand.Reader, domainOf(w.t, domain), w.now)
	must(w.t, err)
	return a
}

func domainOf(t *testing.T, text string) pki.Domain { return domains(t, text)[0] }

func (w *world) key(domain string) pki.Fingerprint { return w.domains[domain].CA().Fingerprint() }

// descriptor is what a domain says of its server, by that authority.
func (w *world) descriptor(by *pki.Authority) pki.SignedDescriptor {
	w.t.Helper()
	w.serial++
	draft := pki.Descriptor{
		Serial: w.serial, Issued: w.now, Expires: w.now.Add(pki.DescriptorLifetime),
		ServerKeys: []pki.ServerKey{{Period: pki.PeriodAt(w.now)}}, Links: []string{"127.0.0.1:1"}, KeyServers: []string{"127.0.0.1:2"},
	}
	if l := w.logs[by.Domain().String()]; l != nil {
		draft.Log, draft.Witness, draft.Labels = l.log.Public(), l.witness.Public(), l.labels.Public()
	}
	d, err := by.SignDescriptor(draft)
	must(w.t, err)
	return d
}

// directory is what the home hands out: the descriptors of all domains, and the feed.
func (w *world) directory() {
	w.t.Helper()
	var all []pki.SignedDescriptor
	for _, a := range w.domains {
		all = append(all, w.descriptor(a))
	}
	must(w.t, w.a.keepDescriptors(all))
	w.learn()
}

// learn hands out the feed, and has everything judged.
func (w *world) learn() {
	w.t.Helper()
	must(w.t, w.a.vault.Update(func(tx *vault.Tx) error {
		if err := w.a.keepStatements(tx, session.Stated{Statements: w.feed}); err != nil {
			return err
		}
		if err := w.a.judgeAll(tx); err != nil { // who is new on the list may have had a view in the feed
			return err
		}
		return w.a.keepStatements(tx, session.Stated{Statements: w.feed})
	}))
	must(w.t, w.a.vault.Update(w.a.judgeAll))
	must(w.t, w.a.vault.Update(w.a.settleMoves))
	w.feed = nil
}

// sees is a sighting of a domain by its key, for as long as it has been seen.
func (w *world) sees(domain string, key pki.Fingerprint, ago time.Duration) pki.Sighting {
	return pki.Sighting{Domain: domainOf(w.t, domain), Key: key, Since: w.now.Add(-ago), Standing: pki.Mutual, DNS: key}
}

// says has a domain say in its view what it sees, ascending by domain.
func (w *world) says(by string, seen ...pki.Sighting) {
	w.t.Helper()
	w.serial++
	v, err := w.domains[by].SignView(pki.View{
		Serial: w.serial, Issued: w.now, Expires: w.now.Add(pki.ViewLifetime), Sightings: seen,
	})
	must(w.t, err)
	w.feed = append(w.feed, v.Statement().Marshal())
}

// agree has every domain see all others as they are, but for what change makes of it.
func (w *world) agree(change func(by string, s *pki.Sighting)) {
	w.t.Helper()
	for _, by := range sorted(w.domains) {
		var seen []pki.Sighting
		for _, of := range sorted(w.domains) {
			if of == by {
				continue
			}
			s := w.sees(of, w.key(of), 30*24*time.Hour)
			if change != nil {
				change(by, &s)
			}
			seen = append(seen, s)
		}
		w.says(by, seen...)
	}
}

func (w *world) standing(domain string) standing {
	w.t.Helper()
	s, err := w.a.standing(domainOf(w.t, domain))
	must(w.t, err)
	return s
}

// somebody is a new user of a domain, by that authority, and her card.
type somebody struct {
	name pki.Name
	key  pki.IdentityKey
	cert []byte
	card pki.SignedCard
}

func (w *world) user(by *pki.Authority) somebody {
	w.t.Helper()
	w.names++
	name, err := pki.ParseName(fmt.Sprintf("user%d@%s", w.names, by.Domain()))
	must(w.t, err)
	key, err := pki.NewIdentityKey(rand.Reader)
	must(w.t, err)
	return w.certified(by, name, key)
}

// certified is a user by that authority.
func (w *world) certified(by *pki.Authority, name pki.Name, key pki.IdentityKey) somebody {
	w.t.Helper()
	request, err := pki.NewUserRequest(rand.Reader, key, name)
	must(w.t, err)
	cert, err := by.SignUser(rand.Reader, w.now, request, pki.UserLifetime)
	must(w.t, err)
	card, err := pki.SignCard(key, pki.Card{
		Certificate: cert, Serial: 1, Issued: w.now, Expires: w.now.Add(pki.CardLifetime), Spools: []pki.Domain{by.Domain()},
	})
	must(w.t, err)
	return somebody{name, key, cert.DER(), card}
}

// met has ann know somebody, by her own choice, as if she had looked her up.
func (w *world) met(s somebody) {
	w.t.Helper()
	must(w.t, w.a.vault.Update(func(tx *vault.Tx) error {
		return meetPinned(tx, w.a, s.name, s.key.Fingerprint(), s.card.Certificate.Issuer())
	}))
}

// wrote has ann know somebody by a letter.
func (w *world) wrote(s somebody) (c contact, err error) {
	w.t.Helper()
	failed := w.a.vault.Update(func(tx *vault.Tx) error {
		c, err = w.a.meet(tx, s.name, s.key.Fingerprint(), s.card.Certificate.Issuer())
		return err
	})
	if err == nil {
		must(w.t, failed)
	}
	return c, err
}

// write is what becomes of writing to somebody whose card is shown.
func (w *world) write(s somebody) error {
	w.t.Helper()
	_, _, err := w.a.carded(s.name, s.card)
	return err
}

func (w *world) trust(s somebody) Standing {
	w.t.Helper()
	standing, err := w.a.Standing(s.name)
	must(w.t, err)
	return standing
}
