package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
	"github.com/p3do/p3do/pki"
)

const (
	// publishAgain is how long the record in our name server is left alone when it was right.
	publishAgain = time.Hour
	// publishLater is how long a server is left alone that did not take it.
	publishLater = time.Minute
	// publishMost bounds one update: a few exchanges.
	publishMost = time.Minute
)

// ErrNoUpdate: neither the configuration nor the caller says which server to update.
var ErrNoUpdate = errors.New("node: no name server to publish at")

// DNSUpdate says which name server the domain's record is put into (RFC 2136), and with which
// key. Without a server nothing is.
type DNSUpdate struct {
	Server   string `toml:"server"`    // IP:PORT of the primary server
	TSIGFile string `toml:"tsig_file"` // as tsig-keygen or keymgr -t writes it; relative to the folder
	Zone     string `toml:"zone"`      // that holds the record; empty: the server is asked
	TTL      uint32 `toml:"ttl"`       // seconds; 0: RecordTTL
}

// maxTTL is the most seconds that a record may be remembered: a week.
const maxTTL = 7 * 24 * 3600

func (u DNSUpdate) faults() (faults []error) {
	if u == (DNSUpdate{}) {
		return nil
	}
	if at, err := netip.ParseAddrPort(u.Server); err != nil || at.Port() == 0 {
		faults = append(faults, fmt.Errorf("dns.update.server: %q: want an IP address and a port, such as 192.0.2.1:53: a name would have to be looked up", u.Server))
	}
	if u.TSIGFile == "" {
		faults = append(faults, errors.New("dns.update.tsig_file is missing"))
	}
	if u.Zone != "" {
		if _, err := pki.ParseDomain("x." + u.Zone); err != nil { // a zone may be one label
			faults = append(faults, fmt.Errorf("zone of dns.update: %q is no domain name in lower case without a final dot", u.Zone))
		}
	}
	if u.TTL > maxTTL {
		faults = append(faults, fmt.Errorf("dns.update.ttl is %d, more than %d", u.TTL, maxTTL))
	}
	return faults
}

func (u DNSUpdate) text() string {
	if u == (DNSUpdate{}) {
		return ""
	}
	return fmt.Sprintf("\n[dns.update]\nserver = %q\ntsig_file = %q\nzone = %q\nttl = %d\n", u.Server, u.TSIGFile, u.Zone, u.TTL)
}

// or is u with what it leaves out taken from v.
func (u DNSUpdate) or(v DNSUpdate) DNSUpdate {
	if u.Server == "" {
		u.Server = v.Server
	}
	if u.TSIGFile == "" {
		u.TSIGFile = v.TSIGFile
	}
	if u.Zone == "" {
		u.Zone = v.Zone
	}
	if u.TTL == 0 {
		u.TTL = v.TTL
	}
	return u
}

// updater reads the key: from a file that is for its owner only, an [ExposedKeyError] if not.
func (u DNSUpdate) updater(dir string, door dial.Func) (dnstxt.Updater, error) {
	path := u.TSIGFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return dnstxt.Updater{}, fmt.Errorf("node: the TSIG key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return dnstxt.Updater{}, &ExposedKeyError{path}
	}
	if !info.Mode().IsRegular() || info.Size() > dnstxt.MaxKeyFile {
		return dnstxt.Updater{}, fmt.Errorf("%w: %s: want a file of at most %d bytes", dnstxt.ErrKeyFile, path, dnstxt.MaxKeyFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return dnstxt.Updater{}, fmt.Errorf("node: the TSIG key: %w", err)
	}
	key, err := dnstxt.ParseTSIGKey(string(raw))
	if err != nil {
		return dnstxt.Updater{}, fmt.Errorf("%w: %s", err, path)
	}
	return dnstxt.Updater{Server: u.Server, Zone: u.Zone, Key: key, Dial: door}, nil
}

// PublishRecord puts the record of the node in dir, as [Record] tells it, into the zone that a
// name server holds. What u leaves out is taken from the configuration.
// Errors: ErrNoUpdate, those of [dnstxt.Updater], of the key file and of Record.
func PublishRecord(ctx context.Context, dir string, u DNSUpdate, door dial.Func) (dnstxt.Published, error) {
	domain, record, err := Record(dir)
	if err != nil {
		return dnstxt.Published{}, err
	}
	cfg, err := ReadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return dnstxt.Published{}, err
	}
	if u.TSIGFile != "" { // which the caller gives, and not the configuration: it is not in the folder
		if u.TSIGFile, err = filepath.Abs(u.TSIGFile); err != nil {
			return dnstxt.Published{}, err
		}
	}
	u = u.or(cfg.DNS.Update)
	if u.Server == "" || u.TSIGFile == "" {
		return dnstxt.Published{}, ErrNoUpdate
	}
	if err := errors.Join(u.faults()...); err != nil {
		return dnstxt.Published{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	updater, err := u.updater(dir, door)
	if err != nil {
		return dnstxt.Published{}, err
	}
	if u.TTL == 0 {
		u.TTL = RecordTTL
	}
	return updater.Publish(ctx, domain, record, u.TTL)
}

// A publisher keeps the record in our name server what it should be, without the operator.
type publisher struct {
	served atomic.Pointer[dnstxt.Nameserver] // the server of our own zone; nil: there is none

	n    *Node
	wake chan struct{} // has room for one: the record is another
}

// soon has the record published now.
func (p *publisher) soon() { offer(p.wake, struct{}{}) }

// run publishes at the start, when the record is another, and again and again, for somebody
// may edit the zone by hand.
func (p *publisher) run(ctx context.Context) error {
	if p.n.cfg.DNS.Update == (DNSUpdate{}) {
		return nil
	}
	said := ""
	for ctx.Err() == nil {
		pause, now := publishAgain, ""
		done, err := p.publish(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			pause, now = publishLater, err.Error()
			if now != said { // once for each reason
				p.n.log.Error("publishing the record in DNS", "server", p.n.cfg.DNS.Update.Server, "err", err)
			}
		case done.Changed:
			p.n.log.Info("published the record in DNS", "server", p.n.cfg.DNS.Update.Server, "zone", done.Zone, "ttl", strconv.Itoa(int(done.TTL)))
		}
		said = now
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.wake:
		}
		timer.Stop()
	}
	return nil
}

func (p *publisher) publish(ctx context.Context) (dnstxt.Published, error) {
	ctx, cancel := context.WithTimeout(ctx, publishMost)
	defer cancel()
	return PublishRecord(ctx, p.n.dir, DNSUpdate{}, p.n.dial)
}
