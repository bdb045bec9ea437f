package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

const whoamiHelp = `Show who you are here

prints your name, the fingerprint of your key, and your server. It needs no
network.`

func (c *command) whoamiCommand() *cobra.Command {
	return c.subcommand("whoami", whoamiHelp, cobra.NoArgs, func(ctx context.Context, _ []string) (err error) {
		a, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		self, err := a.Self()
		if err != nil {
			return err
		}
		return c.print(self, fmt.Sprintf("%s\nfingerprint: %s\nhome: %s\nvouched for by your home until %s",
			self.Name, self.Fingerprint, self.Home, self.Expires.Format(time.DateOnly)))
	})
}
