// Command p3dosim plays route simulations over the router that ships, and says how sure it is of what it found.
//
// Each subcommand has a file of its own, with its help text on top and nothing in it but
// flags, words and exit statuses; the work is done in the packages under simulations.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/p3do/p3do/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(status)
}
