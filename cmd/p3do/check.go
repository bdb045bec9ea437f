package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/cli"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

const checkHelp = `Check whether somebody's key is the right one

  p3do check bob@b.test                     what is known of bob's key
  p3do check b.test                         the same of a whole server
  p3do check bob@b.test --why               and who says so
  p3do check bob@b.test --accept "WORDS"    bob told you these 12 words himself

The question goes through two servers of other domains to bob's, and the answer
comes back by two: no server learns that it was you who asked for bob. With --direct
your own server asks for you, and learns the name. Servers tell what they know of
each other all the time, and two of them have to agree. The exit status is 4 if
anything speaks against the key.`

// A checking is the flags of check.
type checking struct {
	why    bool
	accept string
}

func (c *command) checkCommand() *cobra.Command {
	var k checking
	cmd := c.subcommand("check NAME@DOMAIN|DOMAIN", checkHelp, cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		subject, err := agent.ParseSubject(args[0])
		if err != nil {
			return cli.Fail(cli.Input, "p3do check bob@b.test", "%s is neither a name like bob@b.test nor a server like b.test.", quoted(args[0]))
		}
		if err := c.looking("p3do check " + subject.String()); err != nil {
			return err
		}
		return c.check(ctx, subject, k)
	})
	c.lookFlags(cmd)
	cmd.Flags().BoolVar(&k.why, "why", false, "show all evidence")
	cmd.Flags().StringVar(&k.accept, "accept", "", "the key begins with these 12 `WORDS`, which its owner has told you")
	return cmd
}

func (c *command) check(ctx context.Context, s agent.Subject, k checking) (err error) {
	var owns words.Prefix
	if k.accept != "" {
		if owns, err = words.Fingerprint(k.accept); err != nil {
			return cli.Fail(cli.Input, fmt.Sprintf("p3do check %s --accept \"WORDS\"   (12 words, as p3do whoami --words shows them to the owner)", s), "%v.", err)
		}
	}
	ctx, cancel := c.limited(ctx, defaultTimeout+c.lookFor)
	defer cancel()
	a, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	var r agent.Report
	if k.accept != "" {
		r, err = a.Accept(ctx, s, owns)
	} else {
		r, err = a.Check(ctx, s)
	}
	if err != nil {
		return unchecked(err, s)
	}
	c.tellNotices(a)
	text := ""
	if r.Subject != s.String() {
		text = fmt.Sprintf("%s moved to %s, signed by the old identity.\n", s, r.Subject)
		if s, err = agent.ParseSubject(r.Subject); err != nil {
			return err
		}
	}
	text += summary(s, r)
	if k.why {
		text += "\n" + why(s, r)
	}
	if k.accept != "" { // that was done, whatever others say
		if problem := r.Problem(); problem != nil {
			c.warn(problem)
		}
		return c.print(r, text)
	}
	return errors.Join(c.print(r, text), disagreement(r.Problem(), s))
}

// unchecked is why nothing can be said of a subject.
func unchecked(err error, s agent.Subject) error {
	if errors.Is(err, agent.ErrWords) {
		return cli.Fail(cli.KeyChanged, fmt.Sprintf("p3do check %s --why", s), "%v. Nothing was changed.", agent.ErrWords)
	}
	return err
}

// disagreement is the exit of a check that something speaks against.
func disagreement(problem error, s agent.Subject) error {
	var altered *agent.DNSAlteredError
	if errors.As(problem, &altered) {
		return cli.Fail(cli.KeyChanged, fmt.Sprintf("p3do check %s --why   (what you send goes under the old key; tell whoever runs %s)", s, altered.Domain), "%v.", altered)
	}
	var forked *agent.ForkedError
	if errors.As(problem, &forked) {
		return cli.Fail(cli.KeyChanged, forkHint(forked), "%v.", forked)
	}
	var trust *agent.TrustError
	if errors.As(problem, &trust) {
		return cli.Fail(cli.KeyChanged, trustHint(trust), "%v.", trust)
	}
	return problem
}

// forkHint is the way back of a domain that is frozen.
func forkHint(e *agent.ForkedError) string {
	return fmt.Sprintf("p3do check %s --accept \"WORDS\"   (of its next key, when whoever runs it has told you by another way that there is one)", e.Domain)
}

// summary is what a check comes to in one line:
//
//	bob@b.test: vouched by b.test; b.test confirmed by a.test, c.test since 3 Oct; DNS agrees. Not yet verified by you.
func summary(s agent.Subject, r agent.Report) string {
	var parts []string
	if !s.Name.IsZero() {
		parts = append(parts, ofName(s, r))
	}
	parts = append(parts, s.Domain.String()+" "+confirmed(r.Home), inDNS(r.Home))
	if s.Name.IsZero() {
		parts[0] = confirmed(r.Home)
	}
	if r.Trust == agent.Changed && (s.Name.IsZero() || r.Shown.IsZero()) { // what still agrees is told with --why
		parts = []string{fmt.Sprintf("CHANGED: %s shows another key than the known one", s.Domain), s.Domain.String() + " " + confirmed(r.Home)}
	}
	if said := inLog(r.Log); said != "" {
		parts = append(parts, said)
	}
	if r.Home.Row == pki.RowForked {
		parts = append(parts, "the key log of "+s.Domain.String()+" contradicts itself: nothing new is believed of it")
	}
	if r.Offline {
		parts = append(parts, "home offline")
	}
	if r.Denied {
		parts = append(parts, s.Domain.String()+" itself says that there is nobody of that name")
	}
	if devices := r.DevicesText(); devices != "" {
		parts = append(parts, devices)
	}
	text := fmt.Sprintf("%s: %s.", s, strings.Join(parts, "; "))
	switch {
	case r.Trust == agent.Verified:
		return text + " Verified by you."
	case r.Ended:
		text += fmt.Sprintf(" The name was ended by %s; the key is theirs as before.", s.Domain)
	}
	return text + " Not yet verified by you."
}

// ofName is how a key of a person is known.
func ofName(s agent.Subject, r agent.Report) string {
	switch {
	case r.Trust == agent.Revoked:
		return "the key was revoked"
	case !r.Shown.IsZero():
		return fmt.Sprintf("CHANGED: %s shows another key", s.Domain)
	case r.Key.IsZero():
		return "no key is known"
	}
	return "vouched by " + s.Domain.String()
}

// confirmed says who confirms the key of a domain.
func confirmed(r *agent.DomainReport) string {
	switch {
	case len(r.Confirmed) > 0 && !r.Key.IsZero():
		since := ""
		if !r.Since.IsZero() {
			since = " since " + day(r.Since)
		}
		return "confirmed by " + pki.JoinDomains(r.Confirmed, ", ") + since
	case !r.Key.IsZero() && r.Trust == pki.Verified.String():
		return "verified by you, and confirmed by nobody else"
	case !r.Key.IsZero():
		return "known by the key first seen, which nobody else confirms"
	}
	return "unconfirmed (" + r.Reason + ")"
}

func inDNS(r *agent.DomainReport) string {
	return map[string]string{"agrees": "DNS agrees", "differs": "DNS names another key"}[r.DNS] + map[bool]string{true: "DNS says nothing"}[r.DNS == "silent"]
}

// day is a date of this year without the year.
func day(t time.Time) string {
	if t = t.Local(); t.Year() == time.Now().Year() {
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}

// why is all evidence, the row of the judgement table, and what to do.
func why(s agent.Subject, r agent.Report) string {
	var b strings.Builder
	if !s.Name.IsZero() && r.Words != "" {
		fmt.Fprintf(&b, "key of %s:\n  %s\n", s.Name, r.Words)
	}
	fmt.Fprintf(&b, "key of %s, as said by\n", s.Domain)
	width := 0
	for _, said := range r.Home.Evidence {
		width = max(width, len(saidBy(said, s.Domain)))
	}
	for _, said := range r.Home.Evidence {
		since := ""
		if !said.Since.IsZero() {
			since = "  since " + day(said.Since)
		}
		fmt.Fprintf(&b, "  %-*s  %s%s\n", width, saidBy(said, s.Domain), said.Words, since)
	}
	for _, o := range r.Challenges {
		fmt.Fprintf(&b, "challenged on %s by who has the key\n  %s\n", day(o.Since), o.Words)
	}
	b.WriteString(whyLog(r.Log))
	fmt.Fprintf(&b, "verdict: row %d, %s\n", r.Home.Row, r.Home.Reason)
	fmt.Fprintf(&b, "next: %s", next(s, r))
	return b.String()
}

func saidBy(said agent.Said, domain pki.Domain) string {
	switch said.By {
	case "pin":
		return "you, so far"
	case "home":
		return domain.String() + " itself"
	case "succession":
		return "its own succession"
	case "dns":
		return "DNS, " + map[bool]string{true: "secure", false: "plain"}[said.Secure]
	}
	return said.By
}

// next is what to do about a verdict.
func next(s agent.Subject, r agent.Report) string {
	var altered *agent.DNSAlteredError
	var forked *agent.ForkedError
	switch {
	case r.Problem() == nil && r.Trust == agent.Verified:
		return "nothing"
	case r.Problem() == nil:
		return fmt.Sprintf("p3do check %s --accept \"WORDS\"   (with the 12 words that its owner tells you; not needed to write)", s)
	case errors.As(r.Problem(), &forked):
		return forkHint(forked)
	case errors.As(r.Problem(), &altered):
		return "tell whoever runs " + s.Domain.String() + " that DNS names another key"
	case slices.Contains([]agent.Trust{agent.Unconfirmed}, r.Trust):
		return fmt.Sprintf("wait, it is judged again whenever other servers say something; or p3do check %s --accept \"WORDS\"", s)
	}
	return fmt.Sprintf("ask its owner by other means, and then p3do check %s --accept \"WORDS\"", s)
}
