package lab

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Found is what a node turned out to hold of a conversation between others.
type Found struct {
	Domain string   `json:"domain"`
	Files  int      `json:"files"` // searched, its counters among them
	Bytes  int      `json:"bytes"`
	What   []string `json:"what"` // names of what was found; empty: nothing
}

// words say what was found.
func (f Found) words() string {
	if len(f.What) == 0 {
		return "nothing"
	}
	return strings.Join(f.What, ", ")
}

// A trace is something that a node might hold, in every form in which it might.
type trace struct {
	what  string
	forms [][]byte
}

// textTrace is a trace of something that is written as it is.
func textTrace(what, text string) trace { return trace{what, [][]byte{[]byte(text)}} }

// bytesTrace is a trace of bytes: raw, and in base64 of both alphabets. A few characters
// at the ends of a base64 form depend on what stands beside them and are left out.
func bytesTrace(what string, raw []byte) trace {
	t := trace{what, [][]byte{raw}}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			text := e.EncodeToString(append(make([]byte, shift), raw...))
			t.forms = append(t.forms, []byte(text[4:len(text)-4]))
		}
	}
	return t
}

func (t trace) in(content []byte) bool {
	for _, form := range t.forms {
		if bytes.Contains(content, form) {
			return true
		}
	}
	return false
}

// search reads everything in the folder of a node (its database with the write-ahead log,
// its keys, its log) and its counters, and says which traces are there.
func (l *lab) search(ctx context.Context, p *process, traces []trace) (Found, error) {
	found := Found{Domain: p.domain.String(), What: []string{}}
	there := make([]bool, len(traces))
	look := func(content []byte) {
		found.Files++
		found.Bytes += len(content)
		for i, t := range traces {
			there[i] = there[i] || t.in(content)
		}
	}
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		content, err := os.ReadFile(path)
		if err == nil {
			look(content)
		}
		return ignoreMissing(err)
	})
	if err != nil {
		return found, fmt.Errorf("lab: searching %s: %w", p.domain, err)
	}
	counters, err := p.control.Status(ctx)
	if err != nil {
		return found, fmt.Errorf("lab: counters of %s: %w", p.domain, err)
	}
	raw, err := json.Marshal(counters)
	if err != nil {
		return found, fmt.Errorf("lab: %w", err)
	}
	look(raw)
	for i, t := range traces {
		if there[i] {
			found.What = append(found.What, t.what)
		}
	}
	return found, nil
}

// ignoreMissing passes over files that went away while they were searched.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
