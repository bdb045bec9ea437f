package dnsserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/p3do/p3do/internal/dial"
)

const (
	patience = time.Minute // for a server to answer
	attempts = 5           // at a port that nobody takes in between
)

// errEnded: the server ended before it answered; perhaps somebody else has its port.
var errEnded = errors.New("it ended")

// A Test is what a server runs for, and ends with.
type Test interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// A Server is one that runs. It is asked over UDP and TCP.
type Server struct {
	Addr string // 127.0.0.1:port
	Dir  string // its folder, with its configuration and what it says, in the file "log"

	alive io.WriteCloser // the shell that watches over it ends with this
	ended chan struct{}
}

// Program returns the path of a program that judges us from outside. Without it the test is
// skipped, or fails if P3DO_REQUIRE, a list separated by commas or spaces, names it.
func Program(t Test, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // daemons are often not in the path of who is not root
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err == nil {
		return path
	}
	required := strings.FieldsFunc(os.Getenv("P3DO_REQUIRE"), func(c rune) bool { return c == ',' || c == ' ' })
	if slices.Contains(required, name) {
		t.Fatalf("%s is required and not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// A daemon is how one kind of server is started.
type daemon struct {
	program string
	args    []string                                         // FILE is the configuration
	write   func(dir, host string, port int) (string, error) // makes its files, returns the configuration
	zone    string                                           // it is ready when it answers for this one
}

// start runs a daemon until the test ends.
func start(t Test, d daemon) *Server {
	t.Helper()
	path := Program(t, d.program)
	dir, err := os.MkdirTemp("", "dns") // a short path: sockets are in it
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for range attempts {
		var s *Server
		if s, err = d.run(path, dir); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		if !errors.Is(err, errEnded) {
			break
		}
	}
	t.Fatalf("%s: %v", d.program, err)
	return nil
}

// watchOver is the shell that runs a server: it ends it when standard input ends, as it does
// when the process that holds the other end is gone.
const watchOver = `exec 3<&0
"$@" 3<&- & server=$!
{ read -r end; kill $server; } <&3 >/dev/null 2>&1 & reader=$!
wait $server; status=$?
kill $reader 2>/dev/null
exit $status`

func (d daemon) run(path, dir string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config, err := d.write(dir, "127.0.0.1", port)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"-c", watchOver, "sh", path}
	for _, arg := range d.args {
		args = append(args, strings.ReplaceAll(arg, "FILE", file))
	}
	cmd := exec.Command("sh", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), Dir: dir, alive: alive, ended: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(s.ended) }() // how it ended is in its log
	if err := s.ready(d.zone); err != nil {
		s.Stop()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return s, nil
}

// Stop ends the server, and waits until it has ended.
func (s *Server) Stop() {
	s.alive.Close()
	<-s.ended
}

// ready waits until the server answers for a zone; for the root, whatever it says of it.
func (s *Server) ready(zone string) error {
	err := errors.New("it has not been asked")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var answer *dns.Msg
		if answer, err = s.Ask(zone, dns.TypeSOA); err == nil && (answer.Rcode == dns.RcodeSuccess || zone == ".") {
			return nil
		}
		select {
		case <-s.ended:
			return errEnded
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("it does not answer: %v", err)
}

// Ask sends one query over TCP, with DO and RD set, and returns the answer.
func (s *Server) Ask(name string, kind uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := dial.Direct()(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, q := &dns.Conn{Conn: conn}, new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	q.SetEdns0(1232, true)
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}

// Texts returns the texts of the TXT records at a name, each joined, in their order.
func (s *Server) Texts(t Test, name string) []string {
	t.Helper()
	answer, err := s.Ask(name, dns.TypeTXT)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var texts []string
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, strings.Join(txt.Txt, ""))
		}
	}
	slices.Sort(texts)
	return texts
}

// Listen opens a port of 127.0.0.1 for UDP and TCP, for a name server of a test's own.
func Listen() (net.PacketConn, net.Listener, error) {
	var last error
	for range 100 {
		// not in the range from which systems take ports for connections that go out
		address := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000))
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		udp, err := net.ListenPacket("udp", address)
		if err == nil {
			return udp, tcp, nil
		}
		last = err
		tcp.Close()
	}
	return nil, nil, last
}

// freePort is free for UDP and TCP.
func freePort() (int, error) {
	udp, tcp, err := Listen()
	if err != nil {
		return 0, err
	}
	udp.Close()
	tcp.Close()
	return tcp.Addr().(*net.TCPAddr).Port, nil
}
