// Command p3dod runs a P3DO node, and a lab of them.
//
// Each subcommand has a file of its own, with its help text on top and nothing in it but
// flags, words and exit statuses; the work is done in packages node and internal/lab.
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
