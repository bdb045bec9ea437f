package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// What is in the vault, by key:
//
//	identity               identity
//	revoker                revoker: the key that can end the identity
//	fetched                when the directory was fetched
//	entry                  entry: the node, beside the home, at which we logged in, and those before it
//	pin/DOMAIN             pin: the authority key of a domain
//	shown/DOMAIN           rival: another key than the pinned one, which the domain's own servers show
//	server/DOMAIN          a signed descriptor, raw; by the pinned authority, if there is a pin
//	list                   []listed: whose views count
//	seeding                until when the home may name more of them, if they are too few; time.Time
//	seeded                 there once anybody was on that list: the home names nobody any more; nothing, raw
//	feed/DOMAIN            feed: how far the statements were read that a node hands out
//	view/DOMAIN            the newest signed view of a domain, raw
//	succession/DOMAIN/HASH a signed succession, raw, by the SHA-256 of its bytes
//	revoked/FINGERPRINT    ended: an identity key that was revoked
//	ended/NAME/FINGERPRINT ended: a name that its domain has ended for a key
//	challenge/NAME/FINGERPRINT a signed challenge, raw: the key's owner objects to others under the name
//	strays                 how many successions there are of domains without a pin; none: to be counted
//	tally/revoked/DOMAIN   how many there are by a domain; without DOMAIN of all. So tally/ended/, too
//	fork/DOMAIN            forked: its key log has two histories
//	away/DOMAIN            when its key server did not answer
//	watched                watched: what our home showed as our card
//	scanned                scanned: how far the key log of our home was read
//	objection              objection: what our own key says against others under our name, and who has it
//	owncards               the SHA-256 of the newest cards that our key signed, in hexadecimal
//	twin                   twin: what is known of other folders with our key
//	renewal                renewal: how asking for a fresh certificate went
//	notice/NAME            notice: a contact who has ended her key, or has another one now, until the user is told
//	contact/NAME           contact
//	moved/FINGERPRINT/NAME a signed move, raw: the key has left that name for another one
//	settle/FINGERPRINT/NAME of a move of a contact: the new name, which is to get her pin
//	leaving/NAME           leaving: a name that we left, which not all have been told
//	device/FINGERPRINT     device: one of ours beside this, in the main folder
//	listed/NAME            seenList: the devices that a card listed which was looked up
//	card/NAME              looked: a card that was looked up
//	place/NAME             logPlace: where that card is in the key log of its home
//	held/HASH              heldItem: an item that is left at the home, by the SHA-256 of its bytes
//	outbox/ID              outgoing: a message on its way
//	sealed/ID              its sealed part, raw
//	surb/SURBID            the id of the message whose receipt comes over it, raw
//	question/ID            question: a look-up that goes through the mesh, while somebody waits for it
//	asked/SURBID           the id of the look-up whose answer comes over it, raw
//	relay/DOMAIN           doubt: what speaks against a relay
//	sent/ID                sent: what became of a text of ours
//	inbox/NUMBER           Message
//	unread/NUMBER          there until the message is shown: nothing, or "showing" while it is, raw
//	request/NUMBER         the same, of a stranger's message
//	invited/MAILBOX        invited: an invitation of ours
//	taken/MAILBOX          takenOne: an invitation that we have taken
//	got/FINGERPRINT/ID     got: a text that came, so that it comes only once
//	disowned/FINGERPRINT   when a stranger was forgotten, of whom only that is left
//	next                   the number of the next message
const (
	keyIdentity   = "identity"
	keyRevoker    = "revoker"
	keyFetched    = "fetched"
	keyEntry      = "entry"
	keyNext       = "next"
	keyList       = "list"
	keySeeded     = "seeded"
	keySeeding    = "seeding"
	keyWatched    = "watched"
	keyRenewal    = "renewal"
	keyScanned    = "scanned"
	keyOwnCards   = "owncards"
	keyObjection  = "objection"
	keyStrays     = "strays"
	keyTwin       = "twin"
	prefixDevice  = "device/"
	prefixListed  = "listed/"
	prefixPin     = "pin/"
	prefixShown   = "shown/"
	prefixServer  = "server/"
	prefixFeed    = "feed/"
	prefixView    = "view/"
	prefixHeir    = "succession/"
	prefixRevoked = "revoked/"
	prefixEnded   = "ended/"
	prefixObject  = "challenge/"
	prefixForked  = "fork/"
	prefixAway    = "away/"
	prefixNotice  = "notice/"
	prefixTally   = "tally/"
	prefixContact = "contact/"
	prefixMoved   = "moved/"
	prefixSettle  = "settle/"
	prefixLeaving = "leaving/"
	prefixCard    = "card/"
	prefixPlace   = "place/"
	prefixHeld    = "held/"
	prefixOutbox  = "outbox/"
	prefixSealed  = "sealed/"
	prefixSURB    = "surb/"
	prefixAsking  = "question/"
	prefixAsked   = "asked/"
	prefixRelay   = "relay/"
	prefixSent    = "sent/"
	prefixCopies  = "copies/"
	prefixInbox   = "inbox/"
	prefixUnread  = "unread/"
	prefixRequest = "request/"
	prefixInvited = "invited/"
	prefixTaken   = "taken/"
	prefixGot     = "got/"

	prefixDisowned = "disowned/"
)

// recordVersion is of all records here: a record of another is refused, and nothing is lost.
const recordVersion = 2

// ErrEarlier: the folder, or the backup of one, has records of an earlier version, which say less.
var ErrEarlier = errors.New("this folder is of an earlier version of p3do")

// versioned is how a record stands in the vault.
type versioned struct {
	V int             `json:"v"`
	R json.RawMessage `json:"r"`
}

// load reads the record at key; false if there is none.
func load[R any](tx *vault.Tx, key string) (r R, ok bool, err error) {
	raw, ok := tx.Get(key)
	if !ok {
		return r, false, nil
	}
	r, err = parseRecord[R](raw)
	return r, err == nil, err
}

func parseRecord[R any](raw []byte) (r R, err error) {
	var v versioned
	if err := strictjson.Unmarshal(raw, &v); err != nil {
		return r, fmt.Errorf("agent: a record in the folder is malformed: %w", err)
	}
	if v.V < recordVersion {
		return r, ErrEarlier
	}
	if v.V != recordVersion {
		return r, fmt.Errorf("agent: the folder has a record of version %d; this program knows %d", v.V, recordVersion)
	}
	if err := strictjson.Unmarshal(v.R, &r); err != nil {
		return r, fmt.Errorf("agent: a record in the folder is malformed: %w", err)
	}
	return r, nil
}

// save writes the record at key.
func save(tx *vault.Tx, key string, r any) error {
	raw, err := marshalRecord(r)
	if err == nil {
		tx.Put(key, raw)
	}
	return err
}

// marshalRecord is the inverse of parseRecord.
func marshalRecord(r any) ([]byte, error) {
	raw, err := json.Marshal(r)
	if err == nil {
		raw, err = json.Marshal(versioned{recordVersion, raw})
	}
	if err != nil {
		return nil, fmt.Errorf("agent: writing a record: %w", err)
	}
	return raw, nil
}

// each calls f with every record whose key begins with prefix, in order.
func each[R any](tx *vault.Tx, prefix string, f func(key string, r R) error) error {
	return tx.Range(prefix, func(key string, raw []byte) error {
		r, err := parseRecord[R](raw)
		if err != nil {
			return err
		}
		return f(key[len(prefix):], r)
	})
}

// secret32 is 32 bytes that JSON writes as base64.
type secret32 []byte

func (s secret32) array() (a [32]byte) {
	copy(a[:], s) // all zero if there are none
	return a
}

// A got remembers a text, and the acknowledgement that was made of it last.
type got struct {
	Number uint64 `json:"number"`
	Ack    []byte `json:"ack"`
}

func gotKey(identity pki.Fingerprint, id mor.MessageID) string {
	return fmt.Sprintf("%s%s/%s", prefixGot, identity, id)
}

// A contact is somebody we wrote to or who wrote to us.
type contact struct {
	Identity pki.Fingerprint `json:"identity"` // pinned, if it is trusted at all
	Trust    pki.Trust       `json:"trust"`    // in that key; pki.Untrusted: until her home is confirmed, and its log shows the key
	Seal     []byte          `json:"seal"`     // their keys for messages, as last stated
	Auth     []byte          `json:"auth"`
	Theirs   secret32        `json:"theirs"` // what they gave us to write to them; empty: nothing yet
	Spools   []pki.Domain    `json:"spools"`
	Mine     secret32        `json:"mine"` // what we gave them
	Stated   time.Time       `json:"stated"`
	Met      time.Time       `json:"met"`
	Chosen   bool            `json:"chosen,omitempty"` // by us: written to, added, verified or invited; else a stranger
	Was      pki.Name        `json:"was,omitzero"`     // the name that her key had when we met, if it has this one since
	Told     pki.Name        `json:"told,omitzero"`    // the name of which we were told that she moved to it

	Provisional bool `json:"provisional,omitempty"` // her home is confirmed, and has not shown the key in its log yet
}

// A looked is somebody's card as it was looked up, and verified then.
type looked struct {
	Card []byte    `json:"card"` // signed; empty: it could not be had then
	At   time.Time `json:"at"`
}

// A heldItem is an item that cannot be taken in, or not acknowledged, yet.
type heldItem struct {
	By    string    `json:"by"`    // the contact whose pinned key wrote it, or "@" and a stranger's domain; empty: nobody's
	Since time.Time `json:"since"` // when it was seen first
}

// An outgoing is a message on its way: mor.Outgoing but for the sealed part.
type outgoing struct {
	Kind     kind            `json:"kind"`
	To       pki.Name        `json:"to"`
	Mailbox  []byte          `json:"mailbox"`
	Secret   secret32        `json:"secret"`
	Identity pki.Fingerprint `json:"identity"`
	Spools   []pki.Domain    `json:"spools"`
	Once     bool            `json:"once,omitempty"`
	Hops     int             `json:"hops"`
	Via      []pki.Domain    `json:"via"`
	Reply    []byte          `json:"reply"`
	State    mor.State       `json:"state"`
	Created  time.Time       `json:"created"`
	Next     time.Time       `json:"next"`
	Wait     time.Duration   `json:"wait,omitempty"`
	Attempts int             `json:"attempts"`
	Copies   int             `json:"copies"`
	Last     mor.Route       `json:"last"`
	Waiting  []waiting       `json:"waiting"`
	Made     []made          `json:"made,omitempty"`
}

type kind string

const (
	kindText kind = "text"
	kindAck  kind = "acknowledgement"
)

type waiting struct {
	ID   []byte `json:"id"`
	Keys []byte `json:"keys"`

	Relays []pki.Domain `json:"relays"`
	Late   bool         `json:"late,omitempty"`
}

// A doubt is a mor.Doubt about the relay that its key names.
type doubt struct {
	Copies int       `json:"copies"`
	At     time.Time `json:"at"`
}

// loadDoubts reads what speaks against relays.
func loadDoubts(tx *vault.Tx) (doubts []mor.Doubt, err error) {
	err = each(tx, prefixRelay, func(name string, d doubt) error {
		relay, err := pki.ParseDomain(name)
		doubts = append(doubts, mor.Doubt{Relay: relay, Copies: d.Copies, At: d.At})
		return err
	})
	return doubts, err
}

// saveDoubts makes durable what has changed.
func saveDoubts(tx *vault.Tx, changed []mor.Doubt) error {
	for _, d := range changed {
		key := prefixRelay + d.Relay.String()
		if d.Copies == 0 {
			tx.Delete(key)
		} else if err := save(tx, key, doubt{d.Copies, d.At}); err != nil {
			return err
		}
	}
	return nil
}

// record returns o as it is kept.
func record(k kind, to pki.Name, o mor.Outgoing) outgoing {
	r := outgoing{
		Kind: k, To: to, Mailbox: o.To.Mailbox[:], Secret: o.To.Secret[:], Identity: o.To.Identity, Spools: o.To.Spools, Once: o.To.Once,
		Hops: o.Hops, Via: o.Via, Reply: o.Reply[:], State: o.State, Created: o.Created, Next: o.Next, Wait: o.Wait,
		Attempts: o.Attempts, Copies: o.Copies, Last: o.Last,
	}
	if k == kindText { // nobody asks for the ways of others
		r.Made = madeOf(o)
	}
	for _, w := range o.Waiting {
		r.Waiting = append(r.Waiting, waiting{w.ID[:], w.Keys, w.Relays, w.Late})
	}
	return r
}

// outgoing is the inverse of record.
func (r outgoing) outgoing(id mor.MessageID, sealed []byte) mor.Outgoing {
	o := mor.Outgoing{
		ID: id, Sealed: sealed, Hops: r.Hops, Via: r.Via, State: r.State, Created: r.Created, Next: r.Next, Wait: r.Wait,
		Attempts: r.Attempts, Copies: r.Copies, Last: r.Last,
		To: mor.Address{Secret: r.Secret.array(), Identity: r.Identity, Spools: r.Spools, Once: r.Once},
	}
	copy(o.To.Mailbox[:], r.Mailbox)
	copy(o.Reply[:], r.Reply)
	for _, w := range r.Waiting {
		o.Waiting = append(o.Waiting, w.waiting())
	}
	for _, c := range r.Made {
		o.Made = append(o.Made, c.copy())
	}
	return o
}

// waiting is as mor has it.
func (w waiting) waiting() mor.Waiting {
	return mor.Waiting{ID: onion.SURBID(pad16(w.ID)), Keys: w.Keys, Relays: w.Relays, Late: w.Late}
}
