package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/message"
	"github.com/p3do/p3do/internal/session"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

// failure says err to a person: what happened, and a command that can be pasted. An error
// that nobody here knows is a bug.
func failure(err error) error {
	if err == nil {
		return nil
	}
	for _, judge := range []func(error) *cli.Failure{typed, changed, ofDevice, ofFolder, ofMessage, ofHome} {
		if f := judge(err); f != nil {
			return f
		}
	}
	return cli.Fail(cli.Bug, "p3do help   (if this comes again, please report it with the line above)", "%v", err)
}

// typed is an error that was said already.
func typed(err error) *cli.Failure {
	var f *cli.Failure
	errors.As(err, &f)
	return f
}

func changed(err error) *cli.Failure {
	var card *agent.CardError
	if errors.As(err, &card) && card.Lapsed() {
		return cli.Fail(cli.KeyChanged, fmt.Sprintf("p3do check %s   (when they were there again: their program renews it; or is your clock right?)", card.Name), "%v. Nothing was sent.", card)
	}
	if errors.As(err, &card) {
		return cli.Fail(cli.KeyChanged, "p3do status   (ask them by another way what has happened; what is here stays)", "%v. Nothing was sent.", card)
	}
	var letter *agent.CertifiedError
	if errors.As(err, &letter) { // which nobody but she has shown
		return cli.Fail(cli.KeyChanged, "p3do status   (ask her by another way what has happened; what is here stays)", "%v. It waits at your server.", letter)
	}
	var wrong *agent.MisissuedError
	if errors.As(err, &wrong) {
		sent := map[bool]string{false: "Nothing was sent.", true: "It was thrown away."}[wrong.Letter]
		return cli.Fail(cli.KeyChanged, fmt.Sprintf("p3do check %s --why   (somebody has the key of %s and means harm; tell whoever runs it)", wrong.Name, wrong.By), "%v. %s", wrong, sent)
	}
	var trust *agent.TrustError
	if errors.As(err, &trust) {
		return cli.Fail(cli.KeyChanged, trustHint(trust), "%v. Nothing was sent.", trust)
	}
	var key *pki.KeyChangedError
	if !errors.As(err, &key) {
		return nil
	}
	return cli.Fail(cli.KeyChanged, "p3do status   (ask them by another way whether they changed it; what is here stays)",
		"%s now shows a different key (%s) than the one first seen (%s). Nothing was sent. What came under it waits at your server.", key.Subject, key.Shown, key.Pinned)
}

// trustHint says what to do about a key that is not trusted.
func trustHint(e *agent.TrustError) string {
	subject, told := e.Subject, ""
	if !e.Name.IsZero() {
		subject = e.Name.String()
		told, _, _ = strings.Cut(subject, "@")
	}
	why := fmt.Sprintf("p3do check %s --why", subject)
	switch {
	case e.Verdict.Row == pki.RowRevoked:
		return why + "   (ask them by another way for their new key)"
	case e.Verdict.Row == pki.RowUnproven:
		return why + fmt.Sprintf("   (it is looked up anew each time; if you know the 12 words: p3do check %s --accept \"WORDS\")", subject)
	case e.Pinned.IsZero():
		return why + fmt.Sprintf("   (it is judged again whenever other servers say something; if you know the 12 words: p3do check %s --accept \"WORDS\")", subject)
	case !e.Spelt() || told == "":
		return why
	}
	spelt := strings.ReplaceAll(words.Of(e.Shown), " ", "-")
	return why + fmt.Sprintf("   (if %s told you in person: p3do check %s --accept %s)", told, subject, spelt)
}

func ofFolder(err error) *cli.Failure {
	var taken *agent.TakenError
	var path *fs.PathError // the folder is none, or not hers to read or write
	switch {
	case errors.Is(err, agent.ErrShowing):
		return cli.Fail(cli.Input, "p3do read   (when the other one has ended)", "%v.", agent.ErrShowing)
	case errors.Is(err, agent.ErrNoIdentity):
		return cli.Fail(cli.Input, "p3do new yourname@some.server", "%v.", err)
	case errors.Is(err, agent.ErrNoHome):
		return cli.Fail(cli.Input, "p3do new yourname@some.server   (you stay who you are, by the same key)", "%v: nobody can write to you, nor you to them.", err)
	case errors.As(err, &taken) && taken.Name.IsZero():
		return cli.Fail(cli.Input, "p3do new yourname@some.server   (gives it a name; or p3do --profile OTHER new --keyonly)", "this folder already holds a pseudonym without a server.")
	case errors.As(err, &taken) && taken.Begun:
		return cli.Fail(cli.Input, "p3do new "+taken.Name.String(), "%v.", taken)
	case errors.As(err, &taken):
		return cli.Fail(cli.Input, "p3do --home ANOTHER-FOLDER new yourname@some.server   (or, to leave that name for another: p3do new yourname@some.server --move)", "%v.", taken)
	case errors.Is(err, agent.ErrEarlier):
		return cli.Fail(cli.Input, "p3do --home ANOTHER-FOLDER new yourname@some.server   (what is in this one stays; the p3do that made it reads it)", "%v.", agent.ErrEarlier)
	case errors.Is(err, vault.ErrPassphrase):
		return cli.Fail(cli.Input, "p3do whoami   (and type it again, or look into the file named by P3DO_PASSPHRASE_FILE)", "wrong passphrase.")
	case errors.Is(err, vault.ErrMode), errors.Is(err, vault.ErrDamaged), errors.Is(err, vault.ErrLimit), errors.As(err, &path):
		return cli.Fail(cli.Input, "p3do --home ANOTHER-FOLDER whoami", "%v.", err)
	}
	return nil
}

func ofMessage(err error) *cli.Failure {
	var (
		nobody     *agent.NoUserError
		tooLong    *message.TooLongError
		route      *mor.RouteError
		unfinished *agent.UnfinishedError
	)
	var (
		invited *agent.InvitedError
		silence *agent.SilentError
		way     *agent.WayError
	)
	switch {
	case errors.As(err, &silence):
		return cli.Fail(cli.Network, fmt.Sprintf("p3do check %s --wait 2m   (or with --direct, by which your server learns whom you look up)", silence.Name), "%v.", silence)
	case errors.As(err, &way):
		return cli.Fail(cli.Network, fmt.Sprintf("p3do check %s --direct   (your server then learns whom you look up; or wait until it knows more servers)", way.Name), "%v.", way)
	case errors.As(err, &invited):
		return cli.Fail(cli.Refused, fmt.Sprintf("ask %s for a new one (p3do add --invite)", invited.By.Local()), "%v.", invited)
	case errors.As(err, &nobody) && nobody.Homeless():
		return cli.Fail(cli.Input, fmt.Sprintf("p3do check %s --direct   (look at the spelling; so your own server asks DNS, and learns the name)", nobody.Name), "%v.", nobody)
	case errors.As(err, &nobody):
		return cli.Fail(cli.Input, "p3do send NAME@DOMAIN TEXT   (look at the spelling)", "%v.", nobody)
	case errors.As(err, &tooLong):
		return cli.Fail(cli.Input, "p3do send NAME@DOMAIN TEXT   (in several parts)", "%v.", tooLong)
	case errors.Is(err, agent.ErrNoMessage):
		return cli.Fail(cli.Input, "p3do status", "%v.", err)
	case errors.As(err, &unfinished):
		return cli.Fail(cli.Pending, "p3do status "+unfinished.Status.ID, "%v.", unfinished)
	case errors.As(err, &route):
		return cli.Fail(cli.Network, "p3do status   (and again when your server has more peers)", "%v.", route)
	case errors.Is(err, mor.ErrOutboxFull):
		return cli.Fail(cli.Quota, "p3do status", "too many messages are still on their way.")
	}
	return nil
}

func ofHome(err error) *cli.Failure {
	var (
		nowhere *agent.NoServerError
		home    *agent.HomeError
		lost    *agent.DNSError
		refused *session.Error
	)
	switch {
	case errors.As(err, &refused):
		return refusal(refused)
	case errors.Is(err, context.Canceled): // by her, whoever was asked just then
		return stopped()
	case errors.As(err, &lost):
		return cli.Fail(cli.Network, dnsHint(lost, "p3do status"), "%v.", lost)
	case errors.As(err, &home) && errors.Is(err, agent.ErrNoDNS):
		return cli.Fail(cli.Network, "P3DO_DNS=IP:PORT p3do status   (nothing is lost; if your home has moved, a DNS server knows where)", "%v.", home)
	case errors.As(err, &home): // before what it may wrap
		return cli.Fail(cli.Network, elsewhere(home), "%v.", home)
	case errors.As(err, &nowhere):
		return cli.Fail(cli.Input, "p3do new yourname@some.server", "%v.", nowhere)
	case errors.Is(err, agent.ErrNoDNS):
		return cli.Fail(cli.Input, "P3DO_DNS=127.0.0.1:53 p3do new yourname@some.server", "%v.", err)
	case errors.Is(err, context.DeadlineExceeded):
		return stopped()
	}
	return nil
}

func stopped() *cli.Failure {
	return cli.Fail(cli.Network, "p3do --timeout 2m read", "stopped before it was done.")
}

// dnsHint says what to do if DNS did not tell where a home is.
func dnsHint(lost *agent.DNSError, again string) string {
	if lost.Answered() {
		return fmt.Sprintf("P3DO_DNS=IP:PORT %s   (another DNS server; or ask whoever runs %s)", again, lost.Domain)
	}
	return fmt.Sprintf("P3DO_DNS=IP:PORT %s   (a DNS server that answers; are you connected at all?)", again)
}

// refusal is what the home said no to.
func refusal(r *session.Error) *cli.Failure {
	later := "p3do status   (and again in a while)"
	switch r.Code {
	case session.WrongKey:
		return cli.Fail(cli.KeyChanged, "p3do status   (ask them by another way whether they changed it; what is here stays)", "%s. Nothing was sent.", r.Text)
	case session.Refused:
		return cli.Fail(cli.Refused, "p3do new anothername@some.server", "%s.", r.Text)
	case session.Full:
		text, wait, _ := strings.Cut(r.Text, "; ") // what happened, and what helps
		if wait != "" {
			later = wait + ", or ask the operator: p3dod user quota YOURNAME N"
		}
		return cli.Fail(cli.Quota, later, "%s.", text)
	case session.Unavailable:
		return cli.Fail(cli.Network, later, "%s.", r.Text)
	case session.NotFound:
		return cli.Fail(cli.Input, "p3do send NAME@DOMAIN TEXT   (look at the spelling)", "%s.", r.Text)
	}
	return cli.Fail(cli.Bug, "p3do help", "your home did not understand: %s.", fmt.Sprint(r))
}
