package main

import (
	"fmt"
	"slices"

	"github.com/p3do/p3do/mor/onion"
)

// Points that X25519 takes to zero, little-endian, and two names of the base point that are not its shortest.
const (
	order8   = "\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00"
	other8   = "\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57"
	nameBits = 0x80
)

// points returns every low-order encoding and the non-canonical names, with their errors.
func points() (names []string, all [][]byte, errs []string) {
	low := func(first, middle, last byte) []byte {
		b := slices.Repeat([]byte{middle}, 32)
		b[0], b[31] = first, last
		return b
	}
	add := func(name string, point []byte, err string) {
		names, all, errs = append(names, name), append(all, point), append(errs, err)
	}
	for _, p := range []struct {
		name  string
		point []byte
	}{
		{"0", low(0, 0, 0)}, {"1", low(1, 0, 0)}, {"order 8", []byte(order8)}, {"order 8, the other", []byte(other8)},
		{"p-1", low(0xec, 0xff, 0x7f)}, {"p", low(0xed, 0xff, 0x7f)}, {"p+1", low(0xee, 0xff, 0x7f)},
	} {
		add(p.name, p.point, "ErrLowOrder")
		high := slices.Clone(p.point)
		high[31] |= nameBits
		add(p.name+", top bit set", high, "ErrLowOrder")
	}
	add("9+p", low(0xf6, 0xff, 0x7f), "ErrKey")
	add("9, top bit set", low(9, 0, nameBits), "ErrKey")
	return names, all, errs
}

func addRefusals(v *Vectors) error {
	addKeyRefusals(v)
	addOuterRefusals(v)
	addOuterCommandRefusals(v)
	addInnerRefusals(v)
	addInnerCommandRefusals(v)
	addReplyRefusals(v)
	addEntryRefusals(v)
	return nil
}

func addKeyRefusals(v *Vectors) {
	server := v.Keys[1].Public
	names, all, errs := points()
	for i, point := range all {
		v.KeyErrors = append(v.KeyErrors, KeyError{"context key " + names[i], "context", point, errs[i]})
		if i%2 == 0 {
			public := slices.Concat(server[:len(server)-32], point)
			v.KeyErrors = append(v.KeyErrors, KeyError{"server key, X25519 half " + names[i], "server", public, errs[i]})
		}
	}
	unreduced := slices.Concat([]byte{0xff, 0x0f}, server[2:]) // the first coefficient is 4095; ML-KEM has at most 3328
	v.KeyErrors = append(v.KeyErrors,
		KeyError{"server key, unreduced coefficient", "server", unreduced, "ErrKey"},
		KeyError{"server key, short", "server", server[1:], "ErrLength"},
		KeyError{"context key, short", "context", v.Keys[0].Public[1:], "ErrLength"})
}

// fields of a wire packet, by offset.
var wireFields = []struct {
	name string
	at   int
	err  string
}{
	{"version", 0, "ErrVersion"}, {"suite", 1, "ErrSuite"}, {"epoch, high", 2, "ErrAuth"}, {"epoch, low", 3, "ErrAuth"},
	{"share, first", 20, "ErrAuth"}, {"share, last", 51, "ErrAuth"}, {"AEAD tag", 52, "ErrAuth"}, {"AEAD tag, last", 67, "ErrAuth"},
	{"command type", 68, "ErrAuth"}, {"command, last", 115, "ErrAuth"}, {"slot 2", 116, "ErrAuth"}, {"slot 4, last", 403, "ErrAuth"},
	{"content, first", 404, "ErrAuth"}, {"content, middle", 9000, "ErrAuth"}, {"last byte", 16383, "ErrAuth"},
}

// seen is what hop i of an outer case sees.
func (c *OuterCase) seen(i int) []byte {
	if i == 0 {
		return c.Packet
	}
	return c.Peels[i-1].next
}

// retagged is the patch that gives a changed packet the tag that goes with the change.
func retagged(hint, raw []byte, patches ...Patch) []Patch {
	changed := Refusal{Length: len(raw), Patches: patches}.apply(raw)
	core, _ := coreAndTag(changed)
	return append(patches, Patch{4, tagOf(hint, core)})
}

func addOuterRefusals(v *Vectors) {
	c := &v.Outer[4] // three hops
	for _, hop := range []int{0, 2} {
		raw, hint := c.seen(hop), c.Hops[hop].Hint
		add := func(name, err string, length int, patches ...Patch) {
			name = fmt.Sprintf("outer, hop %d: %s", hop, name)
			v.Refusals = append(v.Refusals, Refusal{Name: name, Of: "outer", Case: c.Name, Hop: hop, Length: length, Patches: patches, Error: err})
		}
		add("short", "ErrLength", len(raw)-1)
		add("long", "ErrLength", len(raw)+1)
		add("empty", "ErrLength", 0)
		add("tag, first", "ErrAuth", len(raw), flipped(raw, 4))
		add("tag, last", "ErrAuth", len(raw), flipped(raw, 19))
		for _, f := range wireFields {
			add(f.name+" flipped", f.err, len(raw), flipped(raw, f.at))
			if f.err == "ErrAuth" {
				add(f.name+" flipped, tag made anew", "ErrAuth", len(raw), retagged(hint, raw, flipped(raw, f.at))...)
			}
		}
		next := Patch{2, be16(onion.Epoch(c.Epoch + 1).Wire())}
		add("next epoch, tag made anew", "ErrAuth", len(raw), retagged(hint, raw, next)...)
		names, all, errs := points()
		for i, point := range all {
			if errs[i] == "ErrLowOrder" {
				add("share "+names[i]+", tag made anew", "ErrLowOrder", len(raw), retagged(hint, raw, Patch{20, point})...)
			}
		}
	}
	raw, other := c.Packet, c.Hops[1]
	v.Refusals = append(v.Refusals,
		Refusal{Name: "outer: another key", Of: "outer", Case: c.Name, Length: len(raw), Private: other.Private, Error: "ErrAuth"},
		Refusal{Name: "outer: another hint", Of: "outer", Case: c.Name, Length: len(raw), Hint: other.Hint, Error: "ErrAuth"},
		Refusal{Name: "outer: another hint, tag made anew", Of: "outer", Case: c.Name, Length: len(raw), Hint: other.Hint,
			Patches: retagged(other.Hint, raw), Error: "ErrAuth"})
}

// reseal returns the AEAD tag and the encrypted command that a builder would have made who wanted other bytes in the
// command: that changes nothing else in the ciphertext, since GCM is a stream cipher.
func (l Layer) reseal(sealed, tag, aad []byte, change func(command []byte)) Hex {
	aead := gcmOf(l.Key)
	text := must(aead.Open(nil, l.Nonce, slices.Concat(sealed, tag), aad))
	change(text)
	again := aead.Seal(nil, l.Nonce, text, aad)
	return slices.Concat(again[len(sealed):], again[:64])
}

func addOuterCommandRefusals(v *Vectors) {
	for _, r := range []struct {
		name string
		base int // in v.Outer: exposed, drop, relay
		at   int
		to   byte
	}{
		{"type 0", 0, 0, 0}, {"type 4", 0, 0, 4}, {"flags", 0, 1, 1}, {"budget 4", 0, 36, 4}, {"exposed, reserved", 0, 37, 1},
		{"exposed, reserved, last", 0, 47, 0x80}, {"drop, reserved", 1, 47, 1}, {"drop, tag", 1, 4, 1}, {"relay, reserved", 2, 20, 1},
		{"relay, reserved, last", 2, 47, 1},
	} {
		c := &v.Outer[r.base]
		raw, hop := c.Packet, c.Hops[0]
		sealed := c.Peels[0].Layer.reseal(raw[68:], raw[52:68], raw[:4], func(command []byte) { command[r.at] = r.to })
		patches := retagged(hop.Hint, raw, Patch{52, sealed})
		v.Refusals = append(v.Refusals, Refusal{Name: "outer command: " + r.name, Of: "outer", Case: c.Name,
			Length: len(raw), Patches: patches, Error: "ErrCommand"})
	}
}

func addInnerRefusals(v *Vectors) {
	c := &v.Inner[0]
	raw := c.Packet
	add := func(name, err string, length int, patches ...Patch) {
		v.Refusals = append(v.Refusals, Refusal{Name: "inner: " + name, Of: "inner", Case: c.Name, Length: length, Patches: patches, Error: err})
	}
	add("short", "ErrLength", len(raw)-1)
	add("long", "ErrLength", len(raw)+1)
	for _, f := range []struct {
		name string
		at   int
		err  string
	}{
		{"ML-KEM ciphertext", 0, "ErrAuth"}, {"ML-KEM ciphertext, last", 1087, "ErrAuth"}, {"share", 1088, "ErrAuth"},
		{"share, top bit", 1119, "ErrAuth"}, {"AEAD tag", 1120, "ErrAuth"}, {"command type", 1136, "ErrAuth"},
		{"command, last", 1199, "ErrAuth"}, {"slot 2", 1200, "ErrAuth"}, {"slot 4, last", 4799, "ErrAuth"},
		{"body, first", 4800, "ErrPayload"}, {"body, zeros end", 4831, "ErrPayload"}, {"body, payload", 4832, "ErrPayload"},
		{"body, last", 15979, "ErrPayload"},
	} {
		add(f.name+" flipped", f.err, len(raw), flipped(raw, f.at))
	}
	names, all, errs := points()
	for i, point := range all {
		if errs[i] == "ErrLowOrder" {
			add("share "+names[i], "ErrLowOrder", len(raw), Patch{1088, point})
		}
	}
	other := v.Inner[1].Hops[0].Private
	v.Refusals = append(v.Refusals, Refusal{Name: "inner: another key", Of: "inner", Case: c.Name, Length: len(raw), Private: other, Error: "ErrAuth"})
}

func addInnerCommandRefusals(v *Vectors) {
	for _, r := range []struct {
		name string
		base int // in v.Inner
		at   int
		to   byte
	}{
		{"type 0", 0, 0, 0}, {"type 4", 0, 0, 4}, {"flags", 0, 1, 1}, {"reserved", 0, 56, 1}, {"reserved, last", 0, 63, 1},
		{"deliver with a SURB id", 0, 40, 1}, {"forward with a SURB id", 1, 55, 1},
	} {
		c := &v.Inner[r.base]
		raw := c.Packet
		sealed := c.Peels[0].Layer.reseal(raw[1136:4800], raw[1120:1136], nil, func(command []byte) { command[r.at] = r.to })
		v.Refusals = append(v.Refusals, Refusal{Name: "inner command: " + r.name, Of: "inner", Case: c.Name,
			Length: len(raw), Patches: []Patch{{1120, sealed}}, Error: "ErrCommand"})
	}
}

func addReplyRefusals(v *Vectors) {
	c := &v.SURBs[2]
	last := len(c.Hops) - 1
	body := c.Peels[last].next
	for _, at := range []int{0, 5000, len(body) - 1} {
		v.Refusals = append(v.Refusals, Refusal{Name: fmt.Sprintf("reply: body byte %d flipped", at), Of: "surb", Case: c.Name,
			Hop: last, Length: len(body), Patches: []Patch{flipped(body, at)}, Error: "ErrPayload"})
	}
	v.Refusals = append(v.Refusals, Refusal{Name: "reply: short body", Of: "surb", Case: c.Name, Hop: last, Length: len(body) - 1, Error: "ErrLength"})
}

func addEntryRefusals(v *Vectors) {
	c := &v.Entries[0]
	for _, r := range []struct {
		name, err string
		length    int
		at        int
	}{
		{"short", "ErrLength", onion.Size - 1, 5}, {"long", "ErrLength", onion.Size + 1, 5}, {"version", "ErrVersion", onion.Size, 0},
		{"suite", "ErrSuite", onion.Size, 1}, {"reserved", "ErrCommand", onion.Size, 2}, {"reserved, last", "ErrCommand", onion.Size, 3},
	} {
		v.Refusals = append(v.Refusals, Refusal{Name: "entry: " + r.name, Of: "entry", Case: c.Name, Length: r.length,
			Patches: []Patch{flipped(c.Frame, r.at)}, Error: r.err})
	}
}
