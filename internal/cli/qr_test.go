package cli

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// Every module is where the code has it, with light around.
func TestQR(t *testing.T) {
	for _, text := range []string{"key:abc", strings.Repeat("P3DO1", 80)} {
		drawn, err := QR(text)
		if err != nil {
			t.Fatal(err)
		}
		code, err := qr.Encode(text, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
		if len(lines) != (code.Size+2*quietZone+1)/2 {
			t.Fatalf("%d lines for %d modules", len(lines), code.Size)
		}
		dark := 0
		for i, line := range lines {
			for j, r := range []rune(line) {
				x, y := j-quietZone, 2*i-quietZone
				upper, lower := r == ' ' || r == '▄', r == ' ' || r == '▀'
				if upper != code.Black(x, y) || lower != code.Black(x, y+1) {
					t.Fatalf("%q: wrong at %d, %d", text, x, y)
				}
				if upper {
					dark++
				}
			}
		}
		if dark < code.Size*code.Size/6 {
			t.Errorf("%d dark modules in the upper halves of %d", dark, code.Size*code.Size)
		}
	}
	if _, err := QR(strings.Repeat("x", 4000)); err == nil {
		t.Error("4000 bytes are drawn")
	}
}
