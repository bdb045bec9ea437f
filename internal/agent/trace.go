package agent

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// A Copy is what we know of the way of one copy of a text of ours: what our program drew, and what came back.
type Copy struct {
	At      time.Time    `json:"at"`
	There   mor.Route    `json:"there"`            // our entry, relays, the recipient's server
	Back    []pki.Domain `json:"back"`             // relays of the receipt
	Packet  string       `json:"packet"`           // the first eight bytes of the inner packet's hash, in hexadecimal
	Receipt time.Time    `json:"receipt,omitzero"` // when it came; zero: it has not
}

// made is a Copy of a text that is still on its way, with the reply block by which its receipt is told.
type made struct {
	Copy
	SURB []byte `json:"surb"`
}

func madeOf(o mor.Outgoing) (all []made) {
	for _, c := range o.Made {
		copied := Copy{At: c.At, There: c.There, Back: c.Back, Packet: hex.EncodeToString(c.Inner[:8]), Receipt: c.Receipt}
		all = append(all, made{copied, c.SURB[:]})
	}
	return all
}

// copiesOf is what is kept of the ways when the text has arrived.
func copiesOf(o mor.Outgoing) []Copy {
	copies := []Copy{}
	for _, m := range madeOf(o) {
		copies = append(copies, m.Copy)
	}
	return copies
}

// copy is as mor has it, but for the half of the packet's name that is not kept.
func (m made) copy() mor.Copy {
	c := mor.Copy{At: m.At, There: m.There, Back: m.Back, Receipt: m.Receipt, SURB: onion.SURBID(pad16(m.SURB))}
	packet, _ := hex.DecodeString(m.Packet) // what is not hexadecimal names nothing
	copy(c.Inner[:], packet)
	return c
}

// A Server is somebody on the way of a text of ours, and what she can know of it.
type Server struct {
	Domain pki.Domain `json:"domain"`
	Role   Role       `json:"role"`
	Knows  string     `json:"knows"`
	Not    string     `json:"not"`
}

// A Role is what a server does for a text.
type Role string

// The roles, in the order of the way.
const (
	RoleEntry   Role = "entry"   // takes the packet from our program
	RoleFirst   Role = "first"   // the first relay
	RoleRelay   Role = "relay"   // another one
	RoleMailbox Role = "mailbox" // keeps the message for its recipient
)

// A Layer is one of the four scopes of encryption around a text of ours (row C1).
type Layer struct {
	Scope string `json:"scope"` // content, variables, packet or circuit
	How   string `json:"how"`
	Opens string `json:"opens"` // who can open it
}

// A Trace is all that this folder knows of how a text of ours is protected, and of its way. Nobody was asked.
type Trace struct {
	Status
	Copies  []Copy   `json:"copies"` // the newest ones, at most 16
	Layers  []Layer  `json:"layers"`
	Servers []Server `json:"servers"` // of the newest copy
}

// Trace explains the protection and the way of the text id. ErrNoMessage: it is none of ours.
func (a *Agent) Trace(id mor.MessageID) (Trace, error) {
	s, err := a.Status(id)
	if err != nil {
		return Trace{}, err
	}
	t := Trace{Status: s, Layers: layersOf(s), Servers: serversOf(s.Route)}
	err = a.vault.View(func(tx *vault.Tx) error {
		t.Copies, _, err = load[[]Copy](tx, prefixCopies+id.String())
		t.Copies = slices.Clip(append([]Copy{}, t.Copies...)) // not null
		return err
	})
	return t, err
}

// serversOf says what each server of a route can know.
func serversOf(route mor.Route) (servers []Server) {
	for i, domain := range route {
		s := Server{Domain: domain}
		switch i {
		case 0:
			s.Role, s.Knows = RoleEntry, "your address on the network, that you are here, and when you hand in each packet; cover hides that from who watches the link, and not from it"
			s.Not = "to whom, what, which relays but the first"
		case len(route) - 1:
			s.Role, s.Knows = RoleMailbox, "which mailbox, when, the last relay, over which the receipt goes back, and by its owner's logins where she is"
			s.Not = "from whom, what, the other relays"
		case 1:
			s.Role, s.Knows = RoleFirst, "which relay is next, and which server is your home, for the receipt goes there last"
			s.Not = "which of its users sent it, whom it is for, what"
		default:
			s.Role, s.Knows = RoleRelay, "which server is next and, by the receipt, which relay is before"
			s.Not = "from where it comes, whom it is for, what"
		}
		servers = append(servers, s)
	}
	return servers
}

// layersOf says what is around a text, from the inside out, with what is true of this one.
func layersOf(s Status) []Layer {
	circuit, servers := "your server", "servers that your program draws"
	if len(s.Route) > 0 {
		circuit, servers = s.Route[0].String(), fmt.Sprintf("%d servers, each with a layer of its own", len(s.Route)-1)
	}
	return []Layer{
		{
			Scope: "content", Opens: "the devices of " + s.To.String(),
			How: fmt.Sprintf("HPKE with MLKEM768X25519 and AES-256-GCM to the key of %s, %d bytes whatever the text", s.To, message.Size),
		},
		{
			Scope: "variables", Opens: "the devices of " + s.To.String(),
			How: "your name, your certificate, the time, what it answers and the right to write back are inside that seal; outside of it are an id for this message, a day, a reply block and, to a stranger, proof of work",
		},
		{
			Scope: "packet", Opens: "of each layer the one server that it is for",
			How: fmt.Sprintf("%s (MLKEM768X25519), and one to %d context layers more that servers put on at each leg: %d bytes at every place", servers, onion.OuterSlots, onion.Size),
		},
		{
			Scope: "circuit", Opens: "the two ends of each link",
			How: fmt.Sprintf("TLS 1.3 with X25519MLKEM768 to %s and between servers, in records of one size: whether anything is said at all shows where there is no cover", circuit),
		},
	}
}
