package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/pki"
)

// The names of what is in a node's folder.
const (
	keysFolder   = "keys"
	databaseFile = "node.db"
)

// RecordTTL is the time to live of the TXT record in seconds: an hour.
const RecordTTL = 3600

// ErrExists is returned by Init for a folder that holds a node already.
var ErrExists = errors.New("node: this folder holds a node already")

// Init makes the folder of a new node: keys and configuration. It never touches a folder
// that holds a node, and finishes one that an earlier Init did not. A folder whose node has
// lost its keys but not its database is ErrNoAuthority: other keys would be another domain.
//
// A new authority commits itself to what its operator takes away: keep is given that before
// the authority is written, and writes it elsewhere. Without keep it commits to nothing.
func Init(dir string, c Config, now time.Time, keep func(Offline) error) (*pki.Authority, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	config := filepath.Join(dir, ConfigFile)
	if _, err := os.Stat(config); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(ErrExists, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("node: making the folder: %w", err)
	}
	keys := keyring{filepath.Join(dir, keysFolder)}
	authority, err := keys.authority()
	if errors.Is(err, ErrNoAuthority) {
		if _, lost := os.Lstat(filepath.Join(dir, databaseFile)); !errors.Is(lost, fs.ErrNotExist) {
			return nil, errors.Join(err, lost)
		}
		_, authority, err = createKeyring(keys.dir, c.Domain, now, keep)
	}
	if err != nil {
		return nil, err
	}
	if authority.Domain() != c.Domain {
		return nil, fmt.Errorf("%w: that of %s", ErrExists, authority.Domain())
	}
	return authority, writeFile(config, []byte(c.Text())) // last: it says that the folder is whole
}

// Record is the TXT record that the domain of a node publishes, from what is on its disk
// and, if any free port is to be listened on, from where it does while it runs.
func Record(dir string) (pki.Domain, dnstxt.Record, error) {
	c, err := ReadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return pki.Domain{}, dnstxt.Record{}, err
	}
	authority, err := keyring{filepath.Join(dir, keysFolder)}.authority()
	if err != nil {
		return pki.Domain{}, dnstxt.Record{}, err
	}
	servers := c.Publish.KeyServers
	if len(servers) == 0 {
		address := keyServerAddress(dir, c)
		if address == "" {
			return pki.Domain{}, dnstxt.Record{}, errors.New("node: publish.keyservers is empty, listen.keyserver is any free port, and the node does not run")
		}
		servers = []string{address}
	}
	return c.Domain, dnstxt.Record{Fingerprint: authority.CA().Fingerprint(), Next: authority.Commitment().Next, KeyServers: servers}, nil
}

// keyServerAddress is where the key server of the node in dir listens; empty if that is not
// known before it does.
func keyServerAddress(dir string, c Config) string {
	if running, err := ReadRunning(dir); err == nil {
		return running.KeyServer
	}
	if at, err := netip.ParseAddrPort(c.Listen.KeyServer); err == nil && at.Port() != 0 {
		return at.String()
	}
	return ""
}
