// Package measure turns what happened in simulated worlds into figures: how well messages arrive, how much an adversary
// learns, and how sure one can be of either.
//
// A figure is an [Interval]: an estimate with the 95 % interval around it, from how many observations, and by which method. Three
// methods are enough. [Proportion] is Wilson's, for shares of trials that are independent of each other. [Mean] is
// Student's, for one number of each seed: messages of one world share its graph, its adversary and its traffic, so an
// interval over messages would be too narrow, and only worlds of different seeds are independent. [Bootstrap] resamples the
// seeds, for what has no formula, as a quantile.
//
// What an adversary knows of one message is a [Posterior], a probability for each suspect. [Posterior.Entropy] and its
// kin say how undecided she is, and not whether she is right: a figure of them belongs beside one of [Verdicts], which are held
// against the truth. [Curve] is the trade of an attack between what it finds and what it accuses wrongly.
package measure
