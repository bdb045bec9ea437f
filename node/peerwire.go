package node

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/mor"
)

// ownChannel is the number that the one of our contexts that a peer hears has on the link with it.
const ownChannel = 0

// maxContexts is how many contexts a peer may speak on over one link.
const maxContexts = 16

// A peerMessage is a control message between two nodes (docs/spec/mor.md, "Between
// nodes"). Exactly one field is set.
type peerMessage struct {
	Hello  *hello    `json:"hello,omitempty"`
	Ask    *query    `json:"ask,omitempty"`
	Answer *answer   `json:"answer,omitempty"`
	News   *news     `json:"news,omitempty"`
	Cross  *crossing `json:"cross,omitempty"`

	Since      *sinceQuery    `json:"since,omitempty"`
	Statements *statementPage `json:"statements,omitempty"`

	CopiesOf *copiesQuery `json:"copies_of,omitempty"`
	Copies   *copiesPage  `json:"copies,omitempty"`
}

// hello is the first message of both: the contexts that the sender speaks on, in the order
// of their channel numbers, and its countersignature of the receiver.
type hello struct {
	Contexts []contextID `json:"contexts"`
	Cross    []byte      `json:"cross"` // pki.CrossCert over the receiver's authority
}

// query asks for the records that may be had on a context of the receiver.
type query struct {
	Context contextID `json:"context"`
}

// answer holds records as mor.MarshalAnswer writes them.
type answer struct {
	Context contextID `json:"context"`
	Records []byte    `json:"records"`
}

// news says that what the sender knows has changed, so that asking it again is worth while.
type news struct{}

// crossing is a countersignature of the receiver that follows the one of the hello: the key of
// either has changed, or it has run out.
type crossing struct {
	Cross []byte `json:"cross"` // as in the hello
}

// sinceQuery asks for the statements that the receiver numbered after the given one.
type sinceQuery struct {
	Seq int64 `json:"seq"` // 0 or more; 0: from the first on
}

// statementPage is the answer: some of them, in their order.
type statementPage struct {
	Since      int64    `json:"since"`      // what was asked for
	Statements [][]byte `json:"statements"` // pki.Statement, maxStatementPage and maxStatementBytes at most
	Last       int64    `json:"last"`       // number of the last one; what was asked for if there is none
	More       bool     `json:"more"`
}

func (p statementPage) valid() bool {
	size := 0
	for _, raw := range p.Statements {
		size += len(raw)
	}
	return len(p.Statements) <= maxStatementPage && size <= maxStatementBytes && p.Since >= 0 && p.Last >= 0
}

// copiesQuery asks for the sealed copies of the receiver's users from a number on, or for the numbers alone.
type copiesQuery struct {
	From   int64 `json:"from"` // 0 or more
	Sealed bool  `json:"sealed"`
	Seen   int64 `json:"seen"` // the size that the last answer told, if all of it was kept: nothing else is to be told then
}

// copiesPage is the answer.
type copiesPage struct {
	From       int64                `json:"from"` // what was asked for
	Sealed     bool                 `json:"sealed"`
	Numbers    []int64              `json:"numbers,omitempty"` // ascending, maxCopyNumbers at most
	Copies     []keyserver.Numbered `json:"copies,omitempty"`  // the same, maxCopyPage and maxCopyBytes at most
	More       bool                 `json:"more"`
	Size       int64                `json:"size"`                 // leaves of the log: the same leaves, the same copies
	Checkpoint []byte               `json:"checkpoint,omitempty"` // the newest that a quorum has cosigned; none: there is none
}

func (p copiesPage) valid() bool {
	size, last := 0, p.From-1
	for _, n := range p.Numbers {
		if n <= last {
			return false
		}
		last = n
	}
	for _, c := range p.Copies {
		if _, _, err := c.Sealed.IDs(); err != nil || c.Number <= last {
			return false
		}
		last = c.Number
		size += len(c.Sealed)
	}
	return len(p.Numbers) <= maxCopyNumbers && len(p.Copies) <= maxCopyPage && size <= maxCopyBytes && len(p.Checkpoint) <= keylog.MaxCheckpointSize &&
		p.From >= 0 && p.Size >= 0 && (len(p.Numbers) == 0 || len(p.Copies) == 0)
}

// contextID is a mor.ContextID as text: 22 characters of base64url (RFC 4648, section 5),
// without padding and canonical.
type contextID mor.ContextID

func (id contextID) MarshalText() ([]byte, error) { return []byte(mor.ContextID(id).String()), nil }

func (id *contextID) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || len(raw) != len(id) || len(text) != 22 { // the decoder skips line ends
		return errPeerMessage
	}
	*id = contextID(raw)
	return nil
}

var errPeerMessage = errors.New("node: malformed message from a peer")

func (m peerMessage) marshal() ([]byte, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return raw, nil
}

func parsePeerMessage(raw []byte) (peerMessage, error) {
	var m peerMessage
	if err := strictjson.Unmarshal(raw, &m); err != nil {
		return peerMessage{}, errPeerMessage
	}
	set := 0
	for _, there := range []bool{m.Hello != nil, m.Ask != nil, m.Answer != nil, m.News != nil, m.Cross != nil, m.Since != nil, m.Statements != nil, m.CopiesOf != nil, m.Copies != nil} {
		if there {
			set++
		}
	}
	if set != 1 || !m.valid() {
		return peerMessage{}, errPeerMessage
	}
	return m, nil
}

// valid holds the bounds of what is set.
func (m peerMessage) valid() bool {
	return (m.Hello == nil || len(m.Hello.Contexts) <= maxContexts) &&
		(m.Since == nil || m.Since.Seq >= 0) && (m.Statements == nil || m.Statements.valid()) &&
		(m.CopiesOf == nil || m.CopiesOf.From >= 0 && m.CopiesOf.Seen >= 0) && (m.Copies == nil || m.Copies.valid())
}
