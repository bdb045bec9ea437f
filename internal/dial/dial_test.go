package dial_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/p3do/p3do/internal/dial"
)

// echoOnce answers one connection on ln with what it was sent.
func echoOnce(t *testing.T, ln net.Listener) {
	t.Helper()
	t.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.CopyN(conn, conn, 5)
	}()
}

func say(t *testing.T, f dial.Func, network, address string) string {
	t.Helper()
	conn, err := f(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	heard, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(heard)
}

func TestDirect(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echoOnce(t, ln)
	if got := say(t, dial.Direct(), "tcp", ln.Addr().String()); got != "hello" {
		t.Errorf("heard %q", got)
	}
}

func TestDirectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial.Direct()(ctx, "tcp", "127.0.0.1:9"); err == nil {
		t.Fatal("connected under a context that had ended")
	}
}

func TestUnixIgnoresTheAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	echoOnce(t, ln)
	if got := say(t, dial.Unix(path), "tcp", "a.test:443"); got != "hello" {
		t.Errorf("heard %q", got)
	}
}

func ExampleDirect() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()

	connect := dial.Direct()
	conn, err := connect(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Println(conn.RemoteAddr().String() == ln.Addr().String())
	// Output: true
}
