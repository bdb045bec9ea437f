package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	// patience is how long a conversation may go without anything happening.
	patience = 90 * time.Second
	// lull is how long nothing must move after the last acknowledgement: longer than a copy of
	// a text is on its way, which is a few hops, each late by at most 50 ms and some work.
	lull = time.Second
	// lullTime bounds the wait for it. Acknowledgements may still be repeated, each time later.
	lullTime = 60 * time.Second
)

// A conversation is users of a scenario who write to each other, each as a program of its
// own that can be killed. What they tell comes in order, also the last words of a program
// that is killed.
type conversation struct {
	lab     *lab
	dns     string
	users   []*correspondent
	lines   chan heard
	shown   map[reading]int // how often each text was shown and not said to be shown again
	strange int             // times that something was shown that nobody wrote to the reader
	private []trace         // what no log may show of the users
	over    bool            // nobody listens any more
	gone    chan struct{}   // closed when it is over
	running sync.WaitGroup  // of who hands on what the users tell
}

// A correspondent is one of the users.
type correspondent struct {
	name, to string
	life     *exec.Cmd // her program; nil: none runs
	stdin    io.Closer
	killed   bool     // she is, by us, and her end is still to come
	kills    int      // times that she was
	again    int      // times that she was shown a text again, and told so
	last     Progress // what she told last in this life
	checks   int      // times that she looked at the keys of the other one and of her home
	alarms   []string // what she was told of keys
}

// A reading is a text of somebody, as one reader sees it.
type reading struct{ reader, sender, text string }

// heard is something that one of the users told, or that her program has ended.
type heard struct {
	from  *correspondent
	event Event
	ended bool
	err   error
}

// converse starts the programs of users who write to each other.
func (l *lab) converse(m Map, ann, bob string) (*conversation, error) {
	c := &conversation{
		lab: l, dns: m.DNS, lines: make(chan heard), shown: make(map[reading]int), gone: make(chan struct{}),
	}
	c.users = []*correspondent{{name: ann, to: bob}, {name: bob, to: ann}}
	for _, u := range c.users {
		if err := c.begin(u); err != nil {
			c.end()
			return nil, err
		}
	}
	return c, nil
}

// logPath is where the program of u writes its standard error.
func (c *conversation) logPath(u *correspondent) string {
	return filepath.Join(c.lab.cfg.Dir, u.name+".log")
}

// begin starts the program of a user.
func (c *conversation) begin(u *correspondent) error {
	log, err := os.OpenFile(c.logPath(u), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer log.Close()
	life := exec.Command(c.lab.cfg.Program, "lab-user", "--dir", filepath.Join(c.lab.cfg.Dir, u.name),
		"--dns", c.dns, "--name", u.name, "--to", u.to, "--count", fmt.Sprint(c.lab.cfg.Messages))
	if c.lab.cfg.Scenario == rotationsName {
		life.Args = append(life.Args, "--pace", rotationsPace.String(), "--check", checkEvery.String())
	}
	life.Stderr = log
	stdin, err := life.StdinPipe()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	stdout, err := life.StdoutPipe()
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if err := life.Start(); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	u.life, u.stdin, u.killed, u.last = life, stdin, false, Progress{}
	c.running.Go(func() { c.listen(u, life, stdout) })
	return nil
}

// listen hands on the lines of one life of a user, and then its end.
func (c *conversation) listen(u *correspondent, life *exec.Cmd, stdout io.Reader) {
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		h := heard{from: u}
		if h.err = json.Unmarshal(scanner.Bytes(), &h.event); h.err != nil {
			h.err = fmt.Errorf("%q: %w", scanner.Text(), h.err)
		}
		c.hand(h)
	}
	err := life.Wait()
	c.hand(heard{from: u, ended: true, err: errors.Join(scanner.Err(), err)})
}

func (c *conversation) hand(h heard) {
	select {
	case c.lines <- h:
	case <-c.gone:
	}
}

// run listens until all that the users wrote is acknowledged and shown, and all accidents
// have happened. It calls accident each time that something was heard, and each second until
// there are no more; and look each second.
func (c *conversation) run(ctx context.Context, accident func(context.Context) (more bool, err error), look func(context.Context)) error {
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for more := true; more || !c.done(); {
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: %w: %s", ctx.Err(), c.state())
		case <-quiet.C:
			return fmt.Errorf("lab: nothing has happened for %s: %s", patience, c.state())
		case <-each.C:
			look(ctx)
		case h := <-c.lines:
			news, err := c.take(h)
			if err != nil {
				return err
			}
			if news {
				quiet.Reset(patience)
			}
		}
		var err error
		if more, err = accident(ctx); err != nil {
			return err
		}
	}
	return nil
}

// calm listens on until the mesh is still: copies that were under way at the last
// acknowledgement have come, or never will.
func (c *conversation) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lullTime)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for moving := (stillness{long: lull}); ; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: the mesh is not still %s after the last acknowledgement: %s", lullTime, c.state())
		case h := <-c.lines:
			if news, err := c.take(h); err != nil {
				return err
			} else if news {
				moving.stir()
			}
		case <-poll.C:
			still, err := moving.still(pulseOf(ctx, c.lab.nodes, nil))
			if err != nil && ctx.Err() == nil {
				return err
			}
			if still && c.done() {
				return nil
			}
		}
	}
}

// take notes what a user told, and starts the program again that we killed. It reports
// whether anything has changed.
func (c *conversation) take(h heard) (news bool, err error) {
	switch {
	case h.ended && h.from.killed:
		return true, c.begin(h.from)
	case h.ended:
		return false, fmt.Errorf("lab: the program of %s ended by itself: %w; it said %q",
			h.from.name, errors.Join(h.err, errors.New("nobody killed it")), c.lastWords(h.from))
	case h.err != nil:
		return false, fmt.Errorf("lab: the program of %s said %w", h.from.name, h.err)
	case h.event.Shown != "":
		c.show(h.from, h.event)
		return true, nil
	case h.event.Alarm != "":
		h.from.alarms = append(h.from.alarms, h.event.Alarm)
		return true, nil
	case h.event.Checked:
		h.from.checks++
		return false, nil
	case h.event.Private != nil:
		c.private = append(c.private, h.event.Private.traces(h.from.name)...)
		return false, nil
	}
	news = h.from.last != h.event.Progress
	h.from.last = h.event.Progress
	return news, nil
}

// show counts a text that a reader saw.
func (c *conversation) show(reader *correspondent, e Event) {
	seen := reading{reader.name, e.From, e.Shown}
	if e.Again {
		reader.again++
	}
	switch {
	case !c.wrote(reader, e):
		c.strange++
	case !e.Again:
		c.shown[seen]++
	case c.shown[seen] == 0: // who showed it before was ended before it could tell
		c.shown[seen] = 1
	}
	c.private = append(c.private, Private{IDs: []string{e.ID}}.traces("")...)
}

// wrote reports whether what a reader saw is a text that its sender writes to her.
func (c *conversation) wrote(reader *correspondent, e Event) bool {
	if e.From != reader.to {
		return false
	}
	for n := range c.lab.cfg.Messages {
		if e.Shown == textOf(e.From, n+1) {
			return true
		}
	}
	return false
}

// kill ends the program of a user as a power cut would. It is started again when its last
// words have been heard.
func (c *conversation) kill(u *correspondent) error {
	if u.killed {
		return nil
	}
	u.killed = true
	u.kills++
	if err := u.life.Process.Kill(); err != nil {
		return fmt.Errorf("lab: killing the program of %s: %w", u.name, err)
	}
	return nil
}

// done reports whether all was written, acknowledged and shown.
func (c *conversation) done() bool {
	sent := 0
	for _, u := range c.users {
		if !u.last.Done || u.killed {
			return false
		}
		sent += u.last.Sent
	}
	return len(c.shown) >= sent
}

// state says how far they have come.
func (c *conversation) state() string {
	text := fmt.Sprintf("%d texts were shown", len(c.shown))
	for _, u := range c.users {
		text += fmt.Sprintf("; %s sent %d, of which %d are open, and got %d", u.name, u.last.Sent, u.last.Open, u.last.Came)
	}
	return text
}

// lastWords are the end of what the program of u wrote to its standard error.
func (c *conversation) lastWords(u *correspondent) []byte {
	const most = 500
	raw, err := os.ReadFile(c.logPath(u))
	if err != nil {
		return nil
	}
	return raw[max(0, len(raw)-most):]
}

// end kills all programs and waits for their ends. What they told and was not heard yet is
// lost. It may be called again.
func (c *conversation) end() {
	if c.over {
		return
	}
	c.over = true
	close(c.gone)
	for _, u := range c.users {
		if u.life != nil {
			_ = u.life.Process.Kill() // it may have ended
			u.stdin.Close()
		}
	}
	c.running.Wait()
}
