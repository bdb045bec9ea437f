package lab

import (
	"fmt"
	"strings"
)

// A StepName says what a [Step] is about.
type StepName string

// The steps of a lab, in their order.
const (
	StepNodes        StepName = "nodes"        // all nodes serve and know each other
	StepCreated      StepName = "created"      // a user has an identity and a home
	StepRoute        StepName = "route"        // the way of the first message is chosen
	StepSent         StepName = "sent"         // the sender's node took it
	StepStored       StepName = "stored"       // the recipient's spool has it
	StepRead         StepName = "read"         // the recipient has read it
	StepAcknowledged StepName = "acknowledged" // its sender knows that she has
	StepReply        StepName = "reply"        // the answer was read
	StepGateway      StepName = "gateway"      // packets went over one from cell to cell
	StepKnowledge    StepName = "knowledge"    // what the nodes hold of all this
	StepAccident     StepName = "accident"     // a scenario broke something
	StepRotated      StepName = "rotated"      // a key was changed
	StepTally        StepName = "tally"        // what came of a scenario
	StepLogs         StepName = "logs"         // what the logs of a scenario show of its users
	StepDeaths       StepName = "deaths"       // what came of a path on which processes died
	StepMatched      StepName = "matched"      // how well a watcher matches the ends of messages
	StepDone         StepName = "done"
	StepDisturbed    StepName = "disturbed"  // a node was ended, and the demonstration with it
	StepNodeEnded    StepName = "node-ended" // a node ended before the lab
)

// A Step is one thing that happened, as lab --json prints it: an object on a line. Fields
// beside Step are set where they apply.
type Step struct {
	Step    StepName   `json:"step"`
	DNS     string     `json:"dns,omitempty"`
	Dir     string     `json:"dir,omitempty"`
	Nodes   []Placed   `json:"nodes,omitempty"`
	User    string     `json:"user,omitempty"`
	ID      string     `json:"id,omitempty"`
	From    string     `json:"from,omitempty"`
	Text    string     `json:"text,omitempty"`
	Trust   string     `json:"trust,omitempty"`
	Route   []string   `json:"route,omitempty"`
	Millis  int64      `json:"ms,omitempty"`
	Found   []Found    `json:"found,omitempty"`
	Tally   *Tally     `json:"tally,omitempty"`
	Deaths  *DeathPath `json:"deaths,omitempty"`
	Match   *Match     `json:"match,omitempty"`
	Domain  string     `json:"domain,omitempty"`
	Packets uint64     `json:"packets,omitempty"`
	Problem string     `json:"problem,omitempty"`
}

// Plain is the step as a person reads it: one line or more.
func (s Step) Plain() string {
	switch s.Step {
	case StepNodes:
		return nodesText(s)
	case StepCreated:
		return fmt.Sprintf("%s has a home, and an identity that only she holds\n", s.User)
	case StepRoute:
		return fmt.Sprintf("%s writes %q; the route: %s\n", s.User, s.Text, strings.Join(s.Route, " -> "))
	case StepSent:
		return fmt.Sprintf("  sent          %5d ms   her node took the packet\n", s.Millis)
	case StepStored:
		return fmt.Sprintf("  stored        %5d ms   the receipt came back by another route\n", s.Millis)
	case StepRead:
		return fmt.Sprintf("%s reads %q from %s (%s)\n", s.User, s.Text, s.From, s.Trust)
	case StepAcknowledged:
		return fmt.Sprintf("  acknowledged  %5d ms   her program told the sender's\n", s.Millis)
	case StepReply:
		return fmt.Sprintf("%s reads the answer %q from %s (%s)\n", s.User, s.Text, s.From, s.Trust)
	case StepGateway:
		return fmt.Sprintf("  %s carried %d packets from cell to cell\n", s.Domain, s.Packets)
	case StepKnowledge:
		return knowledgeText(s.Found)
	case StepAccident:
		return fmt.Sprintf("  %s%s: %s\n", s.Domain, s.User, s.Problem)
	case StepRotated:
		return fmt.Sprintf("  %s: another key: %s\n", s.Domain, s.Text)
	case StepTally:
		return s.Tally.text()
	case StepLogs:
		return logsText(s.Found)
	case StepDeaths:
		return deathsText(*s.Deaths, s.Millis)
	case StepMatched:
		return s.Match.text()
	case StepDisturbed:
		return fmt.Sprintf("the demonstration came to no good end: %s\n", s.Problem)
	case StepNodeEnded:
		return fmt.Sprintf("%s has ended (%s); the others go on\n", s.Domain, s.Problem)
	default:
		return string(s.Step) + "\n"
	}
}

func nodesText(s Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes serve and know each other:\n", len(s.Nodes))
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "  %s  process %d  link %s  key server %s\n", n.Domain, n.PID, n.Link, n.KeyServer)
	}
	return b.String()
}

func knowledgeText(found []Found) string {
	var b strings.Builder
	b.WriteString("who knew what: each node's folder, log and counters, searched for both names, the\nmessage's id and text, and the users' addresses:\n")
	for _, f := range found {
		fmt.Fprintf(&b, "  %s  %d files, %d bytes: %s\n", f.Domain, f.Files, f.Bytes, f.words())
	}
	return b.String()
}

func deathsText(d DeathPath, millis int64) string {
	return fmt.Sprintf("%-24s %2d deaths after a write, %2d before one (%.1f s): %s\n",
		d.Path, d.Deaths[after], d.Deaths[before], float64(millis)/1000, d.Outcome)
}
