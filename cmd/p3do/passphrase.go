package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/secret"
	"github.com/p3do/p3do/internal/words"
)

// maxPassphrase is the longest passphrase in bytes.
const maxPassphrase = 1024

// passphrase reads the passphrase: from the file that P3DO_PASSPHRASE_FILE names, without
// the newline at its end, or from the terminal without showing it, twice if it is a new one.
func (c *command) passphrase(ctx context.Context, again bool) ([]byte, error) {
	if name := os.Getenv("P3DO_PASSPHRASE_FILE"); name != "" {
		return passphraseIn("P3DO_PASSPHRASE_FILE", name)
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, cli.Fail(cli.Input, "P3DO_PASSPHRASE_FILE=FILE p3do whoami", "there is no terminal to ask for the passphrase.")
	}
	passphrase, err := ask(ctx, tty, "Passphrase: ")
	if err == nil && again {
		err = confirm(ctx, tty, passphrase)
	}
	return passphrase, errors.Join(err, tty.Close())
}

// backupPassphraseFile names the file with the passphrase of backup files, if that is another
// one than the folder's.
const backupPassphraseFile = "P3DO_BACKUP_PASSPHRASE_FILE"

// lines reads what is typed, or comes in, until it is so many words. More than words.MaxText is
// given back longer than that, and no words: nobody takes the beginning of it for the whole.
func (c *command) lines(count int) (string, error) {
	var text strings.Builder
	in := bufio.NewReader(io.LimitReader(c.stdin, words.MaxText+1))
	for {
		line, err := in.ReadString('\n')
		text.WriteString(line)
		switch {
		case errors.Is(err, io.EOF):
			return text.String(), nil
		case err != nil:
			return "", fmt.Errorf("reading what is typed: %w", err)
		case wordsIn(text.String()) >= count:
			return text.String(), nil
		}
	}
}

func wordsIn(text string) int { return len(strings.Fields(strings.ReplaceAll(text, "-", " "))) }

// secretLines is lines of what nobody may see: a terminal does not show it.
func (c *command) secretLines(ctx context.Context, count int) (string, error) {
	tty, ok := secret.Terminal(c.stdin)
	if !ok {
		return c.lines(count)
	}
	var text strings.Builder
	for wordsIn(text.String()) < count && text.Len() <= words.MaxText {
		line, err := secret.Ask(ctx, tty, c.stderr, fmt.Sprintf("%d of %d (not shown): ", wordsIn(text.String()), count))
		if err != nil {
			return "", err
		}
		text.Write(append(line, '\n'))
	}
	return text.String(), nil
}

// passphraseIn reads it from the file that the environment names by variable.
func passphraseIn(variable, name string) ([]byte, error) {
	hint := variable + "=FILE p3do whoami   (a file with one line)"
	file, err := os.Open(name)
	if err != nil {
		return nil, cli.Fail(cli.Input, hint, "the file named by %s cannot be read: %v.", variable, errors.Unwrap(err))
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxPassphrase+3))
	if err != nil {
		return nil, cli.Fail(cli.Input, hint, "the file named by %s cannot be read: %v.", variable, errors.Unwrap(err))
	}
	passphrase := bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	if len(passphrase) == 0 || len(passphrase) > maxPassphrase {
		return nil, cli.Fail(cli.Input, hint, "the passphrase has %d bytes; 1 to %d are allowed.", len(passphrase), maxPassphrase)
	}
	return passphrase, nil
}

func ask(ctx context.Context, tty *os.File, prompt string) ([]byte, error) {
	passphrase, err := secret.Ask(ctx, tty, tty, prompt)
	if err != nil {
		return nil, fmt.Errorf("asking for the passphrase: %w", err)
	}
	if len(passphrase) == 0 || len(passphrase) > maxPassphrase {
		return nil, cli.Fail(cli.Input, "p3do whoami", "a passphrase has 1 to %d bytes.", maxPassphrase)
	}
	return passphrase, nil
}

func confirm(ctx context.Context, tty *os.File, first []byte) error {
	second, err := ask(ctx, tty, "Again: ")
	if err == nil && subtle.ConstantTimeCompare(first, second) == 0 {
		err = cli.Fail(cli.Input, "p3do new yourname@some.server", "these were two different passphrases.")
	}
	return err
}
