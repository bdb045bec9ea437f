package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"time"
)

// A Manifest says how results came about, so that they can be had again.
type Manifest struct {
	Program string            `json:"program"`
	Version string            `json:"version"`
	Commit  string            `json:"commit,omitempty"`   // of the program
	Changed bool              `json:"modified,omitempty"` // the program was built from something else than that commit
	Go      string            `json:"go"`
	Study   string            `json:"study_sha256"`
	Seeds   []uint64          `json:"seeds"`
	Points  []json.RawMessage `json:"points"`        // the whole scenario of each
	Trace   string            `json:"trace_sha256"`  // of the traces of all worlds, in the order of points and seeds
	Inputs  map[string]string `json:"inputs_sha256"` // of files that were read
	Files   map[string]string `json:"files_sha256"`  // of those that were written
	Run     Circumstances     `json:"run"`
}

// Circumstances is what is different each time.
type Circumstances struct {
	Began  time.Time     `json:"began"`
	Wall   time.Duration `json:"wall_ns"`
	CPU    time.Duration `json:"cpu_ns"`
	System string        `json:"system"` // and architecture
	CPUs   int           `json:"cpus"`
	Events uint64        `json:"events"`
}

// NewManifest begins one with what the program knows of itself.
func NewManifest(program string, study []byte) Manifest {
	m := Manifest{
		Program: program, Version: "unknown", Go: runtime.Version(), Study: digest(study),
		Inputs: map[string]string{}, Files: map[string]string{},
		Run: Circumstances{System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	m.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			m.Commit = s.Value
		case "vcs.modified":
			m.Changed = s.Value == "true"
		}
	}
	return m
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
