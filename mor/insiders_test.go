package mor_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
	"github.com/p3do/p3do/simulations"
)

// truth is what became of messages, as their senders know it: the linker is judged by it, and does not see it.
type truth struct {
	messages map[mor.MessageID]*journey
	inner    map[onion.InnerID]mor.MessageID // of which message an inner packet is on its way to the first relay, there or back
}

// A journey is the ways of one message: a letter, or an acknowledgement, which travels like one.
type journey struct {
	home, mailbox pki.Domain
	copies        []ways
	delivered     bool
}

// ways are the relays of one copy, and those of the receipt for it.
type ways struct{ there, back []pki.Domain }

// insiders is a mesh in which every server logs everything. Who is in league is asked afterwards: they behave as all do.
type insiders struct {
	*letters
	cfg     simulations.Config
	logs    []*serverLog
	servers map[onion.ServerID]pki.Domain
	truth   truth
	random  *rand.Rand
}

// newInsiders makes a mesh with two users at each of the nodes.
func newInsiders(t *testing.T, cfg simulations.Config) *insiders {
	t.Helper()
	homes := make([]int, 2*cfg.Nodes)
	for i := range homes {
		homes[i] = i % cfg.Nodes
	}
	m := &insiders{
		letters: newLetters(t, cfg, homes...), cfg: cfg, servers: make(map[onion.ServerID]pki.Domain),
		truth:  truth{make(map[mor.MessageID]*journey), make(map[onion.InnerID]mor.MessageID)},
		random: rand.New(rand.NewPCG(cfg.Seed, 4)),
	}
	for i := range cfg.Nodes {
		n := m.world.Node(i)
		m.logs = append(m.logs, newServerLog(m.world, n))
		for _, key := range n.ServerKeys() {
			m.servers[key.Private.Public().ID()] = n.Domain()
		}
	}
	for _, u := range m.users {
		u.Watch(func(s mor.Submission) { m.truth.handedIn(u.Outgoing(s.Message), s) })
	}
	return m
}

// handedIn notes the ways that a sender drew for a copy.
func (t *truth) handedIn(o mor.Outgoing, s mor.Submission) {
	end := len(s.Route) - 1
	j := t.messages[s.Message]
	if j == nil {
		j = &journey{home: s.Route[0], mailbox: s.Route[end]}
		t.messages[s.Message] = j
	}
	j.copies = append(j.copies, ways{s.Route[1:end], o.Made[len(o.Made)-1].Back})
	t.inner[s.Entry.Inner.ID()] = s.Message
}

// write has users write to users of other domains at random times, and all of it arrive.
func (m *insiders) write(t *testing.T, letters int, during time.Duration) {
	t.Helper()
	for range letters {
		from := m.random.IntN(len(m.users))
		to := m.random.IntN(len(m.users) - 2)
		for to%m.cfg.Nodes == from%m.cfg.Nodes {
			to++
		}
		m.world.After(time.Duration(m.random.Int64N(int64(during))), func() { m.send(t, from, to, mor.DefaultHops) })
	}
	m.world.Run(during)
	m.arrive(t, 20*time.Minute)
	for _, l := range m.logs {
		for _, letter := range l.letters {
			m.truth.messages[letter.id].delivered = true
			m.truth.inner[letter.reply] = letter.id
		}
	}
}

// common demands that no two packets anywhere, outer or bare inner ones, have 16 bytes in common where layers could leave them:
// if they had, these would be evidence that the linker does not look for.
func (m *insiders) common(t *testing.T) {
	t.Helper()
	const block = 16 // slots of both tiers are multiples of it long, and a peel shifts by a slot
	var packets [][]byte
	outer, inner := make(map[onion.ID]bool), make(map[onion.InnerID]bool)
	for _, l := range m.logs {
		for _, p := range l.packets {
			if !outer[p.ID()] {
				outer[p.ID()] = true
				packets = append(packets, p.Bytes()[:])
			}
		}
		for _, in := range l.inners {
			if !inner[in.ID()] {
				inner[in.ID()] = true
				packets = append(packets, in.Bytes()[:])
			}
		}
	}
	where, same := make(map[[block]byte]int), 0
	for i, b := range packets {
		for ; len(b) >= block; b = b[block:] {
			if j, there := where[[block]byte(b)]; there && j != i {
				same++
			}
			where[[block]byte(b)] = i
		}
	}
	t.Logf("%d outer and %d inner packets, blocks in common: %d", len(outer), len(inner), same)
	if same > 0 || len(outer) < len(m.truth.messages) || len(inner) < len(m.truth.messages) {
		t.Errorf("packets have %d blocks of %d bytes in common, or there are too few", same, block)
	}
}

// league draws k of the servers from the seed.
func (m *insiders) league(k int) league {
	l := league{m: m, in: make(map[pki.Domain]bool)}
	var logs []*serverLog
	for _, i := range rand.New(rand.NewPCG(m.cfg.Seed, 5)).Perm(m.cfg.Nodes)[:k] {
		l.in[m.logs[i].node.Domain()] = true
		logs = append(logs, m.logs[i])
	}
	l.coalition = newCoalition(logs, m.servers, m.cfg.ExtraHops, m.cfg.PeelDelay)
	return l
}

// A league is a coalition, and the truth that it does not have.
type league struct {
	*coalition
	m  *insiders
	in map[pki.Domain]bool
}

// all reports whether all of the domains are in the league.
func (l league) all(domains ...pki.Domain) bool {
	return !slices.ContainsFunc(domains, func(d pki.Domain) bool { return !l.in[d] })
}

// A tally counts messages.
type tally struct {
	messages, bothEnds, eitherWay, whole int // all; with first relay and mailbox server in the league; those of a receipt, too; with all
	linked, exact, wrong, exactWrong     int // rightly; of these by bytes alone; wrongly; of these by bytes alone
	missed                               int // with all servers in the league, and not linked
	middle, middleLinked                 int // with a relay in the league, and neither end; of these linked
	named                                int // the two servers rightly named, whether or not the mailbox was
	copies                               int // that were handed in
	guesses, right                       int // by times, where bytes did not tell; of these right
	endGuesses, endRight                 int // of these, of messages with first relay and mailbox server in the league
}

// judge compares what the league says with the truth.
func (l league) judge() (sum tally) {
	linked, named := make(map[mor.MessageID]bool), l.named()
	for _, letter := range l.letters {
		l.judgeClaim(&sum, letter, linked)
	}
	guessed := make(map[mor.MessageID]bool)
	for _, letter := range l.letters {
		if !linked[letter.id] && !guessed[letter.id] {
			guessed[letter.id] = true // of more copies the first
			l.judgeGuess(&sum, letter)
		}
	}
	for id, j := range l.m.truth.messages { // order-free: adds up
		if j.delivered {
			l.judgeJourney(&sum, j, linked[id], linked[id] || named[id])
		}
	}
	return sum
}

func (l league) judgeClaim(sum *tally, letter letterSeen, linked map[mor.MessageID]bool) {
	claim, ok := l.link(letter)
	switch right := ok && claim.home == l.m.truth.messages[letter.id].home; {
	case !ok:
	case !right && claim.exact:
		sum.exactWrong++
		sum.wrong++
	case !right:
		sum.wrong++
	case !linked[letter.id]:
		linked[letter.id] = true
		sum.linked++
		if claim.exact {
			sum.exact++
		}
	}
}

func (l league) judgeGuess(sum *tally, letter letterSeen) {
	home, ok := l.guess(letter)
	if !ok {
		return
	}
	j := l.m.truth.messages[letter.id]
	ends := slices.ContainsFunc(j.copies, func(w ways) bool { return l.all(w.there[0], j.mailbox) })
	sum.guesses++
	if ends {
		sum.endGuesses++
	}
	if home == j.home {
		sum.right++
		if ends {
			sum.endRight++
		}
	}
}

func (l league) judgeJourney(sum *tally, j *journey, linked, named bool) {
	count := func(n *int, when bool) {
		if when {
			*n++
		}
	}
	var ends, back, whole, relay bool
	for _, w := range j.copies {
		ends = ends || l.all(w.there[0], j.mailbox)
		back = back || l.all(w.back[0], j.home)
		whole = whole || l.all(j.home, j.mailbox) && l.all(w.there...)
		relay = relay || slices.ContainsFunc(slices.Concat(w.there, w.back), func(d pki.Domain) bool { return l.in[d] })
	}
	middle := relay && !l.in[j.home] && !l.in[j.mailbox]
	sum.messages++
	sum.copies += len(j.copies)
	count(&sum.bothEnds, ends)
	count(&sum.eitherWay, ends || back)
	count(&sum.whole, whole)
	count(&sum.missed, whole && !linked)
	count(&sum.middle, middle)
	count(&sum.middleLinked, middle && linked)
	count(&sum.named, named)
}

// named are the messages whose two servers the league names rightly. Of a receipt they are those of its message.
func (l league) named() map[mor.MessageID]bool {
	right := make(map[mor.MessageID]bool)
	for _, p := range l.pairs() {
		id, known := l.m.truth.inner[p.in]
		if !known {
			continue
		}
		j := l.m.truth.messages[id]
		if p.home == j.home && p.to == j.mailbox || p.home == j.mailbox && p.to == j.home {
			right[id] = true
		}
	}
	return right
}

// add adds up two tallies.
func (a tally) add(b tally) tally {
	return tally{
		a.messages + b.messages, a.bothEnds + b.bothEnds, a.eitherWay + b.eitherWay, a.whole + b.whole,
		a.linked + b.linked, a.exact + b.exact, a.wrong + b.wrong, a.exactWrong + b.exactWrong, a.missed + b.missed,
		a.middle + b.middle, a.middleLinked + b.middleLinked, a.named + b.named, a.copies + b.copies,
		a.guesses + b.guesses, a.right + b.right, a.endGuesses + b.endGuesses, a.endRight + b.endRight,
	}
}

// wilson is the 95 % interval of a share that was counted (E. B. Wilson, 1927).
func wilson(some, all int) (low, high float64) {
	const z = 1.959964
	if all == 0 {
		return 0, 1
	}
	n, p := float64(all), float64(some)/float64(all)
	middle, width := p+z*z/(2*n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return (middle - width) / (1 + z*z/n), (middle + width) / (1 + z*z/n)
}

func percent(some, all int) string {
	if all == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(some)/float64(all))
}

// log prints what k of n servers were able to do.
func (a tally) log(t *testing.T, k, n int) {
	t.Helper()
	low, high := wilson(a.linked, a.messages)
	t.Logf("k = %2d of n = %d: %d messages in %d copies, P %s (%s with receipts' ways); linked %s (95 %%: %.1f to %.1f), "+
		"of %d by bytes alone %d; wrongly %d, by bytes alone %d",
		k, n, a.messages, a.copies, percent(a.bothEnds, a.messages), percent(a.eitherWay, a.messages),
		percent(a.linked, a.messages), 100*low, 100*high, a.linked, a.exact, a.wrong, a.exactWrong)
	t.Logf("    all servers theirs %d, missed %d; relays alone theirs %d, linked %d; both servers named %s; "+
		"guesses by times right %d of %d (first relay and mailbox server theirs: %d of %d)", a.whole, a.missed, a.middle, a.middleLinked,
		percent(a.named, a.messages), a.right, a.guesses, a.endRight, a.endGuesses)
}

// check demands of k of n servers what is promised, and of the linker that it is one.
func (a tally) check(t *testing.T, k, n int) {
	t.Helper()
	low, _ := wilson(a.linked, a.messages)
	if p := float64(a.bothEnds) / float64(a.messages); low > p {
		t.Errorf("%d of %d servers linked %d of %d messages: more than the %d of which they had first relay and mailbox server",
			k, n, a.linked, a.messages, a.bothEnds)
	}
	if a.middleLinked > 0 {
		t.Errorf("%d of %d servers linked %d messages of which they had relays alone", k, n, a.middleLinked)
	}
	if a.missed > 0 || a.exactWrong > 0 {
		t.Errorf("%d of %d servers did not link %d messages that were theirs all the way; %d claims by bytes alone are wrong",
			k, n, a.missed, a.exactWrong)
	}
	if k == n && 100*a.linked < 99*a.messages {
		t.Errorf("all servers together linked %d of %d messages", a.linked, a.messages)
	}
}

// k servers behave as they should, log all that they can know, and put their logs together. They link a message if they name the
// home of its sender to the mailbox that it is in, by unbroken evidence: bytes that one of them handed out and another took in,
// layers that their keys opened, tags that hints from Ask recognise, and, at the beginning of the way, who was heard first. Of
// all messages they link no more than P, within the 95 % interval: P is the share of those of which some copy had its first
// relay and its mailbox server among them.
//
// Why P: who is heard first with a packet is known to any server near by; what makes that more than noise is the first relay,
// which opens the inner packet in it, and so can tell it from all others. Which mailbox something is for, the mailbox server
// alone finds. With these two what is between can be bridged by times, or by a flipped bit of the body (docs/threat-model.md).
// By bytes it cannot: an honest relay hands out other bytes than it took. So bytes link less than P: all relays of the way have
// to be theirs as well, up to q^3 of servers drawn as a share q. A receipt, which the mailbox server makes, comes back over the same relays,
// and so is no second chance. A home among them knows what its own user handed in, and wants the whole way too.
//
// What servers in the middle see: inner packets that come and go, and for which server they go. They find no mailbox, and link
// none. But two relays of one way who know that ways have two relays read the mailbox server in the message, and the home in its receipt.
// "Both servers named" counts these: not the mailbox, one of many at its server.
//
// Who guesses by times goes back from flood to flood (coalition.guess), one open step after the other. That is the matter of
// delays and cover, and of how much there is to say. It is printed, and nothing is demanded of it.
func TestInsiders(t *testing.T) {
	t.Parallel()
	// The delays and the cover of that profile; links have no slots here, and no delay is over 2 s.
	high := simulations.Config{ExtraHops: 1, Delay: 100 * time.Millisecond, PeelDelay: time.Second, Cover: 30 * time.Second}
	for _, c := range []struct {
		name  string
		cfg   simulations.Config
		seeds uint64
	}{
		{"no added contexts", simulations.Config{ExtraHops: 0}, 5},
		{"as nodes begin", simulations.Config{ExtraHops: 1}, 5},
		{"delays and cover of high", high, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const nodes = 12
			leagues := make([]tally, nodes+1) // by how many they are
			for seed := range c.seeds {
				c.cfg.Seed, c.cfg.Nodes, c.cfg.Degree, c.cfg.Lazy = seed, nodes, 4, true
				c.cfg.Jitter, c.cfg.Loss = 10*time.Millisecond, 0.01
				m := newInsiders(t, c.cfg)
				m.write(t, 50, 10*time.Second)
				if seed == 0 {
					m.common(t)
				}
				for k := 2; k <= nodes; k += 2 {
					leagues[k] = leagues[k].add(m.league(k).judge())
				}
			}
			for k := 2; k <= nodes; k += 2 {
				leagues[k].log(t, k, nodes)
				leagues[k].check(t, k, nodes)
			}
		})
	}
}
