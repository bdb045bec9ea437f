// Package report writes what a simulation found as files: for a paper, for a reader in a hurry, and for whoever wants to
// do it again.
//
// A [Folder] holds
//
//	study.toml          what was played, as it was given
//	parts/*.json        what happened in each world; a run that was interrupted is gone on with from these
//	messages.csv        a line for each message of each world
//	summary.csv         each metric at each point, with its 95 % interval over the seeds
//	figures/NAME.svg    a metric over what is varied, with error bars, 85 mm wide, for a column
//	figures/NAME.csv    the numbers of it, and NAME.py and NAME.gp, which draw them with matplotlib and gnuplot
//	report.html         all of this on one page, which loads nothing from anywhere
//	manifest.json       by which program, commit and seeds, with which result; written last
//
// The same study, seeds and commit give the same bytes but for "run" in the manifest, which says when, where and how long.
// The columns are in docs/spec/simulations.md.
package report
