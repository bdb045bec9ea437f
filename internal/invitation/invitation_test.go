package invitation

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/p3do/p3do/pki"
)

func known(t testing.TB, domain string, key byte) Known {
	t.Helper()
	d, err := pki.ParseDomain(domain)
	if err != nil {
		t.Fatal(err)
	}
	return Known{d, pki.Fingerprint{key}}
}

func specimen(t testing.TB) Invitation {
	t.Helper()
	i, err := New(bytes.NewReader(make([]byte, TokenSize)), known(t, "a.test", 1), []Known{known(t, "c.test", 3), known(t, "b.test", 2)})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// A code is read however it was copied, and says what it said.
func TestRoundTrip(t *testing.T) {
	i := specimen(t)
	text := i.String()
	if i.Others[0].Domain.String() != "b.test" || !strings.HasPrefix(text, "P3DO1") {
		t.Errorf("%+v: %s", i, text)
	}
	for _, typed := range []string{text, strings.ToLower(text), " " + text[:50] + "\n" + text[50:] + "\n", text[:20] + "-" + text[20:]} {
		if got, err := Parse(typed); err != nil || !reflect.DeepEqual(got, i) {
			t.Errorf("%q: %+v, %v", typed, got, err)
		}
	}
}

// A code with one letter wrong, left out or too many is none.
func TestMalformed(t *testing.T) {
	text := specimen(t).String()
	for at := range text {
		other := "A"
		if text[at] == 'A' {
			other = "B"
		}
		for _, bad := range []string{text[:at] + other + text[at+1:], text[:at] + text[at+1:], text[:at] + "A" + text[at:]} {
			if bad == text {
				continue
			}
			if _, err := Parse(bad); !errors.Is(err, ErrMalformed) {
				t.Fatalf("letter %d of %q: %v", at, bad, err)
			}
		}
	}
	for _, bad := range []string{"", "P3DO1", "hello", strings.Repeat("A", MaxText+1)} {
		if _, err := Parse(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	home := known(t, "a.test", 1)
	for name, others := range map[string][]Known{
		"the home":  {home},
		"one twice": {known(t, "b.test", 2), known(t, "b.test", 3)},
		"no key":    {known(t, "b.test", 0)},
		"five":      {known(t, "b.test", 2), known(t, "c.test", 2), known(t, "d.test", 2), known(t, "e.test", 2), known(t, "f.test", 2)},
	} {
		if _, err := New(bytes.NewReader(make([]byte, TokenSize)), home, others); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if _, err := New(bytes.NewReader(nil), home, nil); err == nil {
		t.Error("made of no randomness")
	}
}

// FuzzParse: a text is one invitation or none, and one invitation is one text.
func FuzzParse(f *testing.F) {
	f.Add(specimen(f).String())
	f.Add("P3DO1AEAA")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(i.String()); err != nil || !reflect.DeepEqual(again, i) {
			t.Errorf("%q: %+v, %+v, %v", text, i, again, err)
		}
	})
}

// What may be an invitation is told from the name of a file.
func TestLooks(t *testing.T) {
	for text, want := range map[string]bool{
		"P3DO1": true, "P3DO1ABC234": true, " p3do1-abc 234\n": true, "P3-DO1ABC": true, "P3DO1ABC0189": true, "p3do1abc,234": true,
		"": false, "-": false, "p3do1.txt": false, "./p3do1abc": false, "invitation": false, "P3DO2ABC": false,
	} {
		if Looks(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}
