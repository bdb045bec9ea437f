package attack

import (
	"slices"

	"github.com/p3do/p3do/simulations/kernel"
	"github.com/p3do/p3do/simulations/measure"
	"github.com/p3do/p3do/simulations/rivals"
)

// A Suspect is a node that the adversary saw a message come from, and the instant at which that first was.
type Suspect struct {
	Node uint32
	At   kernel.Time
}

// Suspects of one message are in the order in which it first came from them.
type Suspects []Suspect

// First is the first-spy estimator, also called first-timestamp: it accuses whoever a message came from when it first
// came to the adversary, and after him the others in their order. A. Biryukov, D. Khovratovich, I. Pustogarov,
// Deanonymisation of clients in Bitcoin P2P network, CCS 2014; S. Bojja Venkatakrishnan, G. Fanti, P. Viswanath,
// Dandelion, SIGMETRICS 2017.
//
// She knows what [Coalition.Hears] or [Taps.Hear] left of the sightings of one message. She does not know the graph, the
// latencies or the protocol. Of what came to her at one instant, that counts as earlier which comes earlier in the list.
func First(seen []rivals.Sighting) Suspects {
	inOrder := slices.Clone(seen)
	slices.SortStableFunc(inOrder, func(a, b rivals.Sighting) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	var out Suspects
	named := make(map[uint32]bool)
	for _, s := range inOrder {
		if !named[s.From] {
			named[s.From] = true
			out = append(out, Suspect{s.From, s.At})
		}
	}
	return out
}

// Accused is the first of the suspects, rivals.Nobody if there is none.
func (s Suspects) Accused() uint32 {
	if len(s) == 0 {
		return rivals.Nobody
	}
	return s[0].Node
}

// Verdict holds the suspects against the truth. Suspects of one instant share the mean of their places.
func (s Suspects) Verdict(writer uint32) measure.Verdict {
	v := measure.Verdict{Named: len(s) > 0, Right: s.Accused() == writer && len(s) > 0}
	i := slices.IndexFunc(s, func(x Suspect) bool { return x.Node == writer })
	if i < 0 {
		return v
	}
	earlier, alike := 0, 0
	for _, x := range s {
		switch {
		case x.At < s[i].At:
			earlier++
		case x.At == s[i].At:
			alike++
		}
	}
	v.Rank = float64(earlier) + float64(alike+1)/2
	return v
}

// ByMessage divides sightings by the messages that they are of, and leaves their order. Numbers from messages on are left
// out.
func ByMessage(seen []rivals.Sighting, messages int) [][]rivals.Sighting {
	out := make([][]rivals.Sighting, messages)
	for _, s := range seen {
		if int(s.Message) < messages {
			out[s.Message] = append(out[s.Message], s)
		}
	}
	return out
}

// An Accusation is who wrote a message, and whom the adversary takes for its writer: rivals.Nobody if she accuses nobody.
type Accusation struct{ Writer, Accused uint32 }

// PerUser is precision and recall as the Dandelion paper has them: each user is a class of its own. The precision of a
// user is the share of his own among the messages that she lays at his door, 0 if she lays none there; his recall is the
// share of his messages that she lays there. Both are means over the users, each of whom should have written one message.
// It differs from measure.Verdicts.Precision, which counts each accusation once.
func PerUser(accusations []Accusation, users int) (precision, recall float64) {
	type tally struct{ wrote, accused, right int }
	of := make([]tally, users)
	for _, a := range accusations {
		if int(a.Writer) < users {
			of[a.Writer].wrote++
		}
		if int(a.Accused) < users {
			of[a.Accused].accused++
			if a.Accused == a.Writer {
				of[a.Accused].right++
			}
		}
	}
	for _, u := range of {
		precision += float64(u.right) / float64(max(1, u.accused))
		recall += float64(u.right) / float64(max(1, u.wrote))
	}
	return precision / float64(users), recall / float64(users)
}
