package agent

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// outgoingUnderCover is a text whose first copy was taken by a home with cover.
func outgoingUnderCover(t *testing.T, now time.Time) mor.Outgoing {
	t.Helper()
	var route mor.Route
	for _, name := range []string{"a.test", "b.test", "c.test", "d.test"} {
		domain, err := pki.ParseDomain(name)
		if err != nil {
			t.Fatal(err)
		}
		route = append(route, domain)
	}
	surb := onion.SURBID{7}
	return mor.Outgoing{
		State: mor.Sent, Created: now, Wait: time.Minute, Next: now.Add(50 * time.Second), Attempts: 1, Copies: 1, Last: route,
		Waiting: []mor.Waiting{{ID: surb, Keys: []byte{1}, Relays: route[1:3]}},
		Made:    []mor.Copy{{At: now, There: route, Back: route[1:3], Inner: onion.InnerID{1, 2, 3}, SURB: surb}},
	}
}

// What is kept of a text on its way says all that a Sender needs of it: when the next copy is due, too, and over which reply block
// the receipt of which copy is to come.
func TestOutboxKeepsWaysAndPatience(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	o := outgoingUnderCover(t, now)
	to, err := pki.ParseName("bob@d.test")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(record(kindText, to, o))
	if err != nil {
		t.Fatal(err)
	}
	var r outgoing
	if err := strictjson.Unmarshal(raw, &r); err != nil {
		t.Fatal(err, string(raw))
	}
	if r.due(now) || r.due(now.Add(49*time.Second)) || !r.due(now.Add(50*time.Second)) {
		t.Error("a copy is not due when its time has come")
	}
	got := r.outgoing(o.ID, nil)
	if !reflect.DeepEqual(got.Made, o.Made) || !reflect.DeepEqual(got.Waiting, o.Waiting) || got.Wait != o.Wait {
		t.Errorf("%+v, want %+v", got, o)
	}
	if acks := record(kindAck, to, o); len(acks.Made) > 0 {
		t.Error("the ways of acknowledgements are kept")
	}
}

// A trace of a text names each server of its way once, and what is kept of its copies names no reply block.
func TestTraceOfACopy(t *testing.T) {
	o := outgoingUnderCover(t, time.Now())
	raw, err := json.Marshal(copiesOf(o))
	if err != nil || strings.Contains(string(raw), "surb") || !strings.Contains(string(raw), `"packet":"0102030000000000"`) {
		t.Errorf("%s, %v", raw, err)
	}
	var roles []Role
	for i, s := range serversOf(o.Last) {
		if roles = append(roles, s.Role); s.Domain != o.Last[i] || s.Knows == "" || s.Not == "" {
			t.Errorf("%+v", s)
		}
	}
	if !reflect.DeepEqual(roles, []Role{RoleEntry, RoleFirst, RoleRelay, RoleMailbox}) {
		t.Error(roles)
	}
}
