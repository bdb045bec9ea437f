package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/internal/link"
)

const vectorsFile = "../docs/spec/vectors/peer.json"

// vectorFile is docs/spec/vectors/peer.json. docs/spec/mor.md, "Between nodes", says what a
// message is, and docs/spec/link.md, "Vectors", how these are read.
type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

// A vector is a control message of a peer, or a notice.
type vector struct {
	Kind    string   `json:"kind"` // message or notice
	Comment string   `json:"comment"`
	Expect  string   `json:"expect"`
	Text    string   `json:"text"`              // the message, UTF-8, or the notice in hexadecimal
	Written string   `json:"written,omitempty"` // as this implementation writes it
	Out     *outcome `json:"out,omitempty"`
}

// An outcome is what an accepted message says. Bytes are in hexadecimal.
type outcome struct {
	Message  string   `json:"message"` // the name of its field
	Contexts []string `json:"contexts,omitempty"`
	Cross    string   `json:"cross,omitempty"`
	Records  string   `json:"records,omitempty"`

	Number     *int64   `json:"number,omitempty"` // of since, statements, copies_of and copies
	Numbers    []int64  `json:"numbers,omitempty"`
	Sealed     bool     `json:"sealed,omitempty"`
	Statements []string `json:"statements,omitempty"`
	More       bool     `json:"more,omitempty"`
}

const (
	idText = "AAECAwQFBgcICQoLDA0ODw"
	idHex  = "000102030405060708090a0b0c0d0e0f"
	idOnes = "_____________________w"
	onesHx = "ffffffffffffffffffffffffffffffff"
)

func makeVectors() vectorFile {
	return vectorFile{
		"Made by P3DO_REWRITE=1 go test ./node -run Vectors. The specification is docs/spec/mor.md, \"Between nodes\", and docs/spec/link.md, \"Vectors\".",
		append(append(acceptedMessages(), refusedMessages()...), noticeVectors()...),
	}
}

func acceptedMessages() (list []vector) {
	add := func(comment, text, written string, out outcome) {
		list = append(list, vector{"message", comment, "accept", text, written, &out})
	}
	same := func(comment, text string, out outcome) { add(comment, text, text, out) }
	hello := `{"hello":{"contexts":["` + idText + `","` + idOnes + `"],"cross":"AP/+"}}`
	both := outcome{Message: "hello", Contexts: []string{idHex, onesHx}, Cross: "00fffe"}
	same("a hello: channel 0 is the first context, 1 the second", hello, both)
	add("the same with space and in another order",
		"{ \"hello\" : {\n \"cross\": \"AP\\/+\",\t\"contexts\": [ \""+idText+"\", \""+idOnes+"\" ] } }\n", hello, both)
	same("a hello of sixteen contexts", `{"hello":{"contexts":[`+many(16)+`],"cross":""}}`,
		outcome{Message: "hello", Contexts: strings.Fields(strings.Repeat(idHex+" ", 16))})
	same("a hello of no context", `{"hello":{"contexts":[],"cross":"AQ=="}}`, outcome{Message: "hello", Cross: "01"})
	same("an Ask", `{"ask":{"context":"`+idText+`"}}`, outcome{Message: "ask", Contexts: []string{idHex}})
	same("an answer: mor.json says what is in the records", `{"answer":{"context":"`+idOnes+`","records":"AA=="}}`,
		outcome{Message: "answer", Contexts: []string{onesHx}, Records: "00"})
	same("news", `{"news":{}}`, outcome{Message: "news"})
	same("a later countersignature", `{"cross":{"cross":"AP/+"}}`, outcome{Message: "cross", Cross: "00fffe"})
	number := func(n int64) *int64 { return &n }
	same("a question for all statements", `{"since":{"seq":0}}`, outcome{Message: "since", Number: number(0)})
	same("a question for those after the greatest number", `{"since":{"seq":9223372036854775807}}`, outcome{Message: "since", Number: number(math.MaxInt64)})
	same("two statements, and more of them", `{"statements":{"since":0,"statements":["AQA=","AgD/"],"last":7,"more":true}}`,
		outcome{Message: "statements", Number: number(7), Statements: []string{"0100", "0200ff"}, More: true})
	same("no statements", `{"statements":{"since":7,"statements":[],"last":7,"more":false}}`, outcome{Message: "statements", Number: number(7)})
	same("64 statements", `{"statements":{"since":0,"statements":[`+manyOf("AQ==", 64)+`],"last":64,"more":false}}`,
		outcome{Message: "statements", Number: number(64), Statements: strings.Fields(strings.Repeat("01 ", 64))})
	same("a question for the numbers of users", `{"copies_of":{"from":7,"sealed":false,"seen":9}}`, outcome{Message: "copies_of", Number: number(7)})
	same("a question for copies of users", `{"copies_of":{"from":0,"sealed":true,"seen":0}}`, outcome{Message: "copies_of", Number: number(0), Sealed: true})
	same("numbers of users, and more of them", `{"copies":{"from":7,"sealed":false,"numbers":[7,9],"more":true,"size":12,"checkpoint":"AQ=="}}`,
		outcome{Message: "copies", Number: number(7), Numbers: []int64{7, 9}, More: true})
	same("no copies", `{"copies":{"from":7,"sealed":true,"more":false,"size":12}}`, outcome{Message: "copies", Number: number(7), Sealed: true})
	return list
}

// many is a list of n contexts.
func many(n int) string { return manyOf(idText, n) }

func manyOf(text string, n int) string {
	return strings.TrimSuffix(strings.Repeat(`"`+text+`",`, n), ",")
}

func refusedMessages() (list []vector) {
	add := func(comment, text string) {
		list = append(list, vector{Kind: "message", Comment: comment, Expect: "refuse", Text: text})
	}
	ask := func(id string) string { return `{"ask":{"context":"` + id + `"}}` }
	add("no message", "")
	add("no JSON", "hello")
	add("no object", `["news"]`)
	add("no field", `{}`)
	add("no field but one that is null", `{"news":null}`)
	add("two fields", `{"news":{},"ask":{"context":"`+idText+`"}}`)
	add("an unknown field", `{"gossip":{}}`)
	add("an unknown field beside a good one", `{"news":{},"gossip":{}}`)
	add("a field in upper case", `{"NEWS":{}}`)
	add("a field twice", `{"news":{},"news":{}}`)
	add("a field twice inside", `{"ask":{"context":"`+idText+`","context":"`+idText+`"}}`)
	add("a field inside in another case", `{"ask":{"Context":"`+idText+`"}}`)
	add("bytes that are no UTF-8, in a place that nobody reads", "{\"\xff\":{},\"news\":{}}")
	add("an unknown field inside", `{"news":{"of":"something"}}`)
	add("something behind it", `{"news":{}}{"news":{}}`)
	add("a bracket behind it", `{"news":{}}]`)
	add("cut off", `{"ask":{"context":"`+idText+`"}`)
	add("an id one character short", ask(idText[1:]))
	add("an id one character long", ask(idText+"A"))
	add("an id with padding", ask(idText+"=="))
	add("an id that is not canonical: its last four bits are not zero", ask(idText[:21]+"x"))
	add("an id in the other alphabet", ask("/////////////////////w"))
	add("an id with a line end in it", ask(idText[:20]+`\n`+idText[20:]))
	add("an id that is a number", `{"ask":{"context":7}}`)
	add("seventeen contexts", `{"hello":{"contexts":[`+many(17)+`],"cross":""}}`)
	add("contexts that are no list", `{"hello":{"contexts":"`+idText+`","cross":""}}`)
	add("a cross-certificate that is no base64", `{"hello":{"contexts":[],"cross":"?"}}`)
	add("a cross-certificate in base64url", `{"hello":{"contexts":[],"cross":"AP_-"}}`)
	add("records without padding", `{"answer":{"context":"`+idText+`","records":"AA"}}`)
	add("a number that is negative", `{"since":{"seq":-1}}`)
	add("a number that is none", `{"since":{"seq":"7"}}`)
	add("a number that is not whole", `{"since":{"seq":0.5}}`)
	add("a number that is too great", `{"since":{"seq":9223372036854775808}}`)
	add("statements with a negative number", `{"statements":{"statements":[],"last":-1,"more":false}}`)
	add("65 statements", `{"statements":{"since":0,"statements":[`+manyOf("AQ==", 65)+`],"last":65,"more":false}}`)
	add("a question for users before the first", `{"copies_of":{"from":-1,"sealed":false,"seen":0}}`)
	add("numbers that do not ascend", `{"copies":{"from":0,"sealed":false,"numbers":[7,7],"more":false,"size":12}}`)
	add("a number before the one that was asked for", `{"copies":{"from":8,"sealed":false,"numbers":[7],"more":false,"size":12}}`)
	add("a copy that is too short", `{"copies":{"from":0,"sealed":true,"copies":[{"number":7,"sealed":"AQ=="}],"more":false,"size":12}}`)
	add("a statement in base64url", `{"statements":{"statements":["AP_-"],"last":1,"more":false}}`)
	return list
}

// noticeVectors are notices: verb and channel 1, core 32, tag 16.
func noticeVectors() (list []vector) {
	const id = "02" + "00000000000000000000000000000000000000000000000000000000000000" + "03" + "000000000000000000000000000000"
	zero := strings.Repeat("00", 48)
	add := func(comment, expect, text string, out *outcome) {
		list = append(list, vector{Kind: "notice", Comment: comment, Expect: expect, Text: text, Out: out})
	}
	says := func(message string, channel int64, id string) *outcome {
		return &outcome{Message: message, Number: &channel, Records: id}
	}
	add("an announcement on channel 0", "accept", "10"+id, says("announce", 0, id))
	add("an announcement on the highest channel", "accept", "1f"+id, says("announce", 15, id))
	add("a fetch", "accept", "20"+id, says("fetch", 0, id))
	add("a prune", "accept", "30"+zero, says("prune", 0, zero))
	add("a prune that names a packet", "refuse", "30"+id, nil)
	add("a fetch of a context that we do not speak on", "refuse", "21"+id, nil)
	add("a prune of one", "refuse", "31"+zero, nil)
	add("no verb", "refuse", "00"+id, nil)
	add("an unknown verb", "refuse", "40"+id, nil)
	return list
}

func checkNotice(t *testing.T, v vector) {
	raw, err := hex.DecodeString(v.Text)
	must(t, err)
	n, err := parseNotice(link.Notice(raw))
	if v.Expect == "refuse" {
		if !errors.Is(err, errPeerMessage) {
			t.Errorf("taken for %+v, err = %v", n, err)
		}
		return
	}
	must(t, err)
	names := map[verb]string{announces: "announce", fetches: "fetch", prunes: "prune"}
	id := hex.EncodeToString(append(n.id.Core[:], n.id.Tag[:]...))
	if names[n.verb] != v.Out.Message || int64(n.channel) != *v.Out.Number || id != v.Out.Records || n.marshal() != link.Notice(raw) {
		t.Errorf("says %+v", n)
	}
}

// TestVectorsAreUpToDate: the file is what the functions above make.
func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, makeVectors()) }

// TestVectors: what the file says is what this package does.
func TestVectors(t *testing.T) {
	var file vectorFile
	golden.Read(t, vectorsFile, &file)
	if len(file.Vectors) < 30 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		check := checkMessage
		if v.Kind == "notice" {
			check = checkNotice
		}
		t.Run(v.Comment, func(t *testing.T) { check(t, v) })
	}
}

func checkMessage(t *testing.T, v vector) {
	m, err := parsePeerMessage([]byte(v.Text))
	if v.Expect == "refuse" {
		if !errors.Is(err, errPeerMessage) {
			t.Errorf("taken for %+v, err = %v", m, err)
		}
		return
	}
	must(t, err)
	again, err := m.marshal()
	must(t, err)
	if string(again) != v.Written {
		t.Errorf("written as %s", again)
	}
	got, err := json.Marshal(outcomeOf(m))
	must(t, err)
	want, err := json.Marshal(v.Out)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("says %s, want %s", got, want)
	}
}

func outcomeOf(m peerMessage) outcome {
	ids := func(list ...contextID) (texts []string) {
		for _, id := range list {
			texts = append(texts, hex.EncodeToString(id[:]))
		}
		return texts
	}
	switch {
	case m.Hello != nil:
		return outcome{Message: "hello", Contexts: ids(m.Hello.Contexts...), Cross: hex.EncodeToString(m.Hello.Cross)}
	case m.Ask != nil:
		return outcome{Message: "ask", Contexts: ids(m.Ask.Context)}
	case m.Cross != nil:
		return outcome{Message: "cross", Cross: hex.EncodeToString(m.Cross.Cross)}
	case m.Since != nil:
		return outcome{Message: "since", Number: &m.Since.Seq}
	case m.Statements != nil:
		o := outcome{Message: "statements", Number: &m.Statements.Last, More: m.Statements.More}
		for _, raw := range m.Statements.Statements {
			o.Statements = append(o.Statements, hex.EncodeToString(raw))
		}
		return o
	case m.CopiesOf != nil:
		return outcome{Message: "copies_of", Number: &m.CopiesOf.From, Sealed: m.CopiesOf.Sealed}
	case m.Copies != nil:
		return outcome{Message: "copies", Number: &m.Copies.From, Numbers: m.Copies.Numbers, Sealed: m.Copies.Sealed, More: m.Copies.More}
	case m.Answer != nil:
		return outcome{Message: "answer", Contexts: ids(m.Answer.Context), Records: hex.EncodeToString(m.Answer.Records)}
	}
	return outcome{Message: "news"}
}
