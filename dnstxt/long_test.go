package dnstxt

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The longest domains for which there can be a record have a zone that answers and denies as others do: the name behind
// the apex and the mailbox of the SOA, which are longer, are others where there is no room for them.
func TestZoneOfALongDomain(t *testing.T) {
	for _, size := range []int{240, 243, 244, 245, 246, 247} {
		text := strings.Repeat("a", size-187) + strings.Repeat("."+strings.Repeat("b", 60), 3) + ".cde"
		if len(text) != size {
			t.Fatalf("%d octets, not %d", len(text), size)
		}
		cfg := zoneConfig(t)
		cfg.Domain = domain(t, text)
		z, err := NewSignedZone(cfg, leastRecord(), time.Now())
		if err != nil {
			t.Errorf("%d octets: %v", len(text), err)
			continue
		}
		for _, kind := range []uint16{dns.TypeTXT, dns.TypeA} {
			q, err := question{1, "_p3do." + text + ".", kind}.pack(true)
			if err != nil {
				t.Fatal(err)
			}
			var m dns.Msg
			if err := m.Unpack(z.reply(nil, q, dns.MaxMsgSize, time.Now())); err != nil || m.Rcode != dns.RcodeSuccess || (kind == dns.TypeTXT) != (len(m.Answer) > 0) {
				t.Errorf("%d octets, %s: %v %v", len(text), dns.TypeToString[kind], err, m)
			}
		}
	}
}
