package node

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// A node says in its status how many layers a second its machine takes off.
func TestSelfCheck(t *testing.T) {
	m := newMesh(t)
	m.add("a.test", nil).start()
	m.selfChecked("a.test")
}

func (m *mesh) selfChecked(domain string) {
	m.t.Helper()
	m.until("the self-check to be done", func() error {
		if p := m.status(domain).Peels; p == nil || p.Outer <= 0 || p.Inner <= 0 || p.OuterAtAll <= 0 || p.InnerAtAll <= 0 || p.Processors < 1 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

// A layer that does not open is no speed.
func TestSelfCheckFails(t *testing.T) {
	b, err := newPeelBench(time.Now())
	must(t, err)
	b.hint[0] ^= 1
	if _, err := rate(2, b.outer); err == nil {
		t.Error("a packet of another hint was opened")
	}
	wrong := errors.New("wrong")
	if n, err := rate(1, func() error { return wrong }); n != 0 || !errors.Is(err, wrong) {
		t.Error(n, err)
	}
}
