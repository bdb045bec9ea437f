package message

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/p3do/p3do/pki"
)

// hexBytes are bytes that JSON holds in hexadecimal.
type hexBytes []byte

// UnmarshalText reads hexadecimal.
func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

type vector struct {
	Name, Comment, Expect, Of string
	Offset                    int
	Sealed                    hexBytes
	Inputs                    struct {
		Recipient, Sender, Encapsulation, Plaintext hexBytes
		OpenWith                                    hexBytes `json:"open_with"`
		OpenAs                                      pki.Name `json:"open_as"`
		Name                                        pki.Name `json:"recipient_name"`
	}
	Outputs struct {
		Kind Kind
		ID   hexBytes
		Name string
		Text string
	}
}

// The checked-in vectors open and are refused as they say.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../../docs/spec/vectors/message.json")
	check(t, err)
	var file struct{ Vectors []vector }
	check(t, json.Unmarshal(raw, &file))
	named := make(map[string]vector)
	opened, kinds := 0, make(map[Kind]bool)
	for _, v := range file.Vectors {
		named[v.Name] = v
		if v.Of != "" {
			of := named[v.Of]
			v.Inputs, v.Sealed = of.Inputs, bytes.Clone(of.Sealed)
			v.Sealed[v.Offset] ^= 1
		}
		t.Run(v.Name, v.check)
		if v.Expect == "open" {
			opened++
			kinds[v.Outputs.Kind] = true
		}
	}
	if len(kinds) != 3 {
		t.Errorf("of the three kinds only %v open", kinds)
	}
	if opened < 5 || len(file.Vectors)-opened < 20 {
		t.Errorf("%d of %d vectors open", opened, len(file.Vectors))
	}
}

func (v vector) check(t *testing.T) {
	keys := v.Inputs.Recipient
	if v.Inputs.OpenWith != nil {
		keys = v.Inputs.OpenWith
	}
	to, err := ParsePrivateKeys(keys)
	check(t, err)
	as := v.Inputs.Name
	if !v.Inputs.OpenAs.IsZero() {
		as = v.Inputs.OpenAs
	}
	c, err := Open(to, as, v.Sealed)
	if v.Expect == "refuse" {
		if !errors.Is(err, ErrOpen) {
			t.Errorf("%v, want ErrOpen", err)
		}
		return
	}
	check(t, err)
	if c.Text != v.Outputs.Text || !bytes.Equal(c.ID[:], v.Outputs.ID) || c.Name.String() != v.Outputs.Name {
		t.Errorf("opened as %q by %s", c.Text, c.Name)
	}
	from, err := ParsePrivateKeys(v.Inputs.Sender)
	check(t, err)
	again, err := Seal(bytes.NewReader(v.Inputs.Encapsulation), from, to.Public(), v.Inputs.Name, c)
	check(t, err)
	if !bytes.Equal(again, v.Sealed) {
		t.Error("sealed again it is something else")
	}
}
