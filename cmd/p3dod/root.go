package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const rootHelp = `p3dod runs the server of a domain in a mesh that carries messages between pseudonyms.

A new node:
  p3dod init a.test        make its folder, and say what to publish
  p3dod serve              run it
  p3dod peer add b.test    join others

To see a whole mesh on this machine: p3dod lab`

// flags are those that all subcommands have.
type flags struct {
	dir  string
	json bool
}

// run is the whole program. It returns the exit status.
func run(ctx context.Context, args []string, s cli.Streams) int {
	var f flags
	root := &cobra.Command{Use: "p3dod", Short: "run a P3DO node", Long: rootHelp, Args: cobra.NoArgs, RunE: help}
	root.PersistentFlags().StringVar(&f.dir, "dir", defaultDir(), "folder of the node")
	root.PersistentFlags().BoolVar(&f.json, "json", false, "print results as JSON")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(initCommand(&f), serveCommand(&f), peerCommand(&f), contextCommand(&f), userCommand(&f), dnsCommand(&f), rotateCommand(&f), revokeCommand(&f), keysCommand(&f), statusCommand(&f), doctorCommand(&f), labCommand(&f), labUserCommand(&f))
	return cli.Main(ctx, root, args, s)
}

// help is what a command does that only has subcommands.
func help(c *cobra.Command, _ []string) error { return c.Help() }

// defaultDir is where a node lives if nobody says otherwise.
func defaultDir() string {
	if dir := os.Getenv("P3DOD_DIR"); dir != "" {
		return dir
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".p3dod")
	}
	return ".p3dod"
}

// print writes v as one line of JSON, or text.
func (f *flags) print(c *cobra.Command, v any, text string) error {
	if !f.json {
		_, err := fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return json.NewEncoder(c.OutOrStdout()).Encode(v)
}

// control reaches the node that serves in the folder.
func (f *flags) control() (*node.Control, error) {
	c, err := node.NewControl(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Fail(cli.Network, "p3dod serve --dir "+f.dir, "no node serves in %s.", f.dir)
	}
	return c, err
}

// failure translates what the packages return.
func failure(err error, hint string) error {
	var changed *pki.KeyChangedError
	var missing *fs.PathError
	var exposed *node.ExposedKeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &changed), errors.Is(err, node.ErrKeyChanged):
		return cli.Fail(cli.KeyChanged, hint, "%v", err)
	case errors.Is(err, node.ErrInput):
		return cli.Fail(cli.Input, "p3dod peer list", "%v", err)
	case errors.As(err, &exposed):
		return cli.Fail(cli.Input, "chmod 600 "+exposed.Path, "%v", err)
	case errors.Is(err, node.ErrConfig), errors.Is(err, node.ErrServing):
		return cli.Fail(cli.Input, hint, "%v", err)
	case errors.Is(err, node.ErrNoAuthority) && errors.As(err, &missing):
		return cli.Fail(cli.Input, "install -m 600 COPY "+missing.Path+"   (your copy; or, from the offline file: p3dod rotate --key ca --lost)", "%v", err)
	case errors.Is(err, fs.ErrNotExist):
		return cli.Fail(cli.Input, "p3dod init DOMAIN", "no node here: %v", err)
	default:
		return cli.Fail(cli.Network, hint, "%v", err)
	}
}

func parseDomain(text string) (pki.Domain, error) {
	domain, err := pki.ParseDomain(text)
	if err != nil {
		return pki.Domain{}, cli.Fail(cli.Input, "p3dod peer add b.test   (a domain in lower case)", "%v%s", err, cli.International(text))
	}
	return domain, nil
}
