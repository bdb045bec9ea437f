package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/dial"
)

const rootHelp = `p3do writes and reads messages under a name like ann@a.test.

  p3do new ann@a.test            make a name at the server a.test
  p3do send bob@b.test "hello"   write to somebody
  p3do read                      read what has come
  p3do add cid@c.test            let somebody write to you

Your folder is sealed under a passphrase, which is asked for, or read from the
file named by P3DO_PASSPHRASE_FILE. P3DO_DNS (IP:PORT) is the DNS server that
is asked where your own server is, and nothing else.

Exit status: 0 done, 1 something you typed, 2 a fault of this program, 3 network
or server, 4 a key has changed, 5 a limit is reached, 6 refused, 7 not there yet.`

// defaultTimeout bounds a command that does not wait for anybody.
const defaultTimeout = time.Minute

// A command is what every subcommand has at hand.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	home    string
	profile string
	yes     bool
	json    bool
	quiet   bool
	timeout time.Duration

	direct  bool          // look-ups are asked of our own server
	lookFor time.Duration // how long they wait otherwise; 0: as the agent has it
}

// run runs one command line and returns its exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr}
	return cli.Main(ctx, c.root(), args, cli.Streams{In: stdin, Out: stdout, Err: stderr})
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use: "p3do", Short: "messages under a name of your own", Long: rootHelp,
		Args: cobra.NoArgs, CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&c.home, "home", "", "your folder is `DIR` (default $P3DO_HOME, or .p3do where you live)")
	root.PersistentFlags().StringVar(&c.profile, "profile", "", "be `P`, somebody else with a folder of her own in yours")
	root.PersistentFlags().BoolVar(&c.yes, "yes", false, "do not ask")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print one JSON object, and progress elsewhere")
	root.PersistentFlags().BoolVar(&c.quiet, "quiet", false, "print no progress")
	root.PersistentFlags().DurationVar(&c.timeout, "timeout", 0, "give up after `D`, like 30s or 2m (default 1m0s)")
	root.AddCommand(c.newCommand(), c.loginCommand(), c.whoamiCommand(), c.backupCommand(), c.revokeCommand(), c.challengeCommand(), c.wipeCommand(), c.sendCommand(), c.readCommand(), c.statusCommand(), c.traceCommand(), c.checkCommand(), c.deviceCommand(), c.addCommand())
	return root
}

// subcommand is one with a help text, whose first line is its summary.
func (c *command) subcommand(use, help string, args cobra.PositionalArgs, do func(ctx context.Context, args []string) error) *cobra.Command {
	short, _, _ := strings.Cut(help, "\n")
	return &cobra.Command{
		Use: use, Short: short, Long: help, Args: args, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error { return failure(do(cmd.Context(), args)) },
	}
}

// limited is ctx, ended by --timeout, or else after otherwise (0: never).
func (c *command) limited(ctx context.Context, otherwise time.Duration) (context.Context, context.CancelFunc) {
	if c.timeout > 0 {
		otherwise = c.timeout
	}
	if otherwise == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, otherwise)
}

// config is how the agent of the user's folder is opened. again asks for a new passphrase.
func (c *command) config(ctx context.Context, again bool) (agent.Config, error) {
	home, err := c.folder()
	if err != nil {
		return agent.Config{}, err
	}
	passphrase, err := c.passphrase(ctx, again)
	if err != nil {
		return agent.Config{}, err
	}
	return agent.Config{
		Home: home, Passphrase: passphrase, DNS: os.Getenv("P3DO_DNS"), Dial: dial.Direct(), Tell: c.warn,
		Direct: c.direct, LookFor: c.lookFor,
	}, nil
}

// directFlag is how a look-up goes the short way.
func (c *command) directFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.direct, "direct", false, "let your own server look the name up: it learns whom you look up")
}

// lookFlags are directFlag, and how long a look-up is waited for.
func (c *command) lookFlags(cmd *cobra.Command) {
	c.directFlag(cmd)
	cmd.Flags().DurationVar(&c.lookFor, "wait", 0, "wait for `D` at most for what other servers say of the name (default 30s, and 3m through a server with cover)")
}

// looking refuses a time that is none. Zero is the default, which is longer where there is cover.
func (c *command) looking(again string) error {
	if c.lookFor < 0 {
		return cli.Fail(cli.Input, again+" --wait 1m", "--wait is not a time to wait for.")
	}
	return nil
}

// open opens the user's folder.
func (c *command) open(ctx context.Context) (*agent.Agent, error) {
	a, _, err := c.openBy(ctx)
	return a, err
}

// openBy is open, and by which passphrase.
func (c *command) openBy(ctx context.Context) (*agent.Agent, []byte, error) {
	home, err := c.folder()
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(home); errors.Is(err, os.ErrNotExist) {
		return nil, nil, agent.ErrNoIdentity // before a passphrase is asked for
	}
	cfg, err := c.config(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	a, err := agent.Open(ctx, cfg)
	return a, cfg.Passphrase, err
}

// folder is where the user's things are, or those of the profile that is asked for.
func (c *command) folder() (string, error) {
	home, err := c.mainFolder()
	if err != nil || c.profile == "" {
		return home, err
	}
	folder, err := agent.Profile(home, c.profile)
	if err != nil {
		return "", cli.Fail(cli.Input, "p3do --profile other whoami", "%v.", err)
	}
	return folder, nil
}

func (c *command) mainFolder() (string, error) {
	if c.home != "" {
		return c.home, nil
	}
	if home := os.Getenv("P3DO_HOME"); home != "" {
		return home, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", cli.Fail(cli.Input, "p3do --home DIR whoami", "no folder is given.")
	}
	return filepath.Join(home, ".p3do"), nil
}

// print writes the result of a command: one object, or text for people.
func (c *command) print(object any, text string) error {
	if !c.json {
		_, err := fmt.Fprintln(c.stdout, text)
		return err
	}
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(object)
}

// warnAll tells what there is to tell, though it stops nothing.
func (c *command) warnAll(a *agent.Agent) {
	for _, warning := range a.Warnings() {
		c.warn(warning)
	}
	c.tellNotices(a)
}

// tellNotices tells what is not done in silence, and is no reason to worry by itself.
func (c *command) tellNotices(a *agent.Agent) {
	notices, err := a.Notices()
	for _, n := range notices {
		fmt.Fprintf(c.stderr, "p3do: note: %s\n", n) // as in warn
	}
	if err != nil {
		c.warn(err)
	}
}

// warn says something on the side.
func (c *command) warn(err error) {
	word := "warning"
	var moved *agent.MovedError
	if errors.As(err, &moved) {
		word = "note" // nothing is wrong
	}
	fmt.Fprintf(c.stderr, "p3do: %s: %v\n", word, err) // nobody is left to tell if this fails
	if hint := warningHint(err); hint != "" {
		fmt.Fprintf(c.stderr, "p3do: hint: %s\n", cli.Pasteable(hint))
	}
}

// warningHint is what to do about a warning; empty if it says so itself.
func warningHint(err error) string {
	var unread *agent.UnreadLogError
	var unsure *agent.UnsureEntryError
	var unshown *agent.UnshownLabelsError
	var forked *agent.ForkedError
	switch {
	case errors.As(err, &unshown):
		return "p3do challenge   (ask whoever runs the home what became of its key of labels; if nothing did, somebody may be shown another key for your name)"
	case errors.As(err, &forked):
		return fmt.Sprintf("p3do check %s --why", forked.Domain)
	case errors.As(err, &unread):
		return fmt.Sprintf("p3do check %s --why   (ask whoever runs it; p3do new NAME@OTHER.SERVER --move leaves it)", unread.Domain)
	case errors.As(err, &unsure):
		return "p3do challenge   (only if no other folder of yours has your key: a device's has not)"
	}
	return ""
}
