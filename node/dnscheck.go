package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/pki"
)

// Right is the state of a finding of a [DNSCheck] that needs nothing.
const Right State = "right"

// A DNSCheck asks DNS for the record of the node's domain as others do, and judges what it says
// (row K6). It works beside a node that serves, and without one.
type DNSCheck struct {
	Dir    string
	Dial   dial.Func // the one door to the network; needed
	DNS    string    // resolver to ask; empty: the one in the configuration
	Server string    // another server to ask, such as one that holds the zone; empty: that of dns.update or dns.serve, if there is one
}

// Examine returns what is to be said of each server that was asked, of the name servers that the zone
// names, and of the key servers that the record names. An error is one of [Record].
func (c DNSCheck) Examine(ctx context.Context, now time.Time) ([]Finding, error) {
	domain, want, err := Record(c.Dir)
	if err != nil {
		return nil, err
	}
	e := &examination{Doctor: Doctor{Dir: c.Dir, Dial: c.Dial, DNS: c.DNS}, now: now, findings: []Finding{}}
	cfg, err := ReadConfig(e.path(ConfigFile))
	if err != nil {
		return nil, err
	}
	e.cfg = &cfg
	if e.authority, err = (keyring{filepath.Join(c.Dir, keysFolder)}).authority(); err != nil {
		return nil, err
	}
	if e.authority.Domain() != domain {
		return nil, fmt.Errorf("%w: the keys are those of %s, it says %s", ErrConfig, e.authority.Domain(), domain)
	}
	e.serves = errors.Is(checkAlone(ctx, c.Dir), ErrServing)
	ask, err := NewResolver(c.Dir, c.DNS, c.Dial)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	held, err := c.zone(ctx, e, want)
	if err != nil {
		return nil, err
	}
	zone, all := e.holdings(ctx, ask, want)
	resolved := e.resolved(ctx, ask, want, held || anyRight(all))
	e.nameServers(zone, all, resolved || held || anyRight(all))
	if resolved {
		e.keyServers(ctx, want.KeyServers)
	}
	return e.findings, nil
}

// zone asks the server that has the zone, if one is named, and reports whether the zone is right.
func (c DNSCheck) zone(ctx context.Context, e *examination, want dnstxt.Record) (right bool, err error) {
	server := c.Server
	if server == "" {
		server = e.cfg.DNS.Update.Server
	}
	if server == "" {
		server = e.zoneAddress()
	}
	if server == "" {
		return false, nil
	}
	ask, err := NewResolver(c.Dir, server, c.Dial)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	answer, err := e.look(ctx, ask, want)
	if err == nil {
		e.add("dns", Right, "", fmt.Sprintf("%s, which has the zone, says what it should, TTL %v", ask.Server, answer.TTL))
	}
	e.refused(ask, want, err)
	return err == nil, nil
}

// keyServers asks those that the record names.
func (e *examination) keyServers(ctx context.Context, addresses []string) {
	if !e.serves {
		e.add("ports", Advised, e.command("serve"), "the node does not serve, so its key server was not asked")
		return
	}
	for _, address := range addresses {
		before := len(e.findings)
		if e.reachKeyServer(ctx, address); len(e.findings) == before {
			e.add("ports", Right, "", address+" answers, with the key of the domain")
		}
	}
}

// dns: what the resolver says of our domain is what [Record] says.
func (e *examination) dns(ctx context.Context) {
	if e.cfg == nil || e.authority == nil || e.cfg.Domain != e.authority.Domain() {
		return // of which domain?
	}
	want := dnstxt.Record{
		Fingerprint: e.authority.CA().Fingerprint(), Next: e.authority.Commitment().Next,
		KeyServers: e.published(e.cfg.Publish.KeyServers, e.running.KeyServer),
	}
	ask, err := NewResolver(e.Dir, e.DNS, e.Dial)
	if err != nil {
		e.wrong("dns", "P3DO_DNS=127.0.0.1:53 "+e.command("doctor"), "%v", err)
		return
	}
	_, err = e.look(ctx, ask, want)
	e.refused(ask, want, err)
}

// resolved asks the resolver, and tells what it says in full. held: another server, which has
// the zone, says what it should.
func (e *examination) resolved(ctx context.Context, ask dnstxt.Resolver, want dnstxt.Record, held bool) bool {
	answer, err := e.look(ctx, ask, want)
	var other *otherRecord
	switch {
	case err == nil && answer.Security == dnstxt.Secure:
		e.add("dns", Right, "", fmt.Sprintf("%s says what it should, and the signatures are good (secure)", ask.Server))
	case err == nil:
		e.add("dns", Right, "", fmt.Sprintf("%s says what it should, without a proof (plain)", ask.Server))
		e.add("dns", Advised, "sign the zone (DNSSEC), and have the zone above it name your key, if your providers offer that",
			"whoever is on the way could answer something else: "+answer.Why)
	case held && errors.As(err, &other), held && errors.Is(err, dnstxt.ErrNone):
		again := "p3dod dns check --dir " + e.Dir
		if other != nil && other.left > 0 {
			again = fmt.Sprintf("sleep %d; %s", int(other.left.Seconds()), again)
		}
		e.wrong("dns", again+"   (the zone is right: only wait)", "%s remembers what was there before: %v", ask.Server, err)
	default:
		e.refused(ask, want, err)
	}
	return err == nil
}

// An otherRecord is a valid record that is not ours: what it has, and what it should have.
type otherRecord struct {
	differ []string // sentences
	left   time.Duration
}

func (o *otherRecord) Error() string { return strings.Join(o.differ, "; ") }

// look asks a server and compares: an *otherRecord, or an error of dnstxt.
func (e *examination) look(ctx context.Context, ask dnstxt.Resolver, want dnstxt.Record) (dnstxt.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	said, err := ask.Look(ctx, e.cfg.Domain)
	if err != nil {
		return said, err
	}
	if differ := e.unlike(said.Record, want); len(differ) > 0 {
		return said, &otherRecord{differ, said.TTL}
	}
	return said, nil
}

func (e *examination) unlike(said, want dnstxt.Record) (differ []string) {
	owner := "_p3do." + e.cfg.Domain.String()
	add := func(tag, is, should, more string) {
		switch {
		case is == "":
			differ = append(differ, fmt.Sprintf(`%s TXT is missing "%s="`, owner, tag))
		case should == "":
			differ = append(differ, fmt.Sprintf(`%s TXT has "%s=%s", and should have none`, owner, tag, is))
		default:
			differ = append(differ, fmt.Sprintf(`%s TXT has "%s=%s", and should have "%s=%s"%s`, owner, tag, is, tag, should, more))
		}
	}
	if said.Fingerprint != want.Fingerprint {
		more := ""
		if said.Next == want.Fingerprint {
			more = ": it is from before the last change of the key"
		}
		add("fp", said.Fingerprint.String(), want.Fingerprint.String(), more)
	}
	if said.Next != want.Next {
		add("fp2", shownKey(said.Next), shownKey(want.Next), "")
	}
	if len(want.KeyServers) > 0 && !sameSet(said.KeyServers, want.KeyServers) {
		add("ks", strings.Join(said.KeyServers, ","), strings.Join(want.KeyServers, ","), "")
	}
	if said.Onion != want.Onion {
		add("o", said.Onion, want.Onion, "")
	}
	return differ
}

func shownKey(f pki.Fingerprint) string {
	if f.IsZero() {
		return ""
	}
	return f.String()
}

// refused tells what is wrong with what a server says, and which line mends it.
func (e *examination) refused(ask dnstxt.Resolver, want dnstxt.Record, err error) {
	owner, paste := "_p3do."+e.cfg.Domain.String(), e.zoneLine(want)
	var record *dnstxt.RecordError
	var parse *dnstxt.ParseError
	var other *otherRecord
	switch {
	case err == nil:
	case errors.As(err, &other):
		for _, differs := range other.differ {
			e.wrong("dns", remembered(paste, other.left), "%s", differs)
		}
	case errors.Is(err, dnstxt.ErrNone):
		e.wrong("dns", paste, "%s has no record of P3DO in DNS: %s knows no TXT at %s", e.cfg.Domain, ask.Server, owner)
	case errors.As(err, &record) && len(record.Texts) > 1:
		n := slices.Compact(slices.Sorted(slices.Values(record.Texts)))
		e.wrong("dns", also(paste, "and remove all others at "+owner+" that begin with v=P3DO1"),
			"%s TXT is there %d times (%d different), and must be there once", owner, len(record.Texts), len(n))
	case errors.As(err, &record) && isCut(record.Texts[0], want.String()):
		e.wrong("dns", also(paste, "in a form that cuts, each part between quotes is a string of its own"),
			"%s TXT was cut after %d of %d characters", owner, len(record.Texts[0]), len(want.String()))
	case errors.As(err, &parse) && parse.Missing():
		e.wrong("dns", paste, `%s TXT is missing "%s="`, owner, parse.Tag)
	case errors.As(err, &parse) && parse.Tag != "":
		e.wrong("dns", paste, `%s TXT has a "%s=" that nobody takes: want %s`, owner, parse.Tag, parse.Want)
	case errors.Is(err, dnstxt.ErrBogus):
		e.wrong("dns", e.resigned(), "the signatures of %s are not good (bogus), so nobody who verifies takes it: %v", owner, err)
	case errors.Is(err, dnstxt.ErrInvalid):
		e.wrong("dns", paste, "the record of %s in DNS is refused: %v", e.cfg.Domain, err)
	case errors.Is(err, dnstxt.ErrServerFailure):
		e.unknown("dns", "delv "+owner+" TXT   (a resolver that verifies fails so if the signatures of the zone are wrong, or the DS above names another key)",
			"%s does not say what is in DNS: %v", ask.Server, err)
	default:
		e.unknown("dns", fmt.Sprintf("edit dns.server in %s, or start the resolver", e.path(ConfigFile)), "%s does not say what is in DNS: %v", ask.Server, err)
	}
}

func isCut(is, should string) bool { return len(is) < len(should) && strings.HasPrefix(should, is) }

// remembered is a hint with how long an answer may be an old one.
func remembered(hint string, left time.Duration) string {
	if left <= 0 {
		return hint
	}
	return also(hint, fmt.Sprintf("is it there? then wait: the old one may be remembered for %v", left))
}

// also is a hint with one more remark: in a comment of zone files behind a line of one, else as remarks are.
func also(hint, remark string) string {
	command, before, remarked := strings.Cut(hint, "   (")
	switch {
	case !strings.HasPrefix(hint, "p3dod "):
		return hint + "   ; " + remark
	case remarked:
		return fmt.Sprintf("%s   (%s; %s)", command, strings.TrimSuffix(before, ")"), remark)
	}
	return fmt.Sprintf("%s   (%s)", hint, remark)
}

// resigned mends signatures that are not good.
func (e *examination) resigned() string {
	if e.cfg.DNS.Serve != "" {
		return e.command("dns delegation") + "   (its DS line belongs into the zone above, in place of any other there)"
	}
	return "delv _p3do." + e.cfg.Domain.String() + " TXT   (then have your name server sign the zone anew, and look that the zone above names its key)"
}

// zoneLine is how the record comes into the zone. Where somebody pastes it, a hint that says more
// does so in a comment of zone files.
func (e *examination) zoneLine(record dnstxt.Record) string {
	switch {
	case e.cfg.DNS.Serve != "":
		return e.command("dns delegation") + "   (its lines belong into the zone above, and your node says the rest while it serves)"
	case e.cfg.DNS.Update.Server != "":
		return e.command("dns publish")
	}
	line, err := record.ZoneLine(e.cfg.Domain, RecordTTL)
	if err != nil { // its key server has no address as long as it does not serve
		return e.command("serve") + "   (and then, beside it: " + e.command("dns print") + ")"
	}
	return "copy this line into your zone: " + line
}
