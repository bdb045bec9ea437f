package cli

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quietZone is how many light modules are around a QR code (ISO/IEC 18004, section 5.3.8).
const quietZone = 4

// QR draws text as a QR code for a terminal, two modules to a character: light ones are
// drawn, for most terminals are dark. An error if the text is too long for one.
func QR(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", fmt.Errorf("drawing a QR code: %w", err)
	}
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		for x := -quietZone; x < code.Size+quietZone; x++ {
			b.WriteString(modules(code.Black(x, y), code.Black(x, y+1)))
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// modules is one character for two modules, the upper and the lower.
func modules(upperDark, lowerDark bool) string {
	switch {
	case upperDark && lowerDark:
		return " "
	case upperDark:
		return "▄"
	case lowerDark:
		return "▀"
	}
	return "█"
}
