package node

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// scrape is what a node tells whoever asks in a host's name.
func (m *mesh) scrape(domain, host string) (status int, page string) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), "GET", "http://"+m.nodes[domain].running.Metrics+"/metrics", nil)
	must(m.t, err)
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	must(m.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	must(m.t, err)
	return answer.StatusCode, string(raw)
}

// TestMetricsNameNobody: after registrations, look-ups, letters and refusals the page has what
// happened in numbers. Each label says one of few words, and nothing on the page is a name, a
// domain, an address, a key or a tag.
func TestMetricsNameNobody(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "b.test", "c.test", "d.test")
	m.add("a.test", func(c *Config) { c.Listen.Metrics = "127.0.0.1:0" }).start()
	m.federate("a.test", "b.test", "c.test", "d.test")
	m.settled("a.test", "b.test", "c.test", "d.test")
	ann, bob := m.user("ann@a.test"), m.user("bob@b.test")
	id := ann.send(bob)
	ask := newQuestioner(t, describe(t))
	for _, target := range []string{"user/ann@a.test", "user/xenia@a.test", "key/" + ann.key.Fingerprint().String(), "servers", "log/checkpoint", "nothing"} {
		ask("GET", m.nodes["a.test"].running.KeyServer, "/v1/"+target, nil, nil)
	}
	m.cosignedBy("a.test", 2, 3)
	m.selfChecked("a.test")
	a := m.nodes["a.test"]
	status, page := m.scrape("a.test", a.running.Metrics)
	if status != 200 {
		t.Fatalf("%d\n%s", status, page)
	}
	for _, want := range []string{
		"p3do_up 1", "p3do_links 3", `p3do_keyserver_requests_total{route="user",status="200"}`, `p3do_keyserver_requests_total{route="user",status="404"} 1`,
		"p3do_log_cosignatures 3", "p3do_forked_domains 0", `p3do_packets_total{event="spoken"}`, `p3do_peels_per_second{layer="context",load="alone"}`, "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, private := range []string{
		"ann@", "bob", "xenia", "a.test", "b.test", "127.0.0.1", ann.key.Fingerprint().String(), m.authority("a.test").CA().Fingerprint().String(), id.String(), m.status("a.test").Contexts[0].ID,
	} {
		if strings.Contains(page, private) {
			t.Errorf("%s is on the page", private)
		}
	}
	said := slices.Concat(strings.Fields(`heard duplicate forwarded rebroadcast peeled crossed spoken noticed announced asked given answered malformed over unsent link-full no-link spool-full marks-full refused
		sent received 200 304 400 403 404 409 422 429 503 500 user key server servers successions proof log mirror witness sign other context alone saturated`))
	for _, d := range mor.Drops() {
		said = append(said, d.String())
	}
	for kind := range (link.Stats{}).Sent {
		said = append(said, link.Kind(kind).String())
	}
	for _, label := range regexp.MustCompile(`(?m)^p3do_\w+\{(.*)\}`).FindAllStringSubmatch(page, -1) {
		for _, value := range regexp.MustCompile(`="([^"]*)"`).FindAllStringSubmatch(label[1], -1) {
			if !slices.Contains(said, value[1]) {
				t.Errorf("a label says %q", value[1])
			}
		}
	}
	for _, host := range []string{"localhost:4406", "evil.example", "192.0.2.1:4406"} {
		if status, page := m.scrape("a.test", host); status != 403 || strings.Contains(page, "p3do_") {
			t.Errorf("asked as %q: %d", host, status)
		}
	}
	if m.nodes["b.test"].running.Metrics != "" {
		t.Error("a node tells numbers that nobody asked for")
	}
}

// Metrics are for this machine.
func TestMetricsFaults(t *testing.T) {
	c := labConfig(parse(t, pki.ParseDomain, "a.test"), "127.0.0.1:53")
	for address, good := range map[string]bool{
		"": true, "127.0.0.1:4406": true, "[::1]:0": true, "0.0.0.0:4406": false, "192.0.2.1:4406": false, "localhost:4406": false, ":4406": false, "127.0.0.1": false,
	} {
		c.Listen.Metrics = address
		if err := c.validate(); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}
