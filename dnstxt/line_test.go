package dnstxt

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An issued is a certificate and its key; signed by itself if by is nil.
type issued struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

func issue(t *testing.T, by *issued, edit func(*x509.Certificate)) issued {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"dns.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	edit(form)
	parent, signer := form, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{cert, key}
}

func asForm(*x509.Certificate) {}

func authority(t *testing.T) issued {
	return issue(t, nil, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.DNSNames, c.IPAddresses = true, true, x509.KeyUsageCertSign, nil, nil
	})
}

func (i issued) pin() string { return Pin(sha256.Sum256(i.cert.RawSubjectPublicKeyInfo)).String() }

// chain is what a server sends with this certificate.
func (i issued) chain(above ...issued) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
	for _, a := range above {
		c.Certificate = append(c.Certificate, a.cert.Raw)
	}
	return c
}

// secured is a TLS listener.
func secured(t *testing.T, c *tls.Config) net.Listener {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// overDoT has a hostile server answer over TLS, and returns its address.
func (h hostile) overDoT(t *testing.T, c *tls.Config) string {
	t.Helper()
	listener := secured(t, c)
	done := make(chan struct{})
	go func() { h.serve(listener); close(done) }()
	t.Cleanup(func() { listener.Close(); <-done })
	return "tls://" + listener.Addr().String()
}

// A server is known by its key, or by a pinned authority that certified its name; by
// nothing else, and it is not asked by anybody who does not know it.
func TestPins(t *testing.T) {
	above := authority(t)
	self, leaf, beside := issue(t, nil, asForm), issue(t, &above, asForm), issue(t, nil, asForm)
	late := issue(t, &above, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	client := issue(t, &above, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	forged := issue(t, &beside, asForm)
	for _, tt := range []struct {
		what    string
		chain   tls.Certificate
		options string
		good    bool
	}{
		{"its key", self.chain(), "pin=" + self.pin(), true},
		{"its key, whatever its name", self.chain(), "pin=" + self.pin() + "&name=other.example", true},
		{"one of two keys", self.chain(), "pin=" + beside.pin() + "&pin=" + self.pin(), true},
		{"its authority, by address", leaf.chain(above), "pin=" + above.pin(), true},
		{"its authority, by name", leaf.chain(above), "pin=" + above.pin() + "&name=dns.example", true},
		{"another key", self.chain(), "pin=" + beside.pin(), false},
		{"another name", leaf.chain(above), "pin=" + above.pin() + "&name=other.example", false},
		{"an authority that it does not show", leaf.chain(), "pin=" + above.pin(), false},
		{"an authority of another", self.chain(above), "pin=" + above.pin(), false},
		{"a certificate in an authority's name", forged.chain(above), "pin=" + above.pin(), false},
		{"a certificate that has run out", late.chain(above), "pin=" + above.pin(), false},
		{"a certificate of a client", client.chain(above), "pin=" + above.pin(), false},
		{"somebody's certificate sent along", self.chain(beside), "pin=" + beside.pin(), false},
	} {
		var c counter
		var asked atomic.Int32
		at := hostile(func(query *dns.Msg) [][]byte {
			asked.Add(1)
			return [][]byte{answering(query, same)}
		}).overDoT(t, &tls.Config{Certificates: []tls.Certificate{tt.chain}, NextProtos: []string{"dot"}})
		err := lookup(t, Resolver{Server: server(t, at+"?"+tt.options), Dial: c.dial, Timeout: time.Minute}, "a.test")
		if (err == nil) != tt.good || !tt.good && !errors.Is(err, errPin) || asked.Load() > 0 != tt.good {
			t.Errorf("%s: %v, asked %d times", tt.what, err, asked.Load())
		}
		if c.tcp.Load() != 1 {
			t.Errorf("%s: %d connections", tt.what, c.tcp.Load())
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	self := issue(t, nil, asForm)
	at := hostile(func(query *dns.Msg) [][]byte { return [][]byte{answering(query, same)} }).
		overDoT(t, &tls.Config{Certificates: []tls.Certificate{self.chain()}, MaxVersion: tls.VersionTLS12})
	if err := lookup(t, Resolver{Server: server(t, at+"?pin="+self.pin()), Dial: dial}, "a.test"); err == nil {
		t.Error("asked over TLS 1.2")
	}
}

// What is asked over TLS has one of few lengths, whatever the name.
func TestPadding(t *testing.T) {
	for _, name := range []string{"a.test", "a-much-longer-name.test", strings.Repeat("a23456789.", 20) + "test"} {
		q := question{7, ownerPrefix + name + ".", dns.TypeTXT}
		padded, err := q.pack(true)
		if err != nil || len(padded)%padTo != 0 {
			t.Errorf("%s: %d octets, %v", name, len(padded), err)
		}
		bare, err := q.pack(false)
		if err != nil || len(bare) >= len(padded) {
			t.Errorf("%s: %d octets bare, %v", name, len(bare), err)
		}
	}
}

// overDoH serves HTTPS and returns the resolver's server of it.
func overDoH(t *testing.T, protocols []string, handler http.HandlerFunc) Server {
	t.Helper()
	self := issue(t, nil, asForm)
	listener := secured(t, &tls.Config{Certificates: []tls.Certificate{self.chain()}, NextProtos: protocols})
	web := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { web.Serve(listener); close(done) }()
	t.Cleanup(func() { web.Close(); <-done })
	return server(t, "https://"+listener.Addr().String()+"/dns-query?pin="+self.pin()+"&name=dns.example")
}

// answerWeb answers a question from a world.
func answerWeb(w http.ResponseWriter, body []byte, from world) {
	var q dns.Msg
	if err := q.Unpack(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	http.SetCookie(w, &http.Cookie{Name: "who", Value: "you"})
	w.Write(from.answer(&q))
}

// Over HTTPS a whole proof goes through one connection, in requests that tell nothing but
// the question.
func TestHTTPS(t *testing.T) {
	for _, protocols := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}} {
		zones, root, _, _ := newWorld()
		var wrong atomic.Value
		var asked atomic.Int32
		at := overDoH(t, protocols, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			body, err := io.ReadAll(r.Body)
			names := []string{}
			for name := range r.Header {
				names = append(names, name)
			}
			slices.Sort(names)
			said := fmt.Sprint(r.Method, " ", r.URL, " ", r.Host == "dns.example:"+r.Host[strings.LastIndexByte(r.Host, ':')+1:], names, len(body)%padTo, body[:2], err, r.ProtoMajor)
			want := fmt.Sprint("POST", " ", "/dns-query", " ", true, []string{"Accept", "Content-Length", "Content-Type"}, 0, []byte{0, 0}, nil, map[string]int{"h2": 2, "http/1.1": 1}[protocols[0]])
			if said != want {
				wrong.Store(said)
			}
			answerWeb(w, body, zones)
		})
		anchors, err := ParseAnchors(root.ds().String())
		if err != nil {
			t.Fatal(err)
		}
		var c counter
		r := Resolver{Server: at, Dial: c.dial, Timeout: time.Minute, Anchors: anchors}
		r.Now = func() time.Time { return signedAt }
		got, err := r.Look(t.Context(), domain(t, "a.test"))
		if err != nil || got.Security != Secure || c.tcp.Load() != 1 || asked.Load() != 6 {
			t.Errorf("%v: %v, %v, %d connections", protocols, got.Security, err, c.tcp.Load())
		}
		if said := wrong.Load(); said != nil {
			t.Errorf("%v: %v", protocols, said)
		}
	}
}

// What is no answer over HTTPS is refused, and led to nowhere.
func TestHTTPSRefuses(t *testing.T) {
	good := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q dns.Msg
		q.Unpack(body)
		w.Write(answering(&q, same))
	}
	for what, handler := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		},
		"an error":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"no media type":      good,
		"another media type": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "text/html"); good(w, r) },
		"nothing":            func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", mediaType) },
		"more than a message": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Write(make([]byte, maxMessage+1))
		},
		"a header without end": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 4*maxWebHeader))
			good(w, r)
		},
		"compressed, unasked": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "gzip"); good(w, r) },
		"fewer than it says": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("Content-Length", strconv.Itoa(500))
			w.Write(make([]byte, 20))
		},
	} {
		var c counter
		var other atomic.Bool
		at := overDoH(t, []string{"h2"}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/dns-query" {
				other.Store(true)
			}
			handler(w, r)
		})
		err := lookup(t, Resolver{Server: at, Dial: c.dial}, "a.test")
		if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrInvalid) || other.Load() || c.tcp.Load() > tries {
			t.Errorf("%s: %v, %d connections, followed: %v", what, err, c.tcp.Load(), other.Load())
		}
	}
}

// FuzzWebAnswer: whatever comes over HTTPS is one message or an error.
func FuzzWebAnswer(f *testing.F) {
	f.Add(200, mediaType, []byte("x"))
	f.Add(302, mediaType, []byte{})
	f.Add(200, mediaType+"; q=1", bytes.Repeat([]byte{1}, maxMessage+1))
	f.Add(200, "text/html;;", []byte("<p>"))
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		raw, err := readWeb(context.Background(), &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)),
		})
		if err == nil && (status != 200 || len(raw) > maxMessage || !bytes.Equal(raw, body)) {
			t.Fatalf("%d, %q, %d octets: %d octets", status, kind, len(body), len(raw))
		}
	})
}
