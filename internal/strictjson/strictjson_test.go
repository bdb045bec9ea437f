package strictjson

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

type message struct {
	Seq  int      `json:"seq"`
	Body *message `json:"body,omitempty"`
	List []int    `json:"list,omitempty"`
}

func TestUnmarshal(t *testing.T) {
	for text, want := range map[string]message{
		`{}`:                            {},
		`{"seq":1}`:                     {Seq: 1},
		` {"seq":1, "list":[1,2]} `:     {Seq: 1, List: []int{1, 2}},
		`{"body":{"seq":2},"seq":1}`:    {Seq: 1, Body: &message{Seq: 2}},
		`{"body":null,"list":null}`:     {},
		`{"body":{"body":{"seq":1}}}`:   {Body: &message{Body: &message{Seq: 1}}},
		`{"list":[],"body":{},"seq":9}`: {Seq: 9, List: []int{}, Body: &message{}},
	} {
		var got message
		if err := Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "{", "}", `{"seq":}`, `{"seq"}`, `{"seq":1,}`, `[}`,
		`{"SEQ":1}`, `{"Seq":1}`, `{"ſeq":1}`, `{"seq ":1}`, // names that encoding/json folds, or nearly
		`{"seq":1,"seq":2}`, `{"body":{"seq":1,"seq":1}}`, `{"s\u0065q":1,"seq":1}`,
		`{"other":1}`, `{"seq":1}{"seq":1}`, `{"seq":1} 2`, `{"seq":"1"}`,
		"{\"seq\":1,\"\xff\":1}", "{\"text\":\"\xff\"}",
		strings.Repeat(`{"body":`, MaxDepth) + `{}` + strings.Repeat("}", MaxDepth),
	} {
		var got message
		if err := Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// FuzzUnmarshal: what is taken, encoding/json takes too, and to the same value.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"seq":1,"body":{"list":[1,2,3]}}`))
	f.Add([]byte(`{"seq":1,"seq":2}`))
	f.Add([]byte(`[[{"seq":null}]]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var strict, loose any
		if Unmarshal(raw, &strict) != nil {
			return
		}
		if err := json.Unmarshal(raw, &loose); err != nil || !reflect.DeepEqual(strict, loose) {
			t.Errorf("%q: %v, %v, %v", raw, strict, loose, err)
		}
	})
}
