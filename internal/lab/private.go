package lab

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/p3do/p3do/mor"
)

// Private is what a user of a scenario tells the lab so that it can be searched for in all
// logs, and not found.
type Private struct {
	Fingerprint []byte   `json:"fingerprint,omitempty"` // of the identity key
	Addresses   []string `json:"addresses,omitempty"`   // from which she connected, host:port
	IDs         []string `json:"ids,omitempty"`         // of messages, as mor.MessageID writes them
}

// traces are the forms in which it might be in a log; who is whose it is.
func (p Private) traces(who string) []trace {
	var traces []trace
	if p.Fingerprint != nil {
		traces = append(traces, logTrace("the fingerprint of "+who, p.Fingerprint))
	}
	for _, address := range p.Addresses {
		traces = append(traces, textTrace("the network address of "+who, address))
	}
	for _, id := range p.IDs {
		if raw, err := mor.ParseMessageID(id); err == nil {
			traces = append(traces, logTrace("the id of a message", raw[:]))
		}
	}
	return traces
}

// nameTraces are a user's name and the part of it that is hers alone.
func nameTraces(name string) []trace {
	local, _, _ := strings.Cut(name, "@")
	return []trace{textTrace("the name "+name, name), textTrace("the name "+local, local)}
}

// logTrace is a trace of bytes in all forms that a log might show them in: those of
// bytesTrace, hexadecimal, and as Go prints slices, arrays and strings.
func logTrace(what string, raw []byte) trace {
	t := bytesTrace(what, raw)
	decimal := strings.Trim(fmt.Sprint(raw), "[]")
	source := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}")
	for _, form := range []string{
		fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprintf("% x", raw), fmt.Sprintf("% X", raw),
		decimal, strings.ReplaceAll(decimal, " ", ", "), strings.ReplaceAll(decimal, " ", ","), source,
		strings.Trim(strconv.Quote(string(raw)), `"`),
	} {
		t.forms = append(t.forms, []byte(form))
	}
	return t
}
