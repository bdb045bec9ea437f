package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// instant is the time at which the vectors are judged, in seconds since 1970.
const instant = 1_800_000_300 // 2027-01-15T08:05:00Z

func now() time.Time { return time.Unix(instant, 0).UTC() }

// A world has the authorities of a.test and b.test, and a context of a.test.
type world struct {
	a, b   *pki.Authority
	record mor.Record
}

func newWorld() (*world, error) {
	random := rand.NewChaCha8([32]byte([]byte("the vectors of P3DO mor, v1     ")))
	w := &world{}
	var err error
	if w.a, err = authority(random, "a.test"); err != nil {
		return nil, err
	}
	if w.b, err = authority(random, "b.test"); err != nil {
		return nil, err
	}
	own, err := mor.NewContext(random, now())
	if err != nil {
		return nil, err
	}
	w.record = mor.Record{
		ID: own.ID, Owner: w.a.Domain(), Key: own.Key.Public(), Hint: own.Hint, Epoch: own.Epoch,
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(mor.RecordLifetime),
		Own: 1, Leads: []onion.ServerID{{1}, {2}},
	}
	return w, nil
}

func authority(random io.Reader, name string) (*pki.Authority, error) {
	domain, err := pki.ParseDomain(name)
	if err != nil {
		return nil, err
	}
	return pki.NewAuthority(random, domain, now())
}

// records: what ParseRecord accepts of a.test, and what it refuses.
func (w *world) records() ([]vector, error) {
	good, err := w.record.Sign(w.a.Sign)
	if err != nil {
		return nil, err
	}
	vectors := []vector{w.judge(accept, "a record, and its hint one epoch on", good)}
	for _, c := range []struct {
		expect, comment string
		edit            func(*mor.Record)
	}{
		{accept, "a record that leads nowhere", func(r *mor.Record) { r.Own, r.Leads = 0, nil }},
		{accept, "a record with 64 leads", func(r *mor.Record) { r.Leads = make([]onion.ServerID, mor.MaxLeads) }},
		{accept, "valid from now on", func(r *mor.Record) { r.NotBefore = now() }},
		{refuse, "not valid before the next second", func(r *mor.Record) { r.NotBefore = now().Add(time.Second) }},
		{refuse, "expired now", func(r *mor.Record) { r.NotAfter = now() }},
		{accept, "valid for 48 hours", func(r *mor.Record) { r.NotAfter = r.NotBefore.Add(2 * mor.RecordLifetime) }},
		{refuse, "valid for a second more", func(r *mor.Record) { r.NotAfter = r.NotBefore.Add(2*mor.RecordLifetime + time.Second) }},
		{accept, "of the present epoch", func(r *mor.Record) { r.Epoch++ }},
		{refuse, "of the epoch after", func(r *mor.Record) { r.Epoch += 2 }},
		{accept, "50 epochs old", func(r *mor.Record) { r.Epoch -= 49 }},
		{refuse, "51 epochs old", func(r *mor.Record) { r.Epoch -= 50 }},
		{refuse, "of b.test, signed by a.test", func(r *mor.Record) { r.Owner = w.b.Domain() }},
	} {
		r := w.record
		c.edit(&r)
		raw, err := r.Sign(w.a.Sign)
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, w.judge(c.expect, c.comment, raw))
	}
	return append(vectors, w.damaged(good)...), nil
}

// damaged: one fault in each field, under the old signature or under a new one.
func (w *world) damaged(good []byte) []vector {
	const idAt, keyAt = 1, 1 + 16 + 1 + len("a.test")
	body := good[:len(good)-pki.SignatureSize]
	resign := func(edit func([]byte)) []byte {
		b := bytes.Clone(body)
		edit(b)
		return append(b, w.a.Sign(mor.RecordLabel, b)...)
	}
	return []vector{
		w.judge(refuse, "a bit of the id flipped", flip(good, idAt)),
		w.judge(refuse, "a bit of the signature flipped", flip(good, len(good)-1)),
		w.judge(refuse, "no signature", body),
		w.judge(refuse, "a byte too many", append(bytes.Clone(good), 0)),
		w.judge(refuse, "nothing", nil),
		w.judge(refuse, "another label", append(bytes.Clone(body), w.a.Sign("context record v2", body)...)),
		w.judge(refuse, "version 2, signed", resign(func(b []byte) { b[0] = 2 })),
		w.judge(refuse, "an owner in capitals, signed", resign(func(b []byte) { b[18] = 'A' })),
		w.judge(refuse, "a key of low order, signed", resign(func(b []byte) { clear(b[keyAt : keyAt+32]) })),
		w.judge(refuse, "more own leads than leads, signed", resign(func(b []byte) { b[len(b)-2*32-2] = 3 })),
	}
}

// judge makes a vector. What is expected is written by hand in the lists above, and the
// tests of package mor compare; only what comes out is computed.
func (w *world) judge(expect, comment string, raw []byte) vector {
	v := vector{Kind: "record", Comment: comment, Expect: expect, In: map[string]string{
		"record": hex.EncodeToString(raw), "authority": hex.EncodeToString(w.a.CA().DER()), "at": strconv.Itoa(instant),
	}}
	known := func(domain pki.Domain) (pki.CACert, bool) { return w.a.CA(), domain == w.a.Domain() }
	r, err := mor.ParseRecord(raw, known, now())
	if err != nil {
		return v
	}
	key := r.Key.Bytes()
	next, _ := r.HintAt(r.Epoch + 1)
	v.Out = map[string]string{
		"id": hex.EncodeToString(r.ID[:]), "owner": r.Owner.String(), "key": hex.EncodeToString(key[:]),
		"hint": hex.EncodeToString(r.Hint[:]), "next hint": hex.EncodeToString(next[:]), "epoch": strconv.FormatUint(uint64(r.Epoch), 10),
		"not before": strconv.FormatInt(r.NotBefore.Unix(), 10), "not after": strconv.FormatInt(r.NotAfter.Unix(), 10),
		"own": strconv.Itoa(r.Own), "leads": strconv.Itoa(len(r.Leads)),
	}
	return v
}

// answers: lists of records, which need not be records yet.
func (w *world) answers() ([]vector, error) {
	var vectors []vector
	for _, c := range []struct{ expect, comment, raw string }{
		{accept, "no records", "00"},
		{accept, "two records, of one byte and of none", "02" + "010000" + "0001" + "aa" + "030000" + "0000"},
		{accept, "the second over the first, the third over both", "03" + "010100" + "0001" + "aa" + "02010100" + "0001" + "bb" + "0300020001" + "0001" + "cc"},
		{refuse, "travelled no Ask", "01" + "000000" + "0001" + "aa"},
		{refuse, "travelled four Asks", "01" + "040000" + "0001" + "aa"},
		{refuse, "neither here nor beyond", "01" + "010200" + "0001" + "aa"},
		{refuse, "fewer records than it says", "02" + "010000" + "0001" + "aa"},
		{refuse, "as many gateways as Asks", "02" + "010100" + "0001" + "aa" + "0200020000" + "0001" + "bb"},
		{refuse, "over itself", "01" + "02010100" + "0001" + "aa"},
		{refuse, "over one that is no nearer", "02" + "020100" + "0001" + "aa" + "02000100" + "0001" + "bb"},
		{refuse, "over one that is no gateway", "02" + "010000" + "0001" + "aa" + "02000100" + "0001" + "bb"},
		{refuse, "over one that is not there", "02" + "010100" + "0001" + "aa" + "02000105" + "0001" + "bb"},
		{refuse, "a way cut off", "01" + "020001"},
		{refuse, "a byte too many", "00" + "00"},
		{refuse, "a record cut off", "01" + "010000" + "0002" + "aa"},
		{refuse, "more than 128 records", "81"},
		{refuse, "nothing", ""},
	} {
		v := vector{Kind: "answer", Comment: c.comment, Expect: c.expect, In: map[string]string{"answer": c.raw}}
		raw, err := hex.DecodeString(c.raw)
		if err != nil {
			return nil, err
		}
		if records, err := mor.ParseAnswer(raw); err == nil {
			v.Out = map[string]string{"records": strconv.Itoa(len(records))}
		}
		vectors = append(vectors, v)
	}
	return vectors, nil
}

// flip returns b with the lowest bit of one byte flipped.
func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}
