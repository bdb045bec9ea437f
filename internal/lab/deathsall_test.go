package lab

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/p3do/p3do/internal/dial"
)

// Programs and servers are killed right after each of their durable writes, and started again:
// nothing is lost, nothing comes twice. The other half, right before each write, is
// p3dod lab --once --scenario deaths.
func TestDeaths(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "p3dod")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/p3dod").CombinedOutput(); err != nil {
		t.Fatalf("building p3dod: %v\n%s", err, out)
	}
	s, _ := FindScenario(deathsAfterName)
	var came []DeathPath
	err := Run(t.Context(), Config{
		Dir: filepath.Join(t.TempDir(), "lab"), Nodes: s.Nodes, Loss: s.Loss, Delay: s.Delay, Messages: s.Messages,
		Once: true, Scenario: s.Name, Program: program, Dial: dial.Direct(),
		Report: func(step Step) {
			if step.Deaths != nil {
				t.Logf("%s, %d ms: %v, %s", step.Deaths.Path, step.Millis, step.Deaths.Deaths, step.Deaths.Outcome)
				came = append(came, *step.Deaths)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range new(mortality).paths() {
		if c := came[i]; c.Path != path.name || c.Outcome != path.outcome || c.Deaths[after] < path.least {
			t.Errorf("%s: %+v", path.name, c)
		}
	}
}
