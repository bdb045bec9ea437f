package main

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// askedAt is where a query says what is asked for: behind version, kind and reply block.
const askedAt = 1 + 1 + onion.SURBSize

// queries: payloads for the address that stands for look-ups.
func queries() ([]vector, error) {
	name, err := pki.ParseName("bob@b.test")
	if err != nil {
		return nil, err
	}
	surb, err := onion.ParseSURB(append([]byte{9}, make([]byte, onion.SURBSize-1)...))
	if err != nil {
		return nil, err
	}
	long, err := pki.ParseName("bob@" + strings.Repeat(strings.Repeat("b", 48)+".", 4) + "test")
	if err != nil {
		return nil, err
	}
	byName := mor.Query{Name: name, SURB: surb}.Marshal()
	byKey := mor.Query{Key: pki.Fingerprint{0xab, 31: 0xcd}, SURB: surb}.Marshal()
	empty := mor.Query{SURB: surb}.Marshal()
	empty[1], empty[askedAt+1] = 3, 0 // of a key of zeros
	long4097 := bytes.Clone(empty)
	long4097[askedAt], long4097[askedAt+1] = 0x10, 0x01
	address := mor.QueryMailbox()
	return []vector{
		{Kind: "query mailbox", Comment: "the address that stands for look-ups", Expect: accept, In: map[string]string{}, Out: map[string]string{"mailbox": hex.EncodeToString(address[:])}},
		query(accept, "bob@b.test", byName),
		query(accept, "a long name", mor.Query{Name: long, SURB: surb}.Marshal()),
		query(accept, "an identity key", byKey),
		query(accept, "a challenge", mor.Query{Challenge: []byte("signed, unjudged"), SURB: surb}.Marshal()),
		query(refuse, "an empty challenge", empty),
		query(refuse, "a challenge of 4097", long4097),
		query(refuse, "another version", set(byName, 0, 2)),
		query(refuse, "kind 0", set(byName, 1, 0)),
		query(refuse, "kind 4", set(byName, 1, 4)),
		query(refuse, "a name as a key", set(byName, 1, 2)),
		query(refuse, "a key as a name", set(byKey, 1, 1)),
		query(refuse, "a name with a capital", set(byName, askedAt+2, 'B')),
		query(refuse, "a byte of the name less than it has", set(byName, askedAt+1, 9)),
		query(refuse, "a byte behind the name", set(byName, askedAt+1, 11)),
		query(refuse, "more than there is", set(byName, askedAt, 0xff)),
		query(refuse, "a byte of the padding that is not zero", set(byName, onion.PayloadSize-1, 1)),
		query(refuse, "a byte too few", byName[:onion.PayloadSize-1]),
		query(refuse, "a byte too many", append(bytes.Clone(byName), 0)),
	}, nil
}

func query(expect, comment string, payload []byte) vector {
	v := vector{Kind: "query", Comment: comment, Expect: expect, In: shortAt(payload, askedAt)}
	if q, err := mor.ParseQuery(payload); err == nil {
		v.Out = map[string]string{"name": q.Name.String(), "key": hex.EncodeToString(q.Key[:]), "challenge": hex.EncodeToString(q.Challenge)}
	}
	return v
}

// findings: what comes back.
func findings() ([]vector, error) {
	var vectors []vector
	var failed error
	add := func(expect, comment string, payload []byte, err error, at int) {
		if err != nil {
			failed = err
			return
		}
		v := vector{Kind: "finding", Comment: comment, Expect: expect, In: shortAt(payload, at)}
		if f, err := mor.ParseFinding(payload); err == nil {
			v.Out = map[string]string{
				"card bytes": strconv.Itoa(len(f.Card)), "proof kind": strconv.Itoa(int(f.Proof.Kind)), "proof bytes": strconv.Itoa(len(f.Proof.Bytes)),
			}
		}
		vectors = append(vectors, v)
	}
	found, err := mor.Finding{Card: []byte("a card, unjudged")}.Marshal()
	add(accept, "found", found, err, 32)
	none, err := mor.Finding{}.Marshal()
	add(accept, "none", none, err, 32)
	largest := mor.Finding{Card: make([]byte, pki.MaxCardSize), Proof: mor.Proof{Kind: 1, Bytes: make([]byte, mor.MaxProofSize)}}
	full, err := largest.Marshal()
	proofAt := 4 + pki.MaxCardSize
	add(accept, "the largest card and the largest proof, of a kind that is not known", full, err, proofAt)
	if failed != nil {
		return nil, failed
	}
	add(refuse, "another version", set(found, 0, 2), nil, 32)
	add(refuse, "status 0", set(found, 1, 0), nil, 32)
	add(refuse, "status 3", set(found, 1, 3), nil, 32)
	add(refuse, "found, and no card", set(none, 1, 1), nil, 32)
	add(refuse, "none, and a card", set(found, 1, 2), nil, 32)
	add(refuse, "a card of a byte too many", set(set(found, 2, 0x20), 3, 1), nil, 32)
	add(refuse, "a proof of a byte too many", set(full, proofAt+2, 1), nil, proofAt)
	add(refuse, "a proof of no kind", set(full, proofAt, 0), nil, proofAt)
	add(refuse, "a byte of the padding that is not zero", set(found, onion.PayloadSize-1, 1), nil, 32)
	add(refuse, "a byte too few", found[:onion.PayloadSize-1], nil, 32)
	return vectors, nil
}

// shortAt is short for a payload that has up to 256 bytes more, at an offset.
func shortAt(payload []byte, at int) map[string]string {
	const middle = 256
	part := bytes.TrimRight(payload[at:min(at+middle, len(payload))], "\x00")
	rest := bytes.Clone(payload)
	clear(rest[at : at+len(part)])
	in := short(rest)
	in["middle at"], in["middle"] = strconv.Itoa(at), hex.EncodeToString(part)
	return in
}
