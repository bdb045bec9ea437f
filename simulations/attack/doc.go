// Package attack holds what adversaries do with what they saw of a simulated world, and what is known of their success in
// closed form.
//
// Each attack is a function of what its adversary is said to know, and of nothing else: the comment on it names both that
// and what she does not know. Who is bad is a [Coalition] of nodes, or [Taps] on arcs; what they see is the part of the
// world's sightings that [Coalition.Hears] or [Taps.Hear] lets through. From there on:
//
//	whom she asks for             with what                                   gives
//	who wrote a message           First, RumourTree, RumourGraph, Ranging     Suspects, a posterior over nodes
//	who speaks with whom          Timing                                      scores of pairs, for a curve
//	                              Intersection, Disclose, LeastSquares        a posterior, a score for each user
//	who begins the paths          Predecessors                                counts of nodes, a posterior
//	which paths are hers          CountPaths                                  how many
//	which packet is whose         Lonely, Marked                              a share, a verdict
//
// Figures of all these come from package measure. The closed forms are in closed.go and noting.go; where a derivation is
// our own it stands in the comment, so that it can be checked. A test holds each attack to its closed form, and a broken
// attack to failing there.
package attack
