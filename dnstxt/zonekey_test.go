package dnstxt

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Only the name "*" is a wildcard: a label that begins so is denied without a signature, rather than
// with one that is no good.
func TestStarIsDenied(t *testing.T) {
	z := newSignedZone(t, zoneStart)
	for name, rcode := range map[string]int{"*": 0, "x.*": 0, "x*": 0, "*x": dns.RcodeServerFailure, "**": dns.RcodeServerFailure} {
		a := askZone(t, z, udpSize, zoneStart, func(m *dns.Msg) { m.Question[0].Name = name + "._p3do.a.test." })
		if a.Rcode != rcode {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// The key is shown nowhere, neither by itself nor as a part of something.
func TestZoneKeyIsSecret(t *testing.T) {
	for _, v := range []any{newZoneKey(t), zoneConfig(t), newSignedZone(t, zoneStart)} {
		for _, format := range []string{"%v", "%+v", "%#v"} {
			shown := fmt.Sprintf(format, v)
			for _, seed := range []string{"7 7 7 7", "0x7, 0x7, 0x7", "07070707", "\a\a\a\a"} {
				if strings.Contains(shown, seed) {
					t.Errorf("%T, %s: %s", v, format, shown)
				}
			}
		}
	}
}
