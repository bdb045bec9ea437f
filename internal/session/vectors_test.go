package session

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

const vectorsFile = "../../docs/spec/vectors/session.json"

// vectorFile is docs/spec/vectors/session.json. docs/spec/session.md says what each kind asks.
type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

// A vector is one message. Fields are those of its body: bytes in hexadecimal, lists in words.
type vector struct {
	Kind     string            `json:"kind"` // request or answer
	Comment  string            `json:"comment"`
	Expect   string            `json:"expect"`
	Reason   string            `json:"reason,omitempty"`    // malformed, or the code of the error that answers it
	LoggedIn bool              `json:"logged_in,omitempty"` // of a request: whether it comes after a login
	Text     string            `json:"text"`                // the message
	Seq      uint64            `json:"seq"`
	Op       Op                `json:"op,omitempty"`   // of an answer: what was asked; submitted for an entry frame
	Code     Code              `json:"code,omitempty"` // of an error, and its text
	Says     string            `json:"says,omitempty"`
	Shown    pki.Fingerprint   `json:"shown,omitzero"` // of an error
	Fields   map[string]string `json:"fields,omitempty"`
}

// malformed is the reason of what ends the link.
const malformed = "malformed"

// TestVectorsAreUpToDate: the file is what makeVectors makes.
func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors()) }

// TestVectors: what the file says is what this package does.
func TestVectors(t *testing.T) {
	var file vectorFile
	golden.Read(t, vectorsFile, &file)
	if len(file.Vectors) < 80 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	near, far := linkPair(t)
	for _, v := range file.Vectors {
		t.Run(v.Kind+" "+string(v.Op)+" "+v.Comment, func(t *testing.T) {
			switch {
			case v.Kind == "request":
				checkRequest(t, v, near, far)
			case v.Kind == "answer" && v.Expect == "refuse":
				m, err := parseMessage([]byte(v.Text))
				if err == nil {
					_, _, err = fieldsOf(v.Kind, v.Op, m.Body)
				}
				if err == nil {
					t.Errorf("taken for %+v", m)
				}
			case v.Kind == "answer":
				checkText(t, v)
			default:
				t.Errorf("unknown kind %q", v.Kind)
			}
		})
	}
}

// checkText reads an accepted message and writes it again.
func checkText(t *testing.T, v vector) {
	t.Helper()
	m := must(parseMessage([]byte(v.Text)))
	again := message{Seq: v.Seq}
	if v.Kind == "request" || v.Op == opSubmitted {
		again.Op = v.Op
	}
	if m.Seq != again.Seq || m.Op != again.Op {
		t.Errorf("number %d, operation %q", m.Seq, m.Op)
	}
	if v.Code != "" {
		if m.Error == nil || *m.Error != (Error{v.Code, v.Says, v.Shown}) {
			t.Errorf("error %+v", m.Error)
		}
		again.Error = &Error{v.Code, v.Says, v.Shown}
	} else {
		fields, body, err := fieldsOf(v.Kind, v.Op, m.Body)
		check(t, err)
		if !maps.Equal(fields, v.Fields) {
			t.Errorf("fields %v, want %v", fields, v.Fields)
		}
		again.Body = must(json.Marshal(body))
	}
	if text := must(json.Marshal(again)); string(text) != v.Text {
		t.Errorf("written as %s", text)
	}
}

// checkRequest has a node answer it over a link.
func checkRequest(t *testing.T, v vector, near, far *link.Conn) {
	t.Helper()
	if v.Expect == "accept" {
		checkText(t, v)
	}
	s := &served{desk: agreeable(), conn: far, room: make(chan struct{}, 1)}
	if v.LoggedIn {
		s.user = new(pki.UserCert)
	}
	err := s.request(t.Context(), []byte(v.Text))
	if v.Reason == malformed {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("err = %v", err)
		}
		return
	}
	check(t, err)
	s.work.Wait()
	received, err := near.Receive()
	check(t, err)
	answer := must(parseMessage(received.Control))
	var code Code
	if answer.Error != nil {
		code = answer.Error.Code
	}
	if answer.Seq != v.Seq || string(code) != v.Reason {
		t.Errorf("answered with %s", received.Control)
	}
}

// agreeable is a desk that has nothing and says yes.
func agreeable() *Desk {
	return &Desk{
		Domain:   must(pki.ParseDomain("a.test")),
		Register: func(context.Context, []byte, []byte) ([]byte, error) { return nil, nil },
		Authenticate: func(context.Context, Login, [pki.ExporterSize]byte) (pki.UserCert, HomeView, error) {
			return pki.UserCert{}, HomeView{Domain: must(pki.ParseDomain("a.test")), Path: PathHome}, nil
		},
		Statements: func(_ context.Context, since int64) (Stated, error) { return Stated{Last: since}, nil },
		Publish:    func(context.Context, pki.UserCert, []byte) error { return nil },
		Directory:  func(context.Context, pki.Domain) (Descriptors, error) { return Descriptors{}, nil },
		Revoke:     func(context.Context, []byte) error { return nil },
		Move:       func(context.Context, []byte) error { return nil },
		Challenge:  func(context.Context, []byte) error { return nil },
		Entries:    func(context.Context, pki.UserCert, int64) (LogPart, error) { return LogPart{}, nil },
		Lookup:     func(context.Context, pki.Name) (Found, error) { return Found{}, nil },
		Claim:      func(context.Context, pki.UserCert, []Mailbox) error { return nil },
		Items:      func(context.Context, pki.UserCert, Items) ([]Item, error) { return nil, nil },
		Forget:     func(context.Context, pki.UserCert, []int64) error { return nil },
		Submit:     func(context.Context, pki.UserCert, onion.Entry) error { return nil },
	}
}

// fieldsOf reads a body; kind and op say of what.
func fieldsOf(kind string, op Op, raw []byte) (fields map[string]string, body any, err error) {
	if kind == "answer" {
		return answerFields(op, raw)
	}
	return requestFields(op, raw)
}

func requestFields(op Op, raw []byte) (map[string]string, any, error) {
	switch op {
	case OpRegister:
		return read(raw, func(b Register) map[string]string {
			return map[string]string{"request": hex.EncodeToString(b.Request), "invite": hex.EncodeToString(b.Invite)}
		})
	case OpLogin:
		return read(raw, func(b Login) map[string]string {
			return map[string]string{
				"name": b.Name.String(), "certificate": hex.EncodeToString(b.Certificate), "proof": hex.EncodeToString(b.Proof),
				"authority": hex.EncodeToString(b.Authority), "device": hex.EncodeToString(b.Device), "card": hex.EncodeToString(b.Card),
			}
		})
	case OpPublish:
		return read(raw, func(b Publish) map[string]string { return map[string]string{"card": hex.EncodeToString(b.Card)} })
	case OpDirectory:
		return read(raw, func(b Directory) map[string]string { return map[string]string{"after": b.After.String()} })
	case OpLookup:
		return read(raw, func(b Lookup) map[string]string { return map[string]string{"name": b.Name.String()} })
	case OpClaim:
		return read(raw, func(b Claim) map[string]string {
			fields := map[string]string{}
			for i, m := range b.Mailboxes {
				fields[strconv.Itoa(i)] = fmt.Sprintf("%x %s %d", m.Address[:], m.Kind, m.Until)
			}
			return fields
		})
	case OpItems:
		return read(raw, func(b Items) map[string]string {
			return map[string]string{"after": strconv.FormatInt(b.After, 10), "wait": strconv.FormatInt(int64(b.Wait), 10)}
		})
	}
	if op == OpRevoke {
		return read(raw, func(b Revoke) map[string]string {
			return map[string]string{"revocation": hex.EncodeToString(b.Revocation)}
		})
	}
	if op == OpMove {
		return read(raw, func(b Move) map[string]string { return map[string]string{"move": hex.EncodeToString(b.Move)} })
	}
	if op == OpChallenge {
		return read(raw, func(b Challenge) map[string]string {
			return map[string]string{"challenge": hex.EncodeToString(b.Challenge)}
		})
	}
	if op == OpStatements {
		return read(raw, func(b Statements) map[string]string {
			return map[string]string{"since": strconv.FormatInt(b.Since, 10)}
		})
	}
	if op == OpEntries {
		return read(raw, func(b Entries) map[string]string {
			return map[string]string{"first": strconv.FormatInt(b.First, 10)}
		})
	}
	return read(raw, func(b Forget) map[string]string {
		return map[string]string{"seqs": strings.Trim(fmt.Sprint(b.Seqs), "[]")}
	})
}

func answerFields(op Op, raw []byte) (map[string]string, any, error) {
	switch op {
	case OpRegister:
		return read(raw, func(b Registered) map[string]string {
			return map[string]string{"certificate": hex.EncodeToString(b.Certificate)}
		})
	case OpLogin:
		fields, body, err := read(raw, welcomeFields)
		return fields, body, errors.Join(err, taken(err != nil || body.(Welcome).valid()))
	case OpDirectory:
		return read(raw, func(b Descriptors) map[string]string {
			fields := map[string]string{"descriptors": strings.Trim(fmt.Sprintf("%x", b.Descriptors), "[]"), "last": b.Last.String()}
			if len(b.Shown) > 0 {
				fields["shown"] = strings.Trim(fmt.Sprintf("%x", b.Shown), "[]")
			}
			return fields
		})
	case OpLookup:
		return read(raw, func(b Found) map[string]string {
			fields := map[string]string{"card": hex.EncodeToString(b.Card), "away": strconv.FormatBool(b.Away)}
			if len(b.Proof) > 0 {
				fields["proof"] = hex.EncodeToString(b.Proof)
			}
			return fields
		})
	case OpItems:
		return read(raw, func(b Held) map[string]string {
			fields := map[string]string{}
			for _, i := range b.Items {
				text := fmt.Sprintf("letter %x", i.Body)
				if i.Reply {
					text = fmt.Sprintf("reply %x %x", i.SURB[:], i.Body)
				}
				fields[strconv.FormatInt(i.Seq, 10)] = text
			}
			return fields
		})
	}
	if op == OpStatements {
		fields, body, err := read(raw, func(b Stated) map[string]string {
			return map[string]string{
				"statements": strings.Trim(fmt.Sprintf("%x", b.Statements), "[]"), "last": strconv.FormatInt(b.Last, 10), "more": strconv.FormatBool(b.More),
			}
		})
		return fields, body, errors.Join(err, taken(err != nil || body.(Stated).follows(0)))
	}
	if op == OpEntries {
		fields, body, err := read(raw, func(b LogPart) map[string]string {
			return map[string]string{"checkpoint": hex.EncodeToString(b.Checkpoint), "entries": hex.EncodeToString(b.Entries), "label": hex.EncodeToString(b.Label)}
		})
		return fields, body, errors.Join(err, taken(err != nil || body.(LogPart).good()))
	}
	return read(raw, func(empty) map[string]string { return map[string]string{} })
}

// taken is an error unless an answer is in bounds.
func taken(ok bool) error {
	if !ok {
		return ErrMalformed
	}
	return nil
}

func welcomeFields(b Welcome) map[string]string {
	fields := map[string]string{
		"domain": b.Domain.String(), "home": b.Home.Domain.String(), "path": string(b.Home.Path),
		"confirmed": strings.Trim(fmt.Sprint(b.Home.Confirmed), "[]"), "home_online": strconv.FormatBool(b.Home.Online),
		"home_gone": strconv.FormatBool(b.Home.Gone),
	}
	if b.Pace != nil {
		fields["pace"] = fmt.Sprintf("%d ms", b.Pace.Millis)
		if b.Pace.Poisson {
			fields["pace"] += " at random"
		}
	}
	return fields
}

func read[B any](raw []byte, fields func(B) map[string]string) (map[string]string, any, error) {
	var body B
	if err := strictjson.Unmarshal(raw, &body); err != nil {
		return nil, nil, err
	}
	return fields(body), body, nil
}
