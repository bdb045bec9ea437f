package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/simulations/report"
	"github.com/p3do/p3do/simulations/study"
)

const runHelp = `Play a study: each of its points with each of its seeds, on all processors.
The table names each metric with its 95 % interval over the seeds. With --out all of it
goes into a folder: tables, figures, a page to read, and what it takes to do it again.`

type runFlags struct {
	seed   uint64
	seeds  int
	out    string
	resume bool
	json   bool
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{Use: "run FILE", Short: "play a study", Long: runHelp, Args: cobra.ExactArgs(1)}
	c.Flags().Uint64Var(&f.seed, "seed", 0, "the first seed (default: the study's)")
	c.Flags().IntVar(&f.seeds, "seeds", 0, "how many seeds (default: the study's)")
	c.Flags().StringVar(&f.out, "out", "", "folder for the results, which is new or empty")
	c.Flags().BoolVar(&f.resume, "resume", false, "go on with what is in the folder")
	c.Flags().BoolVar(&f.json, "json", false, "print results as JSON, a line each")
	c.RunE = func(c *cobra.Command, args []string) error { return runStudy(c, args[0], f) }
	return c
}

// A performance is a study that is being played.
type performance struct {
	flags    runFlags
	study    *study.Study
	text     []byte
	began    time.Time
	folder   *report.Folder // nil: none
	outcomes map[study.Unit]*study.Outcome
	missing  []study.Unit
}

func runStudy(c *cobra.Command, file string, f runFlags) error {
	s, text, err := load(file, f)
	if err != nil {
		return err
	}
	p := &performance{flags: f, study: s, text: text, began: time.Now(), outcomes: make(map[study.Unit]*study.Outcome), missing: s.Units()}
	if f.out != "" {
		if p.folder, err = open(f, file, text); err != nil {
			return err
		}
		p.outcomes, p.missing = p.folder.Load(s)
	}
	if err := p.play(c, file); err != nil {
		return err
	}
	return p.finish(c)
}

// open makes the folder of the results.
func open(f runFlags, file string, text []byte) (*report.Folder, error) {
	folder, err := report.Create(f.out, text, f.resume)
	switch {
	case errors.Is(err, report.ErrUsed):
		return nil, cli.Fail(cli.Input, fmt.Sprintf("p3dosim run %s --out %s --resume", file, f.out), "%s holds something already.", f.out)
	case errors.Is(err, report.ErrOther):
		return nil, cli.Fail(cli.Input, fmt.Sprintf("p3dosim run %s --out ANOTHER", file), "%s is of another study.", f.out)
	}
	return folder, err
}

// play plays what is missing, and keeps each world as soon as it is done.
func (p *performance) play(c *cobra.Command, file string) error {
	all := len(p.outcomes) + len(p.missing)
	had := len(p.outcomes)
	line := newLine(c.ErrOrStderr())
	defer line.end()
	err := p.study.Run(c.Context(), p.missing, func(u study.Unit, o *study.Outcome) error {
		p.outcomes[u] = o
		line.say(report.Progress(len(p.outcomes)-had, all-had, time.Since(p.began)))
		if p.folder == nil {
			return nil
		}
		return p.folder.KeepOutcome(p.study, u, o)
	})
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if p.folder == nil {
		return cli.Fail(cli.Input, fmt.Sprintf("p3dosim run %s --out DIR", file), "interrupted, and nothing is kept without --out.")
	}
	return cli.Fail(cli.Input, fmt.Sprintf("p3dosim run %s --out %s --resume", file, p.flags.out), "interrupted; %d of %d worlds are kept.", len(p.outcomes), all)
}

// finish writes the results, or prints them.
func (p *performance) finish(c *cobra.Command) error {
	if p.folder != nil {
		m := report.NewManifest("p3dosim", p.text)
		m.Run.Began, m.Run.Wall, m.Run.CPU = p.began.UTC(), time.Since(p.began), cpuTime()
		if err := p.folder.Publish(p.study, p.text, p.outcomes, m); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "results are in %s\n", filepath.Join(p.flags.out, report.PageFile))
	}
	results := p.study.Summarise(report.Arranged(p.study, p.outcomes))
	switch {
	case p.flags.json:
		return printJSON(c, results)
	case p.folder == nil:
		return printTable(c, p.study, results)
	}
	return nil
}

// A statusLine is written over and over on a terminal, and not at all elsewhere.
type statusLine struct{ terminal *os.File }

func newLine(w io.Writer) statusLine {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return statusLine{f}
	}
	return statusLine{}
}

func (l statusLine) say(text string) {
	if l.terminal != nil {
		fmt.Fprintf(l.terminal, "\r\x1b[K%s", text)
	}
}

func (l statusLine) end() { l.say("") }

// load reads a study, with the seeds that the command line gives it.
func load(file string, f runFlags) (*study.Study, []byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, cli.Fail(cli.Input, "p3dosim run simulations/studies/quick.toml", "there is no file %s.", file)
	}
	if err != nil {
		return nil, nil, cli.Fail(cli.Input, "", "reading %s: %v.", file, err)
	}
	s, err := study.Parse(text)
	if err != nil {
		return nil, nil, cli.Fail(cli.Input, "", "%s: %v.", file, err)
	}
	return s, text, reseed(s, f)
}

func reseed(s *study.Study, f runFlags) error {
	first, n := s.Seeds[0], len(s.Seeds)
	if f.seed != 0 {
		first = f.seed
	}
	if f.seeds != 0 {
		n = f.seeds
	}
	if n < 1 || n > study.MaxSeeds {
		return cli.Fail(cli.Input, "", "--seeds is 1 to %d.", study.MaxSeeds)
	}
	s.Seeds = s.Seeds[:0]
	for i := range n {
		s.Seeds = append(s.Seeds, first+uint64(i))
	}
	return nil
}

// A result as JSON. Bounds that there are not are left out.
type line struct {
	Series   string   `json:"series"`
	Value    string   `json:"value"`
	Metric   string   `json:"metric"`
	Unit     string   `json:"unit,omitempty"`
	Estimate *float64 `json:"estimate"`
	Low      *float64 `json:"lo95,omitempty"`
	High     *float64 `json:"hi95,omitempty"`
	N        int      `json:"n"`
	Method   string   `json:"method"`
}

func printJSON(c *cobra.Command, results []study.Result) error {
	w := json.NewEncoder(c.OutOrStdout())
	for _, r := range results {
		i := r.Interval
		err := w.Encode(line{r.Point.Series, r.Point.Label, r.Metric.Name, r.Metric.Unit, known(i.Estimate), known(i.Low), known(i.High), i.N, string(i.Method)})
		if err != nil {
			return err
		}
	}
	return nil
}

func known(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func printTable(c *cobra.Command, s *study.Study, results []study.Result) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n\nmetric\tseries\t%s\testimate\t95 %%\tn\t\n", s.Title, s.Vary.Label)
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s to %s\t%d\t%s\n", r.Metric.Name, r.Point.Series, r.Point.Label,
			report.Short(r.Interval.Estimate), report.Short(r.Interval.Low), report.Short(r.Interval.High), r.Interval.N, r.Metric.Unit)
	}
	return w.Flush()
}
