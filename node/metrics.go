package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/mor"
)

// scrapeTime bounds one scrape, and maxScrapes how many go on at a time.
const (
	scrapeTime = 10 * time.Second
	maxScrapes = 2
)

// metricsFault is what is wrong with listen.metrics: it is for this machine only, and named by its
// address, because whoever scrapes is not asked who he is.
func (l Listen) metricsFault() error {
	if l.Metrics == "" {
		return nil
	}
	if at, err := netip.ParseAddrPort(l.Metrics); err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf(`listen.metrics is %q, not a loopback address and a port as "127.0.0.1:4406": have a program on this machine carry it further`, l.Metrics)
	}
	return nil
}

// listenMetrics opens listen.metrics, if there is one.
func (n *Node) listenMetrics(ctx context.Context) (net.Listener, error) {
	if n.cfg.Listen.Metrics == "" {
		return nil, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", n.cfg.Listen.Metrics)
	if err != nil {
		return nil, fmt.Errorf("node: listening for metrics: %w", err)
	}
	n.addresses.Metrics = listener.Addr().String()
	return listener, nil
}

// serveMetrics tells Prometheus what the node counts. What a label can say is in a closed list: no
// name, no domain, no address, no key. Asked by a name, as a page in a browser is, it answers nothing.
func (n *Node) serveMetrics(ctx context.Context, listener net.Listener) error {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(gauges{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	page := promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime, ErrorHandling: promhttp.HTTPErrorOnError})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if at, err := netip.ParseAddrPort(r.Host); err != nil || !at.Addr().IsLoopback() {
			http.Error(w, "ask by the address", http.StatusForbidden)
			return
		}
		page.ServeHTTP(w, r)
	})
	return serveHTTP(ctx, mux, listener)
}

// gauges are the node's state as Prometheus wants it, read anew for each scrape.
type gauges struct{ n *Node }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("p3do_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: it says nothing beforehand.
func (g gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (g gauges) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	t := teller{out}
	status, err := g.n.Status(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(gauge("up", "Whether the node answers."), err)
		return
	}
	t.now("up", "Whether the node answers.", 1)
	g.mesh(t, status)
	for _, c := range status.Contexts {
		g.packets(t, c)
	}
	g.links(t, status.Links)
	g.log(ctx, t)
	g.dns(t)
	for _, c := range g.n.published.Counts() {
		t.sum("keyserver_requests_total", "Requests to the key server, by what was asked for and the status of the answer.", c.Number, "route", string(c.Route), "status", strconv.Itoa(c.Status))
	}
}

// dns is what became of what came to our own zone's server.
func (g gauges) dns(t teller) {
	server := g.n.publisher.served.Load()
	if server == nil {
		return
	}
	c := server.Counts()
	for outcome, count := range map[string]uint64{"answered": c.Answered, "over": c.Over, "ignored": c.Ignored, "failed": c.Failed} {
		t.sum("dns_queries_total", "What came to the server of the own zone: answered, over the rate of a network, no query, or not to be read.", count, "outcome", outcome)
	}
}

// A teller tells numbers, with pairs of a label and what it says.
type teller struct{ out chan<- prometheus.Metric }

func (t teller) tell(kind prometheus.ValueType, name, help string, value float64, pairs []string) {
	var labels, says []string
	for i := 0; i < len(pairs); i += 2 {
		labels, says = append(labels, pairs[i]), append(says, pairs[i+1])
	}
	t.out <- prometheus.MustNewConstMetric(gauge(name, help, labels...), kind, value, says...)
}

func (t teller) now(name, help string, value float64, pairs ...string) {
	t.tell(prometheus.GaugeValue, name, help, value, pairs)
}

func (t teller) sum(name, help string, value uint64, pairs ...string) {
	t.tell(prometheus.CounterValue, name, help, float64(value), pairs)
}

func (g gauges) mesh(t teller, s Status) {
	t.now("servers", "Domains whose descriptor is known, this one among them.", float64(s.Servers))
	t.now("pinned_domains", "Domains whose key is pinned.", float64(s.Confirmed))
	t.now("vouched_domains", "Domains for whose pinned key enough peers vouch.", float64(s.Vouched))
	if p := s.Peels; p != nil {
		const help = "Layers that this machine can take off in a second, as measured at the start: in one goroutine alone, and on all processors."
		for load, rates := range map[string][2]float64{"alone": {p.Outer, p.Inner}, "saturated": {p.OuterAtAll, p.InnerAtAll}} {
			t.now("peels_per_second", help, rates[0], "layer", "context", "load", load)
			t.now("peels_per_second", help, rates[1], "layer", "server", "load", load)
		}
	}
	t.now("known_contexts", "Contexts of others that there is a record of.", float64(s.Known))
	t.now("forked_domains", "Domains that are frozen because their key log has two histories.", float64(g.n.beliefs.countForks()))
	for reason, count := range map[string]uint64{
		"link-full": s.Wasted.LinkFull, "no-link": s.Wasted.NoLink, "spool-full": s.Wasted.SpoolFull, "marks-full": s.Wasted.MarksFull, "refused": s.Wasted.Refused,
	} {
		t.sum("wasted_total", "Packets and letters that went no further for want of something here.", count, "reason", reason)
	}
	for outcome, count := range map[string]uint64{
		"answered": s.Lookups.Answered, "malformed": s.Lookups.Malformed, "over": s.Lookups.Over, "unsent": s.Lookups.Unsent,
	} {
		t.sum("mesh_lookups_total", "Look-ups that came through the mesh.", count, "outcome", outcome)
	}
}

func (g gauges) packets(t teller, c ContextStatus) {
	for event, count := range map[string]uint64{
		"heard": c.Heard, "duplicate": c.Duplicates, "forwarded": c.Forwarded, "rebroadcast": c.Rebroadcast, "peeled": c.Peeled, "crossed": c.Crossed, "spoken": c.Spoken,
		"noticed": c.Noticed, "announced": c.Announced, "asked": c.Asked, "given": c.Given,
	} {
		t.sum("packets_total", "What became of packets on the node's context.", count, "event", event)
	}
	for _, reason := range mor.Drops() {
		t.sum("packets_dropped_total", "Packets that went no further, by the reason.", c.Dropped[reason.String()], "reason", reason.String())
	}
}

// links are counted together: one by one they would have to be named.
func (g gauges) links(t teller, all []LinkStatus) {
	var sum link.Stats
	for _, l := range all {
		sum.Full, sum.Lost, sum.Queued = sum.Full+l.Stats.Full, sum.Lost+l.Stats.Lost, sum.Queued+l.Stats.Queued
		for kind := range sum.Sent {
			sum.Sent[kind] += l.Stats.Sent[kind]
			sum.Received[kind] += l.Stats.Received[kind]
		}
	}
	t.now("links", "Links with peers.", float64(len(all)))
	t.now("slots_queued", "Slots that wait to be written to a peer.", float64(sum.Queued))
	for kind := range sum.Sent {
		const help = "Slots of 16384 bytes on the links with peers that there are now: it falls when one ends."
		t.now("slots", help, float64(sum.Sent[kind]), "direction", "sent", "kind", link.Kind(kind).String())
		t.now("slots", help, float64(sum.Received[kind]), "direction", "received", "kind", link.Kind(kind).String())
	}
}

// log is how the key log stands, and the copies of others.
func (g gauges) log(ctx context.Context, t teller) {
	leaves, err := g.n.store.LogSize(ctx)
	if err == nil {
		t.now("log_leaves", "Entries of the key log, signed or not.", float64(leaves))
	}
	newest, _, _ := g.n.ledger.Published()
	t.now("log_signed_leaves", "Entries under the newest checkpoint.", float64(g.n.ownHead(newest).Size))
	times := g.n.cosignatures(newest)
	t.now("log_cosignatures", "Peers that cosigned the newest checkpoint.", float64(len(times)))
	if len(times) > 0 {
		t.now("log_cosignature_age_seconds", "Age of the oldest of these cosignatures.", time.Since(slices.MinFunc(times, time.Time.Compare)).Seconds())
	}
	t.now("log_copies_behind", "Peers whose key log is known to have more than the copy of it.", float64(g.n.mirrors.behind()))
}

// cosignatures are when peers cosigned a checkpoint of ours, as they say: they were verified when
// they came.
func (n *Node) cosignatures(checkpoint []byte) (times []time.Time) {
	verifier, err := witness.LogVerifier(n.cfg.Domain, n.logging.log.Public())
	if err != nil {
		return nil
	}
	signed, err := note.Open(checkpoint, note.VerifierList(verifier))
	if err != nil {
		return nil
	}
	for _, sig := range signed.UnverifiedSigs {
		if at, ok := keylog.CosignedAt(sig); ok {
			times = append(times, at)
		}
	}
	return times
}
