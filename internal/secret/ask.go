//go:build unix

package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Terminal is in as a terminal, if somebody sits at it.
func Terminal(in io.Reader) (*os.File, bool) {
	file, ok := in.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// Ask writes a prompt to out and reads the line that is typed at a terminal then, without the
// newline, and without showing it. If ctx ends first it returns why, and the terminal shows what
// is typed as before; whatever is typed next is lost then, so that is for a program about to end.
func Ask(ctx context.Context, tty *os.File, out io.Writer, prompt string) ([]byte, error) {
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return nil, fmt.Errorf("secret: asking: %w", err)
	}
	if _, err := io.WriteString(out, prompt); err != nil {
		return nil, fmt.Errorf("secret: asking: %w", err)
	}
	reader, err := unix.Dup(int(tty.Fd())) // its own: tty may be closed before a line comes
	if err != nil {
		return nil, fmt.Errorf("secret: asking: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // ends with the line, or with the program
		line, err := term.ReadPassword(reader)
		typed <- answer{line, errors.Join(err, unix.Close(reader))}
	}()
	var a answer
	select {
	case a = <-typed:
	case <-ctx.Done():
		a.err = context.Cause(ctx)
		if err := term.Restore(int(tty.Fd()), before); err != nil {
			a.err = fmt.Errorf("%w; and the terminal: %w", a.err, err)
		}
	}
	fmt.Fprintln(out) // the newline that was typed is not shown either
	if a.err != nil {
		return nil, fmt.Errorf("secret: asking: %w", a.err)
	}
	return a.line, nil
}
