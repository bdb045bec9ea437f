package store

import (
	"errors"
	"testing"
)

// A full shared room: those that are lesser give way first, the oldest before others; then who has most, if he
// has two more; and else nobody.
func TestSharedRoom(t *testing.T) {
	s := open(t)
	room := Room{Each: 3, Shared: &Shared{First: "a!", Lesser: "a?", Last: "a~", Most: 4}}
	made := byte(0)
	add := func(issuer string, want error) {
		t.Helper()
		made++
		_, err := s.AddStatement(t.Context(), Statement{Kind: 9, Issuer: issuer, ID: [32]byte{made}, Serial: 1, Raw: []byte(issuer), Once: true}, room)
		if !errors.Is(err, want) {
			t.Fatalf("%d, of %s: %v, want %v", made, issuer, err, want)
		}
	}
	held := func(want string) {
		t.Helper()
		all, err := s.Statements(t.Context(), 9)
		got := ""
		for _, v := range all {
			got += v.Issuer + " "
		}
		if err != nil || got != want {
			t.Errorf("held are %q, want %q: %v", got, want, err)
		}
	}
	for _, issuer := range []string{"a?x", "a?y", "a?z", "a!m"} {
		add(issuer, nil)
	}
	add("a?w", ErrFull)
	add("a!m", nil)
	held("a?y a?z a!m a!m ")
	shared := room.Shared
	room.Shared = nil
	add("b", nil)
	room.Shared = shared
	add("a!m", nil)
	add("a!m", ErrFull) // more than there is of each
	add("a!n", nil)
	held("a!m a!m b a!m a!n ")
	add("a!o", nil)
	held("a!m b a!m a!n a!o ")
	add("a!p", nil)
	held("b a!m a!n a!o a!p ")
	add("a!q", ErrFull)
}

// StatementsFrom goes on after a statement, in the order of issuer and ID, and stays with its kind.
func TestStatementsFrom(t *testing.T) {
	s := open(t)
	for i, at := range []string{"b2", "a1", "b1", "a3", "c0"} {
		v := Statement{Kind: 9, Issuer: at[:1], ID: [32]byte{at[1]}, Serial: 1, Raw: []byte(at)}
		if i == 4 {
			v.Kind = 8
		}
		if _, err := s.AddStatement(t.Context(), v, Room{Each: 9}); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	var last Statement
	for range 3 {
		some, err := s.StatementsFrom(t.Context(), 9, last, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, last = range some {
			got += string(last.Raw) + " "
		}
		got += "; "
	}
	if got != "a1 a3 b1 ; b2 ; ; " {
		t.Errorf("read %q", got)
	}
}
