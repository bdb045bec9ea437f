package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// The second decoder. It follows docs/spec/onion.md section by section, with numbers where the text has numbers, and
// favours being read over being fast.

// refusal is the name of an error of the specification.
type refusal string

func (r refusal) Error() string { return string(r) }

// coreAndTag: section "Wire packet".
func coreAndTag(raw []byte) (core, tag []byte) {
	return sum(slices.Concat(raw[:4], raw[20:])), raw[4:20]
}

// tagOf: section "Hints".
func tagOf(hint, core []byte) []byte {
	tag := make([]byte, 16)
	aesOf(expand(hint, "p3do tag", 16)).Encrypt(tag, core[:16])
	return tag
}

// checkWire: section "What a receiver refuses", rows of the first parse.
func checkWire(raw []byte) error {
	switch {
	case len(raw) != 16384:
		return refusal("ErrLength")
	case raw[0] != 1:
		return refusal("ErrVersion")
	case raw[1] != 1:
		return refusal("ErrSuite")
	}
	return nil
}

// decodeOuter: section "Peeling", outer tier.
func decodeOuter(private, hint, raw []byte) (peel OuterPeel, err error) {
	if err := checkWire(raw); err != nil {
		return peel, err
	}
	core, tag := coreAndTag(raw)
	if !bytes.Equal(tag, tagOf(hint, core)) {
		return peel, refusal("ErrAuth")
	}
	export, err := exportOf(hpke.DHKEM(ecdh.X25519()), private, raw[20:52], "p3do v1 outer")
	if err != nil {
		return peel, err
	}
	prk, err := hkdf.Extract(sha256.New, export, expand(hint, "p3do layer", 32))
	if err != nil {
		return peel, err
	}
	peel = OuterPeel{Core: core, Tag: tag, Layer: schedule(export, prk)}
	opened, err := peel.Layer.open(raw[68:], raw[52:68], raw[:4], 96)
	if err != nil {
		return OuterPeel{}, err
	}
	err = peel.read(raw[:4], opened[:48], opened[48:])
	return peel, err
}

// read: section "Outer command". stack is what the next hop would see.
func (p *OuterPeel) read(head, command, stack []byte) error {
	p.DelayMS = binary.BigEndian.Uint16(command[2:4])
	reserved := command[4:48]
	switch command[0] {
	case 1:
		p.Command, reserved = "relay", command[20:48]
		p.next = slices.Concat(head, command[4:20], stack)
		p.Next = sum(p.next)
	case 2:
		p.Command, reserved = "exposed", command[37:48]
		p.Server, p.Budget = command[4:36], command[36]
		p.next = stack[:15980]
		p.Inner = sum(p.next)
	case 3:
		p.Command = "drop"
	default:
		return refusal("ErrCommand")
	}
	if command[1] != 0 || p.Budget > 3 || !zeros(reserved) {
		return refusal("ErrCommand")
	}
	return nil
}

// decodeInner: section "Peeling", inner tier.
func decodeInner(private, raw []byte) (peel InnerPeel, err error) {
	if len(raw) != 15980 {
		return peel, refusal("ErrLength")
	}
	export, err := exportOf(hpke.MLKEM768X25519(), private, raw[:1120], "p3do v1 inner")
	if err != nil {
		return peel, err
	}
	peel = InnerPeel{ID: sum(raw)[:16], Layer: schedule(export, export)}
	peel.Layer.BodyKey = expand(export, "p3do body", 32)
	opened, err := peel.Layer.open(raw[1136:4800], raw[1120:1136], nil, 1200)
	if err != nil {
		return InnerPeel{}, err
	}
	body := wideDecrypt(peel.Layer.BodyKey, raw[4800:])
	err = peel.read(opened[:64], opened[64:], body)
	return peel, err
}

// read: section "Inner command".
func (p *InnerPeel) read(command, header, body []byte) error {
	p.DelayMS = binary.BigEndian.Uint16(command[2:4])
	p.Expiry = binary.BigEndian.Uint32(command[4:8])
	p.To = command[8:40]
	if command[0] < 1 || command[0] > 3 || command[1] != 0 || !zeros(command[56:64]) || command[0] != 3 && !zeros(command[40:56]) {
		return refusal("ErrCommand")
	}
	switch command[0] {
	case 1:
		p.Command, p.next = "forward", slices.Concat(header, body)
		p.Next = sum(p.next)
	case 2:
		if !zeros(body[:32]) {
			return refusal("ErrPayload")
		}
		p.Command, p.next = "deliver", body[32:]
		p.Payload = sum(p.next)
	case 3:
		p.Command, p.SURB, p.next = "reply", command[40:56], body
		p.Body = sum(p.next)
	}
	return nil
}

// openReply: section "Reply blocks". keys is the stored form.
func openReply(keys, body []byte) ([]byte, error) {
	for i := int(keys[1]) - 1; i >= 0; i-- {
		body = wideEncrypt(keys[34+32*i:][:32], body)
	}
	body = wideDecrypt(keys[2:34], body)
	if !zeros(body[:32]) {
		return nil, refusal("ErrPayload")
	}
	return body[32:], nil
}

// exportOf is HPKE in base mode with the standard library. A low-order share is one that every scalar takes to zero.
func exportOf(kem hpke.KEM, private, enc []byte, info string) ([]byte, error) {
	share, err := ecdh.X25519().NewPublicKey(enc[len(enc)-32:])
	if err != nil {
		return nil, err
	}
	scalar, err := ecdh.X25519().NewPrivateKey(streamBytes("any scalar", 32))
	if err != nil {
		return nil, err
	}
	if _, err := scalar.ECDH(share); err != nil {
		return nil, refusal("ErrLowOrder")
	}
	key, err := kem.NewPrivateKey(private)
	if err != nil {
		return nil, err
	}
	recipient, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(info))
	if err != nil {
		return nil, err
	}
	return recipient.Export("p3do layer", 32)
}

// schedule: section "Key schedule".
func schedule(export, prk []byte) Layer {
	return Layer{
		Export:    export,
		PRK:       prk,
		Key:       expand(prk, "p3do key", 32),
		Nonce:     expand(prk, "p3do nonce", 12),
		FillerKey: expand(prk, "p3do filler", 32),
		Replay:    expand(prk, "p3do replay", 16),
	}
}

// open authenticates, decrypts, and appends the next filler.
func (l Layer) open(sealed, tag, aad []byte, filler int) ([]byte, error) {
	opened, err := gcmOf(l.Key).Open(nil, l.Nonce, slices.Concat(sealed, tag), aad)
	if err != nil {
		return nil, refusal("ErrAuth")
	}
	return append(opened, ctr(l.FillerKey, make([]byte, 16), make([]byte, filler))...), nil
}

// wideEncrypt and wideDecrypt: section "Wide block".
func wideEncrypt(key, text []byte) []byte {
	hash, block, stream := wideKeys(key)
	left, right := text[:len(text)-16], text[len(text)-16:]
	pm := xor(right, wideHash(hash, left))
	cm := make([]byte, 16)
	aesOf(block).Encrypt(cm, pm)
	left = ctr(stream, cm, left)
	return slices.Concat(left, xor(cm, wideHash(hash, left)))
}

func wideDecrypt(key, text []byte) []byte {
	hash, block, stream := wideKeys(key)
	left, right := text[:len(text)-16], text[len(text)-16:]
	cm := xor(right, wideHash(hash, left))
	left = ctr(stream, cm, left)
	pm := make([]byte, 16)
	aesOf(block).Decrypt(pm, cm)
	return slices.Concat(left, xor(pm, wideHash(hash, left)))
}

func wideKeys(key []byte) (hash, block, stream []byte) {
	okm := expand(key, "p3do wide block", 96)
	return okm[:32], okm[32:64], okm[64:]
}

func wideHash(key, left []byte) []byte {
	return gcmOf(key).Seal(nil, make([]byte, 12), nil, left)
}

func expand(key []byte, label string, n int) []byte {
	return must(hkdf.Expand(sha256.New, key, label, n))
}

func aesOf(key []byte) cipher.Block { return must(aes.NewCipher(key)) }

func gcmOf(key []byte) cipher.AEAD { return must(cipher.NewGCM(aesOf(key))) }

// must is for what fails only if a constant length in this file is wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // unreachable: every length is a constant of this file
	}
	return value
}

func ctr(key, start, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCTR(aesOf(key), start).XORKeyStream(out, text)
	return out
}

func xor(a, b []byte) []byte {
	out := slices.Clone(a)
	for i := range out {
		out[i] ^= b[i]
	}
	return out
}

func zeros(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
