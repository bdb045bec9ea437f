package mor_test

import (
	"testing"
	"time"
)

// Where packets wait on their way, copies do, too: as long as the sender is told, up to ten minutes.
func TestPatience(t *testing.T) {
	for patience, want := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Second: 5 * time.Second, time.Minute: time.Minute, time.Hour: 10 * time.Minute} {
		p := newPost("a", "b", "c", "d", "e")
		p.cfg.Patience = patience
		p.restart()
		out, _, err := p.Send(start, letterTo(p.bob("b")))
		if err != nil {
			t.Fatal(err)
		}
		out = p.Submitted(start, out.Submit[0].Message, nil)
		o := out.Save[0]
		if wait := o.Next.Sub(start); wait < want/2 || wait > want*3/2 || !out.Wake.Equal(o.Next) {
			t.Errorf("patience %s: the next copy in %s", patience, wait)
		}
		if o.Due(start.Add(want/2-1)) || !o.Due(start.Add(want*3/2)) {
			t.Errorf("patience %s: due in %s", patience, o.Next.Sub(start))
		}
	}
}
