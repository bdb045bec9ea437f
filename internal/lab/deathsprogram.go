package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/p3do/p3do/node"
)

// A program is the program of a user as a process of its own, that may be about to die.
type program struct {
	of     *party
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer
	said   chan Event
	ended  chan error // how; after all that it said
}

// launch starts the program of a user, who is to have written count texts.
func (d *mortality) launch(p *party, count int, death node.Death) (*program, error) {
	to := p.to
	if count == 0 {
		to = p.name // to whom she writes nothing
	}
	r := &program{of: p, said: make(chan Event), ended: make(chan error, 1)}
	r.cmd = exec.Command(d.lab.cfg.Program, "lab-user", "--dir", p.cfg.Home, "--dns", d.dns,
		"--name", p.name.String(), "--to", to.String(), "--count", fmt.Sprint(count),
		"--die-after-writes", fmt.Sprint(death.AfterWrite), "--die-before-write", fmt.Sprint(death.BeforeWrite))
	r.cmd.Stderr = &r.stderr
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	r.stdin = stdin
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	go r.listen(stdout)
	return r, nil
}

// listen hands on what the program says, and how it ended.
func (r *program) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) == nil { // else it died in the middle of a line
			r.said <- e
		}
	}
	close(r.said)
	r.ended <- r.cmd.Wait()
}

// live runs the program of a user until it has died or over says that she is where she
// should be. Others do meanwhile what they have to.
func (d *mortality) live(ctx context.Context, p *party, count int, death node.Death, over func(Progress) bool, others ...*party) (died bool, err error) {
	r, err := d.launch(p, count, death)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case e, ok := <-r.said:
			if !ok {
				return true, r.buried()
			}
			p.heard(e)
			if e.Private == nil && e.Shown == "" && over(e.Progress) {
				return r.stop()
			}
		case <-time.After(pollEvery):
		case <-ctx.Done():
			_, err := r.stop()
			return false, errors.Join(fmt.Errorf("nothing more from the program of %s: %s", p.name, states(others)), err)
		}
		if err := steps(ctx, others); err != nil && ctx.Err() == nil {
			_, ended := r.stop()
			return false, errors.Join(err, ended)
		}
	}
}

// buried is nil if the program ended as one does that kills itself.
func (r *program) buried() error {
	err := <-r.ended
	r.stdin.Close()
	var how *exec.ExitError
	if errors.As(err, &how) && how.ExitCode() < 0 { // by a signal
		return nil
	}
	return fmt.Errorf("the program of %s ended by itself: %v; it said %q", r.of.name, err, r.stderr.String())
}

// stop ends the program in peace. It may die of that all the same.
func (r *program) stop() (died bool, err error) {
	r.stdin.Close()
	for e := range r.said {
		r.of.heard(e)
	}
	err = <-r.ended
	var how *exec.ExitError
	if errors.As(err, &how) && how.ExitCode() < 0 {
		return true, nil
	}
	return false, err
}

// programRegisters registers a user.
func (d *mortality) programRegisters(ctx context.Context, death node.Death) (died bool, err error) {
	ann, err := d.newParty(d.lab.nodes[1])
	if err != nil {
		return false, err
	}
	defer ann.close()
	died, err = d.live(ctx, ann, 0, death, func(p Progress) bool { return p.Done })
	if err == nil {
		_, err = d.until(ctx, func() bool { return ann.agent != nil }, ann)
	}
	if err != nil {
		return died, err
	}
	return died, d.vouched(ctx, ann)
}

// programSends has a user write to one who is new to her.
func (d *mortality) programSends(ctx context.Context, death node.Death) (died bool, err error) {
	ann, bob, err := d.pair(ctx, d.home, d.lab.nodes[1])
	if err != nil {
		return false, err
	}
	defer ann.close()
	if err := ann.close(); err != nil {
		return false, err
	}
	died, err = d.live(ctx, ann, 1, death, func(p Progress) bool { return p.Done }, bob)
	if err != nil {
		return died, err
	}
	ann.texts = 1
	if _, err = d.until(ctx, func() bool { return arrived(ann, bob) }, ann, bob); err != nil {
		return died, err
	}
	return died, once(ann, bob, false)
}

// programReceives has a user get a text that waits for her, from one who is new to her.
func (d *mortality) programReceives(ctx context.Context, death node.Death) (died bool, err error) {
	ann, bob, err := d.pair(ctx, d.home, d.lab.nodes[1])
	if err != nil {
		return false, err
	}
	defer ann.close()
	if err := bob.close(); err != nil {
		return false, err
	}
	ann.texts = 1
	if _, err := d.until(ctx, ann.stored, ann); err != nil {
		return false, err
	}
	died, err = d.live(ctx, bob, 0, death, func(p Progress) bool { return p.Came > bob.before && p.Owed == 0 }, ann)
	if err != nil {
		return died, err
	}
	if _, err = d.until(ctx, func() bool { return arrived(ann, bob) }, ann, bob); err != nil {
		return died, err
	}
	return died, once(ann, bob, died)
}
