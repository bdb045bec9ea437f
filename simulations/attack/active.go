package attack

import "github.com/p3do/p3do/simulations/measure"

// A Batch is what left a mix or a relay together: how many messages, and how many of them the adversary had sent herself.
type Batch struct{ Messages, Own int }

// Lonely is the share of other people's messages that left a relay with nothing but the adversary's own around them, so
// that she knows which it is: the n-1 attack, or blending. A. Serjantov, R. Dingledine, P. Syverson, From a trickle to a
// flood: active attacks on several mix types, IH 2002.
//
// She knows which messages are her own when they come out, and how many go in and come out. She does not know how to tell
// the others from each other.
func Lonely(batches []Batch) measure.Interval {
	lonely, others := 0, 0
	for _, b := range batches {
		if b.Messages-b.Own == 1 {
			lonely++
		}
		others += max(0, b.Messages-b.Own)
	}
	return measure.Proportion(lonely, others)
}

// Marked is the verdict on an active mark on one message: she flipped its bits, sent it twice or dropped it, and looks
// which of what comes out is broken, comes twice or is missing. For tagging see J.-F. Raymond, Traffic analysis, Workshop
// on Design Issues in Anonymity 2000; for replay D. Chaum, Untraceable electronic mail, CACM 24 (1981).
//
// She knows of each output whether it is odd. She does not know why, and takes all odd ones for equally likely; if none
// is odd, she has learned nothing. truth is the place of the marked one among the outputs, -1 if it is not there, as
// where a relay drops what is broken.
func Marked(odd []bool, truth int) measure.Verdict {
	weights := make([]float64, len(odd))
	for i, o := range odd {
		if o {
			weights[i] = 1
		}
	}
	return Judge(measure.NewPosterior(weights), truth)
}
