package rivals

import (
	"math"

	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
)

// A MixNet is a stratified network of Poisson mixes: a message goes over a mix by lot of each layer, and each delays it by an exponential time
// of its own. G. Danezis, The traffic analysis of continuous-time mixes, PET 2004; A. Piotrowska et al., The Loopix anonymity
// system, USENIX Security 2017. Links take no time: it would shift what happens in a layer, and change nothing of who is with whom.
type MixNet struct {
	Layers int
	Width  int         // mixes of a layer
	Rate   float64     // messages a second, all senders together
	Mean   kernel.Time // of the delay of each mix
}

// second is a second of virtual time.
const second = 1e9

// Target returns what a watcher of all links knows about one message when it has left the network: for each message that did, how likely it is
// to be that one; and how many messages were moved for it.
//
// She knows when anything goes over any link, and nothing of what is inside. Delays have no memory, so of the messages in a mix each is
// as likely as any other to be the next to leave. So if the target is in a mix of k messages with probability m, what leaves next is the
// target with probability m/k, and m (k-1)/k stays: with that the probabilities are exact. (The simulator of I. Ben Guirat, D. Gosain, C. Diaz,
// MiXiM: Mixnet design decisions and empirical evaluation, WPES 2021, does the same.)
func (m MixNet) Target(l chance.Lots, q kernel.Queue) (posterior measure.Posterior, moved int) {
	w := &mixing{MixNet: m, lots: l, queue: q, pools: make([]pool, m.Layers*m.Width)}
	w.fill()
	w.arrive(0, 1)
	q.Push(kernel.Event{At: w.pause(), To: newcomer})
	for e, ok := q.Pop(); ok && w.inside > negligible; e, ok = q.Pop() {
		w.happen(e)
	}
	for _, ok := q.Pop(); ok; _, ok = q.Pop() { // what is left over
	}
	return measure.NewPosterior(w.out), w.moved
}

// negligible is how much of the target's probability may stay inside in the end.
const negligible = 1e-9

// newcomer marks the event that a message comes to the network.
const newcomer = ^uint32(0)

// A pool is what is in a mix: how many messages, and the probability that the target is among them.
type pool struct {
	messages int
	mass     float64
}

type mixing struct {
	MixNet
	lots   chance.Lots
	queue  kernel.Queue
	pools  []pool // layer by layer
	out    []float64
	inside float64
	moved  int
}

// fill puts as many messages into each mix as are there at any time: Poisson, with the mean of Little's law. They can be forgotten when they
// leave their layer but the last, for each layer has its own.
func (w *mixing) fill() {
	mean := w.Rate / float64(w.Width) * float64(w.Mean) / second
	for i := range w.pools {
		for at := w.lots.Exp(); at < mean; at += w.lots.Exp() {
			w.put(0, i, 0)
		}
	}
	w.inside = 1
}

// pause is the time to the next message that comes.
func (w *mixing) pause() kernel.Time { return kernel.Time(w.lots.Exp() / w.Rate * second) }

// arrive brings a message to a mix by lot of the first layer.
func (w *mixing) arrive(now kernel.Time, mass float64) { w.put(now, w.lots.IntN(w.Width), mass) }

// put puts a message into a mix, and plans that it leaves.
func (w *mixing) put(now kernel.Time, mix int, mass float64) {
	w.pools[mix].messages++
	w.pools[mix].mass += mass
	w.queue.Push(kernel.Event{At: now + kernel.Time(w.lots.Exp()*float64(w.Mean)), To: uint32(mix)})
}

func (w *mixing) happen(e kernel.Event) {
	w.moved++
	if e.To == newcomer {
		w.arrive(e.At, 0)
		w.queue.Push(kernel.Event{At: e.At + w.pause(), To: newcomer})
		return
	}
	p := &w.pools[e.To]
	mass := p.mass / float64(p.messages)
	p.mass -= mass
	p.messages--
	if layer := int(e.To) / w.Width; layer+1 < w.Layers {
		w.put(e.At, (layer+1)*w.Width+w.lots.IntN(w.Width), mass)
		return
	}
	if mass > 0 {
		w.out = append(w.out, mass)
		w.inside -= mass
	}
}

// Entropy is the mean entropy in bits of [MixNet.Target], where each message is among many in its mixes: with one layer log2(e Λθ/W); with more
// log2 Λ + h, where h is the entropy of the whole delay, an Erlang density of L delays with mean θ: (L + ln θ + ln Γ(L) + (1-L) ψ(L)) / ln 2.
// Rate Λ is in messages a second, θ in seconds.
//
// Ours: a pool without memory gives a geometric posterior; over several layers, which spread it over all mixes, Poisson arrivals are
// weighed with the density of the delay.
func (m MixNet) Entropy() float64 {
	theta, layers := float64(m.Mean)/second, float64(m.Layers)
	if m.Layers == 1 {
		return math.Log2(math.E * m.Rate * theta / float64(m.Width))
	}
	gamma, _ := math.Lgamma(layers)
	return math.Log2(m.Rate) + (layers+math.Log(theta)+gamma+(1-layers)*digamma(m.Layers))/math.Ln2
}

// digamma is psi of a whole number: the harmonic number before it, less Euler's constant.
func digamma(n int) float64 {
	const euler = 0.57721566490153286
	sum := -euler
	for k := 1; k < n; k++ {
		sum += 1 / float64(k)
	}
	return sum
}

// A Published figure of another simulator.
type Published struct {
	Layers  int
	Delay   int     // D: end to end, in seconds
	Entropy float64 // mean, in bits
}

// MiXiM is figure 7a of that paper: Λ = 5000 a second, ten mixes a layer, and a mean delay of each mix such that all of them and the L+1 links
// of 50 ms each take D seconds.
func MiXiM() []Published {
	return []Published{
		{1, 1, 10.2534}, {2, 1, 13.2960}, {3, 1, 13.0390}, {4, 1, 12.7890}, {5, 1, 12.5522},
		{1, 2, 11.3261}, {3, 2, 14.2116}, {1, 5, 12.6893}, {3, 5, 15.624},
	}
}

// Net is the network that a figure is of.
func (p Published) Net() MixNet {
	const link = 0.05
	theta := (float64(p.Delay) - float64(p.Layers+1)*link) / float64(p.Layers)
	return MixNet{Layers: p.Layers, Width: 10, Rate: 5000, Mean: kernel.Time(math.Round(theta * second))}
}
