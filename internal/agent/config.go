package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/invitation"
	"github.com/p3do/p3do/internal/link"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/mor"
)

// Implementation constants.
const (
	// connectTimeout bounds finding the home, connecting and logging in.
	connectTimeout = 20 * time.Second
	// answerTimeout is how long the home may take to answer a request; then the link is
	// taken for dead.
	answerTimeout = 15 * time.Second
	// pollSlice is how long one request for items waits at the home. It is short, so that
	// what another program on the same folder has fetched is noticed soon.
	pollSlice = 5 * time.Second
	// DefaultLookFor is how long a look-up waits for an answer through the mesh, and CoveredLookFor through a node that
	// sends slots by a schedule.
	DefaultLookFor = 30 * time.Second
	CoveredLookFor = 3 * time.Minute
	// lookSlice is how long one request for its answer waits at the node: another program on the
	// same folder may have fetched it.
	lookSlice = time.Second
	// newerTime is how long others are waited for that may have a newer copy, once there is one.
	newerTime = 2 * time.Second
	// doubtTime is how long others are waited for, when a home says that there is nobody of that name, or shows
	// an older card than it did.
	doubtTime = 5 * time.Second
	// questionKept is when a look-up is forgotten whose program has ended, and maxQuestions how many
	// there are at a time: the oldest of more are forgotten.
	questionKept = 10 * time.Minute
	maxQuestions = 32
	// directoryAge is how old the directory may be before it is fetched anew.
	directoryAge = 10 * time.Minute
	// directoryStale is how old it may be when a message is copied again.
	directoryStale = time.Minute
	// cardKept is for how long a card that was looked up is used again: their server hears
	// once in that time that somebody looks them up, and a new key of theirs is seen after it at the latest.
	cardKept = 24 * time.Hour
	// holdFor is how long a letter that cannot be judged is left at the home after it was seen
	// first.
	holdFor = mor.LetterLifetime + 24*time.Hour
	// maxHeld is how many letters are left at the home, in all, of one contact, and of writers
	// whose key is not pinned for their name: anybody can make those. The newest of more are
	// dropped, so that they do not take the place of letters that can be read.
	maxHeld        = 256
	maxHeldContact = 32
	maxHeldUnknown = 48
	// mostAhead is how far ahead of our clock a letter may be dated that is left there.
	mostAhead = 24 * time.Hour
	// longestWait is how old a letter can be when it is fetched: its own life, the 30 days of
	// a mailbox, and three for clocks.
	longestWait = 40 * 24 * time.Hour
	// firstBackoff and longestBackoff bound the pause before connecting again.
	firstBackoff   = 250 * time.Millisecond
	longestBackoff = 30 * time.Second
	// maxDue is how many copies one round makes at most; the rest is due in the next.
	maxDue = 16
	// maxServers is how many server descriptors are kept; further ones are not taken in.
	maxServers = 20_000
)

// Config is what an Agent starts from.
type Config struct {
	Home       string                 // the user's folder
	Passphrase []byte                 // that seals it; 1 to 1 024 bytes
	DNS        string                 // the DNS server, as dnstxt.ParseServer reads it, that is asked for the user's own home, and for nothing else
	Dial       dial.Func              // every connection goes through it
	Direct     bool                   // look-ups of others are asked of the node itself, which learns who is looked up
	LookFor    time.Duration          // how long a look-up waits for an answer through the mesh; default DefaultLookFor or CoveredLookFor
	Invite     *invitation.Invitation // for New; nil: the user has none
	Rand       io.Reader              // default crypto/rand
	Now        func() time.Time       // default time.Now
	Tell       func(error)            // hears, when the folder is closed, what Warnings would have told; default: the next program tells
	Log        *slog.Logger           // hears of trouble on the way, without names; default: nobody does

	Durable func(writes uint64) // hears of what was written to the folder, as vault.Config says; default: nobody does
	Writing func(write uint64)  // and of what is about to be
	Faults  *link.Faults        // of its links, in tests; default: none

	weak bool // the tests of this package make folders whose passphrase costs nothing to try
}

// token is what the home takes of an invitation; nil if there is none.
func (c Config) token() []byte {
	if c.Invite == nil {
		return nil
	}
	return c.Invite.Token[:]
}

// vault is how the folder is opened or made.
func (c Config) vault() vault.Config {
	return vault.Config{Dir: c.Home, Durable: c.Durable, Writing: c.Writing, Weak: c.weak}
}

func (c Config) withDefaults() (Config, error) {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var faults []error
	if c.Home == "" {
		faults = append(faults, errors.New("Config.Home is missing"))
	}
	if c.Dial == nil {
		faults = append(faults, errors.New("Config.Dial is missing"))
	}
	if err := errors.Join(faults...); err != nil {
		return Config{}, fmt.Errorf("agent: %w", err)
	}
	return c, nil
}
