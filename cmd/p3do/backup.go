package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

const backupHelp = `Keep what makes you you, and get it back

  p3do backup                       24 words: write them on paper. Whoever has
                                    them is you
  p3do backup FILE                  the same, your contacts and what is known of
                                    their keys, in a file under your passphrase
  p3do backup --revocation FILE     the key that ends yours for good, if it is ever
                                    lost or stolen: keep it away from here

  p3do backup --restore FILE        be yourself again, in a folder that is empty
  p3do backup --restore --name ann@a.test
                                    the same from 24 words, which are asked for or
                                    read from what comes in. Without --name: a
                                    pseudonym that had no home

Messages are in no backup. A file is under the passphrase of your folder, or under
the one in the file named by P3DO_BACKUP_PASSPHRASE_FILE; the program age opens it,
too. After --restore from words "p3do new" with the same name makes the rest good.`

// A backup is the flags of backup.
type backup struct {
	restore    bool
	revocation bool
	name       string
}

func (c *command) backupCommand() *cobra.Command {
	var b backup
	cmd := c.subcommand("backup [FILE]", backupHelp, cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
		file := strings.Join(args, "")
		switch {
		case b.restore && b.revocation, b.name != "" && (!b.restore || file != ""), b.revocation && file == "":
			return cli.Fail(cli.Input, "p3do help backup", "these do not go together.")
		case b.restore && file != "":
			return c.restoreFile(ctx, file)
		case b.restore:
			return c.restoreWords(ctx, b.name)
		case b.revocation:
			return c.saveRevocation(ctx, file)
		case file != "":
			return c.saveBackup(ctx, file)
		}
		return c.showWords(ctx)
	})
	cmd.Flags().BoolVar(&b.restore, "restore", false, "make an empty folder yours again")
	cmd.Flags().BoolVar(&b.revocation, "revocation", false, "write what ends your key")
	cmd.Flags().StringVar(&b.name, "name", "", "with 24 words: the `NAME@DOMAIN` that you had")
	return cmd
}

// showWords prints the 24 words, for paper.
func (c *command) showWords(ctx context.Context) (err error) {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	text, err := a.BackupWords()
	if err != nil {
		return err
	}
	return c.print(map[string]string{"words": text}, numbered(text))
}

// numbered writes words four to a line, each with its number.
func numbered(text string) string {
	var b strings.Builder
	for i, word := range strings.Fields(text) {
		fmt.Fprintf(&b, "%2d %-8s  ", i+1, word)
		if i%4 == 3 {
			b.WriteByte('\n')
		}
	}
	return b.String() + "Whoever has these words is you. Write them down, and show them to nobody."
}

func (c *command) saveBackup(ctx context.Context, file string) (err error) {
	a, folders, err := c.openBy(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	passphrase, err := c.sealedUnder(folders)
	if err != nil {
		return err
	}
	var sealed bytes.Buffer // as a whole before anything is put to disk: it may be too long
	if err := a.Backup(&sealed, passphrase); err != nil {
		return unsealed(err)
	}
	if err := agent.WriteNew(file, func(w io.Writer) error { _, err := sealed.WriteTo(w); return err }); err != nil {
		return unwritten(err, "backup", file)
	}
	return c.print(map[string]string{"file": file}, "Written to "+file+"\nNext: keep it where your folder is not")
}

// unsealed says why there is no backup file.
func unsealed(err error) error {
	var long *agent.BackupSizeError
	if errors.As(err, &long) {
		return cli.Fail(cli.Quota, "p3do backup   (24 words, which are enough to be yourself again)", "%v. Nothing was written.", long)
	}
	return err
}

func (c *command) saveRevocation(ctx context.Context, file string) (err error) {
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	r, err := a.Revocable()
	if err != nil {
		return err
	}
	raw, err := r.Marshal()
	if err != nil {
		return err
	}
	if err := agent.WriteNew(file, func(w io.Writer) error { _, err := w.Write(raw); return err }); err != nil {
		return unwritten(err, "backup --revocation", file)
	}
	return c.print(map[string]string{"file": file},
		"Written to "+file+"\nWhoever has it can end your key for good, and nothing else. Keep it where your folder is not.")
}

// unwritten says why a file of secrets was not written.
func unwritten(err error, command, file string) error {
	if errors.Is(err, fs.ErrExist) {
		return cli.Fail(cli.Input, "p3do "+command+" ANOTHER-FILE", "%s is there already, and stays.", file)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return cli.Fail(cli.Input, "p3do "+command+" ANOTHER-FILE", "%v.", err)
	}
	return err
}

func (c *command) restoreFile(ctx context.Context, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return cli.Fail(cli.Input, "p3do backup --restore FILE", "%v.", err)
	}
	defer file.Close()
	cfg, err := c.emptyFolder(ctx)
	if err != nil {
		return err
	}
	passphrase, err := c.sealedUnder(cfg.Passphrase)
	if err != nil {
		return err
	}
	a, err := agent.Restore(cfg, file, passphrase)
	if errors.Is(err, agent.ErrBackupPassphrase) || errors.Is(err, agent.ErrBackupDamaged) || errors.Is(err, agent.ErrNoBackup) {
		return cli.Fail(cli.Input, "p3do backup --restore ANOTHER-FILE   (or from your 24 words: p3do backup --restore --name YOURNAME@SERVER)",
			"%s: %v. Nothing was restored.", name, err)
	}
	if err != nil {
		return err
	}
	return c.restored(a)
}

// restoreWords makes the identity of the words that are typed, or come in.
func (c *command) restoreWords(ctx context.Context, typed string) error {
	var name pki.Name
	if typed != "" {
		var err error
		if name, err = parseName(typed, "p3do backup --restore --name ann@a.test"); err != nil {
			return err
		}
	}
	cfg, err := c.emptyFolder(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stderr, "Your 24 words:")
	text, err := c.secretLines(ctx, words.SecretWords)
	if err != nil {
		return err
	}
	a, err := agent.RestoreWords(cfg, text, name)
	var (
		word  *words.WordError
		count *words.CountError
	)
	if errors.Is(err, words.ErrRevocation) {
		return cli.Fail(cli.Input, "p3do revoke --key FILE   (the file in which they are; your backup has 24 others)", "%v. Nothing was restored.", err)
	}
	if errors.Is(err, words.ErrLong) || errors.As(err, &word) || errors.As(err, &count) || errors.Is(err, words.ErrChecksum) {
		return cli.Fail(cli.Input, "p3do backup --restore   (look at your paper again)", "%v. Nothing was restored.", err)
	}
	if err != nil {
		return err
	}
	return c.restored(a)
}

// emptyFolder is how a folder is made for a backup. What is there stays.
func (c *command) emptyFolder(ctx context.Context) (agent.Config, error) {
	home, err := c.folder()
	if err != nil {
		return agent.Config{}, err
	}
	_, missing := os.Stat(home)
	return c.config(ctx, missing != nil)
}

// sealedUnder is the passphrase of a backup file: that of the folder, as it was typed for that,
// if no other is given.
func (c *command) sealedUnder(folders []byte) ([]byte, error) {
	if name := os.Getenv(backupPassphraseFile); name != "" {
		return passphraseIn(backupPassphraseFile, name)
	}
	return folders, nil
}

func (c *command) restored(a *agent.Agent) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	who, begun := a.Restored()
	next := "p3do whoami"
	if begun {
		next = "p3do new " + who
	}
	return c.print(map[string]any{"restored": who, "begun": begun}, "Restored "+who+"\nNext: "+next)
}
