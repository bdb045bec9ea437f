package lab

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/p3do/p3do/mor"
)

// TestLogSearchFinds: what no log may show is found in every form that a log might give it,
// and what is explained is not.
func TestLogSearchFinds(t *testing.T) {
	raw := []byte("\x01\xfesixteen bytes\x80")
	if len(raw) != 16 {
		t.Fatal(len(raw))
	}
	id := mor.MessageID(raw)
	for name, line := range map[string]string{
		"raw": string(raw), "quoted": fmt.Sprintf("%q", raw), "hexadecimal": fmt.Sprintf("%x", raw), "in capitals": fmt.Sprintf("%X", raw),
		"spaced": fmt.Sprintf("% x", raw), "slice": fmt.Sprint(raw), "array": fmt.Sprint(id[:]), "source": fmt.Sprintf("%#v", raw),
		"JSON": strings.ReplaceAll(fmt.Sprint(raw), " ", ","), "base64": base64.StdEncoding.EncodeToString(raw),
		"base64 of more": base64.URLEncoding.EncodeToString(append([]byte("ab"), raw...)), "id": id.String(),
	} {
		if found := shownBy([]byte("level=INFO msg="+line+" x=1\n"), []trace{logTrace("it", raw)}, nil); !slices.Contains(found, "it") {
			t.Errorf("%s: %q is not found: %q", name, line, found)
		}
	}
	for _, line := range []string{
		"key=0123456789abcdef", "id=c2l4dGVlbiBieXRlcyBpZA", "quiet-ann", "to=quiet-ann@a.test", "from 127.0.0.1:40000",
	} {
		private := append(nameTraces("quiet-ann@a.test"), Private{Addresses: []string{"127.0.0.1:40000"}}.traces("ann")...)
		if found := shownBy([]byte("level=INFO msg="+line+"\n"), private, nil); len(found) == 0 {
			t.Errorf("%q is not found", line)
		}
	}
	plain := `time=2026-11-22T11:21:32.867Z level=INFO msg="no link" peer=b.test err="of 9bTzPq0xYw1n5vKf2Rk7Lg at /some/long/folder/of/a/node"`
	if found := shownBy([]byte(plain), []trace{logTrace("it", raw)}, []string{"9bTzPq0xYw1n5vKf2Rk7Lg"}); len(found) > 0 {
		t.Errorf("found %q in a plain log", found)
	}
}
