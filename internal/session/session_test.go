package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// All requests, over a real link.
func TestRoundTrip(t *testing.T) {
	h := newHome(t)
	h.items = []Item{{Seq: 1, Body: []byte("letter")}, {Seq: 2, Reply: true, SURB: onion.SURBID{7}, Body: []byte("reply")}}
	ann, c := h.ann(t)
	ctx := t.Context()

	check(t, c.Publish(ctx, []byte("card of ann")))
	found, err := c.Lookup(ctx, ann.name)
	check(t, err)
	if string(found.Card) != "card of ann" {
		t.Errorf("card %q", found.Card)
	}
	items, err := c.Items(ctx, Items{After: 1})
	check(t, err)
	if len(items) != 1 || !items[0].Reply || items[0].SURB != (onion.SURBID{7}) || string(items[0].Body) != "reply" {
		t.Errorf("items %+v", items)
	}
	check(t, c.Claim(ctx, make([]Mailbox, 2*MaxClaims+1))) // in three requests
	check(t, c.Forget(ctx, make([]int64, MaxForget+1)))    // in two
	if h.claimed != 2*MaxClaims+1 || len(h.forgotten) != MaxForget+1 {
		t.Errorf("%d claimed, %d forgotten", h.claimed, len(h.forgotten))
	}
	_, err = c.Lookup(ctx, must(pki.ParseName("nobody@a.test")))
	wantCode(t, err, NotFound, "there is no nobody@a.test")
}

// The directory comes in pages, whole and in order.
func TestDirectoryPages(t *testing.T) {
	h := newHome(t)
	for i := range 10 {
		domain := must(pki.ParseDomain(fmt.Sprintf("d%d.test", i)))
		h.servers = append(h.servers, server{domain, []byte(domain.String())})
	}
	got, _, err := h.client(t).Directory(t.Context()) // needs no login
	check(t, err)
	if text := string(bytes.Join(got, []byte(" "))); len(got) != 10 || !strings.HasPrefix(text, "d0.test d1.test") || !strings.HasSuffix(text, "d9.test") {
		t.Errorf("directory %s", text)
	}
}

// A proof is good on the link that it was made for, and on no other (row Y15).
func TestLoginIsBoundToItsLink(t *testing.T) {
	h := newHome(t)
	ann, _ := h.ann(t)
	first, second := h.connect(t), h.connect(t)
	login := func(exported [pki.ExporterSize]byte) string {
		body := must(json.Marshal(Login{Name: ann.name, Certificate: ann.cert, Proof: ann.key.SignLogin(exported, ann.name)}))
		return string(must(json.Marshal(message{Seq: 1, Op: OpLogin, Body: body})))
	}
	recorded := login(must(exporter(first)))
	if answer := raw(t, second, recorded); !strings.Contains(answer, `"code":"refused"`) {
		t.Errorf("replayed on another link: %s", answer)
	}
	if answer := raw(t, second, `{"seq":2,"op":"items","body":{"after":0,"wait":0}}`); !strings.Contains(answer, `"not-logged-in"`) {
		t.Errorf("after the replay: %s", answer)
	}
	if answer := raw(t, first, recorded); !strings.Contains(answer, `"domain":"a.test"`) {
		t.Errorf("on its own link: %s", answer)
	}
	if answer := raw(t, second, login(must(exporter(second)))); !strings.Contains(answer, `"domain":"a.test"`) {
		t.Errorf("a proof of its own: %s", answer)
	}
}

// Another name, another key, somebody else's certificate: refused.
func TestLoginRefusals(t *testing.T) {
	h := newHome(t)
	ann, _ := h.ann(t)
	bob := newPerson("bob@a.test")
	bob.register(t, h.client(t))
	for what, l := range map[string]struct {
		name pki.Name
		cert []byte
		key  pki.IdentityKey
	}{
		"another's name":        {bob.name, ann.cert, ann.key},
		"another's key":         {ann.name, ann.cert, bob.key},
		"another's certificate": {ann.name, bob.cert, ann.key},
		"no certificate":        {ann.name, nil, ann.key},
	} {
		_, err := h.client(t).Login(t.Context(), l.name, l.cert, l.key, nil)
		if err == nil {
			t.Errorf("%s: logged in", what)
		}
		wantCode(t, err, Refused, "")
	}
}

// Nothing but register, login and directory is answered before a login.
func TestLoginFirst(t *testing.T) {
	h := newHome(t)
	c, ctx := h.client(t), t.Context()
	_, lookup := c.Lookup(ctx, must(pki.ParseName("ann@a.test")))
	_, items := c.Items(ctx, Items{})
	_, stated := c.Statements(ctx, 0)
	for what, err := range map[string]error{
		"statements": stated, "publish": c.Publish(ctx, []byte("card")), "lookup": lookup, "items": items,
		"claim": c.Claim(ctx, make([]Mailbox, 1)), "forget": c.Forget(ctx, []int64{1}),
		"submit": c.Submit(ctx, frame(t, 1)),
	} {
		t.Run(what, func(t *testing.T) { wantCode(t, err, NotLoggedIn, "log in first") })
	}
	if len(h.cards)+h.claimed+len(h.entries)+len(h.forgotten) > 0 {
		t.Error("something was done all the same")
	}
}

// What a request must be, and what a user hears who sends something else.
func TestRequestsAreStrict(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	claim := string(must(json.Marshal(Mailbox{Kind: Contact, Until: 1})))
	for _, x := range []struct{ request, answer string }{
		{`{"seq":90,"op":"shout"}`, `{"seq":90,"error":{"code":"bad-request","text":"unknown operation \"shout\""}}`},
		{`{"seq":91,"op":"lookup","body":{"name":"ann@a.test","color":"red"}}`, `unknown field \"color\"`},
		{`{"seq":92,"op":"lookup","body":{"name":"Ann@a.test"}}`, `"bad-request"`},
		{`{"seq":93,"op":"lookup"}`, `malformed lookup`},
		{`{"seq":94,"op":"lookup","body":{"name":"ann@a.test"} }`, `"not-found"`},
		{`{"seq":95,"op":"claim","body":{"mailboxes":[` + strings.Repeat(claim+`,`, MaxClaims) + claim + `]}}`, `1025 at once, at most 1024`},
		{`{"seq":96,"op":"forget","body":{"seqs":[` + strings.Repeat(`1,`, MaxForget) + `1]}}`, `1025 at once, at most 1024`},
		{`{"seq":98,"op":"claim","body":{"mailboxes":[{"address":"AAAA","kind":"contact","until":1}]}}`, `a mailbox address of 3 bytes, not 32`},
		{`{"seq":99,"op":"claim","body":{"mailboxes":[` + strings.Replace(claim, `"kind"`, `"color":1,"kind"`, 1) + `]}}`, `unknown field`},
		{`{"seq":89,"op":"items","body":{` + strings.Repeat(` `, MaxQuestion) + `}}`, `1026 bytes of a question, at most 1024`},
		{`{"seq":97,"op":"directory","body":{"after":"no domain"}}`, `malformed directory`},
	} {
		answered := make(chan message, 1)
		var seq struct {
			Seq uint64 `json:"seq"`
		}
		check(t, json.Unmarshal([]byte(x.request), &seq))
		c.mu.Lock()
		c.waiting[waiter{seq: seq.Seq}] = answered
		c.mu.Unlock()
		check(t, c.conn.SendControl([]byte(x.request)))
		select {
		case m := <-answered:
			if text := string(must(json.Marshal(m))); !strings.Contains(text, x.answer) {
				t.Errorf("%s: %s, want %s", x.request[:40], text, x.answer)
			}
		case <-c.Done():
			t.Fatalf("%s: the link ended", x.request)
		}
	}
}

// What is no message at all ends the link, and names nothing of it.
func TestGarbageEndsTheLink(t *testing.T) {
	for _, garbage := range []string{
		`ann@a.test`, `{"seq":1,"op":"items"} {}`, `{"seq":1,"op":"items"}]`, `{"seq":-1,"op":"items"}`,
		`{"seq":1,"op":"items","name":"ann@a.test"}`, `[]`, `{"seq":1,"op":"items","error":{"code":"full","text":"x"}}`,
	} {
		t.Run(garbage, func(t *testing.T) {
			h := newHome(t)
			conn := h.connect(t)
			check(t, conn.SendControl([]byte(garbage)))
			_, err := conn.Receive()
			if err == nil {
				t.Error("answered")
			}
			if err := <-h.served; !errors.Is(err, ErrMalformed) || strings.Contains(err.Error(), "ann") {
				t.Errorf("the node says %v", err)
			}
		})
	}
	t.Run("a forward", func(t *testing.T) {
		h := newHome(t)
		check(t, h.connect(t).Forward(0, frame(t, 1)))
		if err := <-h.served; !errors.Is(err, ErrMalformed) {
			t.Errorf("the node says %v", err)
		}
	})
}

// An error that is not the user's business is told without its text.
func TestInnerErrorsStayInside(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	_, err := c.Lookup(t.Context(), must(pki.ParseName("secret@a.test")))
	wantCode(t, err, Unavailable, "the node could not do this now")
	if strings.Contains(err.Error(), "disk") {
		t.Errorf("told the user %v", err)
	}
}

// The text of an error can be shown in a terminal, whoever wrote it.
func TestErrorsArePrintable(t *testing.T) {
	e := Errorf(Refused, "%s", "red \x1b[31m\n\xff\u202e"+strings.Repeat("ä", MaxText))
	if len(e.Text) > MaxText || !utf8.ValidString(e.Text) || strings.ContainsAny(e.Text, "\x1b\n\u202e") {
		t.Errorf("%q", e.Text)
	}
	raw := must(json.Marshal(message{Seq: 1, Error: &Error{Code: Refused, Text: "red \x1b[31m"}}))
	if _, err := parseMessage(raw); !errors.Is(err, ErrMalformed) {
		t.Errorf("a node's escape sequence: %v", err)
	}
}

// frame is an entry frame whose first server is n.
func frame(t testing.TB, n byte) *[onion.Size]byte {
	t.Helper()
	inner := must(onion.ParseInner(make([]byte, onion.InnerSize)))
	e := onion.Entry{Inner: inner}
	e.First[0] = n
	return (*[onion.Size]byte)(must(e.Marshal(rand.Reader)))
}

// Entry frames are answered one by one in the order of their coming: each caller hears
// what became of her own.
func TestFramesAreAnsweredInOrder(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			first := byte(i % 2) // zero is refused
			err := c.Submit(t.Context(), frame(t, first))
			if (err != nil) != (first == 0) {
				t.Errorf("frame %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if len(h.entries) != 40 {
		t.Errorf("%d frames came", len(h.entries))
	}
	malformed := frame(t, 1)
	malformed[3] = 1 // reserved
	wantCode(t, c.Submit(t.Context(), malformed), BadRequest, "the entry frame is malformed")
	check(t, c.Submit(t.Context(), frame(t, 1)))
}

// Of one link MaxPending requests are worked on at a time. What comes beyond waits in the
// link, and is answered when there is room.
func TestMaxPending(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	other := h.client(t)
	slow := must(pki.ParseName("slow@a.test"))
	const more = 3
	var all sync.WaitGroup
	for range MaxPending + more {
		all.Go(func() {
			_, err := c.Lookup(t.Context(), slow)
			wantCode(t, err, NotFound, "")
		})
	}
	for range MaxPending {
		<-h.waiting
	}
	for c.conn.Stats().Sent[link.KindControl] < 2+MaxPending+more { // with register and login
		runtime.Gosched()
	}
	for range 50 { // the node has time to go on, if it wants to
		_, _, err := other.Directory(t.Context())
		check(t, err)
	}
	close(h.release)
	all.Wait()
	if h.busiest != MaxPending {
		t.Errorf("%d worked on at a time, not %d", h.busiest, MaxPending)
	}
}

// A client whose node dies learns it at once, whatever it waits for.
func TestClientSeesTheNodeEnd(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Lookup(t.Context(), must(pki.ParseName("slow@a.test")))
		failed <- err
	}()
	<-h.waiting
	h.stop()
	if err := <-failed; err == nil {
		t.Error("an answer from a node that ended")
	}
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the client does not see it")
	}
	if _, err := c.Items(t.Context(), Items{}); !errors.Is(err, link.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if err := c.Submit(t.Context(), frame(t, 1)); !errors.Is(err, link.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// Nobody keeps a link without logging in.
func TestLoginTime(t *testing.T) {
	h := newHome(t)
	h.loginTime = 50 * time.Millisecond
	_, err := h.connect(t).Receive()
	if err == nil {
		t.Error("a message")
	}
	if err := <-h.served; err != nil {
		t.Errorf("the node says %v", err)
	}
	h.loginTime = time.Hour
	_, c := h.ann(t)
	check(t, c.Claim(t.Context(), make([]Mailbox, 1)))
}

// A session that its user closes is no error on the other side.
func TestClosing(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	check(t, c.Close(t.Context()))
	if err := <-h.served; err != nil {
		t.Errorf("the node says %v", err)
	}
	<-c.Done()
}

// A caller who gives up gets her error, and a late answer harms nobody.
func TestGivingUp(t *testing.T) {
	h := newHome(t)
	_, c := h.ann(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.Lookup(ctx, must(pki.ParseName("slow@a.test")))
		gone <- err
	}()
	<-h.waiting
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("gave up: %v", err)
	}
	close(h.release)
	check(t, c.Claim(t.Context(), make([]Mailbox, 1)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) > 0 {
		t.Errorf("%d answers still waited for", len(c.waiting))
	}
}

// A directory that never ends is refused.
func TestEndlessDirectory(t *testing.T) {
	for what, page := range map[string]string{
		"the same again": `{"descriptors":["AA=="],"last":"a.test"}`,
		"empty pages":    `{"descriptors":[],"last":"b.test"}`,
	} {
		t.Run(what, func(t *testing.T) {
			near, far := linkPair(t)
			c := NewClient(near)
			defer c.Close(context.Background())
			go func() {
				for {
					m, err := far.Receive()
					if err != nil {
						return
					}
					var asked message
					_ = json.Unmarshal(m.Control, &asked)
					_ = far.SendControl(must(json.Marshal(message{Seq: asked.Seq, Body: json.RawMessage(page)})))
				}
			}()
			if _, _, err := c.Directory(t.Context()); !errors.Is(err, ErrMalformed) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// linkPair is a link whose far end is nobody's desk.
func linkPair(t *testing.T) (near, far *link.Conn) {
	t.Helper()
	h := newHome(t)
	h.stop()
	<-h.accepting // nobody accepts any more
	accepted := make(chan *link.Conn, 1)
	go func() { accepted <- must(h.listener.Accept(context.Background())) }()
	near, far = h.connect(t), <-accepted
	t.Cleanup(func() { far.Close() })
	return near, far
}

// The greatest answers fit into one message of a link.
func TestAnswersFit(t *testing.T) {
	items := slices.Repeat([]Item{{Seq: 1 << 62, Reply: true, Body: make([]byte, onion.BodySize)}}, MaxItems)
	descriptors := Descriptors{Descriptors: slices.Repeat([][]byte{make([]byte, pki.MaxDescriptorSize)}, MaxDescriptors)}
	stated := Stated{slices.Repeat([][]byte{make([]byte, MaxStatementBytes/MaxStatements)}, MaxStatements), 1 << 62, true}
	for _, body := range []any{Held{items}, descriptors, stated} {
		raw := must(json.Marshal(message{Seq: 1 << 62, Body: must(json.Marshal(body))}))
		if len(raw) > link.MaxControl {
			t.Errorf("%T: %d bytes", body, len(raw))
		}
	}
	if n := len(must(json.Marshal(Claim{make([]Mailbox, MaxClaims)}))); n > link.MaxControl {
		t.Errorf("a claim of %d bytes", n)
	}
}

// FuzzMessage: whatever comes is an error or a message that marshals to itself.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"seq":1,"op":"login","body":{"name":"ann@a.test","certificate":"","proof":""}}`))
	f.Add([]byte(`{"seq":2,"error":{"code":"full","text":"too many"}}`))
	f.Add([]byte(`{"seq":3,"op":"submitted","body":{}}`))
	f.Add([]byte(`{"seq":18446744073709551615,"body":{"items":[{"seq":1,"surb":"AAAAAAAAAAAAAAAAAAAAAA==","body":"AA=="}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMessage(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseMessage(again); err != nil {
			t.Fatalf("%s became %s: %v", raw, again, err)
		}
		for _, body := range []any{
			&Register{}, &Login{}, &Publish{}, &Directory{}, &Lookup{}, &Claim{}, &Items{}, &Forget{}, &Statements{},
			&Registered{}, &Welcome{}, &Descriptors{}, &Found{}, &Held{}, &Stated{},
		} {
			_ = strictjson.Unmarshal(m.Body, body) // must not panic
		}
	})
}
