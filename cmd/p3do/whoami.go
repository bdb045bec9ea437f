package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

const whoamiHelp = `Show who you are here

  p3do whoami            your name, the 12 words of your key, your server
  p3do whoami --words    the 12 words alone: read them to somebody who wants to be
                         sure that it is you
  p3do whoami --qr       name and key as a picture, for a telephone to look at
  p3do whoami --chain    who vouches for whom, from your key on

It needs no network.`

// A whoami is the flags of whoami.
type whoami struct{ words, qr, chain bool }

func (c *command) whoamiCommand() *cobra.Command {
	var w whoami
	cmd := c.subcommand("whoami [--words|--qr|--chain]", whoamiHelp, cobra.NoArgs, func(ctx context.Context, _ []string) (err error) {
		if w.words && w.qr || w.words && w.chain || w.qr && w.chain {
			return cli.Fail(cli.Input, "p3do whoami --words", "--words, --qr and --chain: one at a time.")
		}
		a, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		self, err := a.Self()
		if err != nil {
			return err
		}
		text, err := w.text(self)
		if err != nil {
			return err
		}
		wrong, err := a.Own()
		if wrong != nil {
			c.warn(wrong)
		}
		ending, failed := a.Ending()
		if ending != nil {
			c.warn(ending)
		}
		err = errors.Join(err, failed)
		return errors.Join(err, c.print(self, text))
	})
	cmd.Flags().BoolVar(&w.words, "words", false, "show the 12 words alone")
	cmd.Flags().BoolVar(&w.qr, "qr", false, "show a picture")
	cmd.Flags().BoolVar(&w.chain, "chain", false, "show who vouches for whom")
	return cmd
}

func (w whoami) text(self agent.Self) (string, error) {
	switch {
	case w.words:
		return self.Words, nil
	case w.qr:
		picture, err := cli.QR(link(self))
		return picture + link(self), err
	case w.chain:
		return chain(self), nil
	}
	if self.Name.IsZero() {
		return fmt.Sprintf("%s\nwords: %s\nno home: nobody can write to you yet\nNext: p3do new NAME@DOMAIN", self.ID, self.Words), nil
	}
	home := self.Home.String()
	if len(self.Confirmed) > 0 {
		home += " (confirmed by " + pki.JoinDomains(self.Confirmed, ", ") + ")"
	}
	until := fmt.Sprintf("vouched for by your home until %s (%s)", self.Expires.Format(time.DateOnly), agent.Days(self.DaysLeft))
	if self.Expires.IsZero() {
		until = "not vouched for any more: it is renewed when your home answers"
	}
	text := fmt.Sprintf("%s\nwords: %s\nfingerprint: %s\nhome: %s\n%s", self.Name, self.Words, self.Fingerprint, home, until)
	for _, d := range self.Devices {
		text += "\ndevice " + deviceLine(d)
	}
	return text, nil
}

// link is who somebody is in one line, for programs: her name, if she has one, and her key.
func link(self agent.Self) string {
	if self.Name.IsZero() {
		return self.ID
	}
	return self.Name.String() + " " + self.ID
}

// chain is one line for each key, from hers on.
func chain(self agent.Self) string {
	lines := []string{fmt.Sprintf("your key\n  %s\n  %s", self.Words, self.ID)}
	if self.Name.IsZero() {
		return lines[0] + "\nsigned by nobody: it has no home"
	}
	until := "its word has run out; it is renewed when your home answers"
	if !self.Expires.IsZero() {
		until = "until " + self.Expires.Format(time.DateOnly)
	}
	lines = append(lines,
		fmt.Sprintf("is signed for %s by the key of %s, %s", self.Name, self.Home, until),
		fmt.Sprintf("  %s\n  key:%s", words.Of(self.HomeKey), self.HomeKey))
	for _, domain := range self.Confirmed {
		lines = append(lines, "which "+domain.String()+" vouches for")
	}
	return strings.Join(lines, "\n")
}
