package node

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/mor"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// ErrNoAuthority is returned for a folder whose node has lost the keys of its domain, or
// never had any. It is an fs.ErrNotExist.
var ErrNoAuthority = errors.New("node: the keys of the domain are missing")

// An ExposedKeyError says that others than the owner may read a file of keys.
type ExposedKeyError struct{ Path string }

func (e *ExposedKeyError) Error() string {
	return fmt.Sprintf("node: %s may be read by others; run: chmod 600 %s", e.Path, e.Path)
}

// A keyring is the folder of a node's private keys: one file each, mode 0600.
//
//	authority        pki.Authority
//	link             seed of the TLS key
//	log              seed of the key that signs the checkpoints of the key log
//	witness          seed of the key that cosigns those of others
//	labels           private key of vrf-r255, 32 bytes, which makes the labels of the key log
//	server-PERIOD    seed of the server key of a 7-day period
//	late-PERIOD-N    the same of one that was replaced within its period, the first N is 1
//	context-NAME     id 16 | key seed 32 | hint 32 | epoch 4, and for each former key
//	                 key seed 32 | hint 32 | epoch 4 | until 8
type keyring struct{ dir string }

const (
	authorityFile = "authority"
	linkFile      = "link"

	// maxLate is how often the server key of one period may be replaced: what was sent to each
	// is still opened.
	maxLate = 8
)

// createKeyring makes the authority and the link key of a new node. keep is as Init says.
func createKeyring(dir string, domain pki.Domain, now time.Time, keep func(Offline) error) (keyring, *pki.Authority, error) {
	k := keyring{dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, nil, fmt.Errorf("node: making the key folder: %w", err)
	}
	authority, err := pki.NewAuthority(rand.Reader, domain, now)
	if err != nil {
		return k, nil, fmt.Errorf("node: making the authority: %w", err)
	}
	if _, err := k.link(); err != nil {
		return k, nil, err
	}
	if _, err := k.logging(); err != nil {
		return k, nil, err
	}
	if authority, err = committed(authority, keep); err != nil {
		return k, nil, err
	}
	return k, authority, k.write(authorityFile, authority.Marshal()) // last: it says that the folder is whole
}

// committed makes what the operator takes away, has it kept, and returns the authority that
// has committed itself to it.
func committed(a *pki.Authority, keep func(Offline) error) (*pki.Authority, error) {
	if keep == nil {
		return a, nil
	}
	o, err := NewOffline(a.Domain(), a.CA().Fingerprint())
	if err != nil {
		return nil, err
	}
	if err := keep(o); err != nil {
		return nil, err
	}
	return a.Commit(o.Next.Fingerprint(), o.Root.Fingerprint())
}

func (k keyring) authority() (*pki.Authority, error) {
	raw, err := k.read(authorityFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoAuthority, err)
	}
	if err != nil {
		return nil, err
	}
	a, err := pki.ParseAuthority(raw)
	if errors.Is(err, pki.ErrEarlier) {
		return nil, fmt.Errorf("%w: this folder is of an earlier version; make another with p3dod init", err)
	}
	return a, err
}

// link returns the TLS key. It is made if it is missing: the authority certifies it at each
// start, and nobody pins it.
func (k keyring) link() (pki.LinkKey, error) {
	raw, err := k.read(linkFile)
	if errors.Is(err, fs.ErrNotExist) {
		return k.newLink()
	}
	if err != nil {
		return pki.LinkKey{}, err
	}
	return pki.ParseLinkKey(raw)
}

func (k keyring) newLink() (pki.LinkKey, error) {
	key, err := pki.NewLinkKey(rand.Reader)
	if err != nil {
		return pki.LinkKey{}, fmt.Errorf("node: making the link key: %w", err)
	}
	return key, k.write(linkFile, key.Seed())
}

// servers returns the server keys of the last period (if it was here then), of this and of
// the next one. Missing ones of this and the next are made; older ones are deleted, and
// with them every chance to open what was sent to them.
func (k keyring) servers(now time.Time) ([]mor.ServerKey, error) {
	current := pki.PeriodAt(now)
	if err := k.deleteServersBefore(current - 1); err != nil {
		return nil, err
	}
	var keys []mor.ServerKey
	for _, period := range []pki.Period{current - 1, current, current + 1} {
		seed, err := k.read(serverFile(period))
		if errors.Is(err, fs.ErrNotExist) {
			if period < current {
				continue
			}
			seed, err = k.newServer(period)
		}
		if err != nil {
			return nil, err
		}
		key, err := onion.ParseServerPrivateKey(seed)
		if err != nil {
			return nil, fmt.Errorf("node: server key of period %d: %w", period, err)
		}
		keys = append(keys, mor.ServerKey{Period: period, Private: key})
	}
	return keys, nil
}

func (k keyring) newServer(period pki.Period) ([]byte, error) {
	key, err := onion.NewServerKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("node: making a server key: %w", err)
	}
	return key.Seed(), k.write(serverFile(period), key.Seed())
}

func (k keyring) deleteServersBefore(oldest pki.Period) error {
	files, err := filepath.Glob(filepath.Join(k.dir, "*-*"))
	if err != nil {
		return fmt.Errorf("node: listing server keys: %w", err)
	}
	for _, file := range files {
		period, ok := periodOf(filepath.Base(file))
		if !ok || period >= oldest {
			continue
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("node: deleting an old server key: %w", err)
		}
	}
	return nil
}

func serverFile(period pki.Period) string { return fmt.Sprintf("server-%d", period) }

func lateFile(period pki.Period, number int) string { return fmt.Sprintf("late-%d-%d", period, number) }

// periodOf is the period of a file with a server key.
func periodOf(name string) (period pki.Period, ok bool) {
	if _, err := fmt.Sscanf(name, "server-%d", &period); err == nil {
		return period, name == serverFile(period)
	}
	var number int
	_, err := fmt.Sscanf(name, "late-%d-%d", &period, &number)
	return period, err == nil && name == lateFile(period, number)
}

// openers are all keys by which inner layers are opened: those of servers, and those that
// were replaced within their period.
func (k keyring) openers(now time.Time) ([]mor.ServerKey, error) {
	keys, err := k.servers(now)
	if err != nil {
		return nil, err
	}
	known := make(map[onion.ServerID]bool)
	for _, key := range keys {
		known[key.Private.Public().ID()] = true
	}
	current := pki.PeriodAt(now)
	for _, period := range []pki.Period{current - 1, current, current + 1} {
		for number := range maxLate {
			seed, err := k.read(lateFile(period, number+1))
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return nil, err
			}
			key, err := onion.ParseServerPrivateKey(seed)
			if err != nil {
				return nil, fmt.Errorf("node: a replaced server key of period %d: %w", period, err)
			}
			if id := key.Public().ID(); !known[id] { // else it was about to be replaced
				known[id], keys = true, append(keys, mor.ServerKey{Period: period, Private: key})
			}
		}
	}
	return keys, nil
}

// replaceServer makes another server key for the present period. The one that it replaces
// opens what is late until the end of the next period.
func (k keyring) replaceServer(now time.Time) error {
	period := pki.PeriodAt(now)
	old, err := k.read(serverFile(period))
	if err != nil {
		return err
	}
	for number := range maxLate {
		late, err := k.read(lateFile(period, number+1))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := k.write(lateFile(period, number+1), old); err != nil {
				return err
			}
		case err != nil:
			return err
		case subtle.ConstantTimeCompare(late, old) == 0: // else an earlier try ended here
			continue
		}
		_, err = k.newServer(period)
		return err
	}
	return fmt.Errorf("%w: the server key of this week was replaced %d times already; the next one is in use from %s on",
		ErrInput, maxLate, period.End().Format(time.DateOnly))
}

func (k keyring) read(name string) ([]byte, error) {
	path := filepath.Join(k.dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("node: reading a key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, &ExposedKeyError{path}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("node: reading a key: %w", err)
	}
	return raw, nil
}

func (k keyring) write(name string, secret []byte) error {
	return writeFile(filepath.Join(k.dir, name), secret)
}

// writeFile replaces a file so that a crash leaves the old one or the new one: written
// beside it, synced, renamed, and the folder synced.
func writeFile(path string, content []byte) error {
	beside := path + ".new"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a crash, with whatever mode
		return fmt.Errorf("node: writing: %w", err)
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("node: writing: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(beside, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("node: writing %s: %w", path, err)
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
