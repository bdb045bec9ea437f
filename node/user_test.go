package node

import (
	"errors"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// Who may have a name: whoever asks first, of this domain only, while registration is open.
func TestRegistration(t *testing.T) {
	m := newMesh(t, "a.test")
	closed := m.add("c.test", func(c *Config) { c.Registration = RegistrationClosed })
	closed.start()

	ann := m.stranger("ann@a.test", "a.test")
	must(t, ann.register())
	must(t, ann.register()) // the same key again: signed anew
	other := m.stranger("ann@a.test", "a.test")
	wantCode(t, other.register(), session.Refused, "the name ann@a.test is taken")
	if other.cert != nil {
		t.Error("a certificate for a name that is taken")
	}
	wantCode(t, m.stranger("x@b.test", "a.test").register(), session.Refused, "a.test may not sign for b.test") // row K1
	wantCode(t, m.stranger("ann@c.test", "c.test").register(), session.Refused, "c.test takes no new users")
	_, err := ann.client.Register(t.Context(), []byte("no request"), nil)
	wantCode(t, err, session.BadRequest, "the request is malformed")
}

// A node that was open and is closed now knows the users it has.
func TestRegistrationIsClosedLater(t *testing.T) {
	m := newMesh(t, "a.test")
	ann := m.stranger("ann@a.test", "a.test")
	must(t, ann.register())
	a := m.nodes["a.test"]
	must(t, a.end())
	c := labConfig(a.domain, m.dns.Addr())
	c.Registration = RegistrationClosed
	must(t, writeFile(a.dir+"/"+ConfigFile, []byte(c.Text())))
	a.start()
	ann.connect("a.test")
	must(t, ann.register())
	wantCode(t, m.stranger("bob@a.test", "a.test").register(), session.Refused, "takes no new users")
}

// A proof is good for its certificate's name and for nobody else's.
func TestLogin(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	ann := m.user("ann@a.test")
	for what, l := range map[string]struct {
		name string
		cert []byte
		key  pki.IdentityKey
		code session.Code
		text string
	}{
		"another name":    {"bob@a.test", ann.cert, ann.key, session.Refused, "the proof is not good"},
		"another key":     {"ann@a.test", ann.cert, m.stranger("x@a.test", "a.test").key, session.Refused, "the proof is not good"},
		"another's home":  {"bob@b.test", m.user("bob@b.test").cert, ann.key, session.Refused, "the proof is not good"},
		"no certificate":  {"ann@a.test", nil, ann.key, session.Refused, "the certificate is not good here"},
		"not certificate": {"ann@a.test", []byte("x"), ann.key, session.Refused, "the certificate is not good here"},
	} {
		_, err := ann.client.Login(t.Context(), parse(t, pki.ParseName, l.name), l.cert, l.key, nil)
		t.Run(what, func(t *testing.T) { wantCode(t, err, l.code, l.text) })
	}
}

// A card is its owner's to publish. The key server has it at once, and the key ring too.
func TestPublish(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@a.test")
	ctx := t.Context()
	wantCode(t, ann.client.Publish(ctx, bob.card(2).Raw()), session.Refused, "the card is somebody else's")
	wantCode(t, ann.client.Publish(ctx, []byte("no card")), session.BadRequest, "the card is not good")
	must(t, ann.client.Publish(ctx, ann.card(5).Raw()))
	wantCode(t, ann.client.Publish(ctx, ann.card(4).Raw()), session.Refused, "a newer card")

	card, err := (keyserver.Client{Dial: dial.Direct()}).User(ctx, m.endpoint("a.test"), ann.name)
	must(t, err)
	if card.Key() != ann.key.Public() {
		t.Error("the key server has another key")
	}
	diff, err := m.nodes["a.test"].node.store.CompareRing(ctx)
	must(t, err)
	if !diff.Same() {
		t.Errorf("key server and key ring differ: %+v", diff)
	}
}

// Users look up each other through their node, of whatever domain; and if a home is dead,
// a peer that once fetched the card has a copy (row K4).
func TestLookUp(t *testing.T) {
	m := newMesh(t, "a.test", "b.test", "c.test")
	m.federate("a.test", "b.test", "c.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@b.test")
	find := func(name string) (string, error) {
		found, err := ann.client.Lookup(t.Context(), parse(t, pki.ParseName, name))
		if err != nil {
			return "", err
		}
		card, err := pki.ParseCard(found.Card)
		must(t, err)
		return card.Key().Fingerprint().String(), nil
	}
	want := func(u *user) {
		t.Helper()
		found, err := find(u.name.String())
		must(t, err)
		if found != u.key.Fingerprint().String() {
			t.Errorf("%s: another key", u.name)
		}
	}
	want(ann)
	want(bob)
	for _, nobody := range []string{"nobody@a.test", "nobody@b.test"} {
		_, err := find(nobody)
		wantCode(t, err, session.NotFound, "there is no "+nobody)
	}
	_, err := find("bob@far.test")
	wantCode(t, err, session.NotFound, "no server of far.test is known here")
	must(t, m.stranger("new@a.test", "a.test").register())
	_, err = find("new@a.test") // certified, but without a card
	wantCode(t, err, session.NotFound, "there is no new@a.test")

	_, err = (keyserver.Client{Dial: dial.Direct()}).User(t.Context(), m.endpoint("c.test"), bob.name)
	must(t, err) // now c.test has a copy
	must(t, m.nodes["b.test"].end())
	want(bob)
	_, err = find("eve@b.test") // of whom there can be no copy
	wantCode(t, err, session.Unavailable, "b.test's key server does not answer, and no peer has a copy")
}

// A mailbox address is whoever's claims it first, and is told from its own.
func TestClaim(t *testing.T) {
	m := newMesh(t, "a.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@a.test")
	taken := []session.Mailbox{{Address: ann.requests, Kind: session.Contact, Until: 1 << 20}}
	wantCode(t, bob.client.Claim(t.Context(), taken), session.Refused, "a mailbox address is somebody else's")
	must(t, ann.client.Claim(t.Context(), taken))
	taken[0].Kind = "any"
	wantCode(t, ann.client.Claim(t.Context(), taken), session.BadRequest, `a mailbox of kind "any"`)
}

// A message goes over two relays to another home, waits there while its owner is away, and
// its receipt comes back; both homes restart in between and lose nothing.
func TestMessageAndReceipt(t *testing.T) {
	domains := []string{"a.test", "b.test", "c.test", "d.test"}
	m := newMesh(t, domains...)
	m.federate(domains...)
	ann, bob := m.user("ann@a.test"), m.user("bob@d.test")
	id := ann.send(bob)
	if r := ann.receipt(); r.ID != id || r.Status != mor.Stored {
		t.Errorf("receipt %v %d", r.ID, r.Status)
	}

	d := m.nodes["d.test"]
	must(t, d.end())
	d.start()
	bob.connect("d.test")
	bob.login()
	items := bob.items()
	letter, err := mor.ParseLetter(items[0].Body)
	must(t, err)
	if len(items) != 1 || letter.ID != id || items[0].Reply {
		t.Errorf("%d items, the first is %v", len(items), letter.ID)
	}
	must(t, bob.client.Forget(t.Context(), []int64{items[0].Seq}))
	again, err := bob.client.Items(t.Context(), session.Items{})
	must(t, err)
	if len(again) != 0 {
		t.Error("it is there again")
	}

	// Nothing of it is in a log: no name, no id, no address of a user.
	for _, secret := range append([]string{"ann", "bob", id.String(), bob.requests.String(), ann.replies.String()},
		append(ann.from.all, bob.from.all...)...) {
		if found(m.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

// A stranger cannot take all the names in one afternoon.
func TestNewcomers(t *testing.T) {
	b := bucket{atOnce: newcomersAtOnce, every: newcomerEvery}
	now := testNow
	take := func(now time.Time) bool { return b.take(now, func() bool { return true }) }
	for range newcomersAtOnce {
		if !take(now) {
			t.Fatal("too few at once")
		}
	}
	if take(now) || take(now.Add(newcomerEvery-1)) {
		t.Error("one too many")
	}
	if !take(now.Add(newcomerEvery)) || take(now.Add(newcomerEvery)) {
		t.Error("one more each interval")
	}
}

// A look-up whose home shows another key than the pinned one is refused, not answered by a
// copy.
func TestLookUpRefusesAnotherKey(t *testing.T) {
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@b.test")
	_, err := ann.client.Lookup(t.Context(), bob.name)
	must(t, err)
	m.impostor("b.test")
	_, err = ann.client.Lookup(t.Context(), bob.name)
	wantCode(t, err, session.WrongKey, "b.test's key server shows another key than the one that is known")
}

func errorsAs[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}
