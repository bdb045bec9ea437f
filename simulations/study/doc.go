// Package study plays experiments: a scenario, what is varied in it, and how many independent seeds each variation is played
// with; and it makes of what happened figures that carry their uncertainty.
//
// A [Study] is written in TOML. Its base is one [Scenario]: a world, its traffic, and the settings of the router. Series and values
// replace single settings in it, by their names with dots, so that a study is a grid of [Point]s:
//
//	title = "What a message costs"
//	seeds = 5
//
//	[world]
//	nodes = 32
//	degree = 4
//
//	[traffic]
//	messages = 20
//
//	[vary]
//	key = "world.nodes"
//	values = [16, 32, 64]
//
//	[[series]]
//	name = "all links"
//
//	[[series]]
//	name = "announce, then fetch"
//	set = { "router.lazy" = true }
//
//	[[figure]]
//	name = "cost"
//	metric = "load"
//
// A point and a seed give one [Outcome], always the same one: [Play] is a pure function of both. Nothing is averaged over the
// messages of a world and then called certain: intervals are over seeds (see package measure).
package study
