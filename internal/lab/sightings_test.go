package lab

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
)

// A tap passes on what both ends say, and their ends, and has seen how much went which way.
func TestWiretap(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	tap := newWiretap(dial.Direct())
	defer tap.close()
	address, err := tap.before(3, echo.Addr().String)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("%q came back, %v", got, err)
	}
	cables := tap.all()
	if len(cables) != 1 || cables[0].node != 3 || cables[0].from != conn.LocalAddr().String() {
		t.Fatalf("%+v", cables)
	}
	var in, out int
	for _, s := range cables[0].sightings() {
		if s.in {
			in += s.bytes
		} else {
			out += s.bytes
		}
	}
	if in != 5 || out != 5 {
		t.Errorf("saw %d in, %d out", in, out)
	}
}

// What is seen is counted in intervals around an instant, out and in apart, and nothing beyond them.
func TestCount(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	after := func(d time.Duration, in bool) sighting { return sighting{at.Add(d), 7, in} }
	c := &cable{seen: []sighting{
		after(-6*time.Second, false), after(-5*time.Second, false), after(0, true), after(500*time.Millisecond, true),
		after(29*time.Second, false), after(30*time.Second, false),
	}}
	want := make([]float64, 2*(seenBefore+seenIn))
	want[0], want[seenBefore+29] = 7, 7
	want[seenBefore+seenIn+seenBefore] = 14
	if got := count([]*cable{c}, at, time.Second); !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

// Each user's partner is at another node, and hers is she.
func TestPartners(t *testing.T) {
	for _, nodes := range []int{4, 5, 10} {
		p := watcherPlay{people: make([]*person, usersEach*nodes)}
		for i := range p.people {
			if j := p.partner(i); i%nodes == j%nodes || p.partner(j) != i {
				t.Errorf("of %d nodes: %d writes to %d, who writes to %d", nodes, i, j, p.partner(j))
			}
		}
	}
}
