package report

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The files of a folder, beside those of figures.
const (
	StudyFile    = "study.toml"
	MessagesFile = "messages.csv"
	SummaryFile  = "summary.csv"
	PageFile     = "report.html"
	ManifestFile = "manifest.json"

	partsFolder   = "parts"
	figuresFolder = "figures"
)

var (
	// ErrUsed says that a folder holds something.
	ErrUsed = errors.New("report: the folder holds something already")
	// ErrOther says that a folder is of another study.
	ErrOther = errors.New("report: the folder is of another study")
)

// A Folder is where results are written. Each file is written whole, or not at all.
type Folder struct{ dir string }

// Create makes a folder for a study, given as the text of it. A folder that is there must be empty (else the error is ErrUsed), unless what is in
// it is to be gone on with: then it must be of the same study (else it is ErrOther).
func Create(dir string, study []byte, resume bool) (*Folder, error) {
	f := &Folder{dir}
	there, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case len(there) > 0 && !resume:
		return nil, ErrUsed
	case len(there) > 0 && !f.isOf(study):
		return nil, ErrOther
	}
	for _, sub := range []string{partsFolder, figuresFolder} {
		if err := os.MkdirAll(f.path(sub), 0o755); err != nil {
			return nil, err
		}
	}
	return f, f.Write(StudyFile, study)
}

func (f *Folder) isOf(study []byte) bool {
	old, err := os.ReadFile(f.path(StudyFile))
	return err == nil && bytes.Equal(old, study)
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, name) }

// Write puts a file into the folder.
func (f *Folder) Write(name string, content []byte) (err error) {
	temp, err := os.CreateTemp(f.dir, ".writing-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(content); err == nil {
		err = errors.Join(temp.Chmod(0o644), temp.Sync())
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), f.path(name))
}

var partName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Keep writes the outcome of one world. Its name is lower case letters, digits and hyphens.
func (f *Folder) Keep(part string, content []byte) error {
	if !partName.MatchString(part) {
		return fmt.Errorf("report: %q is no name of a part", part)
	}
	return f.Write(filepath.Join(partsFolder, part+".json"), content)
}

// Part returns the outcome of one world; false if it is not there.
func (f *Folder) Part(part string) ([]byte, bool) {
	content, err := os.ReadFile(f.path(filepath.Join(partsFolder, part+".json")))
	return content, err == nil
}
