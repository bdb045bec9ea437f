package onion

import (
	"encoding/binary"
	"io"
	"time"
)

// OuterHop is one context on a leg.
type OuterHop struct {
	Key   ContextKey
	Hint  Hint          // the context's hint in the packet's epoch
	Delay time.Duration // how long the owner waits before it speaks: 0 to MaxDelay, whole milliseconds
}

// OuterEnd is the command of the last hop.
type OuterEnd struct {
	Drop   bool     // cover: nothing comes out, and the fields below do not matter
	Server ServerID // the server that the bare inner packet is for
	Budget uint8    // 0 to MaxBudget: how often more the inner packet may be wrapped anew on this leg
}

// Wrap builds a wire packet around in for one to four contexts, in the order in which they will peel. All bytes that
// it chooses come from rand, in the order of docs/spec/onion.md, so equal streams give equal packets. With end.Drop
// the content is random and in is not looked at.
//
// It refuses with ErrRoute (number of hops, delay, budget), ErrLowOrder or ErrKey (a zero or impossible key) and
// ErrLength (the zero Inner).
func Wrap(rand io.Reader, e Epoch, hops []OuterHop, end OuterEnd, in Inner) (Packet, error) {
	return Scheme{}.Wrap(rand, e, hops, end, in)
}

// Wrap is the function of that name, in s.
func (s Scheme) Wrap(rand io.Reader, e Epoch, hops []OuterHop, end OuterEnd, in Inner) (Packet, error) {
	commands, err := outerCommands(hops, end)
	if err != nil {
		return Packet{}, err
	}
	content, err := outerContent(rand, end, in)
	if err != nil {
		return Packet{}, err
	}
	layers, err := s.outerLayers(rand, hops)
	if err != nil {
		return Packet{}, err
	}
	raw := new([Size]byte)
	head := raw[:headSize]
	head[0], head[1] = Version, Suite
	binary.BigEndian.PutUint16(head[2:], e.Wire())
	command := func(i int, next []byte) []byte {
		if next != nil { // and it stands in raw, after the head: its tag can be computed in place
			commands[i].tag = hops[i+1].Hint.tag(coreOf(raw))
		}
		return commands[i].marshal()
	}
	if err := outerTier.build(rand, head, layers, content, raw[prefixSize:], command); err != nil {
		return Packet{}, err
	}
	tag := hops[0].Hint.tag(coreOf(raw))
	copy(raw[headSize:prefixSize], tag[:])
	return newPacket(raw), nil
}

// outerCommands checks a route and returns its commands; the tags of relays are not known yet.
func outerCommands(hops []OuterHop, end OuterEnd) ([]outerCommand, error) {
	if len(hops) < 1 || len(hops) > OuterSlots || end.Budget > MaxBudget {
		return nil, ErrRoute
	}
	commands := make([]outerCommand, len(hops))
	for i, hop := range hops {
		if err := checkPoint(hop.Key.b[:]); err != nil {
			return nil, err
		}
		delay, err := millis(hop.Delay)
		if err != nil {
			return nil, err
		}
		commands[i] = outerCommand{kind: Relay, delay: delay}
	}
	last := &commands[len(hops)-1]
	if last.kind = Exposed; end.Drop {
		last.kind = Drop
	}
	last.server, last.budget = end.Server, end.Budget
	return commands, nil
}

// outerContent is what the slots are wrapped around.
func outerContent(rand io.Reader, end OuterEnd, in Inner) ([]byte, error) {
	switch {
	case end.Drop:
		noise := make([]byte, InnerSize)
		return noise, fill(rand, noise)
	case in.IsZero():
		return nil, ErrLength
	}
	return in.raw[:], nil
}

// outerLayers encapsulates to each hop.
func (s Scheme) outerLayers(rand io.Reader, hops []OuterHop) ([]layer, error) {
	layers := make([]layer, len(hops))
	for i, hop := range hops {
		enc, export, err := s.kem().Outer(rand, hop.Key)
		if err != nil {
			return nil, err
		}
		layers[i] = newLayer(enc, hop.Hint.layerSecret(export))
	}
	return layers, nil
}

// OuterPeel is what comes out of one outer layer.
type OuterPeel struct {
	Command OuterCommand
	Delay   time.Duration
	Replay  ReplayID
	Next    Packet   // Relay: the packet to speak
	Inner   Inner    // Exposed
	Server  ServerID // Exposed
	Budget  uint8    // Exposed: 0 to MaxBudget
}

// PeelOuter takes one layer off p with a context's private key and its hint of p's epoch. It refuses with ErrLength
// (the zero Packet), ErrAuth (not for this key, hint and epoch, or changed anywhere), ErrLowOrder and ErrCommand.
// Every bit of a packet is checked: the tag covers the core, the AEAD covers the rest.
func PeelOuter(key *ContextPrivateKey, h Hint, p Packet) (OuterPeel, error) {
	return Scheme{}.PeelOuter(key, h, p)
}

// PeelOuter is the function of that name, in s.
func (s Scheme) PeelOuter(key *ContextPrivateKey, h Hint, p Packet) (OuterPeel, error) {
	switch {
	case p.IsZero():
		return OuterPeel{}, ErrLength
	case !h.owns(p):
		return OuterPeel{}, ErrAuth
	}
	stack := p.raw[prefixSize:]
	export, err := s.kem().OpenOuter(key, stack[:x25519Size])
	if err != nil {
		return OuterPeel{}, err
	}
	l := newLayer(nil, h.layerSecret(export))
	opened, err := outerTier.open(&l, p.raw[:headSize], stack, 0)
	if err != nil {
		return OuterPeel{}, err
	}
	command, err := parseOuterCommand(opened[:OuterCommandSize])
	if err != nil {
		return OuterPeel{}, err
	}
	return command.obey(p, l.replay, opened), nil
}

// obey turns an authenticated command and what stands after it into the result of a peel. opened is used up.
func (c outerCommand) obey(p Packet, replay ReplayID, opened []byte) OuterPeel {
	peel := OuterPeel{Command: c.kind, Delay: duration(c.delay), Replay: replay}
	switch c.kind {
	case Relay:
		// The next packet ends where opened ends; its head and tag go over the command, which was read.
		next := (*[Size]byte)(opened[len(opened)-Size:])
		copy(next[:], p.raw[:headSize])
		copy(next[headSize:], c.tag[:])
		peel.Next = newPacket(next)
	case Exposed:
		peel.Server, peel.Budget = c.server, c.budget
		peel.Inner = newInner((*[InnerSize]byte)(opened[OuterCommandSize:]))
	}
	return peel
}
