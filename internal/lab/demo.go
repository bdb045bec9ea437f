package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/agent"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/keyserver"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/pki"
)

const (
	annText = "are you there?"
	bobText = "yes, and nobody saw you ask"
)

// A person is a user of the demonstration: an agent in this very process, as p3do runs it.
type person struct {
	name  pki.Name
	agent *agent.Agent
	from  *addresses // that her agent used
}

// addresses are the network addresses that an agent's connections came from.
type addresses struct {
	mu   sync.Mutex // guards used
	used []string
}

// through is a door that notes the address of each connection on our side.
func (a *addresses) through(door dial.Func) dial.Func {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := door(ctx, network, address)
		if err == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.used = append(a.used, conn.LocalAddr().String())
		}
		return conn, err
	}
}

// fresh returns the addresses that were used since it was called last.
func (a *addresses) fresh() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := a.used
	a.used = nil
	return fresh
}

// demonstrate has two people write to each other, and reports each step.
func (l *lab) demonstrate(ctx context.Context, m Map) error {
	at, to := l.cfg.homes()
	ann, err := l.newPerson(ctx, m, "demo-ann@"+m.Nodes[at].Domain)
	if err != nil {
		return err
	}
	defer ann.agent.Close()
	bob, err := l.newPerson(ctx, m, "demo-bob@"+m.Nodes[to].Domain)
	if err != nil {
		return err
	}
	defer bob.agent.Close()
	if err := l.acquaint(ctx, bob, ann); err != nil {
		return err
	}
	before, err := l.crossed(ctx)
	if err != nil {
		return err
	}
	id, err := l.message(ctx, ann, bob)
	if err != nil {
		return err
	}
	if err := l.answer(ctx, bob, ann); err != nil {
		return err
	}
	if err := l.reportCrossings(ctx, before); err != nil {
		return err
	}
	return l.whoKnewWhat(ctx, m, ann, bob, id)
}

func (l *lab) newPerson(ctx context.Context, m Map, text string) (*person, error) {
	name, err := pki.ParseName(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.patience(demoTime))
	defer cancel()
	p := &person{name: name, from: new(addresses)}
	p.agent, err = agent.New(ctx, agent.Config{
		Home: filepath.Join(l.cfg.Dir, name.Local()), Passphrase: []byte(rand.Text()),
		DNS: m.DNS, Dial: p.from.through(l.cfg.Dial),
	}, name)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", name, err)
	}
	l.cfg.Report(Step{Step: StepCreated, User: text})
	return p, nil
}

// acquaint has one of them know the other, so that her message is not a stranger's.
func (l *lab) acquaint(ctx context.Context, bob, ann *person) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.patience(demoTime))
	defer cancel()
	if _, err := bob.agent.Add(ctx, ann.name); err != nil {
		return fmt.Errorf("lab: adding: %w", err)
	}
	return nil
}

// message sends the first message, and follows it until its sender knows that it was read.
func (l *lab) message(ctx context.Context, ann, bob *person) (mor.MessageID, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.patience(demoTime))
	defer cancel()
	began := time.Now()
	status, err := ann.agent.Send(ctx, bob.name, annText, agent.Way{})
	if err != nil {
		return mor.MessageID{}, fmt.Errorf("lab: sending: %w", err)
	}
	since := func() int64 { return time.Since(began).Milliseconds() }
	l.cfg.Report(Step{Step: StepRoute, User: ann.name.String(), Text: annText, Route: domains(status.Route)})
	id, err := mor.ParseMessageID(status.ID)
	if err != nil {
		return id, err
	}
	for _, until := range []mor.State{mor.Sent, mor.StoredThere} {
		if _, err := ann.agent.Wait(ctx, id, until, ignore); err != nil {
			return id, fmt.Errorf("lab: waiting for %s: %w", until, err)
		}
		l.cfg.Report(Step{Step: StepName(until), ID: status.ID, Millis: since()})
	}
	if err := l.read(ctx, bob, StepRead); err != nil {
		return id, err
	}
	if _, err := ann.agent.Wait(ctx, id, mor.Acknowledged, ignore); err != nil {
		return id, fmt.Errorf("lab: waiting for the acknowledgement: %w", err)
	}
	l.cfg.Report(Step{Step: StepAcknowledged, ID: status.ID, Millis: since()})
	return id, nil
}

// answer sends a reply, and has it read.
func (l *lab) answer(ctx context.Context, bob, ann *person) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.patience(demoTime))
	defer cancel()
	if _, err := bob.agent.Send(ctx, ann.name, bobText, agent.Way{}); err != nil {
		return fmt.Errorf("lab: answering: %w", err)
	}
	return l.read(ctx, ann, StepReply)
}

// errRead ends following, when something was read.
var errRead = errors.New("lab: read")

// read waits for a message for p, and shows it. What it owes its sender goes out with it.
func (l *lab) read(ctx context.Context, p *person, step StepName) error {
	err := p.agent.Follow(ctx, func() error {
		ok, err := p.agent.Show(ctx, func(m agent.Message) error {
			l.cfg.Report(Step{
				Step: step, User: p.name.String(), From: m.From.String(), Trust: string(m.Standing.Trust), Text: m.Text, ID: m.ID,
			})
			return nil
		})
		if err != nil || !ok {
			return err
		}
		return errRead
	})
	if !errors.Is(err, errRead) {
		return fmt.Errorf("lab: %s reads: %w", p.name, errors.Join(err, ctx.Err()))
	}
	return p.agent.Fetch(ctx)
}

// whoKnewWhat searches every node for traces of the two and their message.
func (l *lab) whoKnewWhat(ctx context.Context, m Map, ann, bob *person, id mor.MessageID) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.patience(demoTime))
	defer cancel()
	traces := []trace{
		textTrace("the message", annText), textTrace("the answer", bobText),
		{"the message's id", append(bytesTrace("", id[:]).forms, []byte(id.String()))},
	}
	for _, p := range []*person{ann, bob} {
		mailbox, err := l.requestsOf(ctx, m, p.name)
		if err != nil {
			return err
		}
		who := p.name.Local()
		traces = append(traces, textTrace(who+"'s name", who), bytesTrace(who+"'s public mailbox", mailbox[:]),
			trace{what: who + "'s network address"})
		for _, address := range p.from.used {
			last := &traces[len(traces)-1]
			last.forms = append(last.forms, []byte(address))
		}
	}
	var all []Found
	for _, node := range l.nodes {
		found, err := l.search(ctx, node, traces)
		if err != nil {
			return err
		}
		all = append(all, found)
	}
	l.cfg.Report(Step{Step: StepKnowledge, Found: all})
	return nil
}

// requestsOf asks the key server of a user's home for the mailbox that strangers write to.
func (l *lab) requestsOf(ctx context.Context, m Map, name pki.Name) ([32]byte, error) {
	card, err := l.cardOf(ctx, m, name)
	return card.Requests, err
}

// cardOf asks the key server of a user's home for her card.
func (l *lab) cardOf(ctx context.Context, m Map, name pki.Name) (pki.SignedCard, error) {
	at, ca, err := l.authorityOf(ctx, m, name.Domain())
	if err != nil {
		return pki.SignedCard{}, err
	}
	line := []pki.CACert{ca}
	for _, p := range l.nodes {
		if p.domain == name.Domain() {
			line = append(line, p.former...)
		}
	}
	for _, ca := range line {
		at.Former = append(at.Former, ca.Fingerprint())
	}
	unvouched, err := keyserver.Client{Dial: l.cfg.Dial}.User(ctx, at, name)
	if err != nil {
		return pki.SignedCard{}, fmt.Errorf("lab: %w", err)
	}
	for _, ca := range line {
		if ca.Fingerprint() == unvouched.Issuer() {
			return ca.VerifyCard(unvouched.Raw(), time.Now())
		}
	}
	return pki.SignedCard{}, fmt.Errorf("lab: the card of %s is by another authority", name)
}

// authorityOf asks the key server of a domain for the domain's authority.
func (l *lab) authorityOf(ctx context.Context, m Map, domain pki.Domain) (keyserver.Endpoint, pki.CACert, error) {
	server, err := dnstxt.ParseServer(m.DNS)
	if err != nil {
		return keyserver.Endpoint{}, pki.CACert{}, fmt.Errorf("lab: %w", err)
	}
	record, err := dnstxt.Resolver{Server: server, Dial: l.cfg.Dial}.Lookup(ctx, domain)
	if err != nil {
		return keyserver.Endpoint{}, pki.CACert{}, fmt.Errorf("lab: %w", err)
	}
	at := keyserver.Endpoint{Address: record.KeyServers[0], CA: record.Fingerprint}
	home, err := keyserver.Client{Dial: l.cfg.Dial}.Server(ctx, at, domain)
	if err != nil {
		return at, pki.CACert{}, fmt.Errorf("lab: %w", err)
	}
	return at, home.CA, nil
}

func domains(route mor.Route) []string {
	names := make([]string, len(route))
	for i, d := range route {
		names[i] = d.String()
	}
	return names
}

// ignore is told of states that are waited for one by one.
func ignore(agent.Status) {}
