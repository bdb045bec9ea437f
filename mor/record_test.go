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
	good := must(record(b).Sign(b.authority.Sign))
	foreign := must(record(b).Sign(c.authority.Sign))
	unsigned := append(bytes.Clone(good[:len(good)-64]), make([]byte, 64)...)
	r := record(c)
	r.NotAfter = start.Add(-time.Second)
	expired := must(r.Sign(c.authority.Sign))
	for _, bad := range [][]byte{foreign, unsigned, expired, good[:10], nil} {
		kept, err := a.Learn(start, []mor.Answered{{Depth: 1, Raw: bad}}, authorities([]*server{b, c}))
		if kept != 0 || !errors.Is(err, mor.ErrRecord) {
			t.Errorf("%d kept, %v", kept, err)
		}
	}
	for _, depth := range []uint8{0, mor.MaxDepth + 1} {
		if kept, err := a.Learn(start, []mor.Answered{{Depth: depth, Raw: good}}, authorities([]*server{b, c})); kept != 0 || err == nil {
			t.Errorf("learnt after %d Asks", depth)
		}
	}
	kept, err := a.Learn(start, []mor.Answered{{Depth: 1, Raw: foreign}, {Depth: 1, Raw: good}}, authorities([]*server{b, c}))
	if kept != 1 || !errors.Is(err, mor.ErrRecord) {
		t.Errorf("%d kept, %v", kept, err)
	}
	if kept, _ := a.Learn(start, []mor.Answered{{Depth: 1, Raw: must(record(a).Sign(a.authority.Sign))}}, authorities([]*server{a})); kept != 0 {
		t.Error("learnt its own record")
	}
}

// Nobody fills the table for others, or takes the place of another's context.
func TestLearnIsCapped(t *testing.T) {
	a, b, c := newServer("a", 1, nil), newServer("b", 1, nil), newServer("c", 1, nil)
	a.Admit(a.own[0].ID, b.cfg.Domain)
	theirs := record(b)
	theirs.ID = c.own[0].ID
	learn := func(s *server, r mor.Record) int {
		return must(a.Learn(start, []mor.Answered{{Depth: 1, Raw: must(r.Sign(s.authority.Sign))}}, authorities([]*server{b, c})))
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

// The nearer of two sources is kept, whatever the order, until it is stale.
func TestNearerRecordIsKept(t *testing.T) {
	b := newServer("b", 1, nil)
	older, newer, fresh := record(b), record(b), record(b)
	newer.NotAfter = newer.NotAfter.Add(time.Hour)
	fresh.NotAfter = fresh.NotAfter.Add(13 * time.Hour)
	near := mor.Answered{Depth: 1, Raw: must(older.Sign(b.authority.Sign))}
	far := mor.Answered{Depth: 3, Raw: must(newer.Sign(b.authority.Sign))}
	farAndFresh := mor.Answered{Depth: 3, Raw: must(fresh.Sign(b.authority.Sign))}
	for _, c := range []struct {
		order []mor.Answered
		kept  []int
	}{
		{[]mor.Answered{near, far, near}, []int{1, 0, 0}},
		{[]mor.Answered{far, near, far}, []int{1, 1, 0}},
		{[]mor.Answered{near, farAndFresh, near}, []int{1, 1, 0}},
	} {
		a := newServer("a", 1, nil)
		var kept []int
		for _, answered := range c.order {
			kept = append(kept, must(a.Learn(start, []mor.Answered{answered}, authorities([]*server{b}))))
		}
		if !slices.Equal(kept, c.kept) {
			t.Errorf("kept %v, want %v", kept, c.kept)
		}
	}
}

func TestAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mor.Answered {
			return mor.Answered{
				Depth: rapid.Uint8Range(1, mor.MaxDepth).Draw(t, "depth"),
				Raw:   rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "raw"),
			}
		}), 0, mor.MaxAnswered).Draw(t, "records")
		got, err := mor.ParseAnswer(must(mor.MarshalAnswer(records)))
		equal := slices.EqualFunc(got, records, func(a, b mor.Answered) bool { return a.Depth == b.Depth && bytes.Equal(a.Raw, b.Raw) })
		if err != nil || !equal {
			t.Fatalf("%v: %v", err, got)
		}
	})
	for _, bad := range [][]mor.Answered{
		make([]mor.Answered, 1), {{Depth: 4}}, {{Depth: 1, Raw: make([]byte, 4097)}},
		slices.Repeat([]mor.Answered{{Depth: 1}}, mor.MaxAnswered+1),
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
	f.Add(must(mor.MarshalAnswer([]mor.Answered{{Depth: 1, Raw: raw}, {Depth: 3, Raw: []byte("x")}})))
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
