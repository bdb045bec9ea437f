package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/secret"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/node"
	"github.com/p3do/p3do/pki"
)

const rotateHelp = `Change a key of the node that serves. Nothing that is on its way is lost, and nobody
has to do anything: peers countersign the new key by themselves, users go on.

  server   the routing key of this week. What was sent to the one before is opened still
  context  the key of the context that the node speaks on; the same holds for it
  ca       the key of the domain. Publish the line for DNS that is printed then
  offline  the root that was taken away; a node that has none gets one

The last two want the offline file that p3dod init made, and its 12 words. They are asked
for, or read from a file (--words-from FILE, "-" is standard input). The file is written
anew: take it away again. If a change was interrupted, type it again.

If the domain's key is lost with its folder, or from it, and no copy is left, then
--key ca --lost makes the key of the offline file follow, while the node is stopped.`

func rotateCommand(f *flags) *cobra.Command {
	var r node.Rotation
	var key, wordsFrom, old string
	c := &cobra.Command{Use: "rotate --key server|context|ca|offline", Short: "change a key", Long: rotateHelp, Args: cobra.NoArgs}
	c.Flags().StringVar(&key, "key", "", "which one: server, context, ca or offline")
	c.Flags().StringVar(&r.Offline, "offline", "", "the offline file (default: DIR-offline.age, beside the folder)")
	c.Flags().StringVar(&wordsFrom, "words-from", "", `file with the 12 words; "-": standard input`)
	c.Flags().BoolVar(&r.Lost, "lost", false, "of ca: keys/authority is gone, and no copy is left; with the node stopped")
	c.Flags().BoolVar(&r.Stolen, "stolen", false, "of ca: the key is in other hands; what it certified is not good any more")
	c.Flags().StringVar(&old, "old", "", "of --lost: the fingerprint of the key that is lost, if neither node.db nor the offline file can say it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		r.Dir, r.Key = f.dir, node.Role(key)
		if err := setOld(&r, old); err != nil {
			return err
		}
		if r.Offline == "" {
			r.Offline = node.OfflinePath(f.dir)
		}
		return rotate(c, f, r, wordsFrom)
	}
	return c
}

// setOld reads which key is lost.
func setOld(r *node.Rotation, old string) (err error) {
	if old == "" {
		return nil
	}
	if !r.Lost {
		return cli.Fail(cli.Input, "p3dod rotate --key ca --lost --old FINGERPRINT", "--old is of --lost.")
	}
	if r.Old, err = pki.ParseFingerprint(old); err != nil {
		return cli.Fail(cli.Input, "p3dod rotate --key ca --lost --old FINGERPRINT   (the whole of it, as p3dod init printed it; its 12 words are too short)", "%v", err)
	}
	return nil
}

func rotate(c *cobra.Command, f *flags, r node.Rotation, wordsFrom string) error {
	switch {
	case r.Key != node.RoleServer && r.Key != node.RoleContext && r.Key != node.RoleCA && r.Key != node.RoleOffline:
		return cli.Fail(cli.Input, "p3dod rotate --key server", "--key is server, context, ca or offline.")
	case r.Stolen && r.Key != node.RoleCA:
		return cli.Fail(cli.Input, "p3dod rotate --key ca --stolen", "--stolen is of the key ca.")
	case r.Lost && r.Key != node.RoleCA:
		return cli.Fail(cli.Input, "p3dod rotate --key ca --lost", "--lost is of the key ca.")
	}
	if _, err := f.control(); err != nil && !r.Lost {
		return err
	}
	needed, err := r.NeedsWords()
	if err != nil {
		return failure(err, "p3dod doctor --dir "+f.dir)
	}
	if needed {
		if r.Words, err = readWords(c, r.Offline, wordsFrom); err != nil {
			return err
		}
	}
	done, err := r.Run(c.Context())
	if err != nil {
		if done.Words != "" { // of a file that was made before it failed
			fmt.Fprintf(c.ErrOrStderr(), "The words of %s: %s\n", r.Offline, done.Words)
		}
		return rotateFailure(err, r)
	}
	return reportRotated(c, f, r, done)
}

// readWords reads the words of an offline file that is there. A terminal does not show them.
func readWords(c *cobra.Command, offline, from string) (string, error) {
	if _, err := os.Stat(offline); err != nil {
		return "", cli.Fail(cli.Input, "p3dod rotate --key ca --offline FILE   (the file that p3dod init made; you took it away)", "%v", err)
	}
	in := c.InOrStdin()
	switch from {
	case "":
		prompt := fmt.Sprintf("The 12 words of %s: ", offline)
		if tty, ok := secret.Terminal(in); ok {
			line, err := secret.Ask(c.Context(), tty, c.ErrOrStderr(), prompt)
			if err != nil {
				return "", cli.Fail(cli.Input, "p3dod "+c.Name()+" --words-from FILE   (a file with the 12 words)", "the words could not be read: %v", err)
			}
			return string(line), nil
		}
		fmt.Fprint(c.ErrOrStderr(), prompt)
	case "-":
	default:
		file, err := os.Open(from)
		if err != nil {
			return "", cli.Fail(cli.Input, "", "%v", err)
		}
		defer file.Close()
		in = file
	}
	const most = 1024
	line, err := bufio.NewReader(io.LimitReader(in, most)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", cli.Fail(cli.Input, "", "%v", err)
	}
	return line, nil
}

func rotateFailure(err error, r node.Rotation) error {
	switch {
	case errors.Is(err, node.ErrWords):
		return cli.Fail(cli.Input, "p3dod rotate --key "+string(r.Key)+" --words-from FILE   (12 words, as p3dod init printed them)", "%v", err)
	case errors.Is(err, node.ErrOld):
		return cli.Fail(cli.Input, "p3dod rotate --key ca --lost --old FINGERPRINT", "%v", err)
	case errors.Is(err, node.ErrOffline), errors.Is(err, node.ErrInput):
		return cli.Fail(cli.Input, "p3dod rotate --help", "%v", err)
	case errors.Is(err, fs.ErrExist):
		return cli.Fail(cli.Input, "p3dod rotate --key offline --offline ANOTHER-FILE", "%v", err)
	}
	return failure(err, "type it again: p3dod rotate --key "+string(r.Key)+" --dir "+r.Dir)
}

// rotated is what rotate --json prints.
type rotated struct {
	node.Rotated
	Offline string `json:"offline,omitempty"` // file that was written
	DNS     string `json:"dns,omitempty"`     // line to publish
}

func reportRotated(c *cobra.Command, f *flags, r node.Rotation, done node.Rotated) error {
	out := rotated{Rotated: done}
	var text strings.Builder
	switch r.Key {
	case node.RoleServer:
		text.WriteString("Replaced the server key of this week. What was sent to the one before is still opened.\n")
	case node.RoleContext:
		text.WriteString("Replaced the key of the context. What was sent to the one before is still opened.\n")
	case node.RoleCA:
		fmt.Fprintf(&text, "The key of %s is now %s\n", done.Domain, done.Is)
	case node.RoleOffline:
		fmt.Fprintf(&text, "The offline root of %s is now %s\n", done.Domain, done.Is)
	}
	if done.Resumed {
		text.WriteString("This completed a change that was interrupted; nothing else was changed.\n")
	}
	if done.Words != "" {
		fmt.Fprintf(&text, "\n%s", wordsText(r.Offline, done.Words))
	}
	if r.Lost {
		if !done.Was.IsZero() {
			fmt.Fprintf(&text, "It follows %s\n  in words: %s\n", done.Was, words.Of(done.Was))
		}
		fmt.Fprintf(&text, "Others follow as soon as the node serves: p3dod serve --dir %s\n", f.dir)
	}
	if r.Key == node.RoleCA || r.Key == node.RoleOffline {
		if err := tellOffline(&out, &text, f, r); err != nil {
			return err
		}
	}
	return f.print(c, out, text.String())
}

// tellOffline says what is left to do by hand.
func tellOffline(out *rotated, text *strings.Builder, f *flags, r node.Rotation) error {
	out.Offline = r.Offline
	if domain, record, err := node.Record(f.dir); err == nil {
		if out.DNS, err = record.ZoneLine(domain, node.RecordTTL); err != nil {
			return err
		}
		fmt.Fprintf(text, "\nPublish this line in your zone, in place of the one before:\n  %s\n", out.DNS)
	}
	fmt.Fprintf(text, "\nThe offline file was written anew. Take it away again:\n  mv %s SOMEWHERE-ELSE\n", r.Offline)
	return nil
}

// wordsText shows the words of an offline file, once.
func wordsText(offline, words string) string {
	return fmt.Sprintf("The offline keys of the domain are in\n  %s\nsealed under 12 words, which are shown this once. Write them down, and keep them\nand the file away from this machine, and from each other:\n  %s\n\n", offline, words)
}
