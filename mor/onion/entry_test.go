package onion_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/p3do/p3do/mor/onion"
)

func TestEntryRefuses(t *testing.T) {
	rand := newStream("entry")
	in, err := onion.ParseInner(rand.bytes(onion.InnerSize))
	if err != nil {
		t.Fatal(err)
	}
	good, err := onion.Entry{Inner: in}.Marshal(rand)
	if err != nil || len(good) != onion.Size {
		t.Fatal(err, len(good))
	}
	if bytes.Equal(good[onion.Size-onion.EntryPadSize:], make([]byte, onion.EntryPadSize)) {
		t.Error("the padding is not random")
	}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"short":      {good[1:], onion.ErrLength},
		"empty":      {nil, onion.ErrLength},
		"version":    {append([]byte{9}, good[1:]...), onion.ErrVersion},
		"suite":      {append([]byte{1, 9}, good[2:]...), onion.ErrSuite},
		"reserved":   {append([]byte{1, 1, 1, 0}, good[4:]...), onion.ErrCommand},
		"reserved 2": {append([]byte{1, 1, 0, 1}, good[4:]...), onion.ErrCommand},
		"good":       {good, nil},
	} {
		if _, err := onion.ParseEntry(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := (onion.Entry{Inner: in, Token: make([]byte, onion.EntryPadSize+1)}).Marshal(rand); !errors.Is(err, onion.ErrLength) {
		t.Errorf("long token: %v", err)
	}
	if _, err := (onion.Entry{}).Marshal(rand); !errors.Is(err, onion.ErrLength) {
		t.Errorf("no inner packet: %v", err)
	}
	if _, err := (onion.Entry{Inner: in}).Marshal(io.LimitReader(rand, 367)); err == nil {
		t.Error("marshalled with too little randomness")
	}
	full := bytes.Repeat([]byte{7}, onion.EntryPadSize)
	raw, err := onion.Entry{Inner: in, Token: full}.Marshal(io.LimitReader(rand, 0))
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := onion.ParseEntry(raw); err != nil || !bytes.Equal(entry.Token, full) {
		t.Errorf("a full token did not come back: %v", err)
	}
}
