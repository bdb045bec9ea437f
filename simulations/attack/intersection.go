package attack

import "github.com/p3do/p3do/simulations/measure"

// An Intersection is who may be the one that writes to somebody repeatedly: who was online in each round in which that
// correspondent got a message. J.-F. Raymond, Traffic analysis, Workshop on Design Issues in Anonymity 2000; O. Berthold,
// A. Pfitzmann, R. Standtke, The disadvantages of free MIX routes and how to overcome them, same workshop; D. Kesdogan,
// D. Agrawal, S. Penz, Limits of anonymity in open environments, IH 2002.
//
// The adversary knows who was online (or sent something, which leaves fewer) in each round, in which rounds the
// correspondent got something, and that it is always from the same one. She does not know anything of the ways between.
// If messages wait so long that their writer may have left before they arrive, her assumption is wrong, and the true one
// drops out with the others.
type Intersection struct{ left []bool }

// NewIntersection suspects all users.
func NewIntersection(users int) *Intersection {
	left := make([]bool, users)
	for i := range left {
		left[i] = true
	}
	return &Intersection{left}
}

// Round takes in a round in which the correspondent got a message: who was online. Who is beyond the end of the list was
// not.
func (x *Intersection) Round(online []bool) {
	for i := range x.left {
		x.left[i] = x.left[i] && i < len(online) && online[i]
	}
}

// Left is how many may be the one.
func (x *Intersection) Left() (n int) {
	for _, l := range x.left {
		if l {
			n++
		}
	}
	return n
}

// Holds reports whether a user may be the one.
func (x *Intersection) Holds(user int) bool { return x.left[user] }

// Posterior is even over those who are left; over all if nobody is, as then an assumption of hers was wrong.
func (x *Intersection) Posterior() measure.Posterior {
	weights := make([]float64, len(x.left))
	for i, l := range x.left {
		if l {
			weights[i] = 1
		}
	}
	return measure.NewPosterior(weights)
}

// RoundsToFind is after how many of the given rounds only the true one is left; false if that does not happen in them.
func RoundsToFind(target, users int, rounds [][]bool) (int, bool) {
	x := NewIntersection(users)
	for i, online := range rounds {
		x.Round(online)
		if !x.Holds(target) {
			return 0, false
		}
		if x.Left() == 1 {
			return i + 1, true
		}
	}
	return 0, users == 1
}
