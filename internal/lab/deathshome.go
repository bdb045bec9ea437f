package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/p3do/p3do/node"
)

// revive starts the home again, with a death that waits for it, and waits until it serves.
func (d *mortality) revive(ctx context.Context, death node.Death) error {
	path := filepath.Join(d.home.dir, node.ConfigFile)
	c, err := node.ReadConfig(path)
	if err != nil {
		return err
	}
	c.Lab.Death = death
	if err := os.WriteFile(path, []byte(c.Text()), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return d.home.restart(ctx, d.lab.cfg.Program)
}

// recover starts the home again, and waits until it has its place in the mesh.
func (d *mortality) recover(ctx context.Context) error {
	if err := d.revive(ctx, node.Death{}); err != nil {
		return err
	}
	died, err := d.placed(ctx)
	return errors.Join(err, tooEarly(died))
}

// placed waits until the home has its place in the mesh and nothing more to write. It
// reports whether it died on the way there.
func (d *mortality) placed(ctx context.Context) (died bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	died, err = d.act(ctx, func(still bool) bool {
		if !still {
			return false
		}
		status, err := d.home.control.Status(ctx)
		return err == nil && len(status.Links) == len(d.lab.nodes)-1
	}, nil)
	if died || err != nil {
		return died, err
	}
	if err = d.lab.settled(ctx, d.home); err != nil && d.home.dead() {
		return true, nil
	}
	return false, err
}

// homeStarts kills the home and starts it, and has it die of what it writes then.
func (d *mortality) homeStarts(ctx context.Context, death node.Death) (died bool, err error) {
	if err := d.home.kill(); err != nil {
		return false, err
	}
	if err = d.revive(ctx, death); err == nil {
		died, err = d.placed(ctx)
	} else if died = d.home.dead(); died {
		err = nil
	}
	switch {
	case err != nil:
		return died, err
	case died:
		return true, d.recover(ctx)
	}
	if died, err = d.spare(ctx, node.Writes{}); err != nil || !died {
		return died, err
	}
	return true, d.recover(ctx)
}

// dieOnTheWay has users go to a goal while the home dies; it is started again for them to
// come there. grave is called while the home is dead, and what it returns when it is back.
func (d *mortality) dieOnTheWay(ctx context.Context, death node.Death, goal func() bool, grave func() (func() error, error), who ...*party) (died bool, err error) {
	if died, err := d.rest(ctx); died || err != nil {
		return false, errors.Join(err, tooEarly(died))
	}
	since, err := d.home.control.Doom(ctx, death)
	if err != nil {
		return false, err
	}
	died, err = d.until(ctx, goal, who...)
	if err == nil && !died {
		died, err = d.rest(ctx, who...)
	}
	if err == nil && !died {
		died, err = d.spare(ctx, since, who...)
	}
	if err != nil || !died {
		return false, err
	}
	return true, d.goOn(ctx, goal, grave, who)
}

// goOn is what follows on the death of the home.
func (d *mortality) goOn(ctx context.Context, goal func() bool, grave func() (func() error, error), who []*party) error {
	back, err := grave()
	if err == nil {
		err = d.recover(ctx)
	}
	if err == nil {
		err = back()
	}
	if err != nil {
		return err
	}
	died, err := d.until(ctx, goal, who...)
	return errors.Join(err, tooEarly(died))
}

// tooEarly is the error of a death that nobody asked for.
func tooEarly(died bool) error {
	if died {
		return errors.New("the home died, and it was not told to")
	}
	return nil
}

// nothingToSee is for deaths at which there is nothing to look at.
func nothingToSee() (func() error, error) { return func() error { return nil }, nil }

// homeRegisters registers a user.
func (d *mortality) homeRegisters(ctx context.Context, death node.Death) (died bool, err error) {
	ann, err := d.newParty(d.home)
	if err != nil {
		return false, err
	}
	defer ann.close()
	registered := func() bool { return ann.agent != nil }
	died, err = d.dieOnTheWay(ctx, death, registered, nothingToSee, ann)
	if err != nil {
		return died, err
	}
	return died, d.vouched(ctx, ann)
}

// homeSends has a user of the home write to one of another, who is new to her.
func (d *mortality) homeSends(ctx context.Context, death node.Death) (died bool, err error) {
	ann, bob, err := d.pair(ctx, d.home, d.lab.nodes[1])
	if err != nil {
		return false, err
	}
	defer ann.close()
	return d.exchange(ctx, death, ann, bob, nothingToSee)
}

// homeReceives has a user of the home get a letter: the home is the spool of it. While it is
// dead the sender takes in what is under way; if she has a receipt, the letter has to be at
// the home, or with its recipient.
func (d *mortality) homeReceives(ctx context.Context, death node.Death) (died bool, err error) {
	ann, bob, err := d.pair(ctx, d.lab.nodes[1], d.home)
	if err != nil {
		return false, err
	}
	defer ann.close()
	return d.exchange(ctx, death, ann, bob, func() (func() error, error) {
		receipted, err := d.receipted(ctx, ann)
		return func() error {
			if !receipted || bob.came() == 1 {
				return nil
			}
			if err := bob.fetch(ctx); err != nil { // and nobody else, so that ann repeats nothing
				return err
			}
			if bob.came() != 1 {
				return errors.New("a receipt was given for a letter that is nowhere")
			}
			return nil
		}, err
	})
}

// exchange has ann write to bob, until he has shown it and she knows.
func (d *mortality) exchange(ctx context.Context, death node.Death, ann, bob *party, grave func() (func() error, error)) (died bool, err error) {
	ann.texts = 1
	died, err = d.dieOnTheWay(ctx, death, func() bool { return arrived(ann, bob) }, grave, ann, bob)
	if err != nil {
		return died, err
	}
	return died, once(ann, bob, false)
}

// receipted has ann take in what comes while the home is dead, and reports whether she has a
// receipt or more.
func (d *mortality) receipted(ctx context.Context, ann *party) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for moving := (stillness{long: stillFor}); ; {
		if err := ann.fetch(ctx); err != nil {
			return false, err
		}
		still, err := moving.still(pulseOf(ctx, d.lab.nodes, d.home))
		if still || err != nil {
			return ann.stored(), err
		}
		if err := d.lab.nodes[1].pause(ctx); err != nil {
			return false, err
		}
	}
}
