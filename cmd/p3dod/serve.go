package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/secret"
	"github.com/p3do/p3do/node"
)

const serveHelp = `Run the node until it is interrupted. It then lets out what is under way and leaves
nothing behind. What it logs, on standard error, names no user. Its memory stays out of
the swap space where the kernel lets it; where not, the log says so once.`

func serveCommand(f *flags) *cobra.Command {
	var endWithStdin bool
	c := &cobra.Command{Use: "serve", Short: "run the node", Long: serveHelp, Args: cobra.NoArgs}
	c.Flags().BoolVar(&endWithStdin, "end-with-stdin", false, "end when standard input does")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx := c.Context()
		if endWithStdin {
			ctx = untilStdinEnds(c)
		}
		log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
		if err := secret.NoDumps(); err != nil {
			log.Warn("a crash may leave secrets on the disk", "err", err)
		}
		swaps := secret.LockAll()
		if swaps != nil {
			log.Warn("memory, and with it the keys, may be written to the swap space", "err", swaps)
		}
		n, err := node.Open(ctx, f.dir, node.Options{Dial: dial.Direct(), Public: dial.Public(), Log: log, Swaps: swaps != nil})
		if err != nil {
			return failure(err, "p3dod doctor --dir "+f.dir)
		}
		log.Info("cover", "profile", n.Cover().Cost())
		return failure(n.Run(ctx, nil), "")
	}
	return c
}

// untilStdinEnds is c's context, ended also by the end of standard input: a program that a
// lab started cannot outlive it.
func untilStdinEnds(c *cobra.Command) context.Context {
	ctx, cancel := context.WithCancel(c.Context())
	go func() { // ends with standard input, or with the process
		_, _ = io.Copy(io.Discard, c.InOrStdin())
		cancel()
	}()
	return ctx
}
