package node

import (
	"context"
	"errors"
	"time"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// A user's devices log in by keys of their own, which her card lists. Of the cards of her key that
// we know the newest counts, under whatever name: a device that this one does not list any more is
// out, whatever card it shows. At her home that is at once; elsewhere when the newer card comes there,
// which is asked for at each login of a device. How new it was is remembered when the card has gone.

// An onDevice is a device that is logged in under a name, and the card by which it is, which may be of
// another name of hers; the zero one is the user herself.
type onDevice struct {
	device pki.DevicePublic
	name   pki.Name
	card   pki.SignedCard
}

// none tells that it is the user herself.
func (l onDevice) none() bool { return l.device == pki.DevicePublic{} }

// proven tells whether a login is proven on this link to be by whoever has the identity key, or
// by whoever has the key of a device and a card that the identity key has signed.
func proven(l session.Login, key pki.IdentityPublic, exported [pki.ExporterSize]byte) bool {
	if len(l.Device) == 0 {
		return key.VerifyLogin(exported, l.Name, l.Proof)
	}
	device, err := pki.ParseDevicePublic(l.Device)
	if err != nil || !device.VerifyLogin(exported, l.Name, l.Proof) {
		return false
	}
	card, err := pki.ParseCard(l.Card)
	return err == nil && card.Name() == l.Name && card.Key() == key
}

// listing judges which device logs in. It is one of that name by a card that is good, the one that it
// shows or another of the same key that we know, and one at all by the newest card of that key. The
// certificate of the login is the one in the newest good card from then on. It is to be asked of a login
// that is proven; of one without a device it is nothing.
func (n *Node) listing(ctx context.Context, who asker, l *session.Login, good func([]byte) (pki.SignedCard, error), others ...pki.SignedCard) (onDevice, error) {
	if len(l.Device) == 0 {
		return onDevice{}, nil
	}
	device, err := pki.ParseDevicePublic(l.Device)
	if err != nil {
		return onDevice{}, session.Errorf(session.BadRequest, "the device has no such key")
	}
	card, err := good(l.Card)
	if err != nil && !errors.Is(err, pki.ErrTime) {
		return onDevice{}, session.Errorf(session.Refused, "the card is not good here: %v", err)
	}
	key, shown := keyIn(l.Card), len(card.Raw()) > 0 && card.Lists(device)
	for _, other := range others {
		if len(other.Raw()) > 0 && other.Certificate.Key() == key && (len(card.Raw()) == 0 || other.Serial > card.Serial) {
			card = other
		}
	}
	if len(card.Raw()) == 0 {
		return onDevice{}, session.Errorf(session.Refused, "the card of %s has run out: connect with the main device first", l.Name)
	}
	newest, err := n.newestList(ctx, who, card)
	switch {
	case err != nil:
		return onDevice{}, err
	case !newest.Lists(device):
		return onDevice{}, errors.Join(notListed(newest, shown), n.noteDevices(ctx, newest))
	}
	l.Certificate = card.Certificate.DER()
	return onDevice{device, l.Name, newest}, n.noteDevices(ctx, newest)
}

// newestList is the newest card of the key of a good one: that one, or one of whatever name, even one
// that has run out, for a device that it left out stays so. Who has left the name is asked for at the
// new one. If the newest that there was is here no more, nobody is let in by an older one.
func (n *Node) newestList(ctx context.Context, who asker, card pki.SignedCard) (newest pki.SignedCard, err error) {
	key, name := card.Certificate.Key(), card.Certificate.Name()
	newest, err = n.newestHeld(ctx, key)
	if err != nil || len(newest.Raw()) == 0 || newest.Serial <= card.Serial {
		newest = card
	}
	m, left, failed := n.left(ctx, name, key)
	if err = errors.Join(err, failed); err != nil {
		return newest, err
	}
	if left && newest.Certificate.Name() == name && !newest.Issued.After(m.Issued) {
		if newest, err = n.cardThere(ctx, who, newest, m.To()); err != nil {
			return newest, err
		}
	}
	serial, err := n.store.DeviceList(ctx, key.Fingerprint())
	if err == nil && serial > newest.Serial {
		err = session.Errorf(session.Refused, "%s's main device has made a newer card: connect with that first", name.Local())
	}
	return newest, err
}

// newestHeld is the newest card of a key in our store; none if there is none.
func (n *Node) newestHeld(ctx context.Context, key pki.IdentityPublic) (pki.SignedCard, error) {
	row, err := n.store.NewestCard(ctx, key.Fingerprint())
	if err != nil {
		return pki.SignedCard{}, notFoundIsNil(err)
	}
	card, err := pki.ParseCard(row.Card)
	if err != nil {
		return pki.SignedCard{}, err
	}
	return card.Own(key)
}

// cardThere is the card of a user under the name to which she has moved; it must be newer than the
// one that we have.
func (n *Node) cardThere(ctx context.Context, who asker, known pki.SignedCard, to pki.Name) (pki.SignedCard, error) {
	card, _, err := n.card(ctx, who, to)
	if err != nil || card.Certificate.Key() != known.Certificate.Key() || card.Serial <= known.Serial {
		name := known.Certificate.Name()
		return pki.SignedCard{}, session.Errorf(session.Refused, "%s has moved to %s, and no newer card that lists this device is known here", name, to)
	}
	if to.Domain() == n.cfg.Domain {
		return card, nil
	}
	return card, passing(n.keepCopy(ctx, card), store.ErrOldSerial)
}

// keyIn is the identity key that signed a card; zero if it is none.
func keyIn(raw []byte) pki.IdentityPublic {
	card, err := pki.ParseCard(raw)
	if err != nil {
		return pki.IdentityPublic{}
	}
	return card.Key()
}

// notListed says that a card does not list a device, though one before may have.
func notListed(card pki.SignedCard, before bool) error {
	name := card.Certificate.Name()
	if !before {
		return session.Errorf(session.Refused, "%s's main device does not list this device", name.Local())
	}
	return session.Errorf(session.Refused, "this device was removed by %s's main device on %s", name.Local(), card.Issued.Format("2 Jan 2006"))
}

// ownListing is listing for one of our users.
func (n *Node) ownListing(ctx context.Context, l *session.Login, exported [pki.ExporterSize]byte) (onDevice, error) {
	if len(l.Device) == 0 {
		return onDevice{}, nil
	}
	if !proven(*l, keyIn(l.Card), exported) {
		return onDevice{}, session.Errorf(session.Refused, "the proof is not good on this link")
	}
	card, err := n.ownCard(ctx, l.Name)
	var none *session.Error
	if err != nil && !errors.As(err, &none) && !errors.Is(err, pki.ErrTime) {
		return onDevice{}, err
	}
	good := func(raw []byte) (pki.SignedCard, error) { return n.ownIssuers(ctx).verifyCard(raw, time.Now()) }
	return n.listing(ctx, asker{user: keyIn(l.Card).Fingerprint()}, l, good, card)
}

// visitorListing is listing for a user of another home. Whether there is a newer card of hers the
// home is asked; if it does not answer, what we have must do.
func (n *Node) visitorListing(ctx context.Context, who asker, l *session.Login, home foreignHome) (onDevice, error) {
	if len(l.Device) == 0 {
		return onDevice{}, nil
	}
	cards := []pki.SignedCard{n.heldCard(ctx, home.ca, l.Name)}
	if at, err := n.directory.descriptor(ctx, l.Name.Domain()); err == nil && at.CA.Fingerprint() == home.ca.Fingerprint() {
		if card, err := n.askedCard(ctx, who, at, l.Name); err == nil {
			cards = append(cards, card)
			if err := n.keepCopy(ctx, card); passing(err, store.ErrOldSerial) != nil { // to know it without the home, too
				return onDevice{}, err
			}
		}
	}
	good := func(raw []byte) (pki.SignedCard, error) { return n.visitorCard(ctx, who, raw, home) }
	known, err := n.listing(ctx, who, l, good, cards...)
	if err != nil || known.none() || known.card.Certificate.Name() != l.Name {
		return known, err
	}
	err = n.keepCopy(ctx, known.card)
	return known, passing(err, store.ErrOldSerial)
}

// passing is err, unless it is that one.
func passing(err, that error) error {
	if errors.Is(err, that) {
		return nil
	}
	return err
}

// noteDevices takes in what a card of a user who reads here says of her devices, unless a newer
// one is known: her mail waits for those that it lists, and the others are out.
func (n *Node) noteDevices(ctx context.Context, card pki.SignedCard) error {
	owner := card.Certificate.Key().Fingerprint()
	keys := make([][32]byte, len(card.Devices))
	for i, d := range card.Devices {
		keys[i] = d.Key.Fingerprint()
	}
	if err := n.store.SetDevices(ctx, owner, card.Serial, keys); err != nil {
		return passing(err, store.ErrOldSerial)
	}
	n.endUnlisted(card)
	return nil
}

// noteHeld is noteDevices by the newest card that we have of a user, who is here herself: the list may
// have gone while she was away.
func (n *Node) noteHeld(ctx context.Context, user pki.IdentityPublic) error {
	card, err := n.newestHeld(ctx, user)
	if err != nil || len(card.Raw()) == 0 {
		return err
	}
	return n.noteDevices(ctx, card)
}

// endUnlisted ends the links of devices that were logged in by an older card, and that this one
// does not list.
func (n *Node) endUnlisted(card pki.SignedCard) (ended int) {
	for _, conn := range n.lobby.unlisted(card) {
		conn.Close()
		ended++
	}
	return ended
}

// stillListed makes conn a link of a device, which must be one by the newest card even now: it may
// have been removed since it was judged, and before it was in the lobby.
func (n *Node) stillListed(ctx context.Context, conn *link.Conn, known onDevice) error {
	if known.none() {
		return nil
	}
	n.lobby.bring(conn, known)
	owner := known.card.Certificate.Key().Fingerprint()
	row, err := n.store.NewestCard(ctx, owner)
	serial, failed := n.store.DeviceList(ctx, owner)
	switch err = errors.Join(notFoundIsNil(err), failed); {
	case err != nil:
		return err
	case max(row.Serial, serial) > known.card.Serial:
		return session.Errorf(session.Unavailable, "the card of %s has changed just now; try again", known.name)
	}
	return n.store.SeeDevice(ctx, owner, known.device.Fingerprint(), time.Now())
}

// seenDevices are the devices of a user that have logged in here, and when: for herself to know.
func (n *Node) seenDevices(ctx context.Context, owner pki.Fingerprint) (seen []session.SeenDevice, err error) {
	all, err := n.store.Devices(ctx, owner)
	for _, d := range all {
		if !d.Seen.IsZero() {
			seen = append(seen, session.SeenDevice{Fingerprint: d.Key, Seen: d.Seen.Unix()})
		}
	}
	return seen, err
}

// bring notes that a link that is in is of a device.
func (l *lobby) bring(conn *link.Conn, known onDevice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, in := l.users[conn]; !in {
		return
	}
	if l.devices == nil {
		l.devices = make(map[*link.Conn]onDevice)
	}
	l.devices[conn] = known
}

// unlisted are the links of devices of a card's owner that this card, if it is newer than theirs,
// does not list.
func (l *lobby) unlisted(card pki.SignedCard) (all []*link.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.links[card.Certificate.Key().Fingerprint()] {
		if known, ok := l.devices[conn]; ok && card.Serial > known.card.Serial && !card.Lists(known.device) {
			all = append(all, conn)
		}
	}
	return all
}

// reader is who reads the mail of a user on conn: herself, or one of her devices. Not ok: the link
// is about to end.
func (l *lobby) reader(conn *link.Conn) (reader pki.Fingerprint, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.devices[conn]; ok {
		return known.device.Fingerprint(), true
	}
	reader = l.users[conn]
	return reader, reader != pki.Fingerprint{}
}

// readerOn is reader; the error is for whoever asks.
func (n *Node) readerOn(conn *link.Conn) (pki.Fingerprint, error) {
	reader, ok := n.lobby.reader(conn)
	if !ok {
		return reader, session.Errorf(session.Unavailable, "this link is about to end")
	}
	return reader, nil
}
