package agent

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/p3do/p3do/internal/message"
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
	SURB    string       `json:"surb"`             // over which it is to come, in hexadecimal
}

func copiesOf(o mor.Outgoing) (copies []Copy) {
	for _, c := range o.Made {
		copies = append(copies, Copy{
			At: c.At, There: c.There, Back: c.Back, Packet: hex.EncodeToString(c.Inner[:8]), Receipt: c.Receipt, SURB: hex.EncodeToString(c.SURB[:]),
		})
	}
	return copies
}

// copy is as mor has it, but for the half of the packet's name that is not kept.
func (c Copy) copy() mor.Copy {
	packet, _ := hex.DecodeString(c.Packet) // what is not hexadecimal names nothing
	surb, _ := hex.DecodeString(c.SURB)
	made := mor.Copy{At: c.At, There: c.There, Back: c.Back, Receipt: c.Receipt}
	copy(made.Inner[:], packet)
	made.SURB = onion.SURBID(pad16(surb))
	return made
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
	Layers  []Layer  `json:"layers"`
	Servers []Server `json:"servers"` // of the newest copy
}

// Trace explains the protection and the way of the text id. ErrNoMessage: it is none of ours.
func (a *Agent) Trace(id mor.MessageID) (Trace, error) {
	s, err := a.Status(id)
	if err != nil {
		return Trace{}, err
	}
	return Trace{Status: s, Layers: layersOf(s), Servers: serversOf(s.Route)}, nil
}

// serversOf says what each server of a route can know.
func serversOf(route mor.Route) (servers []Server) {
	for i, domain := range route {
		s := Server{Domain: domain}
		switch i {
		case 0:
			s.Role, s.Knows = RoleEntry, "your address on the network, and that you are here; with cover, not even when you send"
			s.Not = "to whom, what, which relays but the first"
		case len(route) - 1:
			s.Role, s.Knows = RoleMailbox, "which mailbox, when, and by its owner's logins where she is"
			s.Not = "from whom, what, which relays but the last"
		case 1:
			s.Role, s.Knows = RoleFirst, "that a packet for it began at some server, and which relay is next"
			s.Not = "who sent it, whom it is for, what"
		default:
			s.Role, s.Knows = RoleRelay, "which server is next"
			s.Not = "who sent it, whom it is for, what, the relays before"
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
			How: "your name, your certificate, the time, what it answers and the right to write back are inside that seal; outside of it are an id for this message and a day",
		},
		{
			Scope: "packet", Opens: "of each layer the one server that it is for",
			How: fmt.Sprintf("%s (MLKEM768X25519), and one to %d context layers more that servers put on at each leg: %d bytes at every place", servers, onion.OuterSlots, onion.Size),
		},
		{
			Scope: "circuit", Opens: "the two ends of each link",
			How: fmt.Sprintf("TLS 1.3 with X25519MLKEM768 to %s and between servers, in records of one size, used or not", circuit),
		},
	}
}
