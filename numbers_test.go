package p3do_test

import (
	"testing"
	"time"

	"github.com/p3do/p3do/internal/house"
)

const (
	milli  = int64(time.Millisecond)
	second = int64(time.Second)
	minute = int64(time.Minute)
	hour   = int64(time.Hour)
	day    = 24 * hour
	kib    = 1 << 10
	mib    = 1 << 20
)

// A number is a house.Number, with short rows.
type number struct {
	Text, Constant string
	Unit           int64
}

// TestNumbers: the pages say the numbers that the code has. Who changes a constant that is
// here corrects the page.
func TestNumbers(t *testing.T) {
	for page, numbers := range map[string][]number{
		"docs/operating.md": {
			{"first (# at once for one address", "node.newcomersEach", 1},
			{"then one every # minutes", "node.newcomerEachEvery", 60 * second},
			{"# at once for all together", "node.newcomersAtOnce", 1},
			{"then one every # seconds", "node.newcomerEvery", second},
			{"| `disk` | # MiB and 1 % are left |", "node.leastDisk", mib},
			{"100 MiB and # % are left", "node.leastPercent", 1},
			{"Mail that is not fetched goes after # days", "internal/store.ItemLife", day},
			{"_p3do.north.example. # IN TXT", "node.RecordTTL", 1},
		},
		"docs/spec/dnstxt.md": {
			{"each at most # octets, joined", "dnstxt.maxString", 1},
			{"at most # octets and holds", "dnstxt.MaxSize", 1},
			{"holds at most # tags", "dnstxt.maxTags", 1},
			{"tag-name = 1*#(", "dnstxt.maxTagName", 1},
			{"| 1 to # key servers", "dnstxt.MaxKeyServers", 1},
			{"payload size of # octets", "dnstxt.udpSize", 1},
			{"Over UDP, at most # tries", "dnstxt.udpTries", 1},
			{"over TCP (RFC 1035 section 4.2.2), at most # tries", "dnstxt.tcpTries", 1},
			{"A try ends after # s", "dnstxt.DefaultTimeout", second},
			{"passed over, up to # datagrams", "dnstxt.udpStrayed", 1},
			{"more than # answer records", "dnstxt.maxAnswers", 1},
			{"at most # records. It is", "dnstxt.MaxRecords", 1},
			{"QR set, more than # octets", "dnstxt.maxQuery", 1},
			{"the record, TTL # s, AA", "dnstxt.recordTTL", 1},
			{"SOA in authority, TTL # s", "dnstxt.negativeTTL", 1},
			{"At most # TCP connections", "dnstxt.maxConns", 1},
			{"is silent for # s", "dnstxt.tcpIdle", second},
			{"has asked # times", "dnstxt.tcpQueries", 1},
		},
		"docs/spec/keyserver.md": {
			{"being read from the store at a time | # |", "keyserver.pageReads", 1},
			{"| the card of `NAME`, as in `ann@a.test` | # |", "pki.MaxCardSize", 1},
			{"| the server descriptor of `DOMAIN` | # |", "pki.MaxDescriptorSize", 1},
			{"| the first page of descriptors | # |", "keyserver.MaxPageSize", 1},
			{"no host in front, # bytes at most", "keyserver.maxTarget", 1},
			{"ascending byte order; n descriptor } # at most", "keyserver.PageServers", 1},
			{"ours stops at # servers", "keyserver.MaxServers", 1},
			{"under the same CA only; # at most", "internal/store.MaxServers", 1},
			{"(next section): # at most", "internal/store.MaxCachedUsers", 1},
			{"with a copy younger than # minutes", "keyserver.CacheFresh", minute},
			{"gone, slow (# s)", "keyserver.FetchTimeout", second},
			{"share one fetch; # fetches run at once", "keyserver.MaxFetches", 1},
			{"| # per second, 200 at once |", "keyserver.DefaultRate", 1},
			{"| 20 per second, # at once |", "keyserver.DefaultBurst", 1},
			{"clients whose rate is kept | # |", "keyserver.MaxClients", 1},
			{"| connections | #, of one client 256 |", "keyserver.MaxConns", 1},
			{"| connections | 1 024, of one client # |", "keyserver.MaxConnsPerClient", 1},
			{"TLS handshake and header | # s,", "keyserver.headerTimeout", second},
			{"whole answer, idle connection | # s |", "keyserver.answerTimeout", second},
			{"whole answer, idle connection | # s |", "keyserver.idleTimeout", second},
		},
		"docs/spec/link.md": {
			{"The handshake with its greeting must end within # s", "internal/link.DefaultHandshakeTimeout", second},
			{"application data records of exactly # bytes", "internal/link.SlotSize", 1},
			{"waits up to # s (or 64 KiB)", "internal/link.partTimeout", second},
			{"waits up to 1 s (or # KiB)", "internal/link.partBytes", kib},
			{"A control message is 1 to # bytes", "internal/link.MaxControl", 1},
			{"bytes: # in all fragments but the last", "internal/link.fragmentSize", 1},
			{"packets and forwards waiting on a link | # slots", "internal/link.DefaultQueue", 1},
			{"control waiting on a link | # slots", "internal/link.ControlQueue", 1},
			{"time for the peer to take one slot | # s |", "internal/link.WriteTimeout", second},
			{"connections in the handshake | # a listener", "internal/link.MaxHandshakes", 1},
			{"node links, user links | # and", "internal/link.DefaultMaxNodes", 1},
			{"node links, user links | 1 024 and # a listener", "internal/link.DefaultMaxUsers", 1},
		},
		"docs/spec/message.md": {
			{"| sealed part | # octets, exactly |", "internal/message.Size", 1},
			{"enc # encapsulation", "internal/message.encSize", 1},
			{"plaintext #, tag 16", "internal/message.plainSize", 1},
			{"plaintext 5118, tag #", "internal/message.tagSize", 1},
			{"| spools | 1 to # |", "pki.MaxSpools", 1},
			{"| certificate | # octets |", "pki.MaxCertificateSize", 1},
			{"| name | # octets", "pki.MaxNameSize", 1},
			{"at its own time | at most # days old", "internal/agent.longestWait", day},
			{"leaves a letter for # days", "internal/agent.holdFor", day},
			{"8 days; # in all, 32 by", "internal/agent.maxHeld", 1},
			{"in all, # by the pinned key", "internal/agent.maxHeldContact", 1},
			{"contact, # by other keys", "internal/agent.maxHeldUnknown", 1},
			{"dated more than # hours ahead", "internal/agent.mostAhead", hour},
		},
		"docs/spec/mor.md": {
			{"An epoch is # s", "mor/onion.EpochLength", second},
			{"heard packets of one context in one epoch | #", "mor.defaultSeenShare", 1},
			{"marks caused by one heard context | #", "mor.defaultMarkShare", 1},
			{"packets waiting to be spoken; to be peeled | # each", "mor.MaxQueue", 1},
			{"listeners; members of a context | # each", "mor.MaxListeners", 1},
			{"listeners; members of a context | # each", "mor.MaxMembers", 1},
			{"foreign contexts; of one owner | #;", "mor.MaxKnown", 1},
			{"foreign contexts; of one owner | 4 096; # |", "mor.MaxOwned", 1},
			{"neighbours that tell of one context | # |", "mor.MaxTellers", 1},
			{"leads of a record; bytes of it; records in an answer | #;", "mor.MaxLeads", 1},
			{"records in an answer | 64; #;", "mor.maxRecordBytes", 1},
			{"records in an answer | 64; 4 096; # |", "mor.MaxAnswered", 1},
			{"re-wraps on one leg | # |", "mor.LegBudget", 1},
			{"unfinished messages of a user | # |", "mor.MaxOutbox", 1},
			{"reply blocks waited for, of one message | # |", "mor.maxWaiting", 1},
			{"a new leg, as below, with a budget of #", "mor.fullBudget", 1},
			{"depth 1 1 to #", "mor.MaxDepth", 1},
			{"MaxDelay is # s", "mor.defaultMaxDelay", second},
			{"The grid is the multiples of # ms", "mor.defaultGrid", milli},
			{"An owner signs a record for # h", "mor.RecordLifetime", hour},
			{"Inner packets expire after # days", "mor.LetterLifetime", day},
			{"in the outbox | # s if the node", "mor.notTaken", second},
			{"took a copy | # s,", "mor.firstRetry", second},
			{"to # min |", "mor.longestRetry", minute},
			{"said so | # min,", "mor.patientRetry", minute},
			{"to # h;", "mor.longestWait", hour},
			{"there and back, # at most", "mor.maxDoubt", 1},
			{"such that the first # bits", "mor.StrangerWork", 1},
			{"What the last inner layer delivers is # bytes", "mor/onion.PayloadSize", 1},
			{"surb #", "mor/onion.SURBSize", 1},
			{"sealed #", "mor.SealedSize", 1},
			{"the number of relays, # or 3", "mor.MinHops", 1},
			{"the number of relays, 2 or #", "mor.MaxHops", 1},
			{"(default #)", "mor.DefaultHops", 1},
			{"no link with it for # s", "node.goneAfter", second},
			{"the contexts (# at most", "node.maxContexts", 1},
		},
		"docs/spec/pki.md": {
			{"; at most # bytes label", "pki.MaxDomainSize", 1},
			{"label = 1*#(", "pki.maxLabelSize", 1},
			{"local = 1*#(", "pki.MaxLocalSize", 1},
			{"endpoint = host \":\" port ; at most # bytes", "pki.MaxEndpointSize", 1},
			{"As text it is # characters", "pki.FingerprintTextSize", 1},
			{"A label is 1 to # of", "pki.maxLabelStatement", 1},
			{"signed by Ed25519, at most # long", "pki.MaxCertificateSize", 1},
			{"Validity begins # seconds before signing", "pki.ClockSkew", second},
			{"AKI(D) | # days; at most 400 | | link", "pki.UserLifetime", day},
			{"AKI(D) | # days; at most 400 | Nothing", "pki.LinkLifetime", day},
			{"at most # | | link", "pki.MaxLifetime", day},
			{"| # days, never longer than the peer's own", "pki.CrossLifetime", day},
			{"Server descriptor At most # long", "pki.MaxDescriptorSize", 1},
			{"later than issued, at most # days later, at most 253402300799 | | 1 | number of server keys", "pki.MaxDescriptorLifetime", day},
			{"number of server keys | 1 to # |", "pki.MaxServerKeys", 1},
			{"| 4 + # each | period, public key", "pki.ServerKeySize", 1},
			{"number of links | 1 to # |", "pki.MaxLinks", 1},
			{"number of key servers | 1 to # |", "pki.MaxKeyServers", 1},
			{"`n × #` until", "pki.periodSeconds", 1},
			{"Card of a user At most # long", "pki.MaxCardSize", 1},
			{"later than issued, at most # days later, at most 253402300799 | | 1216 | seal", "pki.MaxCardLifetime", day},
			{"| # | seal |", "pki.SealSize", 1},
			{"number of spools | 1 to # |", "pki.MaxSpools", 1},
			{"both ends take # bytes of exporter", "pki.ExporterSize", 1},
		},
		"docs/spec/session.md": {
			{"of at most # MiB:", "internal/link.MaxControl", mib},
			{"requests of one link worked on at a time | # |", "internal/session.MaxPending", 1},
			{"answers that wait in the node's link | # slots", "internal/link.ControlQueue", 1},
			{"| # bytes | `bad-request` |", "internal/session.MaxQuestion", 1},
			{"items in one answer | # |", "internal/session.MaxItems", 1},
			{"descriptors in one answer | # |", "internal/session.MaxDescriptors", 1},
			{"descriptors that a user takes in all | # |", "internal/session.MaxServers", 1},
			{"mailboxes in one claim | # |", "internal/session.MaxClaims", 1},
			{"items in one forget | # |", "internal/session.MaxForget", 1},
			{"| `wait` | # s |", "internal/session.LongestWait", second},
			{"time without a login | # s |", "internal/session.LoginTime", second},
			{"at most # bytes of UTF-8", "internal/session.MaxText", 1},
		},
	} {
		for _, n := range numbers {
			report(t, house.Says(tree(t), page, text(t, page), house.Number(n)))
		}
	}
}
