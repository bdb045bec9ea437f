package mor_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// vector is one of docs/spec/vectors/mor.json.
type vector struct {
	Kind, Comment, Expect string
	In, Out               map[string]string
}

// hex decodes an input in hexadecimal.
func (v vector) hex(name string) []byte { return must(hex.DecodeString(v.In[name])) }

func (v vector) number(name string) uint64 { return must(strconv.ParseUint(v.In[name], 10, 64)) }

// long rebuilds a payload that is written short.
func (v vector) long() []byte {
	payload := make([]byte, v.number("length"))
	copy(payload, v.hex("prefix"))
	if _, ok := v.In["middle"]; ok {
		copy(payload[v.number("middle at"):], v.hex("middle"))
	}
	if _, ok := v.In["at"]; ok {
		payload[v.number("at")] = byte(v.number("byte"))
	}
	return payload
}

// answer is what an implementation that is asked v says: what it finds out, or an error.
func (v vector) answer() (map[string]string, error) {
	switch v.Kind {
	case "record":
		return v.record()
	case "answer":
		records, err := mor.ParseAnswer(v.hex("answer"))
		return map[string]string{"records": strconv.Itoa(len(records))}, err
	case "letter":
		l, err := mor.ParseLetter(v.long())
		return map[string]string{
			"id": l.ID.String(), "day": fmt.Sprint(l.Day), "nonce": fmt.Sprint(l.Nonce), "reply block": fmt.Sprint(l.SURB != nil),
		}, err
	case "receipt":
		r, err := mor.ParseReceipt(v.long())
		return map[string]string{"id": r.ID.String(), "status": fmt.Sprint(uint8(r.Status))}, err
	case "query":
		q, err := mor.ParseQuery(v.long())
		return map[string]string{"name": q.Name.String(), "key": hex.EncodeToString(q.Key[:]), "challenge": hex.EncodeToString(q.Challenge)}, err
	case "finding":
		f, err := mor.ParseFinding(v.long())
		return map[string]string{
			"card bytes": fmt.Sprint(len(f.Card)), "proof kind": fmt.Sprint(f.Proof.Kind), "proof bytes": fmt.Sprint(len(f.Proof.Bytes)),
		}, err
	case "query mailbox":
		m := mor.QueryMailbox()
		return map[string]string{"mailbox": hex.EncodeToString(m[:])}, nil
	case "message id":
		id, err := mor.ParseMessageID(v.In["text"])
		return map[string]string{"id": hex.EncodeToString(id[:])}, err
	case "day mailbox":
		m := mor.DayMailbox([32]byte(v.hex("secret")), mor.Day(v.number("day")))
		return map[string]string{"mailbox": hex.EncodeToString(m[:])}, nil
	case "work":
		l := mor.Letter{ID: mor.MessageID(v.hex("id")), Day: mor.Day(v.number("day")), Nonce: v.number("nonce")}
		if !l.Worked(onion.Mailbox(v.hex("mailbox"))) {
			return nil, fmt.Errorf("no work")
		}
		return nil, nil
	}
	return nil, fmt.Errorf("an unknown kind of vector: %s", v.Kind)
}

func (v vector) record() (map[string]string, error) {
	ca := must(pki.ParseCACert(v.hex("authority")))
	known := func(domain pki.Domain) (pki.CACert, bool) { return ca, domain == ca.Domain() }
	r, err := mor.ParseRecord(v.hex("record"), known, time.Unix(int64(v.number("at")), 0))
	if err != nil {
		return nil, err
	}
	key := r.Key.Bytes()
	next, _ := r.HintAt(r.Epoch + 1)
	return map[string]string{
		"id": hex.EncodeToString(r.ID[:]), "owner": r.Owner.String(), "key": hex.EncodeToString(key[:]),
		"hint": hex.EncodeToString(r.Hint[:]), "next hint": hex.EncodeToString(next[:]), "epoch": fmt.Sprint(uint32(r.Epoch)),
		"not before": fmt.Sprint(r.NotBefore.Unix()), "not after": fmt.Sprint(r.NotAfter.Unix()),
		"own": fmt.Sprint(r.Own), "leads": fmt.Sprint(len(r.Leads)),
	}, nil
}

// The vectors of the specification hold.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("../docs/spec/vectors/mor.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	accepted := make(map[string]int)
	for _, v := range file.Vectors {
		out, err := v.answer()
		if (err == nil) != (v.Expect == "accept") {
			t.Errorf("%s, %s: want %s, got %v", v.Kind, v.Comment, v.Expect, err)
			continue
		}
		if err == nil {
			accepted[v.Kind]++
		}
		for name, want := range v.Out {
			if out[name] != want {
				t.Errorf("%s, %s: %s is %s, want %s", v.Kind, v.Comment, name, out[name], want)
			}
		}
	}
	if len(file.Vectors) < 85 || len(accepted) != 10 {
		t.Errorf("%d vectors, accepted %v", len(file.Vectors), accepted)
	}
}
