package keyserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// benchGet asks over kept connections, as many as there are cores.
func benchGet(b *testing.B, address, target string, size int) {
	tr := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		},
		MaxIdleConnsPerHost: 16, DisableCompression: true,
	}
	defer tr.CloseIdleConnections()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest("GET", "https://x"+target, nil)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			n, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil || int(n) != size {
				b.Error(n, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
}

// One of 1 000 users, over TLS, through rate limit and store.
func BenchmarkLookup(b *testing.B) {
	w := newWorld(b, "a.test", func(c *Config) { c.Rate, c.Burst = 1e9, 1e9 })
	for i := range 1000 {
		must(b, w.server.PublishCertificate(context.Background(), newPerson(b, w.authority, fmt.Sprintf("u%d@a.test", i)).cert))
	}
	p := newPerson(b, w.authority, "ann@a.test")
	card := p.card(b, 1)
	must(b, w.server.PublishCard(context.Background(), card))
	b.ResetTimer()
	benchGet(b, w.endpoint.Address, "/v1/user/ann@a.test", len(card.Raw()))
}

// The floor: a net/http handler that returns as many bytes over the same TLS.
func BenchmarkFloorHandler(b *testing.B) {
	a := authority(b, "a.test")
	body := newPerson(b, a, "ann@a.test").card(b, 1).Raw()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	cert := certificate(b, a, a.CA().NotAfter().AddDate(-9, 0, 0))
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })}
	go srv.Serve(tls.NewListener(ln, serverTLS(func() (*tls.Certificate, error) { return cert, nil })))
	defer srv.Close()
	b.ResetTimer()
	benchGet(b, ln.Addr().String(), "/v1/user/ann@a.test", len(body))
}

// A page of 256 descriptors, read from the store as it is taken.
func BenchmarkPage(b *testing.B) {
	w := newWorld(b, "a.test", func(c *Config) { c.Rate, c.Burst = 1e9, 1e9 })
	size := 0
	for i := range PageServers {
		d := descriptor(b, authority(b, fmt.Sprintf("n%d.test", i)), 1)
		must(b, w.server.PublishDescriptor(context.Background(), d))
		size += 2 + len(d.Raw())
	}
	b.ResetTimer()
	benchGet(b, w.endpoint.Address, "/v1/servers", size)
}
