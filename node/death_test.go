package node

import (
	"testing"
	"time"

	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/pki"
)

// Nobody outside of a lab can have a node die: not by its configuration, and not over its
// socket.
func TestDoomOutsideALab(t *testing.T) {
	dir := t.TempDir() + "/a"
	_, err := Init(dir, DefaultConfig(parse(t, pki.ParseDomain, "a.test")), time.Now(), nil)
	must(t, err)
	n, err := Open(t.Context(), dir, Options{Dial: dial.Direct(), Public: dial.Public()})
	must(t, err)
	defer n.Close()
	_, err = n.Doom(Death{AfterWrite: 1})
	wantErr(t, err, ErrInput)
	_, err = n.Writes()
	wantErr(t, err, ErrInput)

	c := DefaultConfig(parse(t, pki.ParseDomain, "b.test"))
	c.Lab.AfterWrite = 1
	_, err = Init(t.TempDir()+"/b", c, time.Now(), nil)
	wantText(t, err, "want lab.enabled = true")
}

// In a lab the writes are counted, and a death that was taken back does not come.
func TestDoomInALab(t *testing.T) {
	m := newMesh(t, "a.test")
	c, err := NewControl(m.nodes["a.test"].dir)
	must(t, err)
	writes := func() Writes {
		w, err := c.Writes(t.Context())
		must(t, err)
		return w
	}
	for _, d := range []Death{{AfterWrite: 1000}, {BeforeWrite: 1000}, {}} {
		before := writes()
		at, err := c.Doom(t.Context(), d)
		must(t, err)
		if after := writes(); at.Count < before.Count || at.Count > after.Count { // the node goes on
			t.Errorf("%v writes, and there were %v and %v", at, before, after)
		}
	}
	before := writes()
	m.user("ann@a.test")
	if after, err := c.Writes(t.Context()); err != nil || after.Count <= before.Count {
		t.Errorf("%v writes and %v after a registration: %v", before, after, err)
	}
	must(t, m.nodes["a.test"].end())
}

// A write that has begun and is not durable yet is told.
func TestWritesUnderWay(t *testing.T) {
	n := &Node{mortal: newMortal(Death{})}
	c := n.mortal.watch(store.Config{})
	for _, step := range []struct {
		does func(uint64)
		n    uint64
		want Writes
	}{
		{c.Writing, 1, Writes{Begun: 1}},
		{c.Durable, 1, Writes{Count: 1, Begun: 1}},
		{c.Writing, 2, Writes{Count: 1, Begun: 2}},
	} {
		step.does(step.n)
		if got, err := n.Writes(); got != step.want || err != nil {
			t.Errorf("%+v, %v, not %+v", got, err, step.want)
		}
	}
}

// The configuration says everything of a death, and reads it again.
func TestDeathInTheConfig(t *testing.T) {
	c := labConfig(parse(t, pki.ParseDomain, "a.test"), "127.0.0.1:53")
	c.Lab.Death = Death{AfterWrite: 3, BeforeWrite: 7}
	again, err := parseConfig(c.Text())
	must(t, err)
	if again.Lab.Death != c.Lab.Death {
		t.Errorf("%+v was written, %+v was read", c.Lab.Death, again.Lab.Death)
	}
}
