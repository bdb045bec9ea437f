package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/p3do/p3do/internal/secret"
)

func main() { os.Exit(p3do()) }

func p3do() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := secret.NoDumps(); err != nil {
		fmt.Fprintf(os.Stderr, "p3do: warning: %v\n", err)
	}
	_ = secret.LockAll() // where it is refused, the vault locks the key by which it is sealed
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
