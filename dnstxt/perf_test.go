package dnstxt

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/internal/dnsserver"
)

const (
	perfRounds  = 3
	perfSeconds = 10 // of each server in a round
)

// TestDNSPerf is what "make dnsperf" runs: dnsperf asks the signed zone's server, Knot and
// CoreDNS, which hold the same signed zone, for its TXT with DO, in turns. It prints the
// medians and their ratios. Without P3DO_DNSPERF it is skipped: it loads the machine.
func TestDNSPerf(t *testing.T) {
	if os.Getenv("P3DO_DNSPERF") == "" {
		t.Skip("make dnsperf")
	}
	path := dnsserver.Program(t, "dnsperf")
	dir := t.TempDir()
	queries := filepath.Join(dir, "queries")
	if err := os.WriteFile(queries, []byte("_p3do.a.test TXT\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ours := serveZone(t, 1e9) // the gate counts, and lets all of them through
	zone := zoneText(t, ours.zone)
	servers := []struct{ name, at string }{
		{"p3do", ours.Addr()}, {"knot", perfKnot(t, zone)}, {"coredns", perfCoreDNS(t, zone)},
	}
	rates := map[string][]float64{}
	for round := range perfRounds {
		for _, s := range servers {
			if s.at == "" {
				continue
			}
			rate := perf(t, path, queries, s.at)
			t.Logf("round %d: %-8s %8.0f/s", round+1, s.name, rate)
			rates[s.name] = append(rates[s.name], rate)
		}
	}
	median := func(name string) float64 {
		if len(rates[name]) == 0 {
			return 0
		}
		return slices.Sorted(slices.Values(rates[name]))[perfRounds/2]
	}
	for _, s := range servers {
		if s.at == "" {
			continue
		}
		t.Logf("median:  %-8s %8.0f/s, ours is %.2f of it", s.name, median(s.name), median("p3do")/median(s.name))
	}
	if median("p3do") < median("knot")/2 || median("p3do") <= median("coredns") {
		t.Error("less than half of knot's rate, or no more than CoreDNS's")
	}
}

// perf is how many answers a second dnsperf gets from a server, none of them lost.
func perf(t *testing.T, path, queries, at string) float64 {
	t.Helper()
	host, port, _ := net.SplitHostPort(at)
	out, err := exec.CommandContext(t.Context(), path, "-s", host, "-p", port, "-d", queries, "-D", "-c", "8", "-T", "1", "-q", "128",
		"-l", strconv.Itoa(perfSeconds)).CombinedOutput()
	rate := regexp.MustCompile(`Queries per second: +([0-9.]+)`).FindSubmatch(out)
	size := regexp.MustCompile(`Average packet size: +request [0-9]+, response ([0-9]+)`).FindSubmatch(out)
	if err != nil || rate == nil || size == nil {
		t.Fatalf("dnsperf: %v\n%s", err, out)
	}
	if n, _ := strconv.Atoi(string(size[1])); n < 200 || !strings.Contains(string(out), "NOERROR") {
		t.Fatalf("that are no signed answers:\n%s", out)
	}
	if lost := regexp.MustCompile(`Queries lost: +[1-9].*`).Find(out); lost != nil {
		t.Logf("%s: %s", at, lost)
	}
	n, err := strconv.ParseFloat(string(rate[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// zoneText is the zone as a file, signatures and all.
func zoneText(t *testing.T, z *SignedZone) string {
	t.Helper()
	var b strings.Builder
	for _, kind := range []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeTXT, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY, dns.TypeNSEC} {
		for _, rr := range askZone(t, z, dns.MaxMsgSize, time.Now(), func(m *dns.Msg) { m.Question[0].Qtype = kind }).Answer {
			fmt.Fprintln(&b, rr)
		}
	}
	return b.String()
}

// perfKnot starts Debian's Knot, which serves the zone as it is, with as many workers as it likes.
func perfKnot(t *testing.T, zone string) string {
	return perfServer(t, dnsserver.Program(t, "knotd"), zone, []string{"-c", "FILE"}, func(dir, port string) string {
		return fmt.Sprintf("server:\n  rundir: %[1]s\n  listen: 127.0.0.1@%[2]s\nlog:\n  - target: stderr\n    any: warning\n"+
			"database:\n  storage: %[1]s\nzone:\n  - domain: _p3do.a.test\n    storage: %[1]s\n    file: zone\n    semantic-checks: off\n", dir, port)
	})
}

// perfCoreDNS starts the CoreDNS at P3DO_COREDNS, or nothing.
func perfCoreDNS(t *testing.T, zone string) string {
	path := os.Getenv("P3DO_COREDNS")
	if path == "" {
		t.Log("P3DO_COREDNS is not set: without CoreDNS")
		return ""
	}
	return perfServer(t, path, zone, []string{"-conf", "FILE"}, func(dir, port string) string {
		return fmt.Sprintf("_p3do.a.test:%s {\n  bind 127.0.0.1\n  file %s/zone\n}\n", port, dir)
	})
}

// perfServer starts a server of the zone, whose configuration write makes, until the test ends.
func perfServer(t *testing.T, path, zone string, args []string, write func(dir, port string) string) string {
	t.Helper()
	dir := t.TempDir()
	free, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr()
	free.Close()
	_, port, _ := net.SplitHostPort(at)
	file := filepath.Join(dir, "conf")
	for name, text := range map[string]string{file: write(dir, port), filepath.Join(dir, "zone"): zone} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range args {
		args[i] = strings.Replace(args[i], "FILE", file, 1)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	server := dnsserver.Server{Addr: at}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		a, err := server.Ask("_p3do.a.test", dns.TypeTXT)
		if err == nil && len(a.Answer) == 2 {
			return at
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v %v", path, a, err)
		}
	}
}
