package simulations

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/simulations/standin"
)

// story plays a world, and tells when and where what was heard, stored, shown and refused. Packets are numbered in the order in which
// they are first heard: their bytes are not part of it.
func story(t *testing.T, cfg Config) (lines []string, trace [32]byte, counts Counts) {
	t.Helper()
	w, err := NewWorld(cfg)
	if err != nil {
		t.Fatal(err)
	}
	numbers := make(map[string]int)
	w.listen = func(what byte, where int, fact []byte) {
		key := string(what) + string(fact)
		if _, known := numbers[key]; !known {
			numbers[key] = len(numbers)
		}
		lines = append(lines, fmt.Sprintf("%v %c %d %d", w.Now(), what, where, numbers[key]))
	}
	var users []*User
	for i := range 6 {
		u, err := w.AddUser(2 * i)
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	for i, u := range users {
		if _, err := u.SendBy(users[(i+1)%len(users)], "hello", 2+i%2); err != nil {
			t.Fatal(err)
		}
	}
	w.After(2*time.Second, w.Node(11).Stop)
	w.Run(5 * time.Minute)
	return lines, w.Trace(), w.Counts()
}

// With stand-in keys everybody says the same at the same instants, in other words.
func TestStandInTellsTheSameStory(t *testing.T) {
	cfg := Config{
		Seed: 5, Nodes: 12, Loss: 0.05, Jitter: 20 * time.Millisecond, Lazy: true,
		ExtraHops: 1, Delay: 30 * time.Millisecond, PeelDelay: 100 * time.Millisecond, Cover: 5 * time.Second,
	}
	lines, trace, counts := story(t, cfg)
	cfg.Scheme = standin.Scheme()
	others, other, same := story(t, cfg)
	if counts != same || counts.Shown != 6 || counts.Lost == 0 {
		t.Errorf("%+v and, with stand-in keys, %+v", counts, same)
	}
	if trace == other {
		t.Error("the packets are the same: the stand-in was not used")
	}
	if len(lines) != len(others) {
		t.Fatalf("%d and %d things happened", len(lines), len(others))
	}
	for i := range lines {
		if lines[i] != others[i] {
			t.Fatalf("at %d of %d: %s, and with stand-in keys %s", i, len(lines), lines[i], others[i])
		}
	}
}

// A KEM that reads other randomness is found out by its story.
func TestStoriesDiffer(t *testing.T) {
	cfg := Config{Seed: 5, Nodes: 12, Jitter: 20 * time.Millisecond, PeelDelay: 100 * time.Millisecond}
	lines, _, _ := story(t, cfg)
	cfg.Scheme = onion.Scheme{KEM: thirsty{}}
	others, _, _ := story(t, cfg)
	if fmt.Sprint(lines) == fmt.Sprint(others) {
		t.Error("the story is the same")
	}
}

// thirsty is a stand-in that reads a byte too much.
type thirsty struct{ standin.KEM }

func (k thirsty) Inner(rand io.Reader, to onion.ServerKey) ([]byte, [32]byte, error) {
	if _, err := io.ReadFull(rand, make([]byte, 1)); err != nil {
		return nil, [32]byte{}, err
	}
	return k.KEM.Inner(rand, to)
}
