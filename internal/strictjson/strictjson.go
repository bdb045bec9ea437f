// Package strictjson reads JSON that was written for us, and nothing that merely resembles it.
//
// encoding/json takes names in any case, takes the last of two equal names, and mends bytes
// that are no UTF-8. So two programs can read one message differently, and one that checks a
// message can be made to see another than the one that acts on it (RFC 8259 section 4).
// [Unmarshal] refuses all of that, unknown fields, and whatever follows the first value. null
// is as if the field were not there, as it is for encoding/json.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDepth is how deep objects and lists may lie in one another.
const MaxDepth = 16

// Unmarshal reads the one value that raw holds. Names are of the letters a to z, digits and
// underscores, and no object has one twice.
func Unmarshal(raw []byte, into any) error {
	if !utf8.Valid(raw) {
		return errors.New("strictjson: not UTF-8")
	}
	if err := checkNames(raw); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// A level is an object or list that has been opened.
type level struct {
	names map[string]bool // that the object has so far; nil for a list
	named bool            // a name has been read, and its value comes next
}

// checkNames walks through all tokens of raw, which must be one value.
func checkNames(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	var open []level
	for values := 0; ; {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && values == 1 && len(open) == 0:
			return nil
		case err != nil:
			return fmt.Errorf("strictjson: %w", err)
		case len(open) == 0:
			values++
		}
		if values > 1 {
			return errors.New("strictjson: more than one value")
		}
		if open, err = take(open, token); err != nil {
			return err
		}
	}
}

// take follows one token.
func take(open []level, token json.Token) ([]level, error) {
	if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
		return open[:len(open)-1], nil
	}
	if name, ok := token.(string); ok && len(open) > 0 && open[len(open)-1].wantsName() {
		return open, open[len(open)-1].name(name)
	}
	if len(open) > 0 {
		open[len(open)-1].named = false
	}
	delim, ok := token.(json.Delim)
	switch {
	case !ok:
		return open, nil
	case len(open) == MaxDepth:
		return nil, errors.New("strictjson: too deep")
	case delim == '{':
		return append(open, level{names: make(map[string]bool)}), nil
	default:
		return append(open, level{}), nil
	}
}

func (l *level) wantsName() bool { return l.names != nil && !l.named }

// name takes in the name of the next value.
func (l *level) name(name string) error {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') {
			return fmt.Errorf("strictjson: a name %q", name)
		}
	}
	if l.names[name] {
		return fmt.Errorf("strictjson: %q twice", name)
	}
	l.names[name], l.named = true, true
	return nil
}
