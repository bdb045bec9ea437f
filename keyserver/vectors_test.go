package keyserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

const vectorsFile = "../docs/spec/vectors/keyserver.json"

// vectorFile is docs/spec/vectors/keyserver.json. docs/spec/keyserver.md says what each kind
// asks. Bytes are in hexadecimal.
type vectorFile struct {
	About     string      `json:"about"`
	Published []published `json:"published"` // what the server has that answers the lookups
	Vectors   []vector    `json:"vectors"`
}

type published struct {
	What  string        `json:"what"`
	Bytes golden.Octets `json:"bytes"`
}

type vector struct {
	Kind    string `json:"kind"`
	Comment string `json:"comment"`
	Expect  string `json:"expect"`
	Reason  string `json:"reason,omitempty"` // what the client refuses it as: "bad answer" or "changed key"
	In      input  `json:"in"`
	Out     output `json:"out,omitzero"`
}

type input struct {
	Target  string          `json:"target,omitempty"`
	Request string          `json:"request,omitempty"` // all of it
	CA      golden.Octets   `json:"ca,omitempty"`      // of the server that answers, which is pinned
	Domain  string          `json:"domain,omitempty"`  // whose descriptor is asked for
	Record  golden.Octets   `json:"record,omitzero"`   // the answer
	After   string          `json:"after,omitempty"`   // of the first page
	Pages   []golden.Octets `json:"pages,omitempty"`   // the answers, one after the other; the last may be empty
}

type output struct {
	Asks    string         `json:"asks,omitempty"` // user, key, server or servers
	Of      string         `json:"of,omitempty"`
	Status  int            `json:"status,omitempty"`
	Type    string         `json:"type,omitempty"`
	Body    *golden.Octets `json:"body,omitempty"`
	Domains []string       `json:"domains,omitempty"`
}

// TestVectorsAreUpToDate: the file is what is made from the seed.
func TestVectorsAreUpToDate(t *testing.T) { golden.Check(t, vectorsFile, newFixed(t).file(t)) }

// TestVectors: what the file says is what this package does.
func TestVectors(t *testing.T) {
	var file vectorFile
	golden.Read(t, vectorsFile, &file)
	if len(file.Vectors) < 70 {
		t.Errorf("only %d vectors", len(file.Vectors))
	}
	server := newFixed(t).server(t)
	for _, v := range file.Vectors {
		t.Run(v.Kind+" "+v.Comment, func(t *testing.T) {
			switch v.Kind {
			case "target":
				checkTarget(t, v)
			case "lookup":
				checkLookup(t, server, v)
			case "descriptor":
				got, err := askedFor(t, v.In).descriptor(t.Context(), domain(t, v.In.Domain))
				if checkClient(t, err, v) && !bytes.Equal(got.Raw(), v.In.Record) {
					t.Error("another descriptor")
				}
			case "pages":
				checkPages(t, v)
			default:
				t.Errorf("unknown kind %q", v.Kind)
			}
		})
	}
}

func checkTarget(t *testing.T, v vector) {
	t.Helper()
	q := parseTarget(v.In.Target)
	if v.Expect == "refuse" {
		if q != (query{}) {
			t.Errorf("taken for %+v", q)
		}
		return
	}
	got := output{}
	switch q.kind {
	case userByName:
		got = output{Asks: "user", Of: q.name.String()}
	case byKey:
		got = output{Asks: "key", Of: q.fingerprint.String()}
	case serverByDomain:
		got = output{Asks: "server", Of: q.domain.String()}
	case serverPage:
		got = output{Asks: "servers", Of: q.domain.String()}
	}
	if got.Asks != v.Out.Asks || got.Of != v.Out.Of || q.target() != v.In.Target {
		t.Errorf("asks for %+v, written as %q", got, q.target())
	}
}

func checkLookup(t *testing.T, server *Server, v vector) {
	t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(v.In.Request)))
	must(t, err)
	request.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	server.ServeHTTP(w, request)
	if w.Code != v.Out.Status || w.Header().Get("Content-Type") != v.Out.Type || !bytes.Equal(w.Body.Bytes(), *v.Out.Body) {
		t.Errorf("%d %s, %d bytes", w.Code, w.Header().Get("Content-Type"), w.Body.Len())
	}
	if (v.Expect == "accept") != (w.Code == http.StatusOK) {
		t.Errorf("expect is %s", v.Expect)
	}
}

// checkPages asks for page after page as Client.Servers does, and writes what it got again.
func checkPages(t *testing.T, v vector) {
	t.Helper()
	s := askedFor(t, v.In)
	var after pki.Domain
	if v.In.After != "" {
		after = domain(t, v.In.After)
	}
	var domains []string
	for i := range v.In.Pages {
		page, err := s.page(t.Context(), after)
		if err != nil || v.Expect == "refuse" && i == len(v.In.Pages)-1 {
			if checkClient(t, err, v); i != len(v.In.Pages)-1 {
				t.Errorf("refused page %d", i)
			}
			return
		}
		again := httptest.NewRecorder()
		for _, d := range page {
			must(t, writeServers(again, []store.Server{{Descriptor: d.Raw()}}))
			after, domains = d.Domain, append(domains, d.Domain.String())
		}
		if !bytes.Equal(again.Body.Bytes(), v.In.Pages[i]) {
			t.Errorf("page %d is written in another way", i)
		}
	}
	if !slices.Equal(domains, v.Out.Domains) {
		t.Errorf("domains %q", domains)
	}
}

// checkClient tells whether the client took what it should take.
func checkClient(t *testing.T, err error, v vector) bool {
	t.Helper()
	want := map[string]error{"bad answer": ErrBadAnswer, "changed key": ErrWrongKey}[v.Reason]
	if (v.Expect == "refuse") != (want != nil) || !errors.Is(err, want) {
		t.Errorf("err = %v, want %v", err, want)
	}
	return err == nil
}

// askedFor is a client's side of a call to a server that gives the answers of in, behind TLS:
// certificates of a fixed time would not pass for ever.
func askedFor(t *testing.T, in input) *session {
	t.Helper()
	answers := in.Pages
	if in.Domain != "" {
		answers = []golden.Octets{in.Record}
	}
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(answers[asked.Add(1)-1])
	}))
	t.Cleanup(server.Close)
	ca, err := pki.ParseCACert(in.CA)
	must(t, err)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	transport := &http.Transport{DialTLSContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &session{pin: ca.Fingerprint(), ca: ca, transport: transport}
}

// server has published what the file says, and tells the fixed time.
func (f *fixed) server(t *testing.T) *Server {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "node.db"))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	s := New(Config{Store: db, CA: f.home.CA(), Rate: 1e6, Burst: 1e6, Now: func() time.Time { return f.now }})
	must(t, s.PublishCard(t.Context(), f.card))
	must(t, s.PublishCertificate(t.Context(), f.bob))
	must(t, s.PublishLink(t.Context(), f.link))
	must(t, s.PublishCross(t.Context(), f.cross))
	for _, d := range f.servers {
		must(t, s.PublishDescriptor(t.Context(), d))
	}
	return s
}

func request(method, target, headers string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: keyserver.invalid\r\n%s\r\n", method, target, headers)
}
