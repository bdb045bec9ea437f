package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/pki"
)

// profilesFolder holds the folders of profiles, in the folder of the user's first.
const profilesFolder = "profiles"

// Profile returns the folder of a profile of that name in the folder home: another identity,
// with a store, a passphrase and a link of its own. An error if the name is none: a profile is
// called as the part of a name before the @.
func Profile(home, name string) (string, error) {
	if _, err := pki.ParseName(name + "@a.test"); err != nil {
		return "", fmt.Errorf("%.40q is not the name of a profile: want a-z, 0-9, dot, _ and -", name)
	}
	return filepath.Join(home, profilesFolder, name), nil
}

// Profiles returns the folders of all profiles in the folder home.
func Profiles(home string) (folders []string, err error) {
	entries, err := os.ReadDir(filepath.Join(home, profilesFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("agent: looking for profiles: %w", err)
	}
	for _, e := range entries {
		folders = append(folders, filepath.Join(home, profilesFolder, e.Name()))
	}
	return folders, nil
}

// Wipe destroys the folder of a user as vault.Destroy says, and with all those of her profiles
// in it, too. It returns which it has destroyed: none if there was nothing. It asks for no
// passphrase.
func Wipe(home string, all bool) (wiped []string, err error) {
	folders := []string{home}
	if all {
		profiles, err := Profiles(home)
		if err != nil {
			return nil, err
		}
		folders = append(profiles, home) // the last has the others in it
	}
	for i, folder := range folders {
		if i == len(folders)-1 {
			_ = os.Remove(filepath.Join(home, profilesFolder)) // if nothing is left in it
		}
		switch failed := vault.Destroy(folder); {
		case failed == nil:
			wiped = append(wiped, folder)
		case !errors.Is(failed, fs.ErrNotExist):
			err = errors.Join(err, failed)
		}
	}
	if all {
		_ = os.Remove(home) // if there were but profiles in it
	}
	return wiped, err
}

// Swaps returns why the key to the folder may be written to the swap space; nil if it is not.
func (a *Agent) Swaps() error { return a.vault.Swaps() }
