package study

import (
	"errors"
	"fmt"
	"time"
)

// A Scenario is all that decides what happens in a world, but for the seed.
type Scenario struct {
	World   World   `toml:"world" json:"world"`
	Traffic Traffic `toml:"traffic" json:"traffic"`
	Router  Router  `toml:"router" json:"router"`
	Faults  Faults  `toml:"faults" json:"faults"`
}

// A World is who is whose neighbour, and how far away.
type World struct {
	Nodes   int      `toml:"nodes" json:"nodes"`     // at most MaxNodes
	Degree  int      `toml:"degree" json:"degree"`   // how many neighbours a node has, about; default 4
	Cells   int      `toml:"cells" json:"cells"`     // each a mesh of its own, with a gateway to the next; default 1
	Latency Duration `toml:"latency" json:"latency"` // of a link, one way; with a spread the median; default 50 ms
	Spread  float64  `toml:"spread" json:"spread"`   // sigma of the logarithm of the latencies of links; 0: all are alike; at most 2
	Jitter  Duration `toml:"jitter" json:"jitter"`   // each delivery is later by up to as much, uniformly; default 5 ms
	Loss    float64  `toml:"loss" json:"loss"`       // of what is on links between nodes: 0 to 1
	Crypto  string   `toml:"crypto" json:"crypto"`   // "real", or "stand-in": fast, without secrets, and with the same story; default real
}

// Traffic is who writes to whom.
type Traffic struct {
	Users    int      `toml:"users" json:"users"`       // at nodes that are drawn; default as many as nodes, at most MaxUsers
	Messages int      `toml:"messages" json:"messages"` // each between two users who are drawn; at most MaxMessages
	Reach    int      `toml:"reach" json:"reach"`       // users know only servers, and write only to users, within so many links of their home; 0: all; at most 4
	Pause    Duration `toml:"pause" json:"pause"`       // the mean of the exponential time between two messages; default 1 s
	Patience Duration `toml:"patience" json:"patience"` // how long after the last one the world goes on; default 2 min
}

// Router is the settings of all routers, and of those who draw routes.
type Router struct {
	Hops      int      `toml:"hops" json:"hops"`             // relays that a message has, beside the home and the mailbox: 2 or 3; default 2
	ExtraHops int      `toml:"extra_hops" json:"extra_hops"` // context layers added on each leg: 0 to 3
	Delay     Duration `toml:"delay" json:"delay"`           // mean of the exponential delay before a rebroadcast
	PeelDelay Duration `toml:"peel_delay" json:"peel_delay"` // mean of the delay that each hop is asked for that peels
	Lazy      bool     `toml:"lazy" json:"lazy"`             // announce, then fetch
	Cover     Duration `toml:"cover" json:"cover"`           // mean time between two packets of cover of a node; 0: none
}

// Faults is what goes wrong on purpose.
type Faults struct {
	Dead  float64  `toml:"dead" json:"dead"`   // share of the nodes that fail, and whose users do not write or read: 0 to 0.5
	After Duration `toml:"after" json:"after"` // when the first of them does; the others follow evenly until the last message is sent
}

// The cryptography of a world.
const (
	CryptoReal    = "real"     // as nodes have it
	CryptoStandIn = "stand-in" // see package standin
)

// What a scenario may be at most. Memory and time grow with them.
const (
	MaxNodes    = 200_000
	MaxUsers    = 200_000
	MaxMessages = 1_000_000
)

// A Duration is written as in Go: "1.5s", "250ms".
type Duration time.Duration

// UnmarshalText reads a duration that is not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration; write \"250ms\" or \"1.5s\"", text)
	}
	if v < 0 || v > 365*24*time.Hour {
		return fmt.Errorf("a duration of %s is negative or longer than a year", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes it as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Seconds is the duration in seconds.
func (d Duration) Seconds() float64 { return time.Duration(d).Seconds() }

// withDefaults fills in what is zero.
func (s Scenario) withDefaults() Scenario {
	or(&s.World.Degree, 4)
	or(&s.World.Cells, 1)
	or(&s.World.Crypto, CryptoReal)
	or(&s.World.Latency, Duration(50*time.Millisecond))
	or(&s.World.Jitter, Duration(5*time.Millisecond))
	or(&s.Traffic.Users, min(s.World.Nodes, MaxUsers))
	or(&s.Traffic.Pause, Duration(time.Second))
	or(&s.Traffic.Patience, Duration(2*time.Minute))
	or(&s.Router.Hops, 2)
	return s
}

func or[T comparable](what *T, otherwise T) {
	if zero := *new(T); *what == zero {
		*what = otherwise
	}
}

// validate returns all that is wrong.
func (s Scenario) validate() error {
	var wrong []error
	demand := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	w, t, r, f := s.World, s.Traffic, s.Router, s.Faults
	demand(w.Nodes >= 1 && w.Nodes <= MaxNodes, "world.nodes is %d: give 1 to %d", w.Nodes, MaxNodes)
	demand(w.Cells >= 1 && w.Nodes%max(w.Cells, 1) == 0, "world.cells is %d: give a number that divides the %d nodes", w.Cells, w.Nodes)
	demand(w.Degree >= 2 && w.Degree <= 64, "world.degree is %d: give 2 to 64", w.Degree)
	demand(w.Crypto == CryptoReal || w.Crypto == CryptoStandIn, "world.crypto is %q: give %q or %q", w.Crypto, CryptoReal, CryptoStandIn)
	demand(w.Loss >= 0 && w.Loss < 1, "world.loss is %g: give a share from 0 to less than 1", w.Loss)
	demand(w.Spread >= 0 && w.Spread <= 2, "world.spread is %g: give 0 to 2", w.Spread)
	demand(t.Users >= 2 && t.Users <= MaxUsers, "traffic.users is %d: give 2 to %d", t.Users, MaxUsers)
	demand(t.Messages >= 1 && t.Messages <= MaxMessages, "traffic.messages is %d: give 1 to %d", t.Messages, MaxMessages)
	demand(t.Reach >= 0 && t.Reach <= 4, "traffic.reach is %d: give 0 to 4", t.Reach)
	demand(r.Hops == 2 || r.Hops == 3, "router.hops is %d: give 2 or 3", r.Hops)
	demand(r.ExtraHops >= 0 && r.ExtraHops <= 3, "router.extra_hops is %d: give 0 to 3", r.ExtraHops)
	demand(f.Dead >= 0 && f.Dead <= 0.5, "faults.dead is %g: give 0 to 0.5", f.Dead)
	return errors.Join(wrong...)
}
