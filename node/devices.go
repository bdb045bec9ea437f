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

// A user's devices log in by keys of their own, which her card lists. Of the cards of hers that
// we know the newest counts: a device that this one does not list any more is out, whatever card
// it shows. At her home that is at once; elsewhere when the newer card comes there, which is asked
// for at each login of a device.

// An onDevice is a device that is logged in, and the card by which it is; the zero one is the user herself.
type onDevice struct {
	device pki.DevicePublic
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

// listing judges which device logs in, by the card that it shows and others that we know of the
// same key: the newest. The certificate of the login is the one in that from then on. It is to be
// asked of a login that is proven; of one without a device it is nothing.
func (n *Node) listing(ctx context.Context, l *session.Login, home issuers, others ...pki.SignedCard) (onDevice, error) {
	if len(l.Device) == 0 {
		return onDevice{}, nil
	}
	device, err := pki.ParseDevicePublic(l.Device)
	if err != nil {
		return onDevice{}, session.Errorf(session.BadRequest, "the device has no such key")
	}
	card, err := home.verifyCard(l.Card, time.Now())
	if err != nil && !errors.Is(err, pki.ErrTime) {
		return onDevice{}, session.Errorf(session.Refused, "the card is not good here: %v", err)
	}
	key, shown := keyIn(l.Card), len(card.Raw()) > 0 && card.Lists(device)
	for _, other := range others {
		if len(other.Raw()) > 0 && other.Certificate.Key() == key && (len(card.Raw()) == 0 || other.Serial > card.Serial) {
			card = other
		}
	}
	switch {
	case len(card.Raw()) == 0:
		return onDevice{}, session.Errorf(session.Refused, "the card of %s has run out: connect with the main device first", l.Name)
	case !card.Lists(device):
		return onDevice{}, errors.Join(notListed(card, shown), n.noteDevices(ctx, card))
	}
	l.Certificate = card.Certificate.DER()
	return onDevice{device, card}, n.noteDevices(ctx, card)
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
	return n.listing(ctx, l, n.ownIssuers(ctx), card)
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
	known, err := n.listing(ctx, l, n.issuers(ctx, home.ca), cards...)
	if err != nil || known.none() {
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
	name, owner := known.card.Certificate.Name(), known.card.Certificate.Key().Fingerprint()
	row, err := n.store.User(ctx, name.String())
	switch {
	case err == nil && row.Fingerprint == owner && row.Serial > known.card.Serial:
		return session.Errorf(session.Unavailable, "the card of %s has changed just now; try again", name)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
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
