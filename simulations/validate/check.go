// Package validate holds the simulator to what is known without it: closed forms, and figures that others have published.
//
// A [Check] simulates something and compares it with what it must be; it fails if the two differ by more than it says. So whoever
// changes a queue, a source of chance, an estimator or a protocol and breaks it hears of it here. Tests show that: they put
// broken [Instruments] in the place of the real ones, one at a time, and demand that checks fail.
package validate

import (
	"fmt"
	"math"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/chance"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// Instruments are what all checks lean on.
type Instruments struct {
	Source  func(seed uint64, label string) chance.Source
	Queue   func() kernel.Queue
	First   func([]rivals.Sighting) attack.Suspects
	Entropy func(measure.Posterior) float64
	Count   func([][]uint32, attack.Coalition) attack.PathCount
}

// Real are those that studies use, but for the source, which comes from outside of pure packages.
func Real(source func(seed uint64, label string) chance.Source) Instruments {
	return Instruments{
		Source: source,
		Queue:  func() kernel.Queue { return kernel.NewWheel() },
		First:  attack.First, Entropy: measure.Posterior.Entropy, Count: attack.CountPaths,
	}
}

// A Check is one thing that is known.
type Check struct {
	Name   string
	Source string // who knows it: a paper, or "closed form" with the function that has its derivation
	Run    func(i Instruments, seed uint64) Finding
}

// A Finding is how a check came out.
type Finding struct {
	Known    float64
	Measured measure.Interval // over independent trials or seeds
	Allowed  float64          // how far the estimate may be from what is known
	Unit     string           // "" of a share
}

// Deviation is how far the estimate is from what is known.
func (f Finding) Deviation() float64 { return f.Measured.Estimate - f.Known }

// Passed reports whether that is allowed.
func (f Finding) Passed() bool { return math.Abs(f.Deviation()) <= f.Allowed }

// Checks returns all of them.
func Checks() (all []Check) {
	for _, group := range [][]Check{spreading(), gossiping(), spying(), mixing(), routing(), repeating()} {
		all = append(all, group...)
	}
	return all
}

// lots are those of one seed for one purpose.
func (i Instruments) lots(seed uint64, format string, args ...any) chance.Lots {
	return chance.Lots{Source: i.Source(seed, fmt.Sprintf(format, args...))}
}
