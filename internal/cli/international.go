package cli

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// International is what an error adds about a name or domain with letters that DNS does not have:
// how DNS spells it (A-labels, RFC 5890), for the user to compare and to type. It is "" for any
// other text. Nothing is converted unseen: letters that look alike make other names.
func International(text string) string {
	i := strings.LastIndexByte(text, '@') + 1
	if strings.IndexFunc(text, func(r rune) bool { return r > 0x7e || r < '!' }) < i || len(text) > 253 || !utf8.ValidString(text) {
		return ""
	}
	ascii, err := idna.Lookup.ToASCII(text[i:])
	if err != nil {
		return ""
	}
	return "; DNS spells it " + text[:i] + ascii
}
