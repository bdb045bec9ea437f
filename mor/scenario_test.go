package mor_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
)

// TestScenarios plays testdata/*.txtar. They speak of servers by name; a server's first
// context has the name of the server, the others are called name/1 and so on.
//
//	server a [contexts=N] [extra=N] [share=N]   a starts
//	listen b a          b's bot listens to a's context, and says on b what it hears: b is a member
//	peers a b           both listen to each other
//	ask b a             b asks on a's context and learns; prints what, or "no answer"
//	inner i b,c MAILBOX an inner packet for the servers b, then c
//	wrap p a,b i        a packet for the contexts a, then b, which exposes i
//	cover p a,b         the same with nothing inside
//	hear b a p          b hears p on a's context
//	submit b i          a user of b hands in i
//	tick b              b's timer fires
//	pass 1h             time passes
//	lost b a            b's link with a ends
//	found b a           it has one again
//	forget b a          b forgets what a has told it
//	restart b           b forgets what it was not told to remember
//	counters b ...      compares all counters that are not zero
//
// What a router wants done is printed, one line each. A packet of its own making gets the
// name of the router and a number: b.1, b.2.
func TestScenarios(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Values[stageKey{}] = &stage{now: start, servers: map[string]*server{}, inners: map[string]act{}, packets: map[string]onion.Packet{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": on((*stage).server), "listen": on((*stage).listen), "peers": on((*stage).peers),
			"ask": on((*stage).ask), "inner": on((*stage).inner), "wrap": on((*stage).wrap), "cover": on((*stage).cover),
			"hear": on((*stage).hear), "submit": on((*stage).submit), "tick": on((*stage).tick), "pass": on((*stage).pass),
			"restart": on((*stage).restart), "counters": on((*stage).counters),
			"lost": on((*stage).lost), "found": on((*stage).found),
			"forget": on((*stage).forget),
		},
	})
}

type stageKey struct{}

// stage is what one scenario plays on.
type stage struct {
	now     time.Time
	servers map[string]*server
	order   []*server
	inners  map[string]act
	packets map[string]onion.Packet
	made    map[string]int
	out     strings.Builder
}

// act is an inner packet and the server that it is for.
type act struct {
	first  *server
	packet onion.Inner
}

// on makes a command of a method. Whatever the method prints becomes stdout; an error
// fails the script, or is wanted after "!".
func on(do func(*stage, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s := ts.Value(stageKey{}).(*stage)
		s.out.Reset()
		err := do(s, args)
		if (err != nil) != neg {
			ts.Fatalf("error: %v", err)
		}
		if err != nil {
			fmt.Fprintln(&s.out, err)
		}
		fmt.Fprint(ts.Stdout(), s.out.String())
		ts.Logf("%s", s.out.String())
	}
}

func (s *stage) server(args []string) error {
	contexts, cfg := 1, mor.Config{}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		switch key {
		case "contexts":
			contexts = n
		case "extra":
			cfg.ExtraHops = n
		case "share":
			cfg.SeenShare = n
		default:
			return fmt.Errorf("a server has no %s", key)
		}
	}
	v := newServer(args[0], contexts, func(c *mor.Config) { c.ExtraHops, c.SeenShare = cfg.ExtraHops, cfg.SeenShare })
	s.servers[args[0]], s.order = v, append(s.order, v)
	return nil
}

// context finds the server and the number in a context's name.
func (s *stage) context(name string) (*server, int) {
	base, number, _ := strings.Cut(name, "/")
	i, _ := strconv.Atoi(number)
	return s.servers[base], i
}

func (s *stage) listen(args []string) error {
	listener, own := s.context(args[0])
	owner, i := s.context(args[1])
	listener.bind(own, owner, i)
	return nil
}

func (s *stage) peers(args []string) error {
	return errorsOf(s.listen(args), s.listen([]string{args[1], args[0]}))
}

func errorsOf(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

func (s *stage) ask(args []string) error {
	asked, i := s.context(args[1])
	asker := s.servers[args[0]]
	kept, ok, err := asker.ask(s.now, asked, i, s.order)
	if !ok {
		fmt.Fprintln(&s.out, "no answer")
		return nil
	}
	_, known := asker.Status()
	fmt.Fprintf(&s.out, "%d new, %d known\n", kept, known)
	return err
}

func (s *stage) inner(args []string) error {
	var route []*server
	for _, name := range strings.Split(args[1], ",") {
		route = append(route, s.servers[name])
	}
	var to onion.Mailbox
	copy(to[:], args[2])
	s.inners[args[0]] = act{route[0], inner(stream("inner "+args[0]), to, s.now, route...)}
	return nil
}

func (s *stage) hops(names string) (hops []onion.OuterHop) {
	for _, name := range strings.Split(names, ",") {
		owner, i := s.context(name)
		hops = append(hops, owner.hop(i, s.now))
	}
	return hops
}

func (s *stage) wrap(args []string) error {
	in := s.inners[args[2]]
	s.packets[args[0]] = exposing(stream("wrap "+args[0]), s.now, in.packet, in.first.key.Public().ID(), mor.LegBudget, s.hops(args[1])...)
	return nil
}

func (s *stage) cover(args []string) error {
	s.packets[args[0]] = cover(stream("wrap "+args[0]), s.now, s.hops(args[1])...)
	return nil
}

func (s *stage) hear(args []string) error {
	p, known := s.packets[args[2]]
	if !known {
		return fmt.Errorf("there is no packet %s", args[2])
	}
	owner, i := s.context(args[1])
	v := s.servers[args[0]]
	s.print(v, v.Hear(s.now, owner.own[i].ID, p))
	return nil
}

func (s *stage) submit(args []string) error {
	v, in := s.servers[args[0]], s.inners[args[1]]
	out, err := v.Submit(s.now, onion.Entry{First: in.first.key.Public().ID(), Inner: in.packet})
	s.print(v, out)
	return err
}

func (s *stage) tick(args []string) error {
	v := s.servers[args[0]]
	if v.wake.IsZero() {
		return fmt.Errorf("%s wants no timer", v.name)
	}
	if s.now.Before(v.wake) {
		s.now = v.wake
	}
	s.print(v, v.Tick(s.now))
	return nil
}

func (s *stage) pass(args []string) error {
	d, err := time.ParseDuration(args[0])
	s.now = s.now.Add(d)
	return err
}

func (s *stage) lost(args []string) error {
	s.servers[args[0]].Lost(s.now, s.servers[args[1]].cfg.Domain)
	return nil
}

func (s *stage) found(args []string) error {
	s.servers[args[0]].Found(s.servers[args[1]].cfg.Domain)
	return nil
}

func (s *stage) forget(args []string) error {
	s.servers[args[0]].Forget(s.servers[args[1]].cfg.Domain)
	return nil
}

func (s *stage) restart(args []string) error {
	v := s.servers[args[0]]
	v.boot()
	for _, other := range s.order {
		if other != v {
			v.Listen(other.cfg.Domain, other.own[0].ID, v.own[0].ID)
		}
	}
	return nil
}

func (s *stage) counters(args []string) error {
	got := words(s.servers[args[0]].counters())
	if want := strings.Join(args[1:], " "); got != want {
		return fmt.Errorf("%s counts %s", args[0], got)
	}
	return nil
}

// print writes an output, in the order in which it is carried out.
func (s *stage) print(v *server, out mor.Output) {
	v.did(out)
	for _, m := range out.Remember {
		kind := map[mor.MarkKind]string{mor.OuterPeel: "an outer peel", mor.InnerPeel: "an inner peel", mor.BareInner: "an inner packet"}[m.Kind]
		fmt.Fprintf(&s.out, "%s remembers %s\n", v.name, kind)
	}
	for _, b := range out.Broadcast {
		fmt.Fprintf(&s.out, "%s says %s on %s\n", v.name, s.nameOf(v, b.Packet), s.contextName(b.On))
	}
	for _, f := range out.Forward {
		fmt.Fprintf(&s.out, "%s forwards %s to %s\n", v.name, s.nameOf(v, f.Packet), f.To)
	}
	for _, d := range out.Deliver {
		fmt.Fprintf(&s.out, "%s delivers to %s\n", v.name, strings.TrimRight(string(d.Mailbox[:]), "\x00"))
	}
}

// nameOf finds the name of a packet, or gives it one.
func (s *stage) nameOf(v *server, p onion.Packet) string {
	for name, q := range s.packets {
		if q.ID() == p.ID() {
			return name
		}
	}
	if s.made == nil {
		s.made = make(map[string]int)
	}
	s.made[v.name]++
	name := fmt.Sprintf("%s.%d", v.name, s.made[v.name])
	s.packets[name] = p
	return name
}

func (s *stage) contextName(id mor.ContextID) string {
	for _, v := range s.order {
		for i, c := range v.own {
			if c.ID == id && i == 0 {
				return v.name
			} else if c.ID == id {
				return fmt.Sprintf("%s/%d", v.name, i)
			}
		}
	}
	return "nowhere"
}
