package keyserver

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/p3do/p3do/keyserver/witness"
)

// described are the targets of docs/spec/keyserver.openapi.json, with the examples of their
// parameters in place: of each, its methods.
func described(t *testing.T) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile("../docs/spec/keyserver.openapi.json")
	must(t, err)
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Parameters map[string]struct{ Example string }
		}
	}
	must(t, json.Unmarshal(raw, &doc))
	targets := make(map[string][]string)
	for path, operations := range doc.Paths {
		for name, p := range doc.Components.Parameters {
			path = strings.ReplaceAll(path, "{"+name+"}", p.Example)
		}
		targets[path] = slices.Collect(maps.Keys(operations))
	}
	return targets
}

// The description of the interface has a target of each kind that there is, and none besides.
func TestDescribed(t *testing.T) {
	kinds := make(map[kind]bool)
	for target, methods := range described(t) {
		if strings.Contains(target, "{") || len(methods) != 1 {
			t.Errorf("%s: %v", target, methods)
		}
		if methods[0] == "post" {
			if target != signTarget && target != witness.AddCheckpoint {
				t.Errorf("nobody takes POST %s", target)
			}
			continue
		}
		if witness.Serves("GET", target) {
			continue
		}
		q := parseTarget(target)
		kinds[q.kind] = true
		if q.kind == nothing || q.target() != target {
			t.Errorf("nobody answers %s: %+v", target, q)
		}
	}
	for k := nothing + 1; k <= logTile; k++ {
		if !kinds[k] {
			t.Errorf("no target of the description asks for kind %d", k)
		}
	}
}

// Whoever has the newest checkpoint is told so, and sent nothing.
func TestCheckpointUnchanged(t *testing.T) {
	w := newLogged(t, nil)
	w.publish(t, "ann@a.test")
	w.sealed(t)
	first := asked(w.server, "/v1/log/checkpoint")
	tag := first.Header().Get("ETag")
	if again := askedWith(w.server, "/v1/log/checkpoint", tag); again.Code != 304 || again.Body.Len() != 0 || again.Header().Get("ETag") != tag || first.Code != 200 {
		t.Errorf("%d, then %d: %q", first.Code, again.Code, again.Body)
	}
	w.publish(t, "bob@a.test")
	w.sealed(t)
	if other := askedWith(w.server, "/v1/log/checkpoint", tag); other.Code != 200 || other.Header().Get("ETag") == tag || other.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%d, %q", other.Code, other.Header())
	}
}

// What the description refers to is in it.
func TestDescriptionIsWhole(t *testing.T) {
	raw, err := os.ReadFile("../docs/spec/keyserver.openapi.json")
	must(t, err)
	var document any
	must(t, json.Unmarshal(raw, &document))
	refs := 0
	var walk func(any)
	walk = func(at any) {
		switch at := at.(type) {
		case []any:
			for _, v := range at {
				walk(v)
			}
		case map[string]any:
			for key, v := range at {
				if text, ok := v.(string); key == "$ref" && ok {
					refs++
					if !resolves(document, text) {
						t.Errorf("%s is nowhere", text)
					}
				}
				walk(v)
			}
		}
	}
	walk(document)
	if refs < 10 {
		t.Errorf("only %d references", refs)
	}
}

// resolves follows a reference into the document: a JSON pointer (RFC 6901).
func resolves(document any, ref string) bool {
	path, ok := strings.CutPrefix(ref, "#/")
	for _, name := range strings.Split(path, "/") {
		object, is := document.(map[string]any)
		document = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
		ok = ok && is && document != nil
	}
	return ok
}
