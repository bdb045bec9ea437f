package attack_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/rivals"
)

// Five nodes in a row pass on a message of the second one. Two of them are spies.
func Example() {
	seen := []rivals.Sighting{
		{At: 0, Node: 1, From: rivals.Nobody},
		{At: 10, Node: 0, From: 1},
		{At: 12, Node: 2, From: 1},
		{At: 25, Node: 3, From: 2},
		{At: 31, Node: 4, From: 3},
	}
	spies := attack.Coalition{true, false, false, true, false}
	suspects := attack.First(spies.Hears(seen))
	fmt.Println("accused:", suspects.Accused(), "verdict:", suspects.Verdict(1))
	fmt.Printf("right in %.2f of all cases if a tenth are spies\n", attack.FirstSpyFlood(2, 0.1))
	// Output:
	// accused: 1 verdict: {true true 1}
	// right in 0.19 of all cases if a tenth are spies
}

// What goes in comes out three bins later, in company.
func ExampleTiming() {
	random := rand.New(rand.NewPCG(1, 2))
	timing := attack.Timing{Until: 1000, Bin: 10, Lags: 5}
	var conversations []attack.Ends
	for range 8 {
		var c attack.Ends
		for range 50 {
			at := kernel.Time(random.IntN(950))
			c.Sent = append(c.Sent, at)
			c.Received = append(c.Received, at+30, kernel.Time(random.IntN(1000)))
		}
		conversations = append(conversations, c)
	}
	fmt.Println("lags:", timing.Learn(conversations))
	// Output:
	// lags: {3 3}
}
