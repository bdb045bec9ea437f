package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(p3do()) }

func p3do() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
