package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// Specification constants (docs/spec/session.md, "Limits").
const (
	// MaxItems is how many items one answer holds.
	MaxItems = 32
	// MaxClaims is how many mailbox addresses one claim names.
	MaxClaims = 1024
	// MaxDescriptors is how many descriptors one answer holds: of the greatest size they
	// take 0.7 of the 1 MiB that a message may have.
	MaxDescriptors = 32
	// MaxShown is how many descriptors of those that domains show under another key than the known
	// one an answer holds beside: together with the others they are no more than MaxDescriptors.
	MaxShown = 8
	// MaxServers is how many descriptors a user takes from her node in all.
	MaxServers = 20_000
	// MaxForget is how many items one forget names.
	MaxForget = 1024
	// LongestWait is how long a node keeps a request for items open.
	LongestWait = 25 * time.Second
	// MaxPending is how many requests of one link a node works on at a time; further ones
	// wait in the link.
	MaxPending = 8
	// MaxQuestion is how long the body of a request is, in bytes, that is worked on beside
	// others: lookup and items.
	MaxQuestion = 1024
	// MaxInvite is how long an invitation is, in bytes.
	MaxInvite = 64
	// MaxStatements is how many statements one answer holds, and MaxStatementBytes how many
	// bytes they have together.
	MaxStatements     = 64
	MaxStatementBytes = 512 << 10
	// MaxConfirmed is how many domains a welcome names that know the key of the user's home.
	MaxConfirmed = 64
	// MaxEntries is how many entries of a key log one answer holds, and EntrySize how many bytes each has.
	MaxEntries = 4096
	EntrySize  = 105
	// MaxText is how long the sentence of an error is, in bytes.
	MaxText = 400
	// LoginTime is how long a link is kept on which nobody logs in.
	LoginTime = time.Minute
)

// An Op names what a request asks for.
type Op string

// The operations.
const (
	OpRegister   Op = "register"
	OpLogin      Op = "login"
	OpPublish    Op = "publish"
	OpDirectory  Op = "directory"
	OpLookup     Op = "lookup"
	OpClaim      Op = "claim"
	OpItems      Op = "items"
	OpForget     Op = "forget"
	OpStatements Op = "statements"
	OpRevoke     Op = "revoke"
	OpMove       Op = "move"
	OpChallenge  Op = "challenge"
	OpEntries    Op = "entries"
	opSubmitted  Op = "submitted" // the answer to an entry frame
)

// A Code classifies an [Error], so that a program can act on it.
type Code string

// The codes of errors.
const (
	BadRequest  Code = "bad-request" // the request is malformed or out of bounds
	NotLoggedIn Code = "not-logged-in"
	Refused     Code = "refused"     // not admitted, or not allowed
	NotFound    Code = "not-found"   // no such name, or no way to it
	WrongKey    Code = "wrong-key"   // a key is not the one that is known
	Full        Code = "full"        // a quota is used up
	Unavailable Code = "unavailable" // cannot be answered now; try again
)

// An Error is a node's refusal, with a sentence for the user.
type Error struct {
	Code Code   `json:"code"`
	Text string `json:"text"`

	Shown pki.Fingerprint `json:"shown,omitzero"` // with WrongKey: the key that is shown instead, if it is known
}

// Error returns the sentence. It is one line of printable characters, whoever wrote it.
func (e *Error) Error() string { return e.Text }

// Errorf makes an [Error]. What cannot be printed becomes a question mark, and what is
// longer than MaxText is cut off.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: printable(fmt.Sprintf(format, args...))}
}

// printable is text as a terminal may be shown it.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, text)
	if len(text) > MaxText {
		text = strings.ToValidUTF8(text[:MaxText], "")
	}
	return text
}

// ErrMalformed is returned for a control message that is no request or answer. Nothing of
// the message is in it.
var ErrMalformed = errors.New("session: malformed message")

// A Register asks for a certificate: a PKCS #10 request in DER. Where new users are
// invited, it holds what an invitation says, at most [MaxInvite] bytes.
type Register struct {
	Request []byte `json:"request"`
	Invite  []byte `json:"invite,omitempty"`
}

// A Registered is the answer: a certificate in DER.
type Registered struct {
	Certificate []byte `json:"certificate"`
}

// A Login proves who is at the other end of this link.
type Login struct {
	Name        pki.Name `json:"name"`
	Certificate []byte   `json:"certificate"`
	Proof       []byte   `json:"proof"` // pki.IdentityKey.SignLogin over the exporter of this link

	// Authority is the certificate of the user's home's authority in DER, at most
	// pki.MaxCertificateSize bytes: for a node that is not her home and might not know it.
	Authority []byte `json:"authority,omitempty"`

	// Device is the public key of a device that does not have the identity key, 32 bytes: Proof
	// is pki.DeviceKey.SignLogin then, Card the newest card of the user that the device has, at
	// most pki.MaxCardSize bytes, and Certificate the one in that.
	Device []byte `json:"device,omitempty"`
	Card   []byte `json:"card,omitempty"`
}

// A Publish hands in the user's own card, pki.Card, signed.
type Publish struct {
	Card []byte `json:"card"`
}

// A Directory asks for the server descriptors of the domains that sort after the given
// one; without one, from the first on.
type Directory struct {
	After pki.Domain `json:"after,omitzero"`
}

// Descriptors are signed server descriptors by domain, at most [MaxDescriptors]. Last is
// the domain of the last of them, after which to ask on; without one there are no more. Shown
// are what servers of some of these domains show, as the node has seen it, under another key than it
// knows them by: evidence, and nothing to send to; at most [MaxShown].
type Descriptors struct {
	Descriptors [][]byte   `json:"descriptors"`
	Shown       [][]byte   `json:"shown,omitempty"`
	Last        pki.Domain `json:"last,omitzero"`
}

// A Lookup asks for another user's card.
type Lookup struct {
	Name pki.Name `json:"name"`
}

// A Found is a user's signed card.
type Found struct {
	Card []byte `json:"card"`
	Away bool   `json:"away,omitempty"` // her home did not answer: it is a copy

	// Proof shows that the card is in the key log of her home: docs/spec/keylog.md, "Proofs". None if the
	// home has shown none.
	Proof []byte `json:"proof,omitempty"`
}

// A MailboxKind says who may write to a mailbox.
type MailboxKind string

// The kinds of mailboxes.
const (
	Requests MailboxKind = "requests" // strangers, with work
	Contact  MailboxKind = "contact"  // whoever knows the address
	Replies  MailboxKind = "replies"  // replies over the user's own SURBs

	Invitation MailboxKind = "invitation" // whoever knows the address, once: all copies of one letter
)

// A Mailbox is an address that its user claims.
type Mailbox struct {
	Address onion.Mailbox
	Kind    MailboxKind
	Until   uint32 // the last day, mor.Day, on which it is kept
}

// mailbox is a Mailbox on the wire: JSON has no arrays of a fixed length.
type mailbox struct {
	Address []byte      `json:"address"` // 32 bytes
	Kind    MailboxKind `json:"kind"`
	Until   uint32      `json:"until"`
}

// MarshalJSON implements json.Marshaler.
func (m Mailbox) MarshalJSON() ([]byte, error) {
	return json.Marshal(mailbox{m.Address[:], m.Kind, m.Until})
}

// UnmarshalJSON implements json.Unmarshaler. It refuses addresses that have not 32 bytes.
func (m *Mailbox) UnmarshalJSON(raw []byte) error {
	var w mailbox
	if err := strictjson.Unmarshal(raw, &w); err != nil {
		return err
	}
	if len(w.Address) != len(m.Address) {
		return fmt.Errorf("a mailbox address of %d bytes, not %d", len(w.Address), len(m.Address))
	}
	*m = Mailbox{onion.Mailbox(w.Address), w.Kind, w.Until}
	return nil
}

// A Claim makes mailbox addresses the user's; one that is another's is refused.
type Claim struct {
	Mailboxes []Mailbox `json:"mailboxes"`
}

// An Items asks for what has come after the given sequence number. If there is nothing,
// the node waits up to Wait for something to come.
type Items struct {
	After int64         `json:"after"`
	Wait  time.Duration `json:"wait"` // nanoseconds, at most LongestWait
}

// An Item is one thing in a mailbox.
type Item struct {
	Seq   int64
	Reply bool
	SURB  onion.SURBID // of a reply
	Body  []byte       // a letter as mor.Letter marshals it, without its reply block; or a reply's body
}

// item is an Item on the wire. A reply has a SURB, a letter has none.
type item struct {
	Seq  int64  `json:"seq"`
	SURB []byte `json:"surb,omitempty"` // 16 bytes
	Body []byte `json:"body"`
}

// MarshalJSON implements json.Marshaler.
func (i Item) MarshalJSON() ([]byte, error) {
	w := item{Seq: i.Seq, Body: i.Body}
	if i.Reply {
		w.SURB = i.SURB[:]
	}
	return json.Marshal(w)
}

// UnmarshalJSON implements json.Unmarshaler. It refuses SURB names that have not 16 bytes.
func (i *Item) UnmarshalJSON(raw []byte) error {
	var w item
	if err := strictjson.Unmarshal(raw, &w); err != nil {
		return err
	}
	*i = Item{Seq: w.Seq, Body: w.Body, Reply: len(w.SURB) > 0}
	if i.Reply && len(w.SURB) != len(i.SURB) {
		return fmt.Errorf("a name of %d bytes for a reply block, not %d", len(w.SURB), len(i.SURB))
	}
	copy(i.SURB[:], w.SURB)
	return nil
}

// A Held is the answer to Items, in the order of their coming.
type Held struct {
	Items []Item `json:"items"`
}

// A Forget names items that are durable at the user's and may be deleted.
type Forget struct {
	Seqs []int64 `json:"seqs"`
}

// A Statements asks for the signed statements of domains and users that the node holds,
// in the order of its numbers, after the given one.
type Statements struct {
	Since int64 `json:"since"`
}

// A Stated is the answer: at most [MaxStatements] statements of [MaxStatementBytes] together, each
// as package pki splits it by its kind. Last is the number of the last of them, after which to ask
// on; without statements it is the greatest number there is. More says that there are more.
type Stated struct {
	Statements [][]byte `json:"statements"`
	Last       int64    `json:"last"`
	More       bool     `json:"more,omitempty"`
}

// A Revoke hands in a revocation, pki.Revocation, which says itself who may make it: so nobody
// has to log in for that. It has at most pki.MaxRevocationSize bytes.
type Revoke struct {
	Revocation []byte `json:"revocation"`
}

// A Move hands in a move, pki.Move, which who has the key signed: so nobody has to log in for
// that. It has at most pki.MaxMoveSize bytes.
type Move struct {
	Move []byte `json:"move"`
}

// A Challenge hands in a challenge, pki.Challenge, which the owner of a name signed: so nobody has to
// log in for that. It has at most pki.MaxChallengeSize bytes.
type Challenge struct {
	Challenge []byte `json:"challenge"`
}

// An Entries asks for entries of the key log of the user's home, from that number on.
type Entries struct {
	First int64 `json:"first"`
}

// A LogPart is a part of a key log, as far as a signed checkpoint goes: at most [MaxEntries] entries, one
// after the other. While it is full there may be more. At home it has the proof of the user's label.
type LogPart struct {
	Checkpoint []byte `json:"checkpoint"`
	Entries    []byte `json:"entries"`
	Label      []byte `json:"label,omitempty"`
}

func (p LogPart) good() bool {
	return len(p.Entries)%EntrySize == 0 && len(p.Entries) <= MaxEntries*EntrySize
}

// A Path says by what a node knew the authority of a user's home.
type Path string

// The paths, in the order in which a node tries them.
const (
	PathHome      Path = "home"      // the node is her home
	PathCache     Path = "cache"     // the node's own directory
	PathDNS       Path = "dns"       // the TXT record of her home
	PathKeyServer Path = "keyserver" // the key server of a peer
)

// A HomeView is what a node says of the home of the user who has logged in: its word, by
// which nobody has to go.
type HomeView struct {
	Domain    pki.Domain   `json:"domain"`
	Path      Path         `json:"path"`
	Confirmed []pki.Domain `json:"confirmed,omitempty"` // other domains that know the home's key, at most [MaxConfirmed]
	Online    bool         `json:"home_online,omitempty"`
	Gone      bool         `json:"home_gone,omitempty"` // her certificate has run out, and her home is not there to renew it
	Devices   []SeenDevice `json:"devices,omitempty"`   // by the home itself, to her main device alone: at most pki.MaxDevices
}

// A SeenDevice says when a device of a user's logged in at her home last. One that never did is left out.
type SeenDevice struct {
	Fingerprint pki.Fingerprint `json:"fingerprint"` // of its key
	Seen        int64           `json:"seen"`        // seconds since 1970, at least 1
}

// A Welcome is the answer to a login.
type Welcome struct {
	Domain pki.Domain `json:"domain"`
	Home   HomeView   `json:"home"`
	Pace   *Pace      `json:"pace,omitempty"` // the schedule that the node keeps, and wants her to keep; nil: none
}

// A Pace is a schedule of slots ([link.Pace]) as it is written: MinPace to MaxPace.
type Pace struct {
	Millis  int64 `json:"ms"`                // mean time between two slots
	Poisson bool  `json:"poisson,omitempty"` // at random times; else constant
}

// The schedules that a node may want of a user: a faster one would be a way to have her send what she cannot pay for, with a
// slower one no letter would leave.
const (
	MinPace = 100 * time.Millisecond
	MaxPace = 10 * time.Second
)

// paceOf is p as it is written.
func paceOf(p link.Pace) *Pace {
	if p.Every <= 0 {
		return nil
	}
	return &Pace{p.Every.Milliseconds(), p.Poisson}
}

func (p Pace) pace() link.Pace {
	return link.Pace{Every: time.Duration(p.Millis) * time.Millisecond, Poisson: p.Poisson}
}

func (p *Pace) valid() bool {
	return p == nil || p.Millis >= MinPace.Milliseconds() && p.Millis <= MaxPace.Milliseconds()
}

// valid tells whether a node may say so.
func (w Welcome) valid() bool {
	if !w.Pace.valid() {
		return false
	}
	switch w.Home.Path {
	case PathHome, PathCache, PathDNS, PathKeyServer:
		return len(w.Home.Confirmed) <= MaxConfirmed && !w.Home.Domain.IsZero() && seen(w.Home.Devices)
	}
	return false
}

// seen tells whether these may be the devices of a user.
func seen(devices []SeenDevice) bool {
	return len(devices) <= pki.MaxDevices && !slices.ContainsFunc(devices, func(d SeenDevice) bool { return d.Seen < 1 || d.Seen > maxSeen })
}

// maxSeen is a year far beyond any certificate.
const maxSeen = 1 << 40

// follows tells whether a node may answer so to who asks for what comes after since.
func (s Stated) follows(since int64) bool {
	size := 0
	for _, raw := range s.Statements {
		size += len(raw)
	}
	moved := s.Last >= 0 && s.Last != since // a node that lost its numbers counts anew
	if len(s.Statements) == 0 {
		moved = s.Last >= 0 && !s.More
	}
	return moved && len(s.Statements) <= MaxStatements && size <= MaxStatementBytes
}

// empty is the body of an answer that says no more than yes.
type empty struct{}

// message is a request (Op set) or an answer (Op empty), as it is on the wire. Seq counts
// requests; the answers to entry frames carry the count of frames instead.
type message struct {
	Seq   uint64          `json:"seq"`
	Op    Op              `json:"op,omitempty"`
	Error *Error          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// failure is the error of m, or nil.
func (m message) failure() error {
	if m.Error != nil {
		return m.Error
	}
	return nil
}

// parseMessage reads either kind: an error and a body are never in one message, and a
// request has no error. What it returns marshals to a message that it reads as the same.
func parseMessage(raw []byte) (message, error) {
	var m message
	if strictjson.Unmarshal(raw, &m) != nil {
		return message{}, ErrMalformed
	}
	if m.Error == nil {
		return m, nil
	}
	if m.Body != nil || m.Op != "" && m.Op != opSubmitted || m.Error.Text != printable(m.Error.Text) {
		return message{}, ErrMalformed
	}
	return m, nil
}
