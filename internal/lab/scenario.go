package lab

import (
	"context"
	"slices"
	"time"
)

// A Scenario is what happens in a lab instead of the demonstration.
type Scenario struct {
	Name  string
	About string // what happens, in a line for the help

	Nodes    int           // that there are if nobody says otherwise
	Least    int           // that there must be
	Loss     float64       // of packet slots, if nobody says otherwise
	Delay    time.Duration // of each, if nobody says otherwise
	Messages int           // that each user writes, if nobody says otherwise

	play func(*lab, context.Context, Map) error
}

// Scenarios are all that a lab can play.
func Scenarios() []Scenario {
	return []Scenario{
		{
			Name: "lossy", About: "two users write through loss, while servers and programs are killed",
			Nodes: 7, Least: 6, Loss: 0.1, Delay: 50 * time.Millisecond, Messages: 100, play: (*lab).lossy,
		},
		{
			Name: deathsName, About: "programs and servers die right after and right before each of their durable writes",
			Nodes: 4, Least: 4, Messages: 1, play: (*lab).deaths,
		},
		{
			Name: deathsAfterName, About: "the half of " + deathsName + ": right after them",
			Nodes: 4, Least: 4, Messages: 1, play: (*lab).deathsAfter,
		},
		{
			Name: rotationsName, About: "two users write while each kind of key of their homes and of a relay is changed",
			Nodes: 5, Least: 4, Messages: 100, play: (*lab).rotations,
		},
		{
			Name: watcherName, About: "two users of each node write in pairs, and a matcher that sees all wires is trained to find who reads what was sent",
			Nodes: 10, Least: 4, Messages: 100, play: (*lab).watcher,
		},
	}
}

// FindScenario returns the scenario of a name; false if there is none.
func FindScenario(name string) (Scenario, bool) {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return all[i], true
}
