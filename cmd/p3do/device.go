package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/words"
)

const deviceHelp = `Be the same person on several devices

  p3do device add [LABEL]     on your main device: make a link file for another one
  p3do device join FILE       on the other one: take it, with its 12 words
  p3do device list            which there are
  p3do device remove N        on your main device: end one, by number or label

The other device reads and writes as you, with a key of its own. Your own key stays
on the main device: only there can a device be added or removed, a backup be made,
or your key be ended. Whoever writes to you is told how many devices you have.
Labels are told to nobody. A device that comes into wrong hands: remove it.`

func (c *command) deviceCommand() *cobra.Command {
	cmd := c.subcommand("device add|join|list|remove", deviceHelp, cobra.NoArgs, nil)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	var file string
	add := c.subcommand("add [LABEL]", "Make a link file for another device", cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
		return c.addDevice(ctx, strings.Join(args, ""), file)
	})
	add.Flags().StringVar(&file, "file", "p3do-device.age", "where the link is written: `FILE`")
	cmd.AddCommand(add,
		c.subcommand("join FILE", "Make an empty folder that of a device", cobra.ExactArgs(1), func(ctx context.Context, args []string) error { return c.joinDevice(ctx, args[0]) }),
		c.subcommand("list", "List your devices", cobra.NoArgs, func(ctx context.Context, _ []string) error { return c.listDevices(ctx) }),
		c.subcommand("remove N|LABEL", "End a device of yours", cobra.ExactArgs(1), func(ctx context.Context, args []string) error { return c.removeDevice(ctx, args[0]) }),
	)
	return cmd
}

func (c *command) addDevice(ctx context.Context, label, file string) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return unwritten(fs.ErrExist, "device add --file", file)
	}
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	link, err := a.AddDevice(ctx, label)
	if err != nil {
		return err
	}
	var typed string
	err = agent.WriteNew(file, func(w io.Writer) (err error) { typed, err = link.Write(w, rand.Reader); return err })
	if err != nil {
		return cli.Fail(cli.Input, fmt.Sprintf("p3do device remove %q   (then again, with --file ANOTHER-FILE)", link.Label), "%v. The device is listed, and nobody has it.", err)
	}
	c.warnAll(a)
	return c.print(map[string]string{"label": link.Label, "file": file, "words": typed},
		fmt.Sprintf("Your card lists %q from now on.\nwords: %s\nNext, on the other device: p3do device join %s   (it asks for the words)\nWhoever has file and words is that device of yours: wipe the file when it has joined. To end it: p3do device remove %q", link.Label, typed, file, link.Label))
}

func (c *command) joinDevice(ctx context.Context, name string) (err error) {
	file, err := os.Open(name)
	if err != nil {
		return cli.Fail(cli.Input, "p3do device join FILE", "%v.", err)
	}
	defer file.Close()
	cfg, err := c.emptyFolder(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stderr, "The 12 words of the link:")
	typed, err := c.lines(words.FingerprintWords)
	if err != nil {
		return err
	}
	a, err := agent.Join(cfg, file, typed)
	switch {
	case errors.Is(err, agent.ErrLinkWords):
		return cli.Fail(cli.Input, "p3do device join "+name+"   (and look at the words again)", "%v. Nothing was changed.", agent.ErrLinkWords)
	case errors.Is(err, agent.ErrNoLink):
		return cli.Fail(cli.Input, "p3do device join FILE   (as p3do device add wrote it on your main device)", "%s: %v. Nothing was changed.", name, agent.ErrNoLink)
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	self, err := a.Self()
	if err != nil {
		return err
	}
	return c.print(map[string]any{"name": self.Name, "device": true},
		fmt.Sprintf("This is a device of %s now.\nNext: p3do read   (and wipe %s, wherever it is)", self.Name, name))
}

func (c *command) listDevices(ctx context.Context) (err error) {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	devices, err := a.Devices()
	if err != nil {
		return err
	}
	if devices == nil {
		devices = []agent.Device{}
	}
	lines := []string{"main device: the one with your key"}
	for _, d := range devices {
		lines = append(lines, deviceLine(d))
	}
	return c.print(map[string]any{"devices": devices}, strings.Join(lines, "\n"))
}

// deviceLine is a device in one line.
func deviceLine(d agent.Device) string {
	line := fmt.Sprintf("%d  %s  since %s", d.Number, d.Label, d.Since.Format(time.DateOnly))
	if d.Label == "" {
		line = fmt.Sprintf("%d  another device  since %s", d.Number, d.Since.Format(time.DateOnly))
	}
	if !d.Seen.IsZero() {
		line += "  last at your server " + d.Seen.Format(time.DateOnly)
	}
	if d.This {
		line += "  (this one)"
	}
	return line
}

func (c *command) removeDevice(ctx context.Context, which string) (err error) {
	ctx, cancel := c.limited(ctx, defaultTimeout)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	gone, err := a.RemoveDevice(ctx, which)
	if err != nil {
		return err
	}
	c.warnAll(a)
	return c.print(gone, fmt.Sprintf("Removed %q. Your server does not let it in any more, and new messages to you are sealed to new keys.\nWhat it has read it has.", gone.Label))
}

// ofDevice is an error about the devices of the user.
func ofDevice(err error) *cli.Failure {
	var removed *agent.RemovedError
	switch {
	case errors.As(err, &removed):
		return cli.Fail(cli.Refused, "p3do device list   (on your main device; it can link this one anew: p3do device add)", "%s.", removed)
	case errors.Is(err, agent.ErrDevice):
		return cli.Fail(cli.Input, "p3do device list   (do it on your main device)", "%v.", agent.ErrDevice)
	case errors.Is(err, agent.ErrNoDevice):
		return cli.Fail(cli.Input, "p3do device list", "%v.", agent.ErrNoDevice)
	case errors.Is(err, agent.ErrManyDevices):
		return cli.Fail(cli.Quota, "p3do device remove N", "%v.", agent.ErrManyDevices)
	case errors.Is(err, agent.ErrLabel):
		return cli.Fail(cli.Input, "p3do device add telephone", "%v.", agent.ErrLabel)
	case errors.Is(err, agent.ErrUnlisted):
		return cli.Fail(cli.Network, "p3do device list   (remove it, and try again when your server answers)", "%v.", agent.ErrUnlisted)
	}
	return nil
}
