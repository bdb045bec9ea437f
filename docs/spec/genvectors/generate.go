package main

import (
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/p3do/p3do/mor/onion"
)

// The epoch of all outer packets, and the expiry of all inner ones, seven days later.
const (
	vectorEpoch  = onion.Epoch(989_701)
	vectorExpiry = vectorEpoch + 7*48
)

func generate() (*Vectors, error) {
	v := &Vectors{Format: "p3do onion, version 1, suite 1", Stream: streamRule}
	v.Streams = []Stream{{"", streamBytes("", 48)}, {"p3do", streamBytes("p3do", 48)}}
	v.Hints = hintCases()
	v.Wide = wideCases()
	for _, part := range []func(*Vectors) error{addKeys, addOuter, addInner, addSURBs, addEntries, addRefusals} {
		if err := part(v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func hintCases() (cases []HintCase) {
	hint := streamBytes("hint", 32)
	for range 3 {
		c := HintCase{hint, expand(hint, "p3do tag", 16), expand(hint, "p3do layer", 32), expand(hint, "p3do hint next", 32)}
		cases = append(cases, c)
		hint = c.Next
	}
	return cases
}

func wideCases() (cases []WideCase) {
	for i, length := range []int{aes.BlockSize, aes.BlockSize + 1, 64, onion.BodySize} {
		key, seed := streamBytes(fmt.Sprintf("wide key %d", i), 32), fmt.Sprintf("wide text %d", i)
		encrypted := wideEncrypt(key, streamBytes(seed, length))
		c := WideCase{Key: key, TextSeed: seed, Length: length, SHA256: sum(encrypted)}
		if length <= 64 {
			c.Encrypted = encrypted
		}
		cases = append(cases, c)
	}
	return cases
}

func addKeys(v *Vectors) error {
	for i := range 2 {
		context, err := onion.NewContextKey(newStream(fmt.Sprintf("context %d", i)))
		if err != nil {
			return err
		}
		public := context.Public().Bytes()
		v.Keys = append(v.Keys, KeyCase{Kind: "context", Private: context.Seed(), Public: public[:]})
		server, err := onion.NewServerKey(newStream(fmt.Sprintf("server %d", i)))
		if err != nil {
			return err
		}
		id := server.Public().ID()
		v.Keys = append(v.Keys, KeyCase{Kind: "server", Private: server.Seed(), Public: server.Public().Bytes(), ID: id[:]})
	}
	return nil
}

// addOuter wraps for one to four contexts, around an inner packet and around nothing.
func addOuter(v *Vectors) error {
	for n := 1; n <= onion.OuterSlots; n++ {
		for _, drop := range []bool{false, true} {
			c := OuterCase{Name: fmt.Sprintf("outer, %d hops", n), Epoch: uint32(vectorEpoch), Drop: drop}
			if drop {
				c.Name += ", drop"
			} else {
				c.InnerSeed, c.Budget = c.Name+", inner", uint8(n-1)
			}
			c.Seed, c.Server = c.Name+", rand", streamBytes(c.Name+", server", 32)
			for i := range n {
				c.Hops = append(c.Hops, OuterHop{
					Private: streamBytes(fmt.Sprintf("%s, key %d", c.Name, i), 32),
					Hint:    streamBytes(fmt.Sprintf("%s, hint %d", c.Name, i), 32),
					DelayMS: uint16(21_845 * i),
				})
			}
			if err := c.build(); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			v.Outer = append(v.Outer, c)
		}
	}
	return nil
}

// build fills in the packet, by package onion, and what is expected of the peels, by the second decoder.
func (c *OuterCase) build() error {
	p, err := c.wrap()
	if err != nil {
		return err
	}
	c.Packet = p.Bytes()[:]
	raw := c.Packet
	for _, hop := range c.Hops {
		peel, err := decodeOuter(hop.Private, hop.Hint, raw)
		if err != nil {
			return err
		}
		c.Peels = append(c.Peels, peel)
		raw = peel.next
	}
	return nil
}

// wrap calls package onion with the inputs of the case.
func (c *OuterCase) wrap() (onion.Packet, error) {
	hops := make([]onion.OuterHop, len(c.Hops))
	for i, hop := range c.Hops {
		key, err := onion.ParseContextPrivateKey(hop.Private)
		if err != nil {
			return onion.Packet{}, err
		}
		hops[i] = onion.OuterHop{Key: key.Public(), Hint: onion.Hint(hop.Hint), Delay: millis(hop.DelayMS)}
	}
	var in onion.Inner
	if !c.Drop {
		var err error
		if in, err = onion.ParseInner(streamBytes(c.InnerSeed, onion.InnerSize)); err != nil {
			return onion.Packet{}, err
		}
	}
	end := onion.OuterEnd{Drop: c.Drop, Server: onion.ServerID(c.Server), Budget: c.Budget}
	return onion.Wrap(newStream(c.Seed), onion.Epoch(c.Epoch), hops, end, in)
}

func millis(ms uint16) time.Duration { return time.Duration(ms) * time.Millisecond }

func innerHops(name string, n int) (hops []InnerHop) {
	for i := range n {
		hops = append(hops, InnerHop{streamBytes(fmt.Sprintf("%s, key %d", name, i), 32), uint16(21_845 * i)})
	}
	return hops
}

// parseHops turns the hops of a case into arguments for package onion.
func parseHops(hops []InnerHop) (parsed []onion.InnerHop, err error) {
	for _, hop := range hops {
		key, err := onion.ParseServerPrivateKey(hop.Private)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, onion.InnerHop{Key: key.Public(), Delay: millis(hop.DelayMS)})
	}
	return parsed, nil
}

// addInner builds for one to four servers.
func addInner(v *Vectors) error {
	for n := 1; n <= onion.InnerSlots; n++ {
		name := fmt.Sprintf("inner, %d hops", n)
		c := InnerCase{Name: name, Seed: name + ", rand", Hops: innerHops(name, n), Mailbox: streamBytes(name+", mailbox", 32),
			Expiry: uint32(vectorExpiry), PayloadSeed: name + ", payload"}
		in, err := c.build()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.Packet = in.Bytes()[:]
		if c.Peels, err = decodeRoute(c.Hops, c.Packet); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v.Inner = append(v.Inner, c)
	}
	return nil
}

func (c *InnerCase) build() (onion.Inner, error) {
	hops, err := parseHops(c.Hops)
	if err != nil {
		return onion.Inner{}, err
	}
	payload := streamBytes(c.PayloadSeed, onion.PayloadSize)
	return onion.BuildInner(newStream(c.Seed), hops, onion.Mailbox(c.Mailbox), onion.Epoch(c.Expiry).Start(), payload)
}

// decodeRoute peels an inner packet at every hop, by the second decoder.
func decodeRoute(hops []InnerHop, raw []byte) (peels []InnerPeel, err error) {
	for _, hop := range hops {
		peel, err := decodeInner(hop.Private, raw)
		if err != nil {
			return nil, err
		}
		peels = append(peels, peel)
		raw = peel.next
	}
	return peels, nil
}

// addSURBs makes reply blocks over one to four servers and uses them.
func addSURBs(v *Vectors) error {
	for n := 1; n <= onion.InnerSlots; n++ {
		name := fmt.Sprintf("surb, %d hops", n)
		c := SURBCase{Name: name, Seed: name + ", rand", Hops: innerHops(name, n), Mailbox: streamBytes(name+", mailbox", 32),
			ID: streamBytes(name+", id", 16), Expiry: uint32(vectorExpiry), PayloadSeed: name + ", payload"}
		surb, keys, err := c.build()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		reply, err := surb.Use(streamBytes(c.PayloadSeed, onion.PayloadSize))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.SURB, c.Keys, c.Reply = surb.Bytes(), keys.Bytes(), reply.Bytes()[:]
		if c.Peels, err = decodeRoute(c.Hops, c.Reply); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := openReply(c.Keys, c.Peels[n-1].next); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v.SURBs = append(v.SURBs, c)
	}
	return nil
}

func (c *SURBCase) build() (onion.SURB, onion.SURBKeys, error) {
	hops, err := parseHops(c.Hops)
	if err != nil {
		return onion.SURB{}, onion.SURBKeys{}, err
	}
	expiry := onion.Epoch(c.Expiry).Start()
	return onion.BuildSURB(newStream(c.Seed), hops, onion.Mailbox(c.Mailbox), onion.SURBID(c.ID), expiry)
}

func addEntries(v *Vectors) error {
	for _, c := range []EntryCase{{Name: "entry, no token"}, {Name: "entry, token of 32", Token: streamBytes("token", 32)}} {
		c.Seed, c.InnerSeed, c.First = c.Name+", rand", c.Name+", inner", streamBytes(c.Name+", first", 32)
		var err error
		if c.Frame, err = c.build(); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		v.Entries = append(v.Entries, c)
	}
	return nil
}

func (c *EntryCase) build() ([]byte, error) {
	in, err := onion.ParseInner(streamBytes(c.InnerSeed, onion.InnerSize))
	if err != nil {
		return nil, err
	}
	return onion.Entry{First: onion.ServerID(c.First), Inner: in, Token: c.Token}.Marshal(newStream(c.Seed))
}

// flipped returns a patch that flips one bit of raw.
func flipped(raw []byte, at int) Patch { return Patch{at, Hex{raw[at] ^ 0x20}} }

// be16 is a 16-bit number, big-endian.
func be16(n uint16) Hex { return binary.BigEndian.AppendUint16(nil, n) }
