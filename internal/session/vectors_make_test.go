package session

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/p3do/p3do/pki"
)

func makeVectors() vectorFile {
	return vectorFile{
		"Made by P3DO_REWRITE=1 go test ./internal/session -run Vectors. The specification is docs/spec/session.md.",
		slices.Concat(goodRequests(), goodAnswers(), endingRequests(), badRequests(), earlyRequests(), badAnswers()),
	}
}

// b64 and hexed are the same n bytes, b each, in the message and in the file.
func b64(n int, b byte) string   { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, n)) }
func hexed(n int, b byte) string { return hex.EncodeToString(bytes.Repeat([]byte{b}, n)) }

// goodRequests are one of each, and what is at a bound.
func goodRequests() (list []vector) {
	add := func(op Op, comment string, seq uint64, body string, fields map[string]string) {
		text := `{"seq":` + strconv.FormatUint(seq, 10) + `,"op":"` + string(op) + `","body":` + body + `}`
		list = append(list, vector{
			Kind: "request", Comment: comment, Expect: "accept", LoggedIn: op != OpRevoke && op != OpMove && op != OpChallenge, Text: text, Seq: seq, Op: op, Fields: fields,
		})
	}
	add(OpRegister, "asks for a certificate", 1, `{"request":"`+b64(4, 0xfb)+`"}`, map[string]string{"request": hexed(4, 0xfb), "invite": ""})
	add(OpRegister, "asks for a certificate with the longest invitation", 1, `{"request":"`+b64(4, 0xfb)+`","invite":"`+b64(MaxInvite, 5)+`"}`,
		map[string]string{"request": hexed(4, 0xfb), "invite": hexed(MaxInvite, 5)})
	login := `{"name":"ann@a.test","certificate":"` + b64(3, 0x30) + `","proof":"` + b64(64, 0xff) + `"`
	add(OpLogin, "logs in at home", 0, login+`}`,
		map[string]string{"name": "ann@a.test", "certificate": hexed(3, 0x30), "proof": hexed(64, 0xff), "authority": "", "device": "", "card": ""})
	add(OpLogin, "logs in elsewhere", 0, login+`,"authority":"`+b64(pki.MaxCertificateSize, 0x31)+`"}`,
		map[string]string{
			"name": "ann@a.test", "certificate": hexed(3, 0x30), "proof": hexed(64, 0xff), "authority": hexed(pki.MaxCertificateSize, 0x31),
			"device": "", "card": "",
		})
	add(OpLogin, "a device of hers logs in", 0, login+`,"device":"`+b64(32, 0x32)+`","card":"`+b64(pki.MaxCardSize, 0x33)+`"}`,
		map[string]string{
			"name": "ann@a.test", "certificate": hexed(3, 0x30), "proof": hexed(64, 0xff), "authority": "",
			"device": hexed(32, 0x32), "card": hexed(pki.MaxCardSize, 0x33),
		})
	add(OpPublish, "hands in her card", 2, `{"card":"`+b64(2, 1)+`"}`, map[string]string{"card": hexed(2, 1)})
	add(OpDirectory, "asks for the first page", 3, `{}`, map[string]string{"after": ""})
	add(OpDirectory, "asks for the next page", 4, `{"after":"b.test"}`, map[string]string{"after": "b.test"})
	add(OpLookup, "looks somebody up", 5, `{"name":"bob@b.test"}`, map[string]string{"name": "bob@b.test"})
	mailbox := func(b byte, kind, until string) string {
		return `{"address":"` + b64(32, b) + `","kind":"` + kind + `","until":` + until + `}`
	}
	add(OpClaim, "claims a mailbox of each kind", 6,
		`{"mailboxes":[`+mailbox(1, "requests", "0")+`,`+mailbox(2, "contact", "20779")+`,`+mailbox(3, "replies", "4294967295")+`]}`,
		map[string]string{
			"0": hexed(32, 1) + " requests 0", "1": hexed(32, 2) + " contact 20779", "2": hexed(32, 3) + " replies 4294967295",
		})
	add(OpClaim, "claims nothing", 7, `{"mailboxes":[]}`, map[string]string{})
	add(OpItems, "asks what has come", 8, `{"after":0,"wait":0}`, map[string]string{"after": "0", "wait": "0"})
	add(OpItems, "waits for the longest time", 9, `{"after":9223372036854775807,"wait":25000000000}`,
		map[string]string{"after": "9223372036854775807", "wait": "25000000000"})
	add(OpItems, "would wait for longer: the node takes it as 25 s", 10, `{"after":1,"wait":3600000000000}`,
		map[string]string{"after": "1", "wait": "3600000000000"})
	add(OpForget, "two items are durable", 11, `{"seqs":[1,300]}`, map[string]string{"seqs": "1 300"})
	add(OpForget, "as many as may be, and the greatest number of a request", 18446744073709551615, `{"seqs":[`+ones(MaxForget)+`]}`,
		map[string]string{"seqs": strings.TrimSpace(strings.Repeat("1 ", MaxForget))})
	add(OpStatements, "asks for the first statements", 12, `{"since":0}`, map[string]string{"since": "0"})
	add(OpStatements, "asks for what comes after the greatest number", 13, `{"since":9223372036854775807}`,
		map[string]string{"since": "9223372036854775807"})
	add(OpRevoke, "hands in a revocation of the greatest length", 14, `{"revocation":"`+b64(pki.MaxRevocationSize, 1)+`"}`,
		map[string]string{"revocation": hexed(pki.MaxRevocationSize, 1)})
	add(OpMove, "hands in a move of the greatest length", 15, `{"move":"`+b64(pki.MaxMoveSize, 1)+`"}`,
		map[string]string{"move": hexed(pki.MaxMoveSize, 1)})
	add(OpChallenge, "hands in a challenge of the greatest length", 16, `{"challenge":"`+b64(pki.MaxChallengeSize, 1)+`"}`,
		map[string]string{"challenge": hexed(pki.MaxChallengeSize, 1)})
	add(OpEntries, "asks for the key log of her home", 17, `{"first":300}`, map[string]string{"first": "300"})
	return list
}

// ones is a list of n numbers.
func ones(n int) string { return strings.TrimSuffix(strings.Repeat("1,", n), ",") }

// goodAnswers are one to each request, and one of each error.
func goodAnswers() (list []vector) {
	add := func(op Op, comment, body string, fields map[string]string) {
		list = append(list, vector{
			Kind: "answer", Comment: comment, Expect: "accept", Text: `{"seq":7,"body":` + body + `}`, Seq: 7, Op: op, Fields: fields,
		})
	}
	nothing := map[string]string{}
	add(OpRegister, "a certificate", `{"certificate":"`+b64(3, 0x30)+`"}`, map[string]string{"certificate": hexed(3, 0x30)})
	welcome := func(comment, home string, fields map[string]string) {
		fields["domain"] = "c.test"
		add(OpLogin, comment, `{"domain":"c.test","home":`+home+`}`, fields)
	}
	paced := func(comment, pace, says string) {
		add(OpLogin, comment, `{"domain":"c.test","home":{"domain":"c.test","path":"home"},"pace":`+pace+`}`, map[string]string{
			"domain": "c.test", "home": "c.test", "path": "home", "confirmed": "", "home_online": "false", "home_gone": "false", "pace": says,
		})
	}
	paced("welcome, and a schedule", `{"ms":500}`, "500 ms")
	paced("welcome, and a schedule at random times", `{"ms":1000,"poisson":true}`, "1000 ms at random")
	paced("welcome, and the fastest schedule", `{"ms":100}`, "100 ms")
	paced("welcome, and the slowest", `{"ms":10000}`, "10000 ms")
	welcome("welcome at home", `{"domain":"c.test","path":"home","home_online":true}`,
		map[string]string{"home": "c.test", "path": "home", "confirmed": "", "home_online": "true", "home_gone": "false"})
	welcome("welcome elsewhere", `{"domain":"a.test","path":"cache","confirmed":["b.test","d.test"]}`,
		map[string]string{"home": "a.test", "path": "cache", "confirmed": "b.test d.test", "home_online": "false", "home_gone": "false"})
	welcome("welcome elsewhere, by DNS", `{"domain":"a.test","path":"dns","home_online":true}`,
		map[string]string{"home": "a.test", "path": "dns", "confirmed": "", "home_online": "true", "home_gone": "false"})
	welcome("welcome elsewhere, by a key server, and the home is gone", `{"domain":"a.test","path":"keyserver","home_gone":true}`,
		map[string]string{"home": "a.test", "path": "keyserver", "confirmed": "", "home_online": "false", "home_gone": "true"})
	add(OpPublish, "published", `{}`, nothing)
	add(OpDirectory, "a page", `{"descriptors":["`+b64(1, 1)+`","`+b64(2, 2)+`"],"last":"b.test"}`,
		map[string]string{"descriptors": "01 0202", "last": "b.test"})
	add(OpDirectory, "the last page", `{"descriptors":["`+b64(1, 3)+`"]}`, map[string]string{"descriptors": "03", "last": ""})
	add(OpDirectory, "a domain that shows another key", `{"descriptors":["`+b64(1, 3)+`"],"shown":["`+b64(1, 4)+`"]}`, map[string]string{"descriptors": "03", "last": "", "shown": "04"})
	add(OpDirectory, "no servers", `{"descriptors":[]}`, map[string]string{"descriptors": "", "last": ""})
	add(OpLookup, "a card", `{"card":"`+b64(2, 1)+`"}`, map[string]string{"card": hexed(2, 1), "away": "false"})
	add(OpLookup, "a card and its place in the log", `{"card":"`+b64(2, 1)+`","proof":"`+b64(3, 1)+`"}`, map[string]string{"card": hexed(2, 1), "away": "false", "proof": hexed(3, 1)})
	add(OpLookup, "a copy of a card", `{"card":"`+b64(2, 1)+`","away":true}`, map[string]string{"card": hexed(2, 1), "away": "true"})
	add(OpClaim, "claimed", `{}`, nothing)
	add(OpItems, "a letter and a reply",
		`{"items":[{"seq":41,"body":"`+b64(11148, 1)+`"},{"seq":42,"surb":"`+b64(16, 9)+`","body":"`+b64(11180, 2)+`"}]}`,
		map[string]string{"41": "letter " + hexed(11148, 1), "42": "reply " + hexed(16, 9) + " " + hexed(11180, 2)})
	add(OpItems, "nothing has come", `{"items":[]}`, nothing)
	add(OpForget, "forgotten", `{}`, nothing)
	add(OpRevoke, "revoked", `{}`, nothing)
	add(OpMove, "moved", `{}`, nothing)
	add(OpChallenge, "challenged", `{}`, nothing)
	add(OpEntries, "two entries", `{"checkpoint":"`+b64(9, 1)+`","entries":"`+b64(2*EntrySize, 2)+`","label":"`+b64(80, 3)+`"}`,
		map[string]string{"checkpoint": hexed(9, 1), "entries": hexed(2*EntrySize, 2), "label": hexed(80, 3)})
	add(OpStatements, "two statements, and more", `{"statements":["`+b64(2, 1)+`","`+b64(3, 2)+`"],"last":7,"more":true}`,
		map[string]string{"statements": "0101 020202", "last": "7", "more": "true"})
	add(OpStatements, "the last statement", `{"statements":["`+b64(1, 3)+`"],"last":8}`,
		map[string]string{"statements": "03", "last": "8", "more": "false"})
	add(OpStatements, "no statements", `{"statements":[],"last":8}`, map[string]string{"statements": "", "last": "8", "more": "false"})
	list = append(list, vector{
		Kind: "answer", Comment: "the first entry frame is on its way", Expect: "accept", Text: `{"seq":1,"op":"submitted","body":{}}`,
		Seq: 1, Op: opSubmitted, Fields: nothing,
	})
	for _, code := range []Code{BadRequest, NotLoggedIn, Refused, NotFound, WrongKey, Full, Unavailable} {
		list = append(list, failure("an error", "", code, "it is so"))
	}
	shown := failure("another key of a domain", "", WrongKey, "b.test shows another key")
	shown.Shown = pki.Fingerprint{1, 2, 3}
	shown.Text = strings.TrimSuffix(shown.Text, "}}") + `,"shown":"` + shown.Shown.String() + `"}}`
	return append(list,
		failure("an entry frame is refused", opSubmitted, Full, "no room"),
		shown,
		failure("the longest text", "", Refused, strings.Repeat("x", MaxText)),
		failure("a text that is not ASCII", "", Refused, "Gr\u00fc\u00dfe, \u65e5\u672c"))
}

func failure(comment string, op Op, code Code, text string) vector {
	raw := `{"seq":7,`
	if op != "" {
		raw += `"op":"` + string(op) + `",`
	}
	return vector{
		Kind: "answer", Comment: comment + ": " + string(code), Expect: "accept", Seq: 7, Op: op,
		Text: raw + `"error":{"code":"` + string(code) + `","text":"` + text + `"}}`, Code: code, Says: text,
	}
}

// endingRequests end the link.
func endingRequests() (list []vector) {
	for _, bad := range [][2]string{
		{"no message", ""}, {"no JSON", "hello"}, {"a list", `[]`}, {"cut off", `{"seq":1,"op":"directory","body":{}`},
		{"an unknown field", `{"seq":1,"op":"directory","body":{},"more":1}`},
		{"a field twice", `{"seq":1,"seq":2,"op":"directory","body":{}}`},
		{"a field in upper case", `{"SEQ":1,"op":"directory","body":{}}`},
		{"a field twice in the body", `{"seq":1,"op":"directory","body":{"after":"a.test","after":"b.test"}}`},
		{"a field in upper case in the body", `{"seq":1,"op":"directory","body":{"After":"a.test"}}`},
		{"seventeen objects in one another", `{"seq":1,"op":"directory","body":` + strings.Repeat(`{"a":`, 16) + `1` + strings.Repeat("}", 17)},
		{"something behind it", `{"seq":1,"op":"directory","body":{}}{}`}, {"a bracket behind it", `{"seq":1,"op":"directory","body":{}}]`},
		{"a negative number", `{"seq":-1,"op":"directory","body":{}}`},
		{"a number too great", `{"seq":18446744073709551616,"op":"directory","body":{}}`},
		{"a number that is no integer", `{"seq":1.5,"op":"directory","body":{}}`},
		{"a number as text", `{"seq":"1","op":"directory","body":{}}`}, {"an operation that is no text", `{"seq":1,"op":7,"body":{}}`},
		{"an error", `{"seq":1,"op":"directory","error":{"code":"full","text":"no"}}`},
		{"an error without an operation", `{"seq":1,"error":{"code":"full","text":"no"}}`},
	} {
		list = append(list, vector{
			Kind: "request", Comment: bad[0] + ": the link ends", Expect: "refuse", Reason: malformed, LoggedIn: true, Text: bad[1],
		})
	}
	return list
}

// badRequests are answered with an error.
func badRequests() (list []vector) {
	add := func(comment, op, body string) {
		list = append(list, vector{
			Kind: "request", Comment: comment, Expect: "refuse", Reason: string(BadRequest), LoggedIn: true, Seq: 9,
			Text: `{"seq":9,"op":"` + op + `"` + body + `}`,
		})
	}
	claim := func(address, kind, until string) string {
		return `,"body":{"mailboxes":[{"address":"` + address + `","kind":` + kind + `,"until":` + until + `}]}`
	}
	add("an unknown operation", "shout", `,"body":{}`)
	add("no operation", "", `,"body":{}`)
	add("what only an answer says", "submitted", `,"body":{}`)
	add("no body", "publish", "")
	add("a body that is no object", "publish", `,"body":"AAAA"`)
	add("an unknown field in the body", "publish", `,"body":{"card":"AAAA","more":1}`)
	add("bytes that are no base64", "publish", `,"body":{"card":"?"}`)
	add("bytes in base64url", "publish", `,"body":{"card":"__-_"}`)
	add("bytes without padding", "publish", `,"body":{"card":"AA"}`)
	add("a name in upper case", "lookup", `,"body":{"name":"Bob@b.test"}`)
	add("a domain in place of a name", "lookup", `,"body":{"name":"b.test"}`)
	add("a question of 1 025 bytes", "lookup", `,"body":{"name":"bob@b.test"`+strings.Repeat(" ", 1004)+`}`)
	add("a domain with a dot behind it", "directory", `,"body":{"after":"b.test."}`)
	add("an address of 31 bytes", "claim", claim(b64(31, 1), `"contact"`, "1"))
	add("an address of 33 bytes", "claim", claim(b64(33, 1), `"contact"`, "1"))
	add("a day too late", "claim", claim(b64(32, 1), `"contact"`, "4294967296"))
	add("a kind that is no text", "claim", claim(b64(32, 1), `1`, "1"))
	add("an unknown field in a mailbox", "claim", claim(b64(32, 1), `"contact"`, `1,"more":1`))
	add("an item's number too great", "items", `,"body":{"after":9223372036854775808,"wait":0}`)
	add("a wait as text", "items", `,"body":{"after":0,"wait":"1s"}`)
	add("an invitation of 65 bytes", "register", `,"body":{"request":"AAAA","invite":"`+b64(MaxInvite+1, 5)+`"}`)
	add("an authority of 6 145 bytes", "login", `,"body":{"name":"ann@a.test","certificate":"AAAA","proof":"AAAA","authority":"`+b64(pki.MaxCertificateSize+1, 5)+`"}`)
	device := `,"body":{"name":"ann@a.test","certificate":"AAAA","proof":"AAAA"`
	add("a card of 8 193 bytes", "login", device+`,"device":"`+b64(32, 5)+`","card":"`+b64(pki.MaxCardSize+1, 5)+`"}`)
	add("a device without a card", "login", device+`,"device":"`+b64(32, 5)+`"}`)
	add("a card without a device", "login", device+`,"card":"`+b64(3, 5)+`"}`)
	add("statements after a number below zero", "statements", `,"body":{"since":-1}`)
	add("statements after a number too great", "statements", `,"body":{"since":9223372036854775808}`)
	add("a revocation of 4 097 bytes", "revoke", `,"body":{"revocation":"`+b64(pki.MaxRevocationSize+1, 5)+`"}`)
	add("a move of 8 193 bytes", "move", `,"body":{"move":"`+b64(pki.MaxMoveSize+1, 5)+`"}`)
	add("an item too many", "forget", `,"body":{"seqs":[`+ones(MaxForget+1)+`]}`)
	return list
}

// earlyRequests come before a login.
func earlyRequests() (list []vector) {
	for op, body := range map[Op]string{
		OpPublish: `{"card":"AAAA"}`, OpLookup: `{"name":"bob@b.test"}`, OpClaim: `{"mailboxes":[]}`, OpItems: `{"after":0,"wait":0}`,
		OpForget: `{"seqs":[]}`, OpStatements: `{"since":0}`, "shout": `{}`,
	} {
		list = append(list, vector{
			Kind: "request", Comment: string(op) + " before a login", Expect: "refuse", Reason: string(NotLoggedIn), Seq: 3,
			Text: `{"seq":3,"op":"` + string(op) + `","body":` + body + `}`,
		})
	}
	slices.SortFunc(list, func(a, b vector) int { return strings.Compare(a.Comment, b.Comment) })
	return list
}

// badAnswers end the client's session. Op is what was asked.
func badAnswers() (list []vector) {
	add := func(op Op, comment, text string) {
		list = append(list, vector{Kind: "answer", Comment: comment, Expect: "refuse", Reason: malformed, Text: text, Op: op})
	}
	add(OpLookup, "no JSON", "hello")
	add(OpLookup, "an unknown field", `{"seq":1,"body":{"card":"AAAA"},"more":1}`)
	add(OpLookup, "an unknown field in the body", `{"seq":1,"body":{"card":"AAAA","more":1}}`)
	add(OpLookup, "something behind it", `{"seq":1,"body":{"card":"AAAA"}} 1`)
	add(OpLookup, "a body and an error", `{"seq":1,"body":{"card":"AAAA"},"error":{"code":"full","text":"no"}}`)
	add(OpLookup, "neither", `{"seq":1}`)
	add(OpLookup, "an error with an operation", `{"seq":1,"op":"lookup","error":{"code":"full","text":"no"}}`)
	add(OpLookup, "an unknown field in an error", `{"seq":1,"error":{"code":"full","text":"no","more":1}}`)
	add(OpLookup, "an escape sequence in an error", `{"seq":1,"error":{"code":"full","text":"\u001b[31m"}}`)
	add(OpLookup, "a line end in an error", `{"seq":1,"error":{"code":"full","text":"two\nlines"}}`)
	add(OpLookup, "a mark that turns the direction of writing", `{"seq":1,"error":{"code":"full","text":"a\u202eb"}}`)
	add(OpLookup, "a replacement character", `{"seq":1,"error":{"code":"full","text":"\ufffd"}}`)
	add(OpLookup, "a text of 401 bytes", `{"seq":1,"error":{"code":"full","text":"`+strings.Repeat("x", MaxText+1)+`"}}`)
	add(OpLogin, "a domain that is none", `{"seq":1,"body":{"domain":"A.test"}}`)
	add(OpLogin, "a home that is no domain", `{"seq":1,"body":{"domain":"a.test","home":{"domain":"A.test","path":"cache"}}}`)
	add(OpLogin, "an unknown field of the home", `{"seq":1,"body":{"domain":"a.test","home":{"domain":"a.test","path":"home","more":1}}}`)
	pace := func(comment, pace string) {
		add(OpLogin, comment, `{"seq":1,"body":{"domain":"a.test","home":{"domain":"a.test","path":"home"},"pace":`+pace+`}}`)
	}
	pace("a schedule that is too fast", `{"ms":99}`)
	pace("a schedule that is too slow", `{"ms":10001}`)
	pace("a schedule of no time", `{"ms":0}`)
	pace("a schedule of another kind", `{"ms":100,"burst":2}`)
	add(OpLogin, "an unknown path", `{"seq":1,"body":{"domain":"a.test","home":{"domain":"a.test","path":"luck"}}}`)
	add(OpLogin, "nothing of the home", `{"seq":1,"body":{"domain":"a.test"}}`)
	add(OpLogin, "65 domains that know the home", `{"seq":1,"body":{"domain":"a.test","home":{"domain":"a.test","path":"cache","confirmed":[`+
		strings.TrimSuffix(strings.Repeat(`"b.test",`, MaxConfirmed+1), ",")+`]}}}`)
	add(OpStatements, "65 statements", `{"seq":1,"body":{"statements":[`+
		strings.TrimSuffix(strings.Repeat(`"AA==",`, MaxStatements+1), ",")+`],"last":99}}`)
	add(OpStatements, "more of nothing", `{"seq":1,"body":{"statements":[],"last":1,"more":true}}`)
	add(OpStatements, "a statement without a number", `{"seq":1,"body":{"statements":["AA=="],"last":0}}`)
	add(OpDirectory, "a descriptor that is no base64", `{"seq":1,"body":{"descriptors":["?"]}}`)
	add(OpItems, "a name of 15 bytes for a reply block", `{"seq":1,"body":{"items":[{"seq":1,"surb":"`+b64(15, 1)+`","body":"AAAA"}]}}`)
	add(OpItems, "an unknown field in an item", `{"seq":1,"body":{"items":[{"seq":1,"body":"AAAA","more":1}]}}`)
	add(OpClaim, "a body with anything in it", `{"seq":1,"body":{"more":1}}`)
	return list
}
