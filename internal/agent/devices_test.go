package agent

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A child is a device of somebody's, in a folder of its own.
type child struct {
	*Agent
	t *testing.T
}

// deviceOf makes a device of somebody, and its folder.
func (m *mesh) deviceOf(t *testing.T, main *Agent, label string) child {
	t.Helper()
	cfg := m.config(t)
	link, err := main.AddDevice(t.Context(), label)
	must(t, err)
	var file bytes.Buffer
	typed, err := link.Write(&file, rand.Reader)
	must(t, err)
	d, err := Join(cfg, &file, typed)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return child{d, t}
}

// steal has a removed device write to somebody by the keys that it still has, with no node to ask
// who it is: the message is put straight before its recipient.
func (c child) steal(bob *Agent, text string) {
	c.t.Helper()
	id, _, err := c.identity()
	must(c.t, err)
	m := message.Content{
		Kind: message.Text, At: time.Now().Add(time.Minute).Truncate(time.Second), Text: text, Name: id.Name, Certificate: id.Certificate,
		Secret: [32]byte{66}, Spools: domains(c.t, "d.test"),
	}
	m.ID, err = c.messageID()
	must(c.t, err)
	m.State(c.self.keys.Public(), c.self.statement)
	sealed, err := message.Seal(rand.Reader, c.self.keys, bob.self.keys.Public(), bob.self.name, m)
	must(c.t, err)
	letter := mor.Letter{ID: m.ID}
	copy(letter.Sealed[:], sealed)
	_, err = bob.take(c.t.Context(), session.Item{Seq: 1 << 40, Body: letter.Marshal()})
	must(c.t, err)
}

// What comes after a device was removed is sealed to keys that the others take up, and the removed
// one cannot open, even if it gets the letter.
func TestKeysAfterARemoval(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob := m.met(t)
	phone, tablet := m.deviceOf(t, ann, "telephone"), m.deviceOf(t, ann, "tablet")
	send(t, bob, ann.self.name, "to all three", mor.StoredThere)
	for _, a := range []*Agent{ann, phone.Agent, tablet.Agent} {
		if got := read(t, a); !slices.Equal(got, []string{"to all three"}) {
			t.Fatalf("read %q", got)
		}
	}
	gone, err := ann.RemoveDevice(t.Context(), "telephone")
	must(t, err)
	if gone.Label != "telephone" {
		t.Fatalf("removed %+v", gone)
	}
	card, err := bob.look(t.Context(), ann.self.name)
	must(t, err)
	must(t, bob.keep(ann.self.name, card.Raw()))
	send(t, bob, ann.self.name, "to two", mor.StoredThere)

	must(t, ann.Connect(t.Context()))
	items, err := ann.items(t.Context(), patience)
	must(t, err)
	letters := 0
	for _, item := range items {
		letter, err := mor.ParseLetter(item.Body)
		if err != nil || item.Reply {
			continue
		}
		letters++
		if content, err := ann.self.open(letter.Sealed[:]); err != nil || content.Text != "to two" {
			t.Errorf("she herself opens %q, %v", content.Text, err)
		}
		if _, err := phone.self.open(letter.Sealed[:]); !errors.Is(err, message.ErrOpen) {
			t.Errorf("the removed device opens it: %v", err)
		}
	}
	if letters != 1 {
		t.Errorf("%d letters came", letters)
	}
	for _, a := range []*Agent{ann, tablet.Agent} {
		if got := read(t, a); !slices.Equal(got, []string{"to two"}) {
			t.Errorf("read %q", got)
		}
	}
	var removed *RemovedError
	if err := phone.Fetch(t.Context()); !errors.As(err, &removed) {
		t.Errorf("the removed device fetches: %v", err)
	}
	send(t, tablet.Agent, bob.self.name, "from the tablet", mor.StoredThere)
	if got := read(t, bob); !slices.Equal(got, []string{"from the tablet"}) {
		t.Errorf("bob read %q", got)
	}
}

// When the main device moves, the others follow, and have what still came to the old home; one that
// was removed before, or is not in the new card, stays behind.
func TestDevicesMoveAlong(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob, cfg := m.acquainted(t)
	first := ann.self.name
	phone, tablet := m.deviceOf(t, ann, "telephone"), m.deviceOf(t, ann, "tablet")
	read(t, phone.Agent)
	_, err := ann.RemoveDevice(t.Context(), "tablet")
	must(t, err)
	ann, _ = m.moved(t, ann, cfg, "c.test")
	second := ann.self.name
	hearsOfMove(t, phone.Agent, first, second, ann.self.public.Fingerprint())
	hearsOfMove(t, bob, first, second, ann.self.public.Fingerprint())
	phone.disconnect()
	must(t, phone.Connect(t.Context()))
	if phone.self.name != second || phone.home().String() != "c.test" || !slices.Equal(phone.self.left, []pki.Name{first}) {
		t.Fatalf("the device is %s at %s, and was %s", phone.self.name, phone.through, phone.self.left)
	}
	send(t, bob, first, "to both", mor.StoredThere)
	for _, a := range []*Agent{ann, phone.Agent} {
		if got := read(t, a); !slices.Equal(got, []string{"to both"}) {
			t.Errorf("read %q", got)
		}
	}
	send(t, phone.Agent, bob.self.name, "from the telephone", mor.StoredThere)
	must(t, bob.Fetch(t.Context()))
	if got := shown(t, bob); len(got) != 1 || got[0].From != second || got[0].Key != ann.self.public.Fingerprint() {
		t.Errorf("bob read %+v", got)
	}
	var removed *RemovedError
	if err := tablet.Fetch(t.Context()); !errors.As(err, &removed) || tablet.self.name != first {
		t.Errorf("the removed device is %s: %v", tablet.self.name, err)
	}
}

// child is a device with doors of its own, behind which domains can be away.
func (v *visitor) child(label string) *visitor {
	v.t.Helper()
	d := &visitor{t: v.t, door: &doors{of: v.door.of}, Agent: theMesh.deviceOf(v.t, v.Agent, label).Agent}
	d.disconnect()
	d.Agent.cfg.Dial = d.door.dial
	return d
}

// With the home dead a device logs in elsewhere by its own key, sends there, and has what comes there,
// if that is where its user said that she is; one that a newer card does not list is not let in there either.
func TestDeviceElsewhere(t *testing.T) {
	t.Parallel()
	m := here(t)
	bob, _ := m.user(t, "b.test")
	ann := m.visitor(t)
	phone, tablet := ann.child("telephone"), ann.child("tablet")
	must(t, phone.Connect(t.Context()))
	for _, v := range []*visitor{ann, phone, tablet} {
		v.without("a.test")
	}
	var home *HomeError
	if err := phone.Connect(t.Context()); !errors.As(err, &home) || home.Name != ann.self.name || len(home.Knowing) == 0 {
		t.Errorf("with nowhere to go: %v", err)
	}
	if in := phone.via("c.test"); in.Path != session.PathCache || in.Gone {
		t.Errorf("%+v", in)
	}
	send(t, phone.Agent, bob.self.name, "from the telephone", mor.StoredThere)
	if got := read(t, bob); !slices.Equal(got, []string{"from the telephone"}) {
		t.Fatalf("bob read %q", got)
	}

	ann.via("c.test") // publishes there that letters go there first
	send(t, ann.Agent, bob.self.name, "I am at c.test", mor.StoredThere)
	if got := read(t, bob); !slices.Equal(got, []string{"I am at c.test"}) {
		t.Fatalf("bob read %q", got)
	}
	s := send(t, bob, ann.self.name, "so I write there", mor.StoredThere)
	if last := s.Route[len(s.Route)-1].String(); last != "c.test" {
		t.Fatalf("it went to %s", last)
	}
	phone.reads("so I write there")
	ann.reads("so I write there")

	ann.without()
	_, err := ann.RemoveDevice(t.Context(), "tablet")
	must(t, err)
	ann.without("a.test")
	ann.via("c.test") // and takes her newer card there
	_, err = tablet.Login(t.Context(), domainOf(t, "c.test"))
	var removed *RemovedError
	if !errors.As(err, &removed) {
		t.Errorf("the removed device logs in elsewhere: %v", err)
	}
	phone.without("a.test")
	if at := phone.connects(); at != "c.test" {
		t.Errorf("then connected through %s", at)
	}
}
