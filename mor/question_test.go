package mor_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// question is one about bob@b.test.
func (p *post) question() mor.Question {
	return mor.Question{Name: must(pki.ParseName("bob@b.test")), Home: p.domain("b"), Hops: mor.DefaultHops, Reply: onion.Mailbox{0xa}}
}

// ask makes a copy, and walks it to whom it is for.
func (p *post) ask(t *testing.T, now time.Time, q *mor.Question) (query mor.Query, route []string) {
	t.Helper()
	out, err := p.Ask(now, q)
	if err != nil {
		t.Fatal(err)
	}
	end, route := p.walk(t, out.Submit[0].Entry.First, out.Submit[0].Entry.Inner)
	if end.Command != onion.Deliver || end.Mailbox != mor.QueryMailbox() {
		t.Fatalf("a %v to %x", end.Command, end.Mailbox)
	}
	return must(mor.ParseQuery(end.Payload)), route
}

// answer has whoever was asked answer.
func (p *post) answer(t *testing.T, q mor.Query, f mor.Finding) (id onion.SURBID, body []byte, route []string) {
	t.Helper()
	back, route := p.walk(t, q.SURB.First(), must(q.SURB.Use(must(f.Marshal()))))
	if back.Command != onion.Reply || back.Mailbox != (onion.Mailbox{0xa}) {
		t.Fatalf("a %v to %x", back.Command, back.Mailbox)
	}
	return back.SURB, back.Body, route
}

// A challenge is handed in at one server, and at no other, however often; the answer says who has it.
func TestChallengeIsAskedOfOne(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	q.Name, q.Home, q.Challenge = pki.Name{}, p.domain("c"), bytes.Repeat([]byte{7}, pki.MaxChallengeSize)
	for i := range mor.MaxAsked {
		query, there := p.ask(t, start, &q)
		if !bytes.Equal(query.Challenge, q.Challenge) || there[len(there)-1] != "c" || len(q.Others) > 0 {
			t.Fatalf("copy %d: %d bytes by %v, others %v", i, len(query.Challenge), there, q.Others)
		}
		id, body, _ := p.answer(t, query, mor.Finding{Card: q.Challenge})
		if _, f, from, ok := p.TakeFinding(&q, id, body); !ok || from != q.Home || !bytes.Equal(f.Card, q.Challenge) {
			t.Errorf("taken %v from %s", ok, from)
		}
	}
}

// A question goes over relays to the home and back over them; its answer counts once, and nothing
// else does.
func TestQuestion(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	query, there := p.ask(t, start, &q)
	if query.Name != q.Name || len(there) != 3 || there[2] != "b" {
		t.Errorf("%s is asked for by %v", query.Name, there)
	}
	card := bytes.Repeat([]byte{7}, pki.MaxCardSize)
	id, body, back := p.answer(t, query, mor.Finding{Card: card, Proof: mor.Proof{Kind: 9, Bytes: make([]byte, mor.MaxProofSize)}})
	if len(back) != 3 || back[2] != "a" || back[0] != there[1] || back[1] != there[0] {
		t.Errorf("there by %v, back by %v", there, back)
	}
	wrong := bytes.Clone(body)
	wrong[len(wrong)-1] ^= 1
	for what, reply := range map[string]struct {
		id   onion.SURBID
		body []byte
	}{"another SURB": {onion.SURBID{1}, body}, "flipped": {id, wrong}, "short": {id, body[1:]}} {
		if _, _, _, ok := p.TakeFinding(&q, reply.id, reply.body); ok {
			t.Errorf("%s: taken", what)
		}
	}
	_, f, from, ok := p.TakeFinding(&q, id, body)
	if !ok || from != q.Home || !bytes.Equal(f.Card, card) || f.Proof.Kind != 9 {
		t.Errorf("taken %v from %s: %d bytes", ok, from, len(f.Card))
	}
	if _, _, _, again := p.TakeFinding(&q, id, body); again {
		t.Error("taken twice")
	}
}

// No relay can tell the packet of a question from that of a message: it expires at the same time.
func TestQuestionLooksLikeAMessage(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	asked, err := p.Ask(start, &q)
	if err != nil {
		t.Fatal(err)
	}
	written, _, err := p.Send(start, letterTo(p.bob("b")))
	if err != nil {
		t.Fatal(err)
	}
	var expiry [2]time.Time
	for i, s := range []mor.Submission{asked.Submit[0], written.Submit[0]} {
		end, route := p.walk(t, s.Entry.First, s.Entry.Inner)
		if expiry[i] = end.Expiry; len(route) != 3 || len(end.Payload) != onion.PayloadSize {
			t.Errorf("%d bytes by %v", len(end.Payload), route)
		}
	}
	if !expiry[0].Equal(expiry[1]) {
		t.Errorf("expire at %v", expiry)
	}
}

// A receipt is no finding, be it over a SURB of the question.
func TestReceiptIsNoFinding(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	query, _ := p.ask(t, start, &q)
	back, _ := p.walk(t, query.SURB.First(), must(query.SURB.Use(mor.Receipt{Status: mor.Stored}.Marshal())))
	if _, _, _, ok := p.TakeFinding(&q, back.SURB, back.Body); ok {
		t.Error("taken")
	}
}

// Without an answer the home is asked again by another way, then three others that are neither it nor
// where we are, soon after each other, and then it again. There is an end.
func TestQuestionIsAskedAgain(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q, now := p.question(), start
	var asked []string
	var queries []mor.Query
	for range mor.MaxAsked {
		before := q.Last
		query, route := p.ask(t, now, &q)
		if slices.Equal(before, q.Last) {
			t.Errorf("by %v again", q.Last)
		}
		if last := route[len(route)-1]; last != "b" && slices.Contains(route, "b") {
			t.Errorf("%s is asked over the home, which is silent: %v", last, route)
		}
		asked, queries = append(asked, route[len(route)-1]), append(queries, query)
		if pause := q.Next.Sub(now); len(asked) < mor.MaxAsked && (pause < 150*time.Millisecond || pause > 4500*time.Millisecond) {
			t.Errorf("the next after %s", pause)
		}
		now = q.Next
	}
	others := slices.Clone(asked[2:5])
	slices.Sort(others)
	if home := append(asked[:2:2], asked[5:]...); !slices.Equal(home, []string{"b", "b", "b", "b", "b"}) || len(slices.Compact(others)) != 3 || slices.Contains(others, "a") || slices.Contains(others, "b") {
		t.Errorf("asked %v", asked)
	}
	if !q.Next.IsZero() {
		t.Errorf("another at %s", q.Next)
	}
	for i, query := range queries[2:5] {
		if q.Silent(now) {
			t.Errorf("no use in asking after %d answers", i)
		}
		id, body, _ := p.answer(t, query, mor.Finding{})
		if _, f, from, ok := p.TakeFinding(&q, id, body); !ok || len(f.Card) > 0 || from == q.Home {
			t.Errorf("taken %v from %s", ok, from)
		}
	}
	if !q.Silent(now) {
		t.Error("all others have answered, and there is use in asking the home")
	}
	id, body, _ := p.answer(t, queries[0], mor.Finding{Card: []byte{1}})
	if _, _, from, ok := p.TakeFinding(&q, id, body); !ok || from != q.Home {
		t.Error("a late answer to the first copy does not count")
	}
}

// Those whom the asker names are asked before others are drawn.
func TestQuestionToNamedOthers(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	q.Others = []pki.Domain{p.domain("e"), p.domain("b"), p.domain("nobody")}
	var asked []string
	for range 4 {
		_, route := p.ask(t, start, &q)
		asked = append(asked, route[len(route)-1])
	}
	if !slices.Equal(asked, []string{"b", "b", "e", "b"}) {
		t.Errorf("asked %v", asked)
	}
}

// Where the home's server is not known, only others are asked.
func TestQuestionWithoutHome(t *testing.T) {
	p := newPost("a", "c", "d", "e", "f")
	q := p.question()
	for range 5 {
		if _, route := p.ask(t, start, &q); route[len(route)-1] == "a" {
			t.Errorf("asked where we are: %v", route)
		}
	}
}

// With too few relays nothing is asked, and nothing shorter is taken.
func TestQuestionWithoutRelays(t *testing.T) {
	p := newPost("a", "b", "c")
	q := p.question()
	var lacking *mor.RouteError
	if out, err := p.Ask(start, &q); !errors.As(err, &lacking) || len(out.Submit) > 0 || len(q.Waiting) > 0 || q.Copies > 0 {
		t.Errorf("%v, %d copies", err, len(out.Submit))
	}
	if wait := q.Next.Sub(start); wait < time.Second { // else who waits would turn in a circle
		t.Errorf("again after %s", wait)
	}
}

// A copy without an answer speaks against its relays, but if our node did not take it; an answer for them.
func TestQuestionDoubts(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	query, _ := p.ask(t, start, &q)
	p.NotAsked(start, &q)
	if wait := q.Next.Sub(start); wait > 2*time.Second {
		t.Errorf("again after %s, though our node did not take it", wait)
	}
	if out, err := p.Ask(start, &q); err != nil || len(out.Doubts) > 0 {
		t.Errorf("doubts %v, %v", out.Doubts, err)
	}
	if out, err := p.Ask(start, &q); err != nil || len(out.Doubts) == 0 {
		t.Errorf("doubts %v, %v", out.Doubts, err)
	}
	id, body, _ := p.answer(t, query, mor.Finding{Card: []byte{1}})
	if out, _, _, ok := p.TakeFinding(&q, id, body); !ok || slices.ContainsFunc(out.Doubts, func(d mor.Doubt) bool { return d.Copies > 0 }) {
		t.Errorf("doubts %v", out.Doubts)
	}
}

// Queries and findings come back as they were.
func TestQueriesAndFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := mor.Finding{Card: rapid.SliceOfN(rapid.Byte(), 0, pki.MaxCardSize).Draw(t, "card")}
		if f.Proof.Kind = rapid.Byte().Draw(t, "kind"); f.Proof.Kind > 0 {
			f.Proof.Bytes = rapid.SliceOfN(rapid.Byte(), 0, mor.MaxProofSize).Draw(t, "proof")
		}
		raw := must(f.Marshal())
		if again := must(must(mor.ParseFinding(raw)).Marshal()); !bytes.Equal(again, raw) || len(raw) != onion.PayloadSize {
			t.Fatalf("%d bytes do not come back", len(raw))
		}
	})
	for what, f := range map[string]mor.Finding{
		"a long card": {Card: make([]byte, pki.MaxCardSize+1)}, "a long proof": {Proof: mor.Proof{Kind: 1, Bytes: make([]byte, mor.MaxProofSize+1)}},
		"a proof of no kind": {Proof: mor.Proof{Bytes: []byte{1}}},
	} {
		if _, err := f.Marshal(); !errors.Is(err, mor.ErrFinding) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func testQuery(name pki.Name) mor.Query {
	return mor.Query{Name: name, Key: pki.Fingerprint{5}, SURB: must(onion.ParseSURB(append([]byte{9}, make([]byte, onion.SURBSize-1)...)))}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(testQuery(must(pki.ParseName("bob@b.test"))).Marshal())
	f.Add(testQuery(pki.Name{}).Marshal())
	object := testQuery(pki.Name{})
	object.Challenge = []byte("signed, unjudged")
	f.Add(object.Marshal())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := mor.ParseQuery(b); err == nil && !bytes.Equal(q.Marshal(), b) {
			t.Fatal("a query does not come back as it was")
		}
	})
}

func FuzzParseFinding(f *testing.F) {
	f.Add(must(mor.Finding{Card: []byte("card"), Proof: mor.Proof{Kind: 1, Bytes: []byte("proof")}}.Marshal()))
	f.Add(must(mor.Finding{}.Marshal()))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := mor.ParseFinding(b); err == nil && !bytes.Equal(must(q.Marshal()), b) {
			t.Fatal("a finding does not come back as it was")
		}
	})
}

// When the home's answer is doubted the others are asked at once, and it is not asked again before; when
// they have been asked, nothing is hurried.
func TestQuestionDoubted(t *testing.T) {
	p := newPost("a", "b", "c", "d", "e", "f")
	q := p.question()
	p.ask(t, start, &q)
	var asked []string
	for range 3 {
		q.Doubted(start)
		if !q.Next.Equal(start) {
			t.Errorf("the next at %s", q.Next)
		}
		_, route := p.ask(t, start, &q)
		asked = append(asked, route[len(route)-1])
	}
	if slices.Contains(asked, "b") || len(asked) != len(q.Others) {
		t.Errorf("asked %v of %v", asked, q.Others)
	}
	next := q.Next
	if q.Doubted(start); q.Next != next {
		t.Errorf("the next at %s, then at %s", next, q.Next)
	}
}
