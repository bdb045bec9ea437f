package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

var (
	// ErrNoIdentity: the folder holds no identity yet.
	ErrNoIdentity = errors.New("no identity yet")
	// ErrNoMessage: there is no message of that id here.
	ErrNoMessage = errors.New("there is no such message here")
	// ErrNoHome: the pseudonym has no home, and nobody to talk to.
	ErrNoHome = errors.New("this pseudonym has no home yet")
	// ErrNoDNS: the home has to be found, and Config.DNS names nobody who can be asked.
	ErrNoDNS = errors.New("no DNS server is given to find servers by")
)

// An InvitationError says that an invitation is to another server than that of the name.
type InvitationError struct {
	To   pki.Domain
	Name pki.Name
}

func (e *InvitationError) Error() string {
	return fmt.Sprintf("this invitation is to %s, and %s is a name of another server", e.To, e.Name)
}

// A TakenError says that the folder already belongs to somebody.
type TakenError struct {
	Name  pki.Name
	Begun bool // registration was begun, and may be finished
}

func (e *TakenError) Error() string {
	if e.Begun {
		return fmt.Sprintf("this folder was begun for %s", e.Name)
	}
	if e.Name.IsZero() {
		return "this folder already belongs to a pseudonym without a server"
	}
	return fmt.Sprintf("this folder already belongs to %s", e.Name)
}

// A HomeError says that the user's home cannot be reached; if a *DNSError is in it, that it
// cannot even be found.
type HomeError struct {
	Domain pki.Domain
	Cause  error

	Entry   pki.Domain   // where she is logged in, or wanted to be, instead; it does not answer either
	Name    pki.Name     // of the user, who could log in elsewhere
	Knowing []pki.Domain // where: the nodes of domains that are known to know the home's key
}

func (e *HomeError) Error() string {
	var lost *DNSError
	if errors.As(e.Cause, &lost) {
		return lost.Error()
	}
	var altered *DNSAlteredError
	if errors.As(e.Cause, &altered) && e.Entry.IsZero() {
		return fmt.Sprintf("your home %s does not answer where it was last, and DNS names another key for it (%s) than the known one (%s)",
			e.Domain, brief(altered.Shown, 2), brief(altered.Known, 1))
	}
	if !e.Entry.IsZero() {
		return fmt.Sprintf("neither your home %s answers nor %s", e.Domain, e.Entry)
	}
	return fmt.Sprintf("your home %s does not answer", e.Domain)
}

// Unwrap returns what went wrong.
func (e *HomeError) Unwrap() error { return e.Cause }

// A DNSError says that DNS did not tell where the user's home is.
type DNSError struct {
	Domain pki.Domain
	Server string // that was asked
	Moved  bool   // the home was known, and did not answer where it was
	Cause  error
}

func (e *DNSError) Error() string {
	said := "does not answer"
	if e.Answered() {
		said = "does not say: " + strings.TrimPrefix(e.Cause.Error(), "dnstxt: ")
	}
	if e.Moved {
		return fmt.Sprintf("your home %s does not answer where it was last, and the DNS server %s, which was asked where it is now, %s",
			e.Domain, e.Server, said)
	}
	return fmt.Sprintf("the DNS server %s, which was asked where %s is, %s", e.Server, e.Domain, said)
}

// Answered tells whether the DNS server was reached: what it said is in Cause. Who stopped
// asking did not hear.
func (e *DNSError) Answered() bool {
	var silent net.Error // the deadline of a context is one, too
	return !errors.Is(e.Cause, context.Canceled) && !errors.As(e.Cause, &silent)
}

// Unwrap returns what went wrong.
func (e *DNSError) Unwrap() error { return e.Cause }

// A NoServerError says that a domain runs no P3DO server that anybody could find.
type NoServerError struct{ Domain pki.Domain }

func (e *NoServerError) Error() string { return fmt.Sprintf("there is no server at %s", e.Domain) }

// A NoUserError says that nobody of that name was found.
type NoUserError struct {
	Name  pki.Name
	Cause error
}

func (e *NoUserError) Error() string {
	if e.Homeless() {
		return fmt.Sprintf("there is no %s: no server of %s is known", e.Name, e.Name.Domain())
	}
	return fmt.Sprintf("there is no %s: nobody of that name was found", e.Name)
}

// Homeless tells whether it is the server that is not known.
func (e *NoUserError) Homeless() bool {
	var nowhere *NoServerError
	return errors.As(e.Cause, &nowhere)
}

// Unwrap returns what the home said.
func (e *NoUserError) Unwrap() error { return e.Cause }

// A SilentError says that no answer to a look-up came through the mesh in time.
type SilentError struct {
	Name  pki.Name
	After time.Duration
	Said  bool // other servers have answered: it is her home that does not
	Older bool // it does, by an older card than it showed before
}

func (e *SilentError) Error() string {
	if e.Older {
		return fmt.Sprintf("the server of %s shows an older card of %s than it did before, and nobody who was asked has the newer one", e.Name.Domain(), e.Name)
	}
	if e.Said {
		return fmt.Sprintf("the server of %s does not answer, and nobody who was asked has a copy of the key of %s", e.Name.Domain(), e.Name)
	}
	return fmt.Sprintf("no answer about %s came through the mesh within %.0f s", e.Name, e.After.Seconds())
}

// Unwrap returns what a node would say of it.
func (e *SilentError) Unwrap() error { return session.Errorf(session.Unavailable, "%s", e.Error()) }

// A DeniedError says that a home says that there is nobody of a name, and another server has a card that the
// home signed, which holds.
type DeniedError struct{ Name pki.Name }

func (e *DeniedError) Error() string {
	return fmt.Sprintf("%s says that there is no %s, and another server has the card that it signed", e.Name.Domain(), e.Name)
}

// A WayError says that a look-up cannot go through the mesh: it has too few servers.
type WayError struct {
	Name  pki.Name
	Cause error // a *mor.RouteError
}

func (e *WayError) Error() string {
	return fmt.Sprintf("%s cannot be looked up through the mesh: %s", e.Name, strings.TrimPrefix(e.Cause.Error(), "mor: "))
}

// Unwrap returns what is lacking.
func (e *WayError) Unwrap() error { return e.Cause }

// An UnfinishedError says that a message has not come as far as it was waited for.
type UnfinishedError struct {
	Status Status
	Until  mor.State
	After  time.Duration // that it was waited for; 0: not at all
}

func (e *UnfinishedError) Error() string {
	if e.Status.State == mor.Expired {
		return fmt.Sprintf("the message was not %s, and is not tried any more", e.Until)
	}
	waited := "yet"
	if e.After > 0 {
		waited = fmt.Sprintf("after %.0f s", e.After.Seconds())
	}
	return fmt.Sprintf("not %s %s. The message is %s and will be tried until %s",
		e.Until, waited, e.Status.State, e.Status.Created.Add(mor.LetterLifetime).Format("2 Jan"))
}

// A CardError says that what was shown as somebody's card is not vouched for by her home.
type CardError struct {
	Name  pki.Name
	Cause error
}

// Lapsed tells whether the card would be good at another time: its owner has not renewed it, or
// our clock is wrong.
func (e *CardError) Lapsed() bool { return errors.Is(e.Cause, pki.ErrTime) }

func (e *CardError) Error() string {
	if e.Lapsed() {
		return fmt.Sprintf("%s does not vouch for the key of %s now: %v", e.Name.Domain(), e.Name, e.Cause)
	}
	return fmt.Sprintf("what is shown for %s is not to be trusted: %v", e.Name, e.Cause)
}

// Unwrap returns what is wrong with it.
func (e *CardError) Unwrap() error { return e.Cause }

// A CertifiedError says that a contact, by the key that is pinned for her, has sent a letter
// with a certificate of another authority than the known one of her home. That is her word: the
// home has another key now, or she made it up.
type CertifiedError struct {
	Name    pki.Name
	Changed *pki.KeyChangedError // what her home's key would be
}

func (e *CertifiedError) Error() string {
	return fmt.Sprintf("a letter of %s is certified by another key of %s than the known one: %s, not %s",
		e.Name, e.Changed.Subject, e.Changed.Shown, e.Changed.Pinned)
}

// Unwrap returns the change of the home's key, as the letter has it.
func (e *CertifiedError) Unwrap() error { return e.Changed }

// A TrustError says that nothing may be sent, or taken for somebody's, because of a key.
type TrustError struct {
	Name    pki.Name        // whom it matters for; zero: nobody in particular
	Subject string          // whose key it is: a domain or a name
	Verdict pki.Verdict     // about that key
	Pinned  pki.Fingerprint // by which it is known; zero: nobody confirms any
	Shown   pki.Fingerprint // what is shown instead, or for the first time; all ones: that is not known
}

func (e *TrustError) Error() string {
	switch {
	case e.Verdict.Row == pki.RowRevoked:
		return fmt.Sprintf("%s has revoked the key that is known of it (%s)", e.Subject, brief(e.Pinned, 1))
	case e.Pinned.IsZero():
		return fmt.Sprintf("%s is unconfirmed: %s", e.Subject, e.Verdict.Reason())
	}
	shown := "a different key"
	if e.Shown != noKey() {
		shown += " (" + brief(e.Shown, 2) + ")"
	}
	if len(e.Verdict.For) == 0 {
		return fmt.Sprintf("%s now shows %s than the known one (%s)", e.Subject, shown, brief(e.Pinned, 1))
	}
	vouch := "still vouch for"
	if len(e.Verdict.For) == 1 {
		vouch = "still vouches for"
	}
	return fmt.Sprintf("%s now shows %s, but %s %s the old one (%s)", e.Subject, shown, pki.JoinDomains(e.Verdict.For, " and "), vouch, brief(e.Pinned, 1))
}

// Spelt tells whether it is known which key is shown.
func (e *TrustError) Spelt() bool { return !e.Shown.IsZero() && e.Shown != noKey() }

// Unwrap returns the change of the key, if it is one.
func (e *TrustError) Unwrap() error {
	if e.Pinned.IsZero() || e.Shown.IsZero() {
		return nil
	}
	return &pki.KeyChangedError{Subject: e.Subject, Pinned: e.Pinned, Shown: e.Shown}
}

// A DNSAlteredError says that DNS alone names another key than the known one: that stops
// nothing.
type DNSAlteredError struct {
	Domain  pki.Domain
	Known   pki.Fingerprint
	Shown   pki.Fingerprint
	Verdict pki.Verdict

	at []string // key servers that DNS names; none: it was not asked for them
}

func (e *DNSAlteredError) Error() string {
	changed := fmt.Sprintf("%s changed its key in DNS (%s)", e.Domain, brief(e.Shown, 2))
	all := len(e.Verdict.For) + len(e.Verdict.Against)
	if len(e.Verdict.For) == 0 {
		return fmt.Sprintf("%s; nobody else does, and the old one (%s) is used", changed, brief(e.Known, 1))
	}
	return fmt.Sprintf("%s; %d of %d peers still vouch for the old one (%s)", changed, len(e.Verdict.For), all, brief(e.Known, 1))
}

// brief is the first words of a fingerprint.
func brief(f pki.Fingerprint, n int) string {
	return strings.Join(strings.Fields(words.Of(f))[:n], " ") + " …"
}

// lookupError says in whose name a look-up failed.
func lookupError(name pki.Name, err error) error {
	var refused *session.Error
	var unknown *NoServerError
	if errors.As(err, &refused) && refused.Code == session.NotFound || errors.As(err, &unknown) {
		return &NoUserError{name, err}
	}
	return err
}
