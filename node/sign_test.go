package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/pki"
)

// A newcomer asks for certificates over HTTPS, on a connection that is kept.
type newcomer struct {
	http http.Client
	url  string
	key  pki.IdentityKey
	body []byte // of the request
}

func newNewcomer(t testing.TB, address, name string) *newcomer {
	t.Helper()
	key, err := pki.NewIdentityKey(rand.Reader)
	must(t, err)
	request, err := pki.NewUserRequest(rand.Reader, key, parse(t, pki.ParseName, name))
	must(t, err)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &newcomer{http.Client{Transport: tr}, "https://" + address + "/v1/sign", key, append([]byte{0}, request.DER()...)}
}

func (c *newcomer) ask() (answer []byte, err error) {
	resp, err := c.http.Post(c.url, "application/octet-stream", bytes.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return answer, err
}

// TestSign: a key that is handed in at the key server gets the certificate that a
// registration gets, and a name is its first key's.
func TestSign(t *testing.T) {
	m := newMesh(t, "a.test")
	address := m.nodes["a.test"].running.KeyServer
	ann := newNewcomer(t, address, "ann@a.test")
	der, err := ann.ask()
	must(t, err)
	cert, err := m.nodes["a.test"].node.authority().CA().VerifyUser(der, time.Now())
	must(t, err)
	if cert.Key() != ann.key.Public() {
		t.Error("another key was signed")
	}
	if diff, err := m.nodes["a.test"].node.store.CompareRing(t.Context()); err != nil || !diff.Same() {
		t.Errorf("key ring and key server: %v, %v", diff, err)
	}
	for _, name := range []string{"ann@a.test", "ann@b.test"} {
		_, err := newNewcomer(t, address, name).ask()
		wantText(t, err, "403 Forbidden")
	}
}

// BenchmarkSign is 8 clients that have their keys signed again and again over HTTPS, each
// certificate durable in key ring and key server before it is answered; once over connections
// that are kept, once over a fresh one for each, as newcomers have it. By turns with them 8
// clients ask an HTTPS echo of the same sizes, and one that makes a signature and verifies
// two besides, as no signing can do without: x-echo and x-floor are how many times the answers
// of these come in the same time.
func BenchmarkSign(b *testing.B) {
	b.Run("kept", func(b *testing.B) { benchSign(b, false, 40) })
	b.Run("fresh", func(b *testing.B) { benchSign(b, true, 10) })
}

func benchSign(b *testing.B, fresh bool, each int) {
	m := newMesh(b, "a.test")
	node := m.nodes["a.test"].node
	signing := clients(b, unhurried(b, node), fresh)
	answer, err := signing[0].ask()
	must(b, err)
	echo := clients(b, echoing(b, node, answer, func() {}), fresh)
	floor := clients(b, echoing(b, node, answer, arithmetic(b)), fresh)
	var sign, echoed, floored []time.Duration
	rounds(b, signing, 1) // the first makes the names
	for b.Loop() {
		sign = append(sign, rounds(b, signing, each))
		echoed = append(echoed, rounds(b, echo, each))
		floored = append(floored, rounds(b, floor, each))
	}
	b.ReportMetric(float64(len(signing)*each)/median(sign).Seconds(), "signed/s")
	b.ReportMetric(median(echoed).Seconds()/median(sign).Seconds(), "x-echo")
	b.ReportMetric(median(floored).Seconds()/median(sign).Seconds(), "x-floor")
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// clients are eight, with names of their own.
func clients(b *testing.B, address string, fresh bool) (all []*newcomer) {
	for i := range 8 {
		c := newNewcomer(b, address, fmt.Sprintf("u%d@a.test", i))
		c.http.Transport.(*http.Transport).DisableKeepAlives = fresh
		all = append(all, c)
	}
	return all
}

// arithmetic is the least that signing a request costs: one signature, and two verified.
func arithmetic(b *testing.B) func() {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(b, err)
	message := make([]byte, 300)
	return func() {
		signature := ed25519.Sign(private, message)
		for range 2 {
			if !ed25519.Verify(public, message, signature) {
				b.Error("a good signature is refused")
			}
		}
	}
}

// rounds has all clients ask at once, each so many times one after the other.
func rounds(b *testing.B, all []*newcomer, each int) time.Duration {
	begun := time.Now()
	var asking sync.WaitGroup
	for _, c := range all {
		asking.Go(func() {
			for range each {
				if _, err := c.ask(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	asking.Wait()
	return time.Since(begun)
}

// unhurried is the node's key server once more, but for the rate that it allows one client.
func unhurried(b *testing.B, n *Node) (address string) {
	s := keyserver.New(keyserver.Config{Store: n.store, CA: n.authority().CA(), Sign: n.sign, Rate: 1e9, Burst: 1e9})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener, n.serverCertificate) }()
	b.Cleanup(func() { cancel(); must(b, <-ended) })
	return listener.Addr().String()
}

// echoing reads what is posted, works, and answers as many bytes as a certificate has.
func echoing(b *testing.B, n *Node, answer []byte, work func()) (address string) {
	certificate, err := n.serverCertificate()
	must(b, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, Certificates: []tls.Certificate{*certificate},
	})
	must(b, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			work()
			_, _ = w.Write(answer)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	b.Cleanup(func() { must(b, s.Close()); <-ended })
	return listener.Addr().String()
}
