package mor_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// record is one of a, valid at start.
func record(a *server) mor.Record {
	c := a.own[0]
	return mor.Record{
		ID: c.ID, Owner: a.cfg.Domain, Key: c.Key.Public(), Hint: c.Hint, Epoch: c.Epoch,
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(mor.RecordLifetime),
		Own: 1, Leads: []onion.ServerID{a.key.Public().ID(), {1}},
	}
}

func TestRecord(t *testing.T) {
	a, b := newServer("a", 1, nil), newServer("b", 1, nil)
	raw := must(record(a).Sign(a.authority.Sign))
	got, err := mor.ParseRecord(raw, authorities([]*server{a, b}), start)
	if err != nil {
		t.Fatal(err)
	}
	if again := must(got.Sign(a.authority.Sign)); !bytes.Equal(again, raw) {
		t.Error("a record does not come back as it was")
	}
	for name, edit := range map[string]func(*mor.Record){
		"not yet valid":    func(r *mor.Record) { r.NotBefore = start.Add(time.Second) },
		"expired":          func(r *mor.Record) { r.NotAfter = start },
		"valid for long":   func(r *mor.Record) { r.NotAfter = r.NotBefore.Add(2*mor.RecordLifetime + time.Second) },
		"of a later epoch": func(r *mor.Record) { r.Epoch = onion.EpochAt(start) + 1 },
		"of an old epoch":  func(r *mor.Record) { r.Epoch -= 51 },
		"of another owner": func(r *mor.Record) { r.Owner = b.cfg.Domain },
		"of nobody known":  func(r *mor.Record) { r.Owner = must(pki.ParseDomain("c.test")) },
	} {
		r := record(a)
		edit(&r)
		_, err := mor.ParseRecord(must(r.Sign(a.authority.Sign)), authorities([]*server{a, b}), start)
		if !errors.Is(err, mor.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if _, err := mor.ParseRecord(bad, authorities([]*server{a, b}), start); err == nil {
			t.Errorf("accepted with byte %d flipped", i)
		}
	}
	for n := range raw {
		if _, err := mor.ParseRecord(raw[:n], authorities([]*server{a, b}), start); !errors.Is(err, mor.ErrRecord) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	a := newServer("a", 1, nil)
	for _, edit := range []func(*mor.Record){
		func(r *mor.Record) { r.Own = 3 },
		func(r *mor.Record) { r.Own = -1 },
		func(r *mor.Record) { r.Leads = make([]onion.ServerID, mor.MaxLeads+1) },
	} {
		r := record(a)
		edit(&r)
		if _, err := r.Sign(a.authority.Sign); !errors.Is(err, mor.ErrRecord) {
			t.Error(err)
		}
	}
}

// Unsigned, expired and foreign records are not learnt, good ones beside them are.
func TestLearnRefuses(t *testing.T) {
	a, b, c := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil)
	a.listen(b, 0)
	a.listen(c, 0)
	good := must(record(b).Sign(b.authority.Sign))
	foreign := must(record(b).Sign(c.authority.Sign))
	unsigned := append(bytes.Clone(good[:len(good)-64]), make([]byte, 64)...)
	r := record(c)
	r.NotAfter = start.Add(-time.Second)
	expired := must(r.Sign(c.authority.Sign))
	for _, bad := range [][]byte{foreign, unsigned, expired, good[:10], nil} {
		learnt, err := a.Learn(start, b.own[0].ID, []mor.Answered{{Depth: 1, Raw: bad}}, authorities([]*server{b, c}))
		if learnt != (mor.Learnt{}) || !errors.Is(err, mor.ErrRecord) {
			t.Errorf("%v learnt, %v", learnt, err)
		}
	}
	for _, depth := range []uint8{0, mor.MaxDepth + 1} {
		learnt, err := a.Learn(start, b.own[0].ID, []mor.Answered{{Depth: depth, Raw: good}}, authorities([]*server{b, c}))
		if learnt != (mor.Learnt{}) || err == nil {
			t.Errorf("learnt after %d Asks", depth)
		}
	}
	both := []mor.Answered{{Depth: 1, Raw: foreign}, {Depth: 1, Raw: good}}
	learnt, err := a.Learn(start, b.own[0].ID, both, authorities([]*server{b, c}))
	if learnt != (mor.Learnt{Kept: 1, News: true}) || !errors.Is(err, mor.ErrRecord) {
		t.Errorf("%v learnt, %v", learnt, err)
	}
	if learnt, err := a.Learn(start, record(a).ID, both[1:], authorities([]*server{b, c})); learnt != (mor.Learnt{}) || !errors.Is(err, mor.ErrRecord) {
		t.Errorf("%v learnt on a context that is not listened to: %v", learnt, err)
	}
	own := []mor.Answered{{Depth: 1, Raw: must(record(a).Sign(a.authority.Sign))}}
	if learnt := must(a.Learn(start, c.own[0].ID, own, authorities([]*server{a}))); learnt != (mor.Learnt{}) {
		t.Error("learnt its own record")
	}
}

// Nobody fills the table for others, or takes the place of another's context.
func TestLearnIsCapped(t *testing.T) {
	a, b, c := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil)
	a.Admit(a.own[0].ID, b.cfg.Domain)
	a.listen(b, 0)
	a.listen(c, 0)
	theirs := record(b)
	theirs.ID = c.own[0].ID
	told := make(map[*server][]mor.Answered)
	learn := func(s *server, r mor.Record) int {
		told[s] = append(told[s], mor.Answered{Depth: 1, Raw: must(r.Sign(s.authority.Sign))})
		return must(a.Learn(start, s.own[0].ID, told[s], authorities([]*server{b, c}))).Kept
	}
	if learn(b, theirs) != 1 || learn(c, record(c)) != 1 {
		t.Error("b's record kept c's away")
	}
	for i := 1; i < mor.MaxOwned; i++ {
		r := record(c)
		r.ID = mor.ContextID{1, byte(i)}
		if learn(c, r) != 1 {
			t.Fatal(i)
		}
	}
	r := record(c)
	r.ID = mor.ContextID{2}
	if learn(c, r) != 0 {
		t.Error("one owner has a context too many")
	}
	r = record(c)
	r.NotAfter = r.NotAfter.Add(time.Second)
	if learn(c, r) != 1 {
		t.Error("a known context was not renewed")
	}
}

// Of a context the newest record is kept, whoever tells of it, and it is as far as the nearest
// says. It is told to nobody who is the only one to tell of it.
func TestNewestRecordIsKept(t *testing.T) {
	b, near, far := newServer("b", 1, nil), newServer("near", 1, nil), newServer("far", 1, nil)
	older, newer := record(b), record(b)
	newer.NotAfter = newer.NotAfter.Add(time.Hour)
	first := mor.Answered{Depth: 2, Raw: must(older.Sign(b.authority.Sign))}
	second := mor.Answered{Depth: 3, Raw: must(newer.Sign(b.authority.Sign))}
	for _, order := range []string{"near far near", "far near far", "near near far", "far far near"} {
		a := newServer("a", 1, nil)
		a.Admit(a.own[0].ID, near.cfg.Domain)
		a.Admit(a.own[0].ID, far.cfg.Domain)
		a.listen(near, 0)
		a.listen(far, 0)
		for _, who := range strings.Fields(order) {
			from, answered := near, first
			if who == "far" {
				from, answered = far, second
			}
			must(a.Learn(start, from.own[0].ID, []mor.Answered{answered}, authorities([]*server{b})))
		}
		answer, _ := a.Ask(start, a.own[0].ID, far.cfg.Domain)
		if len(answer) != 2 || answer[1].Depth != 3 || !bytes.Equal(answer[1].Raw, second.Raw) {
			t.Errorf("%s: answered %v", order, answer)
		}
		if answer, _ := a.Ask(start, a.own[0].ID, near.cfg.Domain); len(answer) != 1 {
			t.Errorf("%s: told %d records to the nearest that tells of one", order, len(answer))
		}
	}
}

// What nobody tells of any more is gone: each of its neighbours leaves it out of the next
// answer, or is gone itself. Until then it stays.
func TestGoneContextsAreForgotten(t *testing.T) {
	a, b, c, dead := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil), newServer("dead", 1, nil)
	a.listen(b, 0)
	a.listen(c, 0)
	all := authorities([]*server{a, b, c, dead})
	raw := must(record(dead).Sign(dead.authority.Sign))
	tells := func(from *server, answer ...mor.Answered) mor.Learnt {
		answer = append(answer, mor.Answered{Depth: 1, Raw: must(record(from).Sign(from.authority.Sign))})
		return must(a.Learn(start, from.own[0].ID, answer, all))
	}
	knows := func(want int) {
		t.Helper()
		if _, known := a.Status(); known != want {
			t.Errorf("%d contexts known, want %d", known, want)
		}
	}
	tells(b, mor.Answered{Depth: 2, Raw: raw})
	tells(c, mor.Answered{Depth: 2, Raw: raw})
	knows(3)
	if tells(c, mor.Answered{Depth: 2, Raw: raw}).News {
		t.Error("the same again is news")
	}
	if tells(b).News {
		t.Error("news, but c is as near")
	}
	knows(3)
	if !tells(c, mor.Answered{Depth: 3, Raw: raw}).News {
		t.Error("farther is no news")
	}
	if !tells(c).News {
		t.Error("gone is no news")
	}
	knows(2)
	tells(c, mor.Answered{Depth: 2, Raw: raw})
	c.own = append(c.own, must(mor.NewContext(stream("another"), start)))
	c.AddContext(c.own[1])
	a.Unlisten(c.own[0].ID)
	a.listen(c, 1)
	must(a.Learn(start, c.own[1].ID, nil, all)) // c speaks to it on another context now
	knows(1)
	a.listen(c, 0)
	tells(c)
	if !a.Forget(b.cfg.Domain) || a.Forget(b.cfg.Domain) {
		t.Error("forgotten, and not once")
	}
	knows(1)
}

// A mesh forgets a server that is dead: neighbours do not keep it alive by telling each other.
func TestMeshForgetsTheDead(t *testing.T) {
	var ring []*server
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		ring = append(ring, newServer(name, 1, nil))
	}
	beside := func(i int) []*server { return []*server{ring[(i+1)%6], ring[(i+2)%6], ring[(i+4)%6], ring[(i+5)%6]} }
	for i, s := range ring {
		for _, other := range beside(i) {
			s.listen(other, 0)
		}
	}
	rounds := func(living int) (n int) {
		for news := true; news; n++ {
			news = false
			for i, s := range ring[:living] {
				for _, other := range beside(i) {
					if slices.Contains(ring[:living], other) {
						answer, _ := other.Ask(start, other.own[0].ID, s.cfg.Domain)
						news = must(s.Learn(start, other.own[0].ID, answer, authorities(ring))).News || news
					}
				}
			}
		}
		return n
	}
	rounds(6)
	dead := ring[5]
	for _, s := range beside(5) {
		s.Forget(dead.cfg.Domain)
	}
	n := rounds(5)
	for _, s := range ring[:5] {
		if _, known := s.Status(); known != 4 {
			t.Errorf("%s knows %d contexts of 4 others", s.name, known)
		}
	}
	if n > mor.MaxDepth+1 {
		t.Errorf("it took %d rounds", n)
	}
}

// drawAnswer draws an answer whose records, but those of depth 1, may be over any that are nearer and stand before.
func drawAnswer(t *rapid.T) (records []mor.Answered) {
	for i := range rapid.IntRange(0, mor.MaxAnswered).Draw(t, "records") {
		a := mor.Answered{
			Depth: rapid.Uint8Range(1, mor.MaxDepth).Draw(t, "depth"),
			Raw:   rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "raw"), Beyond: rapid.Bool().Draw(t, "beyond"),
		}
		if over := rapid.IntRange(0, 2*i).Draw(t, "over"); over < i && records[over].Depth < a.Depth && records[over].Beyond {
			a.Way = append(slices.Clone(records[over].Way), uint8(over))
		}
		records = append(records, a)
	}
	return records
}

func TestAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawAnswer(t)
		got, err := mor.ParseAnswer(must(mor.MarshalAnswer(records)))
		equal := slices.EqualFunc(got, records, func(a, b mor.Answered) bool {
			return a.Depth == b.Depth && a.Beyond == b.Beyond && bytes.Equal(a.Way, b.Way) && bytes.Equal(a.Raw, b.Raw)
		})
		if err != nil || !equal {
			t.Fatalf("%v: %v", err, got)
		}
	})
	for _, bad := range [][]mor.Answered{
		make([]mor.Answered, 1), {{Depth: 4}}, {{Depth: 1, Raw: make([]byte, 4097)}},
		slices.Repeat([]mor.Answered{{Depth: 1}}, mor.MaxAnswered+1),
		{{Depth: 1, Way: []uint8{0}}}, {{Depth: 2, Way: []uint8{0}}}, {{Depth: 2}, {Depth: 2, Way: []uint8{0}}},
		{{Depth: 1, Beyond: true}, {Depth: 2, Way: []uint8{2}}}, {{Depth: 1, Beyond: true}, {Depth: 3, Way: []uint8{0, 0, 0}}},
		{{Depth: 1}, {Depth: 2, Way: []uint8{0}}},
	} {
		if _, err := mor.MarshalAnswer(bad); err == nil {
			t.Errorf("marshalled an answer of %d", len(bad))
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	a := newServer("a", 1, nil)
	raw := must(record(a).Sign(a.authority.Sign))
	f.Add(raw)
	f.Add(raw[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := mor.ParseRecord(b, authorities([]*server{a}), start)
		if err != nil {
			if !errors.Is(err, mor.ErrRecord) {
				t.Fatalf("%v is no ErrRecord", err)
			}
			return
		}
		if !bytes.Equal(b, raw) { // the only record that a ever signed
			t.Fatalf("accepted %x: %v", b, r)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	a := newServer("a", 1, nil)
	raw := must(record(a).Sign(a.authority.Sign))
	f.Add(must(mor.MarshalAnswer([]mor.Answered{{Depth: 1, Raw: raw, Beyond: true}, {Depth: 3, Way: []uint8{0}, Raw: []byte("x")}})))
	f.Add([]byte{0})
	f.Add([]byte{200})
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := mor.ParseAnswer(b)
		if err != nil {
			return
		}
		if again := must(mor.MarshalAnswer(records)); !bytes.Equal(again, b) {
			t.Fatalf("%x comes back as %x", b, again)
		}
	})
}
