package keyserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// Hundreds of clients ask for a page of 4 MiB and read it slowly: each costs what is on its
// way to it, and not a page. Others are served meanwhile, and whoever reads on gets it all.
func TestSlowReadersOfPages(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "ann@a.test")
	for i := range PageServers {
		_, err := w.store.PutServer(t.Context(), store.Server{
			Domain: fmt.Sprintf("n%d.test", i), CA: pki.Fingerprint{1}, Serial: 1,
			Descriptor: make([]byte, pki.MaxDescriptorSize), NotAfter: time.Now().Add(time.Hour), Origin: store.Cache,
		})
		must(t, err)
	}
	ln := pipes{make(chan net.Conn), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx, ln, func() (*tls.Certificate, error) { return w.cert, nil }) }()

	const many = 200
	before := heap(t, "before")
	readers := make([]*bufio.Reader, many)
	var ends []net.Conn
	closeAll := func() {
		for _, c := range ends {
			c.Close()
		}
	}
	defer closeAll()
	for i := range readers {
		near, far := net.Pipe()
		ends = append(ends, near)
		ln.conns <- far
		c := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
		_, err := io.WriteString(c, get("/v1/servers"))
		must(t, err)
		readers[i] = bufio.NewReaderSize(c, 512)
		_, err = readers[i].Peek(1)
		must(t, err)
	}
	if height := heap(t, fmt.Sprint(many, " slow readers of pages")); height > before+32<<20 {
		t.Errorf("%d bytes", height)
	}
	_, err := w.client.User(t.Context(), w.endpoint, name(t, "ann@a.test"))
	must(t, err)
	for _, r := range readers[many-3:] { // they came last, and have the most of their 30 s left
		resp, err := http.ReadResponse(r, nil)
		must(t, err)
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != MaxPageSize {
			t.Errorf("a page of %d bytes: %v", n, err)
		}
	}
	closeAll()
	cancel()
	must(t, <-done)
}

// Pages are read in their turn, and keep nobody else from the store.
func TestPagesAreReadInTurn(t *testing.T) {
	w := newWorld(t, "a.test", nil)
	w.publish(t, "ann@a.test")
	ask := func(path string) int {
		answer := httptest.NewRecorder()
		w.server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer.Code
	}
	for range pageReads {
		w.server.reading <- struct{}{}
	}
	const many = 8
	pages := make(chan int, many)
	for range many {
		go func() { pages <- ask("/v1/servers") }()
	}
	for range 500 {
		if code := ask("/v1/user/ann@a.test"); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	if len(pages) > 0 {
		t.Errorf("%d pages are read out of turn", len(pages))
	}
	for range pageReads {
		<-w.server.reading
	}
	for range many {
		if code := <-pages; code != http.StatusOK {
			t.Error(code)
		}
	}
}

// heap is how many bytes this process holds, after a collection.
func heap(t *testing.T, when string) uint64 {
	t.Helper()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	t.Logf("%s: %d goroutines, %.1f MiB", when, runtime.NumGoroutine(), float64(s.HeapInuse+s.StackInuse)/(1<<20))
	return s.HeapInuse + s.StackInuse
}

// pipes is a listener between whose connections and their other ends is no system that
// would keep bytes for them.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) Close() error {
	close(p.closed)
	return nil
}
