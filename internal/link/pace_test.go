package link

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A watch is what somebody sees who looks at one direction of a link: when slots leave, and for us of which kind.
type watch struct {
	mu    sync.Mutex // guards the rest
	at    []time.Time
	kinds string
}

func (w *watch) tap(slot *[SlotSize]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = append(w.at, time.Now())
	w.kinds += Kind(slot[0] >> 4).String()[:1]
}

// seen returns what was seen so far.
func (w *watch) seen() ([]time.Time, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.at), w.kinds
}

// take receives until the link ends.
func take(c *Conn) {
	for {
		if _, err := c.Receive(); err != nil {
			return
		}
	}
}

// watched has a paced link stand for a minute of virtual time while busy does what it likes with it, and returns what is
// seen of it.
func watched(t *testing.T, pace Pace, busy func(*Conn)) (at []time.Duration, kinds string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watch{}
		dialler := user("b.test")
		dialler.Pace, dialler.random, dialler.Faults = pace, rand.New(rand.NewPCG(1, 2)), &Faults{Tap: w.tap}
		a, b := pipePair(t, dialler, node(t, "b.test", "a.test"))
		start := time.Now()
		go take(b)
		go busy(a)
		time.Sleep(time.Minute)
		seen, all := w.seen()
		kinds = all
		for _, when := range seen {
			at = append(at, when.Sub(start))
		}
		a.Close()
		b.Close()
		synctest.Wait()
	})
	return at, kinds
}

// When slots leave does not depend on what there is to say.
func TestScheduleIgnoresTraffic(t *testing.T) {
	busy := func(c *Conn) {
		for i := range 400 {
			c.SendPacket(0, packet(i)) // the queue is full now and then
			c.SendNotice(Notice{1}, i%2 == 0)
			c.SendControl(make([]byte, 20_000))
			time.Sleep(time.Duration(i*i%97) * time.Millisecond)
		}
	}
	for _, pace := range []Pace{{Every: 100 * time.Millisecond}, {100 * time.Millisecond, true}} {
		idle, dummies := watched(t, pace, func(*Conn) {})
		full, kinds := watched(t, pace, busy)
		if !slices.Equal(idle, full) {
			t.Errorf("%+v: slots leave at other times when there is something to say", pace)
		}
		for _, kind := range "pcn" {
			if !slices.Contains([]rune(kinds), kind) || slices.Contains([]rune(dummies), kind) {
				t.Errorf("%+v: %c is not in %s, or in %s", pace, kind, kinds, dummies)
			}
		}
		if n := len(idle); n < 500 || n > 700 {
			t.Errorf("%+v: %d slots in a minute", pace, n)
		}
		t.Logf("%+v: %d slots in a minute, the longest time between two %s", pace, len(idle), longest(idle))
	}
}

func longest(at []time.Duration) (gap time.Duration) {
	for i := range at[1:] {
		gap = max(gap, at[i+1]-at[i])
	}
	return gap
}

// A constant schedule is constant; a random one has exponential gaps, by their mean and their spread.
func TestGaps(t *testing.T) {
	constant, _ := watched(t, Pace{Every: 100 * time.Millisecond}, func(*Conn) {})
	if longest(constant) != 100*time.Millisecond || constant[0] >= 100*time.Millisecond {
		t.Errorf("begins at %s, gaps of %s", constant[0], longest(constant))
	}
	s := Pace{100 * time.Millisecond, true}.begin(time.Now(), rand.New(rand.NewPCG(3, 4)))
	const n = 100_000
	var sum, squares float64
	for range n {
		gap := s.gap().Seconds()
		sum += gap
		squares += gap * gap
	}
	mean, variance := sum/n, squares/n-sum*sum/n/n
	if mean < 0.098 || mean > 0.102 || variance < 0.0095 || variance > 0.0105 {
		t.Errorf("mean %.4f s, variance %.5f", mean, variance)
	}
}

// Instants that pass while the network takes nothing are not made up for.
func TestNoBurstAfterAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watch{}
		dialler := user("b.test")
		dialler.Pace, dialler.Faults = Pace{Every: 100 * time.Millisecond}, &Faults{Tap: w.tap}
		a, b := pipePair(t, dialler, node(t, "b.test", "a.test"))
		for i := range 50 {
			must(t, a.SendPacket(0, packet(i)))
		}
		time.Sleep(10 * time.Second) // b takes nothing, and a pipe holds nothing
		go take(b)
		time.Sleep(10 * time.Second)
		at, _ := w.seen()
		for i := range at[2:] {
			if gap := at[i+2].Sub(at[i+1]); gap < 99*time.Millisecond {
				t.Fatalf("two slots leave %s after one another", gap)
			}
		}
		if s := a.Stats(); s.Skipped < 95 || s.Skipped > 105 {
			t.Errorf("%d instants passed over", s.Skipped)
		}
	})
}

// What waits at the end leaves in its slots; then the link is silent.
func TestDrainKeepsTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watch{}
		dialler := user("b.test")
		dialler.Pace, dialler.Faults = Pace{Every: time.Second}, &Faults{Tap: w.tap}
		a, b := pipePair(t, dialler, node(t, "b.test", "a.test"))
		go take(b)
		for i := range 3 {
			must(t, a.SendPacket(0, packet(i)))
		}
		must(t, a.SendNotice(Notice{1}, false))
		began := time.Now()
		must(t, a.Drain(t.Context()))
		if at, kinds := w.seen(); kinds != "ppnp" && kinds != "pnpp" && kinds != "pppn" || at[3].Sub(at[0]) != 3*time.Second {
			t.Errorf("left: %s", kinds)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("drained in %s", took)
		}
	})
}

// Closing, and an end that comes too soon, do not wait for the next instant.
func TestCloseDoesNotWaitForAnInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialler := user("b.test")
		dialler.Pace = Pace{Every: time.Minute}
		a, b := pipePair(t, dialler, node(t, "b.test", "a.test"))
		go take(b)
		must(t, a.SendPacket(0, packet(1)))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := a.Drain(ctx); err == nil && time.Since(began) > time.Millisecond {
			t.Error("drained before its slot")
		}
		must(t, a.Close())
		if took := time.Since(began); took > time.Second {
			t.Errorf("closed after %s", took)
		}
	})
}

// A link that is idle notices that its peer takes nothing any more.
func TestPacedLinkNoticesADeadPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialler := user("b.test")
		dialler.Pace = Pace{Every: time.Second}
		a, _ := pipePair(t, dialler, node(t, "b.test", "a.test")) // which reads nothing
		if _, err := a.Receive(); !errors.Is(err, ErrStuck) {
			t.Errorf("ended with %v", err)
		}
	})
}

// Over TCP and TLS the slots of a paced link all have one size, and as many pass when there is nothing to say as when
// there is. The times between them are shown, not judged: this machine has other things to do.
func TestPacedLinkOnTheWire(t *testing.T) {
	gaps := make(map[bool][]float64)
	for _, busy := range []bool{false, true} {
		listener := node(t, "b.test", "a.test")
		listener.UserPace = Pace{Every: 20 * time.Millisecond}
		l := listen(t, listener)
		p := newTap(t, l.Addr().String(), nil)
		dialler := user("b.test")
		dialler.Pace, dialler.Dial = Pace{Every: 20 * time.Millisecond}, func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.address)
		}
		a := connect(t, dialler, p.address)
		b := accept(t, l)
		w := &watch{}
		for i := range 30 {
			if busy {
				must(t, a.SendPacket(0, packet(i)))
			}
		}
		received := make(chan error)
		go func() {
			for n := uint64(0); n < 100; {
				if err := readSlot(b.tls, new([SlotSize]byte)); err != nil {
					received <- err
					return
				}
				w.tap(new([SlotSize]byte))
				n++
			}
			received <- nil
		}()
		must(t, <-received)
		a.Close()
		b.Close()
		<-p.done
		for _, stream := range [][]byte{p.up, p.down} {
			_, lengths := records(t, stream[:len(stream)-tail(stream)])
			if n := len(lengths); n < 20 {
				t.Errorf("%d records", n)
			}
		}
		at, _ := w.seen()
		for i := range at[1:] {
			gaps[busy] = append(gaps[busy], at[i+1].Sub(at[i]).Seconds())
		}
	}
	t.Logf("idle and busy differ by %.3f (Kolmogorov and Smirnov), 99 gaps each", distance(gaps[false], gaps[true]))
}

// tail is how many bytes behind the last whole record there are: a link that is closed ends anywhere.
func tail(stream []byte) int {
	for len(stream) >= 5 {
		n := 5 + (int(stream[3])<<8 | int(stream[4]))
		if len(stream) < n {
			break
		}
		stream = stream[n:]
	}
	return len(stream)
}

// distance is the greatest difference of two empirical distributions.
func distance(a, b []float64) (d float64) {
	slices.Sort(a)
	slices.Sort(b)
	for _, x := range slices.Concat(a, b) {
		i, _ := slices.BinarySearch(a, x)
		j, _ := slices.BinarySearch(b, x)
		d = max(d, float64(i)/float64(len(a))-float64(j)/float64(len(b)), float64(j)/float64(len(b))-float64(i)/float64(len(a)))
	}
	return d
}

// What a schedule costs in a day follows from the size of a record.
func TestPerDay(t *testing.T) {
	if got := (Pace{}).PerDay(); got != 0 {
		t.Errorf("no schedule costs %d bytes", got)
	}
	if got, want := (Pace{Every: time.Second}).PerDay(), uint64(86400*16406); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// A pace that is none is refused.
func TestBadPace(t *testing.T) {
	for _, p := range []Pace{{Every: -1}, {Every: time.Microsecond}, {Every: time.Hour}, {Poisson: true}} {
		c := user("b.test")
		c.UserPace = p
		if _, err := Dial(t.Context(), c, "127.0.0.1:1"); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%+v: %v", p, err)
		} else {
			wantText(t, err, "pace is not between")
		}
	}
}

// A schedule can begin on a link that stands, and end: what waits leaves at once then.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watch{}
		dialler := user("b.test")
		dialler.Faults = &Faults{Tap: w.tap}
		a, b := pipePair(t, dialler, node(t, "b.test", "a.test"))
		go take(b)
		must(t, a.SendPacket(0, packet(1)))
		synctest.Wait()
		if _, kinds := w.seen(); kinds != "p" {
			t.Fatalf("without a schedule: %s", kinds)
		}
		must(t, a.Keep(Pace{Every: time.Second}))
		time.Sleep(10*time.Second + time.Millisecond)
		if _, kinds := w.seen(); len(kinds) != 11 || kinds[1:] != "dddddddddd" {
			t.Errorf("in ten seconds of a slot a second: %s", kinds)
		}
		must(t, a.SendPacket(0, packet(2)))
		must(t, a.Keep(Pace{}))
		time.Sleep(10 * time.Second)
		if _, kinds := w.seen(); len(kinds) > 13 || kinds[len(kinds)-1] == 'd' && kinds[len(kinds)-2] == 'd' {
			t.Errorf("after it: %s", kinds)
		}
		if err := a.Keep(Pace{Every: time.Hour}); err == nil {
			t.Error("kept a pace that is none")
		}
	})
}
