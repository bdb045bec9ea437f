package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/p3do/p3do/node"
)

// deathsName is the scenario in which processes die between each two of their durable
// writes: registration, outbox, delivery, receipt.
//
// Each path is walked again and again. In the run of number n the process that the path is
// about kills itself right after (and in a second series right before) the n-th durable
// write that it makes on the path; it is started again, and the path has to come to its good
// end. The series ends with the first run in which nobody dies and fewer than n writes were
// made: a program that ends in peace has made fewer, or it would have died, and a home says
// how many it made. A run of which that is not so is repeated.
//
// This does not show that each write had its turn. What is asked for at the same time is one
// commit, so the n-th write of one run need not be that of the next, and a run may have fewer
// than the one before. Each series has at least as many deaths as the path has writes that
// cannot be merged; one that ends earlier has its last run once more before it fails.
//
// The mesh is as still as it can be made: nothing is lost on the links, legs have one
// context, and of four servers two are homes and two are the relays of every route. So what
// is counted is of the path. The home that dies is the first one, for it dials all its links
// itself: nobody else has to wait before dialling it again.
const deathsName = "deaths"

// deathsAfterName is the scenario with the first series of each path only.
const deathsAfterName = "deaths-after"

const (
	// mostWrites is more than the durable writes of any path.
	mostWrites = 40
	// mostRepeats is how often a run is repeated that shows nothing: nobody died, though there
	// were as many writes.
	mostRepeats = 3
	// stillFor is how long nothing must move in the mesh for it to be still.
	stillFor = 150 * time.Millisecond
	// leap is by how much the users' clocks are put on when all is still and a path is not
	// at its end: whatever is to be repeated is due then.
	leap = 20 * time.Second
)

// A DeathPath is what came of one path, as a step of the lab.
type DeathPath struct {
	Path    string         `json:"path"`
	Deaths  map[moment]int `json:"deaths"` // that the path survived
	Least   int            `json:"least"`  // durable writes that the path is known to have, however they are merged
	Outcome string         `json:"outcome"`
}

// A deathPath is one path: run walks it once, with that death, to its good end. It reports
// whether the process died on the way.
type deathPath struct {
	name    string
	outcome string
	least   int
	run     func(context.Context, node.Death) (died bool, err error)
}

// A mortality is the scenario as it is played.
type mortality struct {
	lab   *lab
	dns   string
	home  *process     // that dies
	count int          // users so far
	made  uint64       // writes of the home in the last run, if it was to die and did not
	ahead atomic.Int64 // by which the users' clocks are ahead

	settlers map[*process]*party // a user of that home, to whom others write
}

// deaths plays the scenario.
func (l *lab) deaths(ctx context.Context, m Map) error { return l.mortality(ctx, m, after, before) }

// deathsAfter plays half of it.
func (l *lab) deathsAfter(ctx context.Context, m Map) error { return l.mortality(ctx, m, after) }

func (l *lab) mortality(ctx context.Context, m Map, at ...moment) error {
	d := &mortality{lab: l, dns: m.DNS, home: l.nodes[0], settlers: make(map[*process]*party)}
	defer d.close()
	if _, err := d.rest(ctx); err != nil {
		return err
	}
	for _, path := range d.paths() {
		began := time.Now()
		came, err := d.walk(ctx, path, at)
		l.cfg.Report(Step{Step: StepDeaths, Deaths: &came, Millis: time.Since(began).Milliseconds()})
		if err != nil {
			return err
		}
	}
	return nil
}

// close closes the folders that are open.
func (d *mortality) close() {
	for _, p := range d.settlers {
		p.close()
	}
}

// paths are all paths, each with the writes that it has at least.
func (d *mortality) paths() []deathPath {
	return []deathPath{
		// the folder, the home's descriptor, the identity; certificate, card, directory, its date
		{"a program registers", "registered under the one key", 7, d.programRegisters},
		// the card, the text with its first copy, that the home took it, receipt, acknowledgement
		{"a program sends", "acknowledged, and shown once", 5, d.programSends},
		// the text with its acknowledgement, that the home took that, its receipt; begun to show, shown
		{"a program receives", "acknowledged, and shown once", 5, d.programReceives},
		// the link certificate; what each peer says of it, perhaps in one commit
		{"a home starts", "it serves", 2, d.homeStarts},
		// the pin, the certificate, the card, the mailboxes
		{"a home registers a user", "registered under the one key", 4, d.homeRegisters},
		// the mailboxes of a new contact, the mark of the letter; of the receipt its mark, the item,
		// that it is forgotten; of the acknowledgement the same, and the mark of its own receipt. Of
		// what two ask for at the same time one commit may be made.
		{"a home's user sends", "acknowledged, and shown once", 8, d.homeSends},
		// of the letter its mark, the item, the mark of the receipt; the mailboxes of a new contact,
		// the mark of the acknowledgement; that the letter is forgotten; of the last receipt its
		// mark, the item, that it is forgotten
		{"a home's user receives", "receipted when it was kept, acknowledged, and shown once", 8, d.homeReceives},
	}
}

// A moment is when a process dies: right after or right before a write.
type moment string

const (
	after  moment = "after"
	before moment = "before"
)

func (m moment) death(n int) node.Death {
	if m == after {
		return node.Death{AfterWrite: uint64(n)}
	}
	return node.Death{BeforeWrite: uint64(n)}
}

// walk runs a path with one death after the other, until there is a run without.
func (d *mortality) walk(ctx context.Context, path deathPath, at []moment) (DeathPath, error) {
	came := DeathPath{Path: path.name, Deaths: make(map[moment]int), Least: path.least, Outcome: "broken"}
	for _, m := range at {
		n, err := d.series(ctx, path, m)
		came.Deaths[m] = n
		if err == nil && n < path.least {
			err = fmt.Errorf("there were %d deaths, but the path has %d writes", n, path.least)
		}
		if err != nil {
			return came, fmt.Errorf("lab: %s, death %s write %d: %w", path.name, m, n+1, err)
		}
	}
	came.Outcome = path.outcome
	return came, nil
}

// series walks a path until nobody dies, and returns how often somebody did.
func (d *mortality) series(ctx context.Context, path deathPath, m moment) (deaths int, err error) {
	repeats, short := 0, false
	for deaths < mostWrites {
		d.ahead.Store(0)
		d.made = 0
		died, err := path.run(ctx, m.death(deaths+1))
		switch {
		case err != nil:
			return deaths, err
		case died:
			deaths, repeats, short = deaths+1, 0, false
		case d.made > uint64(deaths) && repeats == mostRepeats:
			return deaths, fmt.Errorf("nobody died, and %d writes were made", d.made)
		case d.made > uint64(deaths):
			repeats++
		case deaths < path.least && !short:
			short = true
		default:
			return deaths, nil
		}
	}
	return deaths, errors.New("there is no end of it")
}

// spare takes the home's death back, and notes how many writes it made since. A death that is
// on its way, of a write that has begun, comes all the same; this reports it.
func (d *mortality) spare(ctx context.Context, since node.Writes, who ...*party) (died bool, err error) {
	_, failed := d.home.control.Doom(ctx, node.Death{})
	if died, err := d.rest(ctx, who...); died || err != nil {
		return died, err
	}
	now, err := d.home.control.Writes(ctx)
	d.made = now.Count - since.Count
	return false, errors.Join(failed, err)
}

// rest has users do what there is to do until the mesh is still. It reports whether the home
// has died.
func (d *mortality) rest(ctx context.Context, who ...*party) (died bool, err error) {
	return d.act(ctx, func(still bool) bool { return still }, who)
}

// until has users do what there is to do until the goal is reached. When all is still before
// it is, and something is to be repeated, their clocks leap. It reports whether the home has
// died.
func (d *mortality) until(ctx context.Context, goal func() bool, who ...*party) (died bool, err error) {
	return d.act(ctx, func(still bool) bool {
		if goal() {
			return true
		}
		if still && slices.ContainsFunc(who, (*party).repeats) {
			d.ahead.Add(int64(leap))
		}
		return false
	}, who)
}

// act has users do what there is to do until it is over. over is told whether the mesh has
// been still for some time, and again when it has been for as long once more.
func (d *mortality) act(ctx context.Context, over func(still bool) bool, who []*party) (died bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	moving := stillness{long: stillFor}
	for {
		err := steps(ctx, who)
		still := false
		if err == nil {
			still, err = moving.still(pulseOf(ctx, d.lab.nodes, d.home))
		}
		switch {
		case d.home.dead():
			return true, nil
		case ctx.Err() != nil:
			return false, fmt.Errorf("no good end after %s: %s", patience, states(who))
		case err != nil:
			return false, err
		case over(still):
			return false, nil
		}
		_ = d.home.pause(ctx) // the next round sees why
	}
}

// steps has users do what there is to do now.
func steps(ctx context.Context, who []*party) error {
	for _, p := range who {
		if err := p.step(ctx); err != nil {
			return err
		}
	}
	return nil
}
