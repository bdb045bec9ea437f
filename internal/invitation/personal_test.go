package invitation

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/p3do/p3do/pki"
)

func personal(t testing.TB, change func(*Personal)) (Personal, error) {
	t.Helper()
	name, err := pki.ParseName("bob@b.test")
	if err != nil {
		t.Fatal(err)
	}
	i := Personal{
		Expires: time.Unix(1_795_000_000, 5), Name: name, Identity: pki.Fingerprint{4}, Home: pki.Fingerprint{2},
		Others: []Known{known(t, "c.test", 3), known(t, "a.test", 1)},
	}
	change(&i)
	return NewPersonal(bytes.NewReader(bytes.Repeat([]byte{7}, SecretSize)), i)
}

// A personal invitation says what it said, and is none to a server; nor is one of these personal.
func TestPersonalRoundTrip(t *testing.T) {
	i, err := personal(t, func(*Personal) {})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePersonal(i.String())
	if err != nil || !reflect.DeepEqual(got, i) || got.Others[0].Domain.String() != "a.test" || got.Expires.Nanosecond() != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if !Looks(i.String()) {
		t.Error("it does not look like a secret")
	}
	if _, err := Parse(i.String()); !errors.Is(err, ErrMalformed) {
		t.Errorf("as one to a server: %v", err)
	}
	if _, err := ParsePersonal(specimen(t).String()); !errors.Is(err, ErrMalformed) {
		t.Errorf("one to a server: %v", err)
	}
}

func TestPersonalRefuses(t *testing.T) {
	for name, change := range map[string]func(*Personal){
		"no name":      func(i *Personal) { i.Name = pki.Name{} },
		"no identity":  func(i *Personal) { i.Identity = pki.Fingerprint{} },
		"no home":      func(i *Personal) { i.Home = pki.Fingerprint{} },
		"before 1970":  func(i *Personal) { i.Expires = time.Unix(-1, 0) },
		"the far end":  func(i *Personal) { i.Expires = time.Unix(maxUnix+1, 0) },
		"its own home": func(i *Personal) { i.Others = []Known{known(t, "b.test", 1)} },
	} {
		if _, err := personal(t, change); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// A proof is one person's, and of one invitation.
func TestProof(t *testing.T) {
	i, err := personal(t, func(*Personal) {})
	if err != nil {
		t.Fatal(err)
	}
	ann, eve := pki.Fingerprint{1}, pki.Fingerprint{2}
	proof := i.Proof(ann)
	other := i
	other.Secret[0] ^= 1
	if !i.Proves(ann, proof) || i.Proves(eve, proof) || other.Proves(ann, proof) || other.Mailbox() == i.Mailbox() {
		t.Error("a proof proves too little, or too much")
	}
}

func FuzzParsePersonal(f *testing.F) {
	i, err := personal(f, func(*Personal) {})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(i.String())
	f.Add(specimen(f).String())
	f.Fuzz(func(t *testing.T, text string) {
		if i, err := ParsePersonal(text); err == nil && i.String() != normal(text) {
			t.Errorf("%q is read as %q", text, i.String())
		}
	})
}
