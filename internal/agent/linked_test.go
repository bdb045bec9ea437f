package agent

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// A family is a user of a.test with her main folder, where no node runs: her card is as she signs it.
type family struct {
	*world
	me somebody
}

func newFamily(t *testing.T) *family {
	t.Helper()
	f := &family{world: newWorld(t, "a.test", "b.test", "c.test", "d.test")}
	id, err := newIdentity(rand.Reader, f.a.self.name)
	must(t, err)
	s, err := id.self()
	must(t, err)
	f.me = f.certified(f.domains["a.test"], id.Name, s.key)
	id.Certificate, id.Published = f.me.cert, f.now
	must(t, f.a.settle(id))
	return f
}

// device is one more device of hers, whose link was not taken yet, and f.a.card a card that lists it.
func (f *family) device(label string) Link {
	f.t.Helper()
	key, err := pki.NewDeviceKey(rand.Reader)
	must(f.t, err)
	must(f.t, f.a.vault.Update(func(tx *vault.Tx) error {
		return save(tx, prefixDevice+key.Public().Fingerprint().String(), device{Label: label, Key: key.Public().Bytes(), Since: f.now})
	}))
	f.sign()
	link, err := f.a.link(key, label)
	must(f.t, err)
	return link
}

// sign is her card as it is now.
func (f *family) sign() pki.SignedCard {
	f.t.Helper()
	f.serial++
	card, err := f.a.sign(pki.Card{
		Certificate: f.me.card.Certificate, Serial: f.serial, Issued: f.now, Expires: f.now.Add(pki.CardLifetime), Spools: domains(f.t, "a.test"),
	})
	must(f.t, err)
	f.a.card = card.Raw()
	return card
}

// linkWords open every link file that sealed writes.
var linkWords = words.Passphrase([words.PassphraseSize]byte{7})

// sealed is the file of what is saved, for next to nothing.
func (f *family) sealed(content []byte) []byte {
	f.t.Helper()
	var file bytes.Buffer
	must(f.t, sealTo(&file, content, linkWords, 10))
	return file.Bytes()
}

// with is what a link says after its identity was changed.
func (f *family) with(link Link, change func(*identity)) []byte {
	f.t.Helper()
	id, err := identityIn(link.saved)
	must(f.t, err)
	change(&id)
	raw, err := marshalRecord(id)
	must(f.t, err)
	saved := link.saved
	saved.Records = append([]savedRecord{{keyIdentity, raw}}, saved.Records[1:]...)
	content, err := json.Marshal(savedLink{saved})
	must(f.t, err)
	return content
}

// joined is a folder made that of a device.
func (f *family) joined(link Link) *Agent {
	f.t.Helper()
	cfg := fresh(f.t)
	cfg.Now = func() time.Time { return f.now }
	d, err := Join(cfg, bytes.NewReader(f.sealed(f.with(link, func(*identity) {}))), linkWords)
	must(f.t, err)
	f.t.Cleanup(func() { must(f.t, d.Close()) })
	return d
}

// A file that is no link, or not as it was written, is refused by one error, and no folder is made.
func TestHostileLinks(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	link, other := f.device("telephone"), f.device("tablet")
	tablet, err := identityIn(other.saved)
	must(t, err)
	eve, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	evil := f.certified(f.domains["b.test"], f.user(f.domains["b.test"]).name, eve)
	good := f.with(link, func(*identity) {})
	of := func(change func(*linked)) []byte {
		return f.sealed(f.with(link, func(id *identity) { change(id.Linked) }))
	}
	replaced := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("there is no %s in a link", old)
		}
		return f.sealed(bytes.Replace(good, []byte(old), []byte(new), 1))
	}
	file := f.sealed(good)
	for what, c := range map[string]struct {
		file  []byte
		words string
		want  error
	}{
		"other words":        {file, words.Passphrase([words.PassphraseSize]byte{8}), ErrLinkWords},
		"no words":           {file, "open sesame", ErrLinkWords},
		"11 words":           {file, strings.Join(strings.Fields(linkWords)[1:], " "), ErrLinkWords},
		"nothing":            {nil, linkWords, ErrNoLink},
		"a text":             {[]byte("this is no link"), linkWords, ErrNoLink},
		"its beginning":      {file[:60], linkWords, ErrNoLink},
		"half":               {file[:len(file)/2], linkWords, ErrNoLink},
		"all but an octet":   {file[:len(file)-1], linkWords, ErrNoLink},
		"an octet more":      {append(bytes.Clone(file), 0), linkWords, ErrNoLink},
		"an unknown field":   {replaced(`{"p3do_link":{`, `{"p3do_link":{"more":1,`), linkWords, ErrNoLink},
		"one beside it":      {replaced(`{"p3do_link":`, `{"more":1,"p3do_link":`), linkWords, ErrNoLink},
		"another version":    {replaced(`"p3do_backup":1`, `"p3do_backup":2`), linkWords, ErrNoLink},
		"larger than may be": {f.sealed(append(bytes.Repeat([]byte(" "), MaxLink), good...)), linkWords, ErrNoLink},
		"no device":          {f.sealed(f.with(link, func(id *identity) { id.Linked = nil })), linkWords, ErrNoLink},
		"another name":       {f.sealed(f.with(link, func(id *identity) { id.Name = evil.name })), linkWords, ErrNoLink},
		"a backup's":         {f.sealed(f.with(link, func(id *identity) { id.Linked, id.Root = nil, f.a.self.root })), linkWords, ErrNoLink},
		"another's key":      {of(func(l *linked) { l.Seed = tablet.Linked.Seed }), linkWords, ErrNoLink},
		"a key of nobody":    {of(func(l *linked) { l.Seed = bytes.Repeat([]byte{1}, len(l.Seed)) }), linkWords, ErrNoLink},
		"half a key":         {of(func(l *linked) { l.Seed = l.Seed[:16] }), linkWords, ErrNoLink},
		"another's secret":   {of(func(l *linked) { l.Unseal = tablet.Linked.Unseal }), linkWords, ErrNoLink},
		"eve's identity":     {of(func(l *linked) { l.Public = eve.Public().Bytes() }), linkWords, ErrNoLink},
		"eve's card":         {of(func(l *linked) { l.Card = evil.card.Raw() }), linkWords, ErrNoLink},
		"eve, all of it":     {of(func(l *linked) { l.Card, l.Public = evil.card.Raw(), eve.Public().Bytes() }), linkWords, ErrNoLink},
		"half a card":        {of(func(l *linked) { l.Card = l.Card[:len(l.Card)/2] }), linkWords, ErrNoLink},
		"a former key short": {of(func(l *linked) { l.Former = [][]byte{{1}} }), linkWords, ErrNoLink},
	} {
		cfg := fresh(t)
		if a, err := Join(cfg, bytes.NewReader(c.file), c.words); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
			if err == nil {
				a.Close()
			}
		}
		if _, err := os.Stat(cfg.Home); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a folder was made", what)
		}
	}
	f.joined(link) // as it was written, it is taken
}

// A link opens by its words, once made it takes no folder that is somebody's, and one that is too
// long to be read is not written.
func TestLinkIsWritten(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	link := f.device("telephone")
	var file bytes.Buffer
	typed, err := link.Write(&file, rand.Reader)
	must(t, err)
	var taken *TakenError
	if _, err := Join(f.a.cfg, bytes.NewReader(file.Bytes()), typed); !errors.As(err, &taken) {
		t.Errorf("in the main folder: %v", err)
	}
	cfg := fresh(t)
	d, err := Join(cfg, &file, strings.ToUpper(typed))
	must(t, err)
	defer d.Close()
	self, err := d.Self()
	must(t, err)
	if self.Name != f.me.name || self.Fingerprint != f.me.key.Fingerprint() || !self.Device || self.Revoker || len(self.Devices) != 1 ||
		!self.Devices[0].This || self.Devices[0].Label != "telephone" {
		t.Errorf("%+v", self)
	}
	link.saved.Records = append(link.saved.Records, savedRecord{"long", make([]byte, MaxLink)})
	var size *BackupSizeError
	if _, err := link.Write(io.Discard, rand.Reader); !errors.As(err, &size) {
		t.Errorf("too long: %v", err)
	}
}

// What takes the identity key is refused on a device, and nothing secret of the main folder is there.
func TestDeviceIsNotMain(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	d := f.joined(f.device("telephone"))
	other, err := pki.ParseName("ann@b.test")
	must(t, err)
	for what, do := range map[string]func() error{
		"words":         func() error { _, err := d.BackupWords(); return err },
		"backup":        func() error { return d.Backup(io.Discard, []byte("secret")) },
		"revoke":        func() error { _, err := d.Revoke(t.Context(), pki.Domain{}); return err },
		"revocable":     func() error { _, err := d.Revocable(); return err },
		"move":          func() error { _, _, err := Move(t.Context(), d.cfg, other); return err },
		"add device":    func() error { _, err := d.AddDevice(t.Context(), "tablet"); return err },
		"remove device": func() error { _, err := d.RemoveDevice(t.Context(), "1"); return err },
	} {
		if err := do(); !errors.Is(err, ErrDevice) {
			t.Errorf("%s: %v", what, err)
		}
	}
	id, _, err := d.identity()
	must(t, err)
	if _, revoker, err := d.revoker(); err != nil || revoker || len(id.Root) > 0 || len(d.self.root) > 0 || len(keysOf(t, d, prefixDevice)) > 0 {
		t.Error("a device has what is the main folder's")
	}
	for f.now = f.now.Add(time.Hour); f.now.Before(f.me.card.Certificate.NotAfter()); f.now = f.now.Add(24 * time.Hour) {
		if aged, err := d.aged(); err != nil || aged { // the main folder renews
			t.Fatalf("%s: renews: %t, %v", f.now, aged, err)
		}
	}
}

// A device takes up what her newer cards hold for it, keeps its former keys, and takes no card that
// is older, that does not list it, or that holds for it what another device can open.
func TestDeviceFollowsItsCard(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	phone := f.joined(f.device("telephone"))
	tablet := f.joined(f.device("tablet"))
	old := f.sign()
	must(t, tablet.keepOwnCard(old))
	must(t, phone.keepOwnCard(old))
	first := phone.self.keys.Public()
	must(t, f.a.vault.Update(func(tx *vault.Tx) error { // as RemoveDevice does
		id, _, err := load[identity](tx, keyIdentity)
		tx.Delete(prefixDevice + phone.self.device.Public().Fingerprint().String())
		id.Generation++
		return errors.Join(err, save(tx, keyIdentity, id))
	}))
	f.now = f.now.Add(time.Minute)
	card := f.sign()
	must(t, tablet.keepOwnCard(card))
	must(t, phone.keepOwnCard(card))
	if got := tablet.self.keys.Public(); got == first || got != f.a.self.keys.Public() || len(tablet.self.former) != 1 || tablet.self.former[0].Public() != first {
		t.Error("the device that is left has not the keys that she has now, and those before")
	}
	if phone.self.keys.Public() != first {
		t.Error("the removed device has other keys")
	}
	must(t, tablet.keepOwnCard(old))
	if tablet.self.keys.Public() == first {
		t.Error("an older card took the newer keys away")
	}
	removed, _, err := phone.identity()
	must(t, err)
	left, _, err := tablet.identity()
	must(t, err)
	for what, l := range map[string]linked{
		"as it is":          {Seed: removed.Linked.Seed, Unseal: removed.Linked.Unseal},
		"as the other":      {Seed: left.Linked.Seed, Unseal: removed.Linked.Unseal},
		"with its own seed": {Seed: removed.Linked.Seed, Unseal: left.Linked.Unseal},
	} {
		l.Public, l.Card = removed.Linked.Public, card.Raw()
		if _, _, err := l.keys(); err == nil {
			t.Errorf("%s, the removed device opens what the card holds for the other", what)
		}
	}
}

// Labels are short, printable, no numbers, and each of one device; without one, one is made up.
func TestLabels(t *testing.T) {
	t.Parallel()
	known := []device{{Label: "telephone"}, {Label: "device 1"}}
	for label, want := range map[string]string{
		"": "device 2", "tablet": "tablet", "the old one": "the old one", "Büro": "Büro", strings.Repeat("x", MaxLabel): strings.Repeat("x", MaxLabel),
		"telephone": "", "1": "", "-7": "", "a\nb": "", "a\x1b[2J": "", "\u202e": "", "\xff": "", strings.Repeat("x", MaxLabel+1): "",
	} {
		if got, err := fitting(known, label); got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrLabel) {
			t.Errorf("%q: %q, %v", label, got, err)
		}
	}
	for len(known) < pki.MaxDevices {
		label, err := fitting(known, "")
		must(t, err)
		known = append(known, device{Label: label})
	}
	if _, err := fitting(known, "tablet"); !errors.Is(err, ErrManyDevices) {
		t.Errorf("one more than there may be: %v", err)
	}
}

// A contact's changed keys are believed by her card, and never by a message: who was removed has
// keys and their statement for ever.
func TestRemovedDeviceWrites(t *testing.T) {
	t.Parallel()
	m := here(t)
	ann, bob := m.met(t)
	phone := m.deviceOf(t, ann, "telephone")
	old, fingerprint := ann.self.keys.Public(), ann.self.key.Fingerprint()
	_, err := ann.RemoveDevice(t.Context(), "telephone")
	must(t, err)
	knows := func(when string) (c contact) {
		t.Helper()
		must(t, bob.vault.View(func(tx *vault.Tx) (err error) {
			c, _, err = load[contact](tx, prefixContact+ann.self.name.String())
			return err
		}))
		if keys, ok := c.keys(); !ok || keys != ann.self.keys.Public() || c.Identity != fingerprint {
			t.Errorf("%s, bob has other keys of ann than her card", when)
		}
		return c
	}
	send(t, ann, bob.self.name, "by new keys", mor.StoredThere)
	if got := read(t, bob); len(got) != 1 || got[0] != "by new keys" {
		t.Fatalf("bob read %q", got)
	}
	before := knows("after her message")
	if before.Auth == nil || bytes.Equal(before.Auth, old.Auth[:]) {
		t.Fatal("bob has the old keys")
	}
	phone.steal(bob, "by old keys")
	if got := read(t, bob); len(got) > 1 {
		t.Fatalf("bob read %q", got)
	}
	after := knows("after the removed device's message")
	if !bytes.Equal(before.Theirs, after.Theirs) {
		t.Error("the removed device says where letters for ann go")
	}
}
