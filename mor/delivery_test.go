package mor_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

func testLetter(surb bool) mor.Letter {
	l := mor.Letter{ID: mor.MessageID{1, 2}, Day: mor.DayAt(start), Nonce: 7}
	l.Sealed[0], l.Sealed[mor.SealedSize-1] = 3, 4
	if surb {
		raw := make([]byte, onion.SURBSize)
		raw[0] = 5
		s := must(onion.ParseSURB(raw))
		l.SURB = &s
	}
	return l
}

func TestLetter(t *testing.T) {
	for _, surb := range []bool{false, true} {
		raw := testLetter(surb).Marshal()
		l, err := mor.ParseLetter(raw)
		if err != nil || len(raw) != onion.PayloadSize || !bytes.Equal(l.Marshal(), raw) || (l.SURB != nil) != surb {
			t.Errorf("%v: %v", surb, err)
		}
	}
	without := testLetter(false).Marshal()
	for name, edit := range map[string]func([]byte) []byte{
		"another version":   func(b []byte) []byte { b[0]++; return b },
		"an unknown flag":   func(b []byte) []byte { b[1] = 2; return b },
		"a SURB without":    func(b []byte) []byte { b[100] = 1; return b },
		"one byte too few":  func(b []byte) []byte { return b[1:] },
		"one byte too many": func(b []byte) []byte { return append(b, 0) },
		"nothing":           func([]byte) []byte { return nil },
	} {
		if _, err := mor.ParseLetter(edit(bytes.Clone(without))); err == nil {
			t.Errorf("accepted a letter with %s", name)
		}
	}
}

func TestReceipt(t *testing.T) {
	for status := mor.Stored; status <= mor.Used; status++ {
		r := mor.Receipt{ID: mor.MessageID{9}, Status: status}
		if got, err := mor.ParseReceipt(r.Marshal()); err != nil || got != r {
			t.Errorf("%v: %v", got, err)
		}
	}
	for name, edit := range map[string]func([]byte) []byte{
		"another version": func(b []byte) []byte { b[0]++; return b },
		"status 0":        func(b []byte) []byte { b[1] = 0; return b },
		"status 6":        func(b []byte) []byte { b[1] = 6; return b },
		"padding":         func(b []byte) []byte { b[len(b)-1] = 1; return b },
		"too few":         func(b []byte) []byte { return b[:len(b)-1] },
	} {
		raw := mor.Receipt{Status: mor.Stored}.Marshal()
		if _, err := mor.ParseReceipt(edit(raw)); err == nil {
			t.Errorf("accepted a receipt with %s", name)
		}
	}
}

func TestMessageID(t *testing.T) {
	id := mor.MessageID{0xfb, 0xff}
	if got, err := mor.ParseMessageID(id.String()); err != nil || got != id {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "AAAA", id.String() + "A", id.String()[:21] + "_", id.String()[:10] + "\n" + id.String()[10:]} {
		if _, err := mor.ParseMessageID(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

// The work binds the address, the day and the id.
func TestWork(t *testing.T) {
	to, l := onion.Mailbox{1}, testLetter(false)
	l.Work(to)
	if !l.Worked(to) {
		t.Fatal("worked in vain")
	}
	nonce := l.Nonce
	if l.Work(to); l.Nonce != nonce {
		t.Error("another nonce the second time")
	}
	other := l
	other.Day++
	third := l
	third.ID[0]++
	if l.Worked(onion.Mailbox{2}) || other.Worked(to) || third.Worked(to) {
		t.Error("one proof serves twice")
	}
}

func TestDays(t *testing.T) {
	midnight := time.Unix(20_000*86400, 0)
	if mor.DayAt(midnight) != 20_000 || mor.DayAt(midnight.Add(-time.Second)) != 19_999 {
		t.Error("days do not turn at midnight UTC")
	}
	secret := [32]byte{1}
	if mor.DayMailbox(secret, 1) == mor.DayMailbox(secret, 2) || mor.DayMailbox(secret, 1) == mor.DayMailbox([32]byte{2}, 1) {
		t.Error("one mailbox for two days, or two secrets")
	}
}

func FuzzParseLetter(f *testing.F) {
	f.Add(testLetter(true).Marshal())
	f.Add(testLetter(false).Marshal())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := mor.ParseLetter(b); err == nil && !bytes.Equal(l.Marshal(), b) {
			t.Fatal("a letter does not come back as it was")
		}
	})
}

func FuzzParseReceipt(f *testing.F) {
	f.Add(mor.Receipt{ID: mor.MessageID{9}, Status: mor.Full}.Marshal())
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := mor.ParseReceipt(b); err == nil && !bytes.Equal(r.Marshal(), b) {
			t.Fatal("a receipt does not come back as it was")
		}
	})
}
