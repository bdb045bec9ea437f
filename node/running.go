package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Running is what a node that serves leaves in its folder for others on this machine.
type Running struct {
	PID       int    `json:"pid"`
	Link      string `json:"link"`
	KeyServer string `json:"keyserver"`
	Control   string `json:"control"` // path of the operator's socket
	Metrics   string `json:"metrics,omitempty"`
	DNS       string `json:"dns,omitempty"`   // where it serves its own zone; empty: nowhere
	Swaps     bool   `json:"swaps,omitempty"` // its memory may be written to the swap space
}

const runningFile = "run.json"

// ReadRunning returns where the node in dir serves; an error if it does not.
func ReadRunning(dir string) (Running, error) {
	raw, err := os.ReadFile(filepath.Join(dir, runningFile))
	if err != nil {
		return Running{}, fmt.Errorf("node: is it running? %w", err)
	}
	var r Running
	if err := json.Unmarshal(raw, &r); err != nil {
		return Running{}, fmt.Errorf("node: %s: %w", runningFile, err)
	}
	return r, nil
}

// ForgetRunning removes what a node that was killed said of where it serves. Nobody else may
// run in dir.
func ForgetRunning(dir string) error {
	if err := os.Remove(filepath.Join(dir, runningFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}
