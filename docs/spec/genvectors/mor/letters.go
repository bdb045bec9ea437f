package main

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// The long inputs here are written short: "prefix" is followed by as many zero bytes as
// "length" wants, with one byte set at an offset where "at" names one.

// letters: payloads that a mailbox server reads.
func letters() ([]vector, error) {
	l := mor.Letter{ID: mor.MessageID{0xab, 15: 0xcd}, Day: mor.DayAt(now()), Nonce: 258}
	without := l.Marshal()
	surb, err := onion.ParseSURB(append([]byte{9}, make([]byte, onion.SURBSize-1)...))
	if err != nil {
		return nil, err
	}
	l.SURB = &surb
	with := l.Marshal()
	return []vector{
		letter(accept, "a letter that wants no receipt", without),
		letter(accept, "a letter with a reply block, which begins with 09", with),
		letter(refuse, "a reply block although the flag says none", set(without, 30, 1)),
		letter(accept, "the last byte of the sealed part", set(without, onion.PayloadSize-1, 1)),
		letter(refuse, "another version", set(without, 0, 2)),
		letter(refuse, "an unknown flag", set(without, 1, 2)),
		letter(refuse, "a byte too few", without[:onion.PayloadSize-1]),
		letter(refuse, "a byte too many", append(bytes.Clone(without), 0)),
	}, nil
}

func letter(expect, comment string, payload []byte) vector {
	v := vector{Kind: "letter", Comment: comment, Expect: expect, In: short(payload)}
	l, err := mor.ParseLetter(payload)
	if err != nil {
		return v
	}
	v.Out = map[string]string{
		"id": l.ID.String(), "day": strconv.FormatUint(uint64(l.Day), 10), "nonce": strconv.FormatUint(l.Nonce, 10),
		"reply block": strconv.FormatBool(l.SURB != nil),
	}
	return v
}

// receipts: what a spool sends back.
func receipts() ([]vector, error) {
	var vectors []vector
	add := func(expect, comment string, payload []byte) {
		v := vector{Kind: "receipt", Comment: comment, Expect: expect, In: short(payload)}
		if r, err := mor.ParseReceipt(payload); err == nil {
			v.Out = map[string]string{"id": r.ID.String(), "status": strconv.Itoa(int(r.Status))}
		}
		vectors = append(vectors, v)
	}
	good := mor.Receipt{ID: mor.MessageID{0xab, 15: 0xcd}, Status: mor.Stored}.Marshal()
	add(accept, "stored", good)
	add(accept, "full", set(good, 1, byte(mor.Full)))
	add(accept, "unknown", set(good, 1, byte(mor.Unknown)))
	add(accept, "refused", set(good, 1, byte(mor.Refused)))
	add(refuse, "status 0", set(good, 1, 0))
	add(accept, "used", set(good, 1, byte(mor.Used)))
	add(refuse, "status 6", set(good, 1, 6))
	add(refuse, "another version", set(good, 0, 2))
	add(refuse, "a byte of the padding that is not zero", set(good, onion.PayloadSize-1, 1))
	add(refuse, "a byte too few", good[:onion.PayloadSize-1])
	return vectors, nil
}

// messageIDs: how people see them.
func messageIDs() ([]vector, error) {
	var vectors []vector
	zeros := strings.Repeat("A", 22)
	for i, text := range []string{zeros, "-_" + zeros[2:], "", zeros[1:], zeros + "A", zeros[1:] + "B", "\n" + zeros[1:], "+/" + zeros[2:]} {
		v := vector{Kind: "message id", Comment: "a spelling of 16 bytes", Expect: accept, In: map[string]string{"text": text}}
		if i >= 2 {
			v.Comment, v.Expect = "not the spelling of 16 bytes", refuse
		}
		if id, err := mor.ParseMessageID(text); err == nil {
			v.Out = map[string]string{"id": hex.EncodeToString(id[:])}
		}
		vectors = append(vectors, v)
	}
	return vectors, nil
}

// addresses: mailboxes of days, and the work that a requests address wants.
func addresses() ([]vector, error) {
	secret, day := [32]byte{1, 31: 2}, mor.DayAt(now())
	var vectors []vector
	for _, d := range []mor.Day{0, day, day + 1} {
		mailbox := mor.DayMailbox(secret, d)
		vectors = append(vectors, vector{
			Kind: "day mailbox", Comment: "the address of a day", Expect: accept,
			In:  map[string]string{"secret": hex.EncodeToString(secret[:]), "day": strconv.FormatUint(uint64(d), 10)},
			Out: map[string]string{"mailbox": hex.EncodeToString(mailbox[:])},
		})
	}
	to, l := mor.DayMailbox(secret, 0), mor.Letter{ID: mor.MessageID{0xab, 15: 0xcd}, Day: day}
	l.Work(to)
	vectors = append(vectors, work(accept, "the least nonce", to, l))
	l.Nonce++
	vectors = append(vectors, work(refuse, "the nonce after it", to, l))
	l.Nonce, l.Day = l.Nonce-1, day+1
	return append(vectors, work(refuse, "the nonce on another day", to, l)), nil
}

func work(expect, comment string, to onion.Mailbox, l mor.Letter) vector {
	return vector{Kind: "work", Comment: comment, Expect: expect, In: map[string]string{
		"mailbox": hex.EncodeToString(to[:]), "id": hex.EncodeToString(l.ID[:]),
		"day": strconv.FormatUint(uint64(l.Day), 10), "nonce": strconv.FormatUint(l.Nonce, 10),
	}}
}

// short writes a payload of which little is not zero.
func short(payload []byte) map[string]string {
	const prefix = 64
	in := map[string]string{"length": strconv.Itoa(len(payload)), "prefix": hex.EncodeToString(payload[:prefix])}
	for i, b := range payload[prefix:] {
		if b != 0 {
			in["at"], in["byte"] = strconv.Itoa(prefix+i), strconv.Itoa(int(b))
		}
	}
	return in
}

func set(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}
