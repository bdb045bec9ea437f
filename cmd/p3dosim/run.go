package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/simulations/study"
)

const runHelp = `Play a study: each of its points with each of its seeds, on all processors.
The table names each metric with its 95 % interval over the seeds.`

type runFlags struct {
	seed  uint64
	seeds int
	json  bool
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{Use: "run FILE", Short: "play a study", Long: runHelp, Args: cobra.ExactArgs(1)}
	c.Flags().Uint64Var(&f.seed, "seed", 0, "the first seed (default: the study's)")
	c.Flags().IntVar(&f.seeds, "seeds", 0, "how many seeds (default: the study's)")
	c.Flags().BoolVar(&f.json, "json", false, "print results as JSON, a line each")
	c.RunE = func(c *cobra.Command, args []string) error { return runStudy(c, args[0], f) }
	return c
}

func runStudy(c *cobra.Command, file string, f runFlags) error {
	s, err := load(file, f)
	if err != nil {
		return err
	}
	outcomes := make([][]*study.Outcome, len(s.Points))
	err = s.Run(c.Context(), s.Units(), func(u study.Unit, o *study.Outcome) error {
		outcomes[u.Point] = append(outcomes[u.Point], o)
		return nil
	})
	if errors.Is(err, context.Canceled) {
		return cli.Fail(cli.Input, "", "interrupted.")
	}
	if err != nil {
		return err
	}
	for _, of := range outcomes {
		slices.SortFunc(of, func(a, b *study.Outcome) int { return int(int64(a.Seed - b.Seed)) })
	}
	results := s.Summarise(outcomes)
	if f.json {
		return printJSON(c, results)
	}
	return printTable(c, s, results)
}

// load reads a study, with the seeds that the command line gives it.
func load(file string, f runFlags) (*study.Study, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Fail(cli.Input, "p3dosim run simulations/studies/quick.toml", "there is no file %s.", file)
	}
	if err != nil {
		return nil, err
	}
	s, err := study.Parse(text)
	if err != nil {
		return nil, cli.Fail(cli.Input, "", "%s: %v.", file, err)
	}
	return s, reseed(s, f)
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
			figure(r.Interval.Estimate), figure(r.Interval.Low), figure(r.Interval.High), r.Interval.N, r.Metric.Unit)
	}
	return w.Flush()
}

// figure is a number with four digits that count; "-" if there is none.
func figure(x float64) string {
	if known(x) == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", x)
}
