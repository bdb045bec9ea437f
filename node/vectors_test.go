package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the vectors anew; commit the difference only if you understand it")

const vectorsFile = "../docs/spec/vectors/peer.json"

// vectorFile is docs/spec/vectors/peer.json. docs/spec/mor.md, "Between nodes", says what a
// message is, and docs/spec/link.md, "Vectors", how these are read.
type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

// A vector is a control message of a peer.
type vector struct {
	Kind    string   `json:"kind"` // message
	Comment string   `json:"comment"`
	Expect  string   `json:"expect"`
	Text    string   `json:"text"`              // the message, UTF-8
	Written string   `json:"written,omitempty"` // as this implementation writes it
	Out     *outcome `json:"out,omitempty"`
}

// An outcome is what an accepted message says. Bytes are in hexadecimal.
type outcome struct {
	Message  string   `json:"message"` // the name of its field
	Contexts []string `json:"contexts,omitempty"`
	Cross    string   `json:"cross,omitempty"`
	Records  string   `json:"records,omitempty"`
}

const (
	idText = "AAECAwQFBgcICQoLDA0ODw"
	idHex  = "000102030405060708090a0b0c0d0e0f"
	idOnes = "_____________________w"
	onesHx = "ffffffffffffffffffffffffffffffff"
)

func makeVectors() vectorFile {
	return vectorFile{
		"Made by go test ./node -run Vectors -rewrite. The specification is docs/spec/mor.md, \"Between nodes\", and docs/spec/link.md, \"Vectors\".",
		append(acceptedMessages(), refusedMessages()...),
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
	return list
}

// many is a list of n contexts.
func many(n int) string { return strings.TrimSuffix(strings.Repeat(`"`+idText+`",`, n), ",") }

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
	return list
}

// TestVectorsAreUpToDate: the file is what the functions above make.
func TestVectorsAreUpToDate(t *testing.T) {
	var made bytes.Buffer
	e := json.NewEncoder(&made)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	must(t, e.Encode(makeVectors()))
	if *rewrite {
		must(t, os.WriteFile(vectorsFile, made.Bytes(), 0o644))
	}
	got, err := os.ReadFile(vectorsFile)
	must(t, err)
	if !bytes.Equal(got, made.Bytes()) {
		t.Errorf("%s is stale; from the root of the module: go test ./node -run Vectors -rewrite", vectorsFile)
	}
}

// TestVectors: what the file says is what this package does.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile(vectorsFile)
	must(t, err)
	var file vectorFile
	must(t, json.Unmarshal(text, &file))
	if len(file.Vectors) < 30 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Comment, func(t *testing.T) { checkMessage(t, v) })
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
	case m.Answer != nil:
		return outcome{Message: "answer", Contexts: ids(m.Answer.Context), Records: hex.EncodeToString(m.Answer.Records)}
	}
	return outcome{Message: "news"}
}
