package onion

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"
)

// InnerID names a bare inner packet: the first 16 bytes of the SHA-256 of its 15 980.
type InnerID [16]byte

// String returns the id in hexadecimal.
func (id InnerID) String() string { return hex.EncodeToString(id[:]) }

// Inner is a bare inner packet: header 4800 (four slots of 1200), body 11 180. It is immutable and may be copied and
// shared; the zero value is no packet. It never travels but inside an outer packet or an entry frame.
type Inner struct {
	raw *[InnerSize]byte
	id  InnerID
}

// ParseInner takes ownership of raw (InnerSize bytes; nothing is copied) and computes the ID. Any bytes will do; what
// is wrong with them shows in the peel. It refuses with ErrLength.
func ParseInner(raw []byte) (Inner, error) {
	if len(raw) != InnerSize {
		return Inner{}, ErrLength
	}
	return newInner((*[InnerSize]byte)(raw)), nil
}

func newInner(raw *[InnerSize]byte) Inner {
	sum := sha256.Sum256(raw[:])
	return Inner{raw: raw, id: InnerID(sum[:])}
}

// ID returns the packet's name, by which a node knows what it wrapped or exposed before.
func (in Inner) ID() InnerID { return in.id }

// Bytes returns the wire form, for reading only; nil for the zero Inner.
func (in Inner) Bytes() *[InnerSize]byte { return in.raw }

// IsZero reports whether in is the zero value, which is no packet.
func (in Inner) IsZero() bool { return in.raw == nil }

// InnerHop is one server of an inner route.
type InnerHop struct {
	Key   ServerKey
	Delay time.Duration // how long the server waits before it acts: 0 to MaxDelay, whole milliseconds
}

// BuildInner builds an inner packet with a payload of exactly PayloadSize bytes (padded by the caller) for one to four
// servers, in the order in which they will peel; the last delivers to a mailbox. expiry is rounded down to the start of
// its epoch, and no server takes the packet from then on. All randomness comes from rand.
//
// It refuses with ErrRoute (number of hops, delay, expiry), ErrKey (the zero key) and ErrLength (payload).
func BuildInner(rand io.Reader, hops []InnerHop, to Mailbox, expiry time.Time, payload []byte) (Inner, error) {
	return Scheme{}.BuildInner(rand, hops, to, expiry, payload)
}

// BuildInner is the function of that name, in s.
func (s Scheme) BuildInner(rand io.Reader, hops []InnerHop, to Mailbox, expiry time.Time, payload []byte) (Inner, error) {
	if len(payload) != PayloadSize {
		return Inner{}, ErrLength
	}
	raw := new([InnerSize]byte)
	keys, err := s.buildHeader(rand, hops, innerCommand{kind: Deliver, to: to}, expiry, raw[:innerHeaderSize])
	if err != nil {
		return Inner{}, err
	}
	body := raw[innerHeaderSize:]
	copy(body[zerosSize:], payload)
	for i := len(keys) - 1; i >= 0; i-- {
		keys[i].wide().encrypt(body)
	}
	return newInner(raw), nil
}

// buildHeader writes the 4800 bytes of a header whose last hop gets the command end, and returns the hops' body keys.
func (s Scheme) buildHeader(rand io.Reader, hops []InnerHop, end innerCommand, expiry time.Time, header []byte) ([]bodyKey, error) {
	commands, err := innerCommands(hops, end, expiry)
	if err != nil {
		return nil, err
	}
	layers, keys := make([]layer, len(hops)), make([]bodyKey, len(hops))
	for i, hop := range hops {
		enc, export, err := s.kem().Inner(rand, hop.Key)
		if err != nil {
			return nil, err
		}
		layers[i] = newLayer(enc, export)
		keys[i] = layers[i].bodyKey()
	}
	command := func(i int, _ []byte) []byte { return commands[i].marshal() }
	return keys, innerTier.build(rand, nil, layers, nil, header, command)
}

// innerCommands checks a route and returns its commands.
func innerCommands(hops []InnerHop, end innerCommand, expiry time.Time) ([]innerCommand, error) {
	if len(hops) < 1 || len(hops) > InnerSlots {
		return nil, ErrRoute
	}
	until, err := expiryOf(expiry)
	if err != nil {
		return nil, err
	}
	commands := make([]innerCommand, len(hops))
	for i, hop := range hops {
		if hop.Key.IsZero() {
			return nil, ErrKey
		}
		command := end
		if i < len(hops)-1 {
			command = innerCommand{kind: Forward, to: hops[i+1].Key.ID()}
		}
		command.expiry = until
		if command.delay, err = millis(hop.Delay); err != nil {
			return nil, err
		}
		commands[i] = command
	}
	return commands, nil
}

// InnerPeel is what comes out of one inner layer.
type InnerPeel struct {
	Command InnerCommand
	Delay   time.Duration
	Expiry  time.Time // the packet is worthless from here on; for the caller to judge
	Replay  ReplayID
	Next    ServerID // Forward: whom Inner is for
	Inner   Inner    // Forward
	Mailbox Mailbox  // Deliver and Reply
	Payload []byte   // Deliver: PayloadSize bytes
	SURB    SURBID   // Reply
	Body    []byte   // Reply: BodySize bytes, for SURBKeys.Open
}

// PeelInner takes one layer off in with a server's private key. It refuses with ErrLength (the zero Inner), ErrLowOrder,
// ErrAuth (not for this key, or the header was changed), ErrCommand, and ErrPayload (a Deliver whose body was changed on
// the way). Servers before the last cannot tell whether the body was changed: if a header vouched for the body, nobody
// could make the header of a reply before the reply is written.
func PeelInner(key *ServerPrivateKey, in Inner) (InnerPeel, error) {
	return Scheme{}.PeelInner(key, in)
}

// PeelInner is the function of that name, in s.
func (s Scheme) PeelInner(key *ServerPrivateKey, in Inner) (InnerPeel, error) {
	if in.IsZero() {
		return InnerPeel{}, ErrLength
	}
	header, body := in.raw[:innerHeaderSize], in.raw[innerHeaderSize:]
	export, err := s.kem().OpenInner(key, header[:xwingSize])
	if err != nil {
		return InnerPeel{}, err
	}
	l := newLayer(nil, export)
	opened, err := innerTier.open(&l, nil, header, BodySize)
	if err != nil {
		return InnerPeel{}, err
	}
	command, err := parseInnerCommand(opened[:InnerCommandSize])
	if err != nil {
		return InnerPeel{}, err
	}
	next := append(opened, body...)[InnerCommandSize:]
	bodyKey := l.bodyKey()
	bodyKey.wide().decrypt(next[innerHeaderSize:])
	return command.obey(l.replay, next)
}

// obey turns an authenticated command and the next inner packet into the result of a peel. next is used up.
func (c innerCommand) obey(replay ReplayID, next []byte) (InnerPeel, error) {
	peel := InnerPeel{Command: c.kind, Delay: duration(c.delay), Expiry: c.expiry.Start(), Replay: replay}
	body := next[innerHeaderSize:]
	switch c.kind {
	case Forward:
		peel.Next = c.to
		peel.Inner = newInner((*[InnerSize]byte)(next))
	case Deliver:
		payload, err := openZeros(body)
		if err != nil {
			return InnerPeel{}, err
		}
		peel.Mailbox, peel.Payload = c.to, payload
	case Reply:
		peel.Mailbox, peel.SURB, peel.Body = c.to, c.surb, body
	}
	return peel, nil
}

// openZeros checks, in constant time, that body begins with 32 zero bytes, and returns what is after them.
func openZeros(body []byte) ([]byte, error) {
	var zeros [zerosSize]byte
	if !equal(body[:zerosSize], zeros[:]) {
		return nil, ErrPayload
	}
	return body[zerosSize:], nil
}
