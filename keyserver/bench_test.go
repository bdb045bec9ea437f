package keyserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
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

// benchProven has 2 000 users with a log under two cosignatures.
func benchProven(b *testing.B) (w *logged, size int) {
	w = newLoggedWith(b, newCosigners(b, "b.test", "c.test"), func(c *Config) { c.Rate, c.Burst = 1e9, 1e9 })
	for i := range benchUsers {
		w.publish(b, fmt.Sprintf("u%04d@a.test", i))
	}
	w.sealed(b)
	return w, asked(w.server, "/v1/proof/user/u0000@a.test").Body.Len()
}

const benchUsers = 2000

// benchMany asks for one after the other of many, by 16 clients with a connection each. An answer
// may be somewhat shorter or longer than size: proofs are.
func benchMany(b *testing.B, address string, target func(n uint64) string, size int) {
	tr := transport(address)
	tr.MaxIdleConnsPerHost, tr.DisableCompression = 16, true
	defer tr.CloseIdleConnections()
	var n atomic.Uint64
	b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest("GET", "https://x"+target(n.Add(1)), nil)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			got, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || int(got) < size-400 || int(got) > size+400 {
				b.Error(resp.Status, got, size, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
	b.ReportMetric(float64(size), "bytes")
}

// Look-ups with proof over HTTPS, 16 clients that keep their connection, 2 000 names; and in the
// same run a net/http handler that returns as many bytes over the same TLS.
func BenchmarkProven(b *testing.B) {
	w, size := benchProven(b)
	body := asked(w.server, "/v1/proof/user/u0000@a.test").Body.Bytes()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })}
	go srv.Serve(tls.NewListener(ln, serverTLS(func() (*tls.Certificate, error) { return w.cert, nil })))
	defer srv.Close()
	name := func(n uint64) string { return fmt.Sprintf("/v1/proof/user/u%04d@a.test", n%benchUsers) }
	each := func(b *testing.B) float64 { return b.Elapsed().Seconds() / float64(b.N) }
	for range 3 {
		var floor float64
		b.Run("floor", func(b *testing.B) {
			benchMany(b, ln.Addr().String(), name, size)
			floor = each(b)
		})
		b.Run("proof", func(b *testing.B) {
			benchMany(b, w.endpoint.Address, name, size)
			b.ReportMetric(floor/each(b), "x-floor")
		})
	}
}

// What the server itself does for a look-up with proof: one that was given before, one whose proof is
// made, and the misses, each of which is two look-ups in the database.
func BenchmarkProof(b *testing.B) {
	w, _ := benchProven(b)
	must(b, w.server.PublishCertificate(context.Background(), newPerson(b, w.authority, "bob@a.test").cert))
	for _, row := range []struct{ what, target string }{
		{"again", "/v1/proof/user/u0000@a.test"},
		{"nobody", "/v1/proof/user/carol@a.test"},
		{"nobody here", "/v1/proof/user/carol@b.test"},
		{"without a card", "/v1/proof/user/bob@a.test"},
		{"no key", "/v1/proof/key/" + w.authority.CA().Fingerprint().String()},
		{"no domain", "/v1/proof/server/b.test"},
	} {
		b.Run(row.what, func(b *testing.B) {
			for b.Loop() {
				asked(w.server, row.target)
			}
		})
	}
	b.Run("made", func(b *testing.B) {
		e, err := w.store.Logged(context.Background(), 1, "u0000@a.test")
		must(b, err)
		for b.Loop() {
			if _, err := w.log.prove(context.Background(), e, w.log.heads.Load().cosigned); err != nil {
				b.Fatal(err)
			}
		}
	})
}
