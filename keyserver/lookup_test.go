package keyserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

func TestLookUp(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	ann := w.publish(t, "ann@a.test")
	own := descriptor(t, w.authority, 1)
	must(t, w.server.PublishDescriptor(t.Context(), own))

	card, err := w.client.User(t.Context(), w.endpoint, name(t, "ann@a.test"))
	must(t, err)
	if _, err := w.authority.CA().VerifyCard(card.Raw(), time.Now()); err != nil {
		t.Error(err)
	}
	byKey, err := w.client.UserByKey(t.Context(), w.endpoint, ann.key.Fingerprint())
	must(t, err)
	if !bytes.Equal(byKey.Raw(), card.Raw()) {
		t.Error("name and key lead to different cards")
	}
	d, err := w.client.Server(t.Context(), w.endpoint, domain(t, "a.test"))
	must(t, err)
	if !bytes.Equal(d.Raw(), own.Raw()) {
		t.Error("another descriptor")
	}

	_, err = w.client.User(t.Context(), w.endpoint, name(t, "nobody@a.test"))
	wantErr(t, err, ErrNotFound)
	_, err = w.client.UserByKey(t.Context(), w.endpoint, pki.Fingerprint{1})
	wantErr(t, err, ErrNotFound)
	_, err = w.client.Server(t.Context(), w.endpoint, domain(t, "b.test"))
	wantErr(t, err, ErrNotFound)
}

// What has ended is not there, whoever published it: a card of the domain's own, by name and by
// key, and a copy, although it is on hand.
func TestRevokedIsNotThere(t *testing.T) {
	home := authority(t, "b.test")
	bob := newPerson(t, home, "bob@b.test")
	var ended atomic.Pointer[pki.Fingerprint] // of one key
	ended.Store(new(pki.Fingerprint))
	w := newWorld(t, "a.test", func(c *Config) {
		c.Revoked = func(_ pki.Name, key pki.Fingerprint) bool { return key == *ended.Load() }
		c.Fetch = func(context.Context, pki.Name) (pki.SignedCard, error) { return bob.card(t, 1), nil }
	})
	ann := w.publish(t, "ann@a.test")
	for _, p := range []struct {
		name string
		key  pki.Fingerprint
	}{{"ann@a.test", ann.key.Fingerprint()}, {"bob@b.test", bob.key.Fingerprint()}} {
		look := func() (byName, byKey error) {
			_, byName = w.client.User(t.Context(), w.endpoint, name(t, p.name))
			_, byKey = w.client.UserByKey(t.Context(), w.endpoint, p.key)
			return byName, byKey
		}
		byName, byKey := look()
		must(t, errors.Join(byName, byKey))
		ended.Store(&p.key)
		byName, byKey = look()
		wantErr(t, byName, ErrNotFound)
		wantErr(t, byKey, ErrNotFound)
	}
}

func wantErr(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func TestServersAreListedInPages(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	empty, err := w.servers(t, w.endpoint)
	must(t, err)
	if len(empty) != 0 {
		t.Fatal("somebody is there")
	}
	want := map[pki.Domain]bool{}
	for i := range PageServers + 3 {
		d := descriptor(t, authority(t, fmt.Sprintf("n%d.test", i)), 1)
		must(t, w.server.PublishDescriptor(t.Context(), d))
		want[d.Domain] = true
	}
	servers, err := w.servers(t, w.endpoint)
	must(t, err)
	for _, d := range servers {
		delete(want, d.Domain)
	}
	if len(servers) != PageServers+3 || len(want) != 0 {
		t.Fatalf("%d servers, missing %v", len(servers), want)
	}
}

// Whoever asks for ten thousand names gets the one that she knew.
func TestOnlyExactNamesAreFound(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "u4711@a.test")
	found := 0
	for i := range 10_000 {
		a, err := w.server.lookUp(t.Context(), parseTarget(fmt.Sprintf("/v1/user/u%d@a.test", i)))
		switch {
		case err == nil && i == 4711 && len(a.body) > 0:
			found++
		case !errors.Is(err, errMiss):
			t.Fatalf("u%d: %v", i, err)
		}
	}
	if found != 1 {
		t.Fatalf("found %d", found)
	}
}

// K4: b.test is dead, and a.test still has bob's card, signed by bob and b.test.
func TestCopyOutlivesItsHome(t *testing.T) {
	b := newWorld(t, "b.test", nil)
	bob := b.publish(t, "bob@b.test")
	now, alive, asked := time.Now(), true, 0
	a := newWorld(t, "a.test", func(c *Config) {
		c.Now = func() time.Time { return now }
		c.Fetch = func(ctx context.Context, n pki.Name) (pki.SignedCard, error) {
			if asked++; !alive {
				return pki.SignedCard{}, errors.New("no route to host")
			}
			card, err := b.client.User(ctx, b.endpoint, n)
			if err != nil {
				return pki.SignedCard{}, err
			}
			return b.authority.CA().VerifyCard(card.Raw(), now)
		}
	})
	look := func(text string) error {
		t.Helper()
		card, err := a.client.User(t.Context(), a.endpoint, name(t, text))
		if err == nil && card.Key() != bob.key.Public() {
			t.Fatal("another bob")
		}
		return err
	}
	must(t, look("bob@b.test"))
	must(t, look("bob@b.test")) // fresh: from the copy
	wantErr(t, look("eve@b.test"), ErrNotFound)
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	now, alive = now.Add(CacheFresh), false
	must(t, look("bob@b.test"))
	if asked != 3 {
		t.Errorf("asked %d times, want 3: a stale copy is served only after its home was asked", asked)
	}
	wantErr(t, look("eve@b.test"), ErrNotFound)
	if _, err := a.client.UserByKey(t.Context(), a.endpoint, bob.key.Fingerprint()); err != nil {
		t.Error(err)
	}
	wantErr(t, look("bob@a.test"), ErrNotFound)
	if asked != 4 {
		t.Errorf("asked %d times, want 4: own names are never asked for elsewhere", asked)
	}
}

func TestFetchedCardMustBeTheOneAskedFor(t *testing.T) {
	home := authority(t, "b.test")
	key := newPerson(t, home, "bob@b.test")
	newer, older, other := key.card(t, 2), key.card(t, 1), newPerson(t, home, "eve@b.test").card(t, 1)
	now, next := time.Now(), newer
	w := newWorld(t, "a.test", func(c *Config) {
		c.Now = func() time.Time { return now }
		c.Fetch = func(context.Context, pki.Name) (pki.SignedCard, error) { return next, nil }
	})
	for i, c := range []struct{ shown, served pki.SignedCard }{{newer, newer}, {older, newer}, {other, newer}, {pki.SignedCard{}, newer}} {
		now, next = now.Add(CacheFresh), c.shown
		card, err := w.client.User(t.Context(), w.endpoint, name(t, "bob@b.test"))
		must(t, err)
		if !bytes.Equal(card.Raw(), c.served.Raw()) {
			t.Errorf("step %d: another card", i)
		}
	}
}

func TestTooManyFetches(t *testing.T) {
	started, release := make(chan bool), make(chan bool)
	w := newWorld(t, "a.test", func(c *Config) {
		c.Fetch = func(context.Context, pki.Name) (pki.SignedCard, error) {
			started <- true
			<-release
			return pki.SignedCard{}, errors.New("gone")
		}
	})
	errs := make(chan error)
	for i := range MaxFetches {
		go func() {
			_, err := w.server.lookUp(context.Background(), parseTarget(fmt.Sprintf("/v1/user/u%d@b.test", i)))
			errs <- err
		}()
	}
	for range MaxFetches {
		<-started
	}
	_, err := w.client.User(t.Context(), w.endpoint, name(t, "one-more@b.test"))
	wantErr(t, err, ErrBusy)
	close(release)
	for range MaxFetches {
		wantErr(t, <-errs, errMiss)
	}
}

func TestPublishTakesWhatThisDomainSigned(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	ctx := t.Context()
	ann := w.publish(t, "ann@a.test")
	must(t, w.server.PublishCard(ctx, ann.card(t, 3)))
	wantErr(t, w.server.PublishCard(ctx, ann.card(t, 2)), store.ErrOldSerial)
	wantErr(t, w.server.PublishCard(ctx, newPerson(t, w.authority, "ann@a.test").card(t, 9)), store.ErrOtherKey)

	namesake := authority(t, "a.test")
	other := authority(t, "b.test")
	wantErr(t, w.server.PublishCard(ctx, newPerson(t, namesake, "eve@a.test").card(t, 1)), ErrNotOurs)
	wantErr(t, w.server.PublishCard(ctx, newPerson(t, other, "eve@b.test").card(t, 1)), ErrNotOurs)
	wantErr(t, w.server.PublishCard(ctx, pki.SignedCard{}), ErrNotOurs)
	wantErr(t, w.server.PublishCertificate(ctx, newPerson(t, other, "eve@b.test").cert), ErrNotOurs)
	wantErr(t, w.server.PublishCertificate(ctx, pki.UserCert{}), ErrNotOurs)
	wantErr(t, w.server.PublishDescriptor(ctx, descriptor(t, namesake, 9)), ErrNotOurs)
	wantErr(t, w.server.PublishDescriptor(ctx, pki.SignedDescriptor{}), ErrNotOurs)
	wantErr(t, w.server.PublishLink(ctx, pki.LinkCert{}), ErrNotOurs)
	wantErr(t, w.server.PublishCross(ctx, pki.CrossCert{}), ErrNotOurs)
	own, err := other.Countersign(fixedReader{}, time.Now(), w.authority.CA())
	must(t, err)
	wantErr(t, w.server.PublishCross(ctx, own), ErrNotOurs)

	must(t, w.server.PublishDescriptor(ctx, descriptor(t, other, 5)))
	wantErr(t, w.server.PublishDescriptor(ctx, descriptor(t, other, 4)), store.ErrOldSerial)
	wantErr(t, w.server.PublishDescriptor(ctx, descriptor(t, authority(t, "b.test"), 6)), store.ErrOtherKey)
}

// fixedReader is enough randomness for a serial number in a test.
type fixedReader struct{}

func (fixedReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 7
	}
	return len(p), nil
}

// K5: all kinds of signed keys are in both places; a person who is certified
// and has no card yet is kept, and is a miss.
func TestWhatIsPublishedIsInTheRing(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	ctx := t.Context()
	w.publish(t, "ann@a.test")
	must(t, w.server.PublishCertificate(ctx, newPerson(t, w.authority, "new@a.test").cert))
	must(t, w.server.PublishDescriptor(ctx, descriptor(t, w.authority, 1)))
	key, err := pki.NewLinkKey(fixedReader{})
	must(t, err)
	link, err := w.authority.SignLink(fixedReader{}, time.Now(), key.Public(), time.Hour)
	must(t, err)
	must(t, w.server.PublishLink(ctx, link))
	peer := authority(t, "b.test")
	cross, err := w.authority.Countersign(fixedReader{}, time.Now(), peer.CA())
	must(t, err)
	must(t, w.server.PublishCross(ctx, cross))
	diff, err := w.store.CompareRing(ctx)
	must(t, err)
	if !diff.Same() {
		t.Fatalf("%+v", diff)
	}
	_, err = w.client.User(ctx, w.endpoint, name(t, "new@a.test"))
	wantErr(t, err, ErrNotFound)
	a, err := w.server.lookUp(ctx, query{kind: byKey, fingerprint: key.Public().Fingerprint()})
	must(t, err)
	if !bytes.Equal(a.body, link.DER()) || a.contentType != typeCertificate {
		t.Error("the link certificate cannot be had by its key")
	}
	_, err = w.server.lookUp(ctx, query{kind: byKey, fingerprint: peer.CA().Fingerprint()})
	wantErr(t, err, errMiss) // whom we countersign is not for strangers
}
