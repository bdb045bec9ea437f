package attack_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/p3do/p3do/simulations/attack"
	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
)

// poissonFlow is so many instants a bin in the mean.
func poissonFlow(random *rand.Rand, perBin float64, timing attack.Timing) (flow []kernel.Time) {
	for at := 0.0; ; {
		at += random.ExpFloat64() / perBin * float64(timing.Bin)
		if kernel.Time(at) >= timing.Until-timing.From {
			return flow
		}
		flow = append(flow, timing.From+kernel.Time(at))
	}
}

// conversations in which each emission arrives with a probability, some bins later, among noise.
func conversations(random *rand.Rand, n int, timing attack.Timing, sent, share, noise float64, lag kernel.Time) []attack.Ends {
	out := make([]attack.Ends, n)
	for i := range out {
		out[i].Sent = poissonFlow(random, sent, timing)
		out[i].Received = poissonFlow(random, noise, timing)
		for _, at := range out[i].Sent {
			if random.Float64() < share {
				out[i].Received = append(out[i].Received, at+lag*timing.Bin)
			}
		}
	}
	return out
}

func TestTiming(t *testing.T) {
	timing := attack.Timing{From: 10 * link, Until: 410 * link, Bin: link, Lags: 8}
	for i, c := range []struct{ sent, share, noise float64 }{{2, 0.1, 1}, {4, 0.05, 2}, {1, 0.3, 3}} {
		random := seeded(uint64(90 + i))
		flows := conversations(random, 600, timing, c.sent, c.share, c.noise, 3)
		if w := timing.Learn(flows[:300]); w != (attack.Window{First: 3, Last: 3}) {
			t.Errorf("learned the lags %v, want 3", w)
		}
		curve := measure.NewCurve(timing.Halves(flows))
		blind := measure.NewCurve(timing.Scores(flows[300:], attack.Window{First: 2, Last: 2}))
		closed := attack.CorrelationArea(400, attack.ThinnedCorrelation(c.sent, c.share, c.noise))
		holds(t, fmt.Sprintf("timing, area, %g sent, share %g, noise %g", c.sent, c.share, c.noise), curve.Area(), blind.Area(),
			closed, 0.035)
		t.Logf("found at false positives of 1e-2, 1e-3, 1e-4: %.3f, %.3f, %.3f", curve.At(1e-2), curve.At(1e-3), curve.At(1e-4))
	}
}

// Where delays differ, the window is as wide as they do.
func TestTimingWindow(t *testing.T) {
	timing, random := attack.Timing{Until: 2000 * link, Bin: link, Lags: 12}, seeded(95)
	flows := make([]attack.Ends, 60)
	for i := range flows {
		flows[i].Sent = poissonFlow(random, 0.5, timing)
		for _, at := range flows[i].Sent {
			flows[i].Received = append(flows[i].Received, at+(4+kernel.Time(random.IntN(3)))*link)
		}
	}
	if w := timing.Learn(flows); w != (attack.Window{First: 4, Last: 6}) {
		t.Error(w)
	}
	if found := measure.NewCurve(timing.Halves(flows)).At(1e-3); found != 1 {
		t.Errorf("found %g of conversations without noise", found)
	}
}

// Flows that have nothing to do with each other, and flows that are the same all the time, say nothing.
func TestTimingOfNoise(t *testing.T) {
	timing := attack.Timing{Until: 100 * link, Bin: link, Lags: 5}
	var areas []float64
	for seed := range uint64(40) {
		areas = append(areas, measure.NewCurve(timing.Halves(conversations(seeded(300+seed), 40, timing, 2, 0, 2, 0))).Area())
	}
	chance(t, "timing of noise, area", areas, 0.5)
	steady := make([]attack.Ends, 20)
	for i := range steady {
		for bin := range kernel.Time(100) {
			steady[i].Sent = append(steady[i].Sent, bin*link+kernel.Time(i))
			steady[i].Received = append(steady[i].Received, bin*link+kernel.Time(2*i))
		}
	}
	if area := measure.NewCurve(timing.Halves(steady)).Area(); area != 0.5 {
		t.Error("constant rates were told from each other:", area)
	}
}
