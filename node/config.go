package node

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/pki"
)

// ConfigFile is the name of the configuration in a node's folder.
const ConfigFile = "p3dod.toml"

// A Config is what an operator decides. Keys that it does not know are refused.
type Config struct {
	Domain       pki.Domain   `toml:"domain"`
	Registration Registration `toml:"registration"`
	Cover        Profile      `toml:"cover"`
	Listen       Listen       `toml:"listen"`
	Publish      Publish      `toml:"publish"`
	Network      Network      `toml:"network"`
	DNS          DNS          `toml:"dns"`
	Routing      Routing      `toml:"routing"`
	Lab          Lab          `toml:"lab"`
}

// A Registration says who may register a name.
type Registration string

// The kinds of registration.
const (
	RegistrationOpen   Registration = "open"   // whoever asks first
	RegistrationClosed Registration = "closed" // nobody new
)

// Listen holds the addresses to listen on, host:port; port 0 is any free one.
type Listen struct {
	Link      string `toml:"link"`
	KeyServer string `toml:"keyserver"`
	Metrics   string `toml:"metrics"` // of this machine only; empty: nowhere
}

// Publish holds the addresses that others connect to; empty: the ones listened on, which
// must not be all of the machine's then.
type Publish struct {
	Links      []string `toml:"links"`
	KeyServers []string `toml:"keyservers"`
}

// Network says where the node connects to.
type Network struct {
	Private bool `toml:"private"` // also to this machine and private networks, if another domain names them
}

// DNS says which resolver the node asks, for itself and for its users, and which keys it verifies
// the answers from.
type DNS struct {
	Server  string    `toml:"server"`  // as [dnstxt.ParseServer] reads it
	Anchors string    `toml:"anchors"` // a file, in the node's folder if it is no absolute path; "": the keys of the root of DNS
	Update  DNSUpdate `toml:"update"`  // where the node keeps its domain's record itself

	Serve       string   `toml:"serve"`       // IP:port where the node serves the zone _p3do.DOMAIN; empty: nowhere
	Nameservers []string `toml:"nameservers"` // the names of the servers of that zone
}

// Routing is what an operator may choose of the router.
type Routing struct {
	ExtraHops int  `toml:"extra_hops"` // contexts added before the last of a leg, 0 to 3
	FloodAll  bool `toml:"flood_all"`  // packets go whole over all links, and not over a tree of them
}

// Lab makes the node's links bad on purpose, or has it die. It is refused unless the node
// listens on loopback addresses only.
type Lab struct {
	Enabled bool     `toml:"enabled"`
	Loss    float64  `toml:"loss"`  // probability that a packet slot is lost, 0 to 1
	Delay   Duration `toml:"delay"` // by which each is late
	Seed    uint64   `toml:"seed"`

	ViewPace Duration `toml:"view_pace"` // least time between two views of ours; 0: as elsewhere
	Watch    Duration `toml:"watch"`     // between two looks at the record of each domain; 0: as elsewhere
	Certify  Duration `toml:"certify"`   // how long what we sign for users is good; 0: as elsewhere
	Trace    bool     `toml:"trace"`     // remember what became of which packet, in memory

	Death // writes are counted from the start of the node
}

// A Duration is a time.Duration written as "50ms".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// DefaultConfig is the configuration that a new node of domain begins with.
func DefaultConfig(domain pki.Domain) Config {
	return Config{
		Domain: domain, Registration: RegistrationClosed, Cover: ProfileOff,
		Listen:  Listen{Link: "0.0.0.0:4404", KeyServer: "0.0.0.0:4405"},
		Publish: Publish{Links: []string{domain.String() + ":4404"}, KeyServers: []string{domain.String() + ":4405"}},
		DNS:     DNS{Server: "127.0.0.1:53"},
		Routing: Routing{ExtraHops: 1},
	}
}

// ErrConfig is returned for a configuration with faults, or one of another domain than the
// keys.
var ErrConfig = errors.New("node: bad configuration")

// ReadConfig reads a configuration file. All its faults are in the error, an ErrConfig.
func ReadConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("node: reading the configuration: %w", err)
	}
	c, err := parseConfig(string(raw))
	if err == nil {
		_, err = c.DNS.resolver(filepath.Dir(path), nil)
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	return c, nil
}

func parseConfig(text string) (Config, error) {
	var c Config
	meta, err := toml.Decode(text, &c)
	if err != nil {
		return Config{}, err
	}
	if len(c.DNS.Nameservers) == 0 {
		c.DNS.Nameservers = nil // which [] is, too
	}
	faults := c.validate()
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		names := make([]string, len(unknown))
		for i, key := range unknown {
			names[i] = key.String()
		}
		faults = errors.Join(fmt.Errorf("unknown keys: %s", strings.Join(names, ", ")), faults)
	}
	if faults != nil {
		return Config{}, faults
	}
	return c, nil
}

func (c Config) validate() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.Domain.IsZero(), "domain is missing")
	fault(c.Registration != RegistrationOpen && c.Registration != RegistrationClosed, `registration is %q, not "open" or "closed"`, c.Registration)
	fault(!c.Cover.valid(), `cover is %q, not "off", "low" or "high"`, c.Cover)
	for _, address := range []string{c.Listen.Link, c.Listen.KeyServer} {
		fault(!isAddress(address), "%q is not host:port", address)
	}
	if _, err := dnstxt.ParseServer(c.DNS.Server); err != nil {
		faults = append(faults, fmt.Errorf("dns.server: %w", err))
	}
	for _, address := range slices.Concat(c.Publish.Links, c.Publish.KeyServers) {
		if err := pki.CheckEndpoint(address); err != nil {
			faults = append(faults, err)
		}
		fault(Everywhere(address), "%q, which is to be published, is no address that others can connect to", address)
	}
	faults = append(append(faults, c.DNS.Update.faults()...), c.DNS.zoneFaults()...)
	faults = append(faults, c.Listen.metricsFault())
	faults = append(faults, c.unpublished("link", c.Listen.Link, c.Publish.Links), c.unpublished("keyserver", c.Listen.KeyServer, c.Publish.KeyServers))
	fault(len(c.Publish.Links) > pki.MaxLinks, "publish.links has %d addresses, at most %d", len(c.Publish.Links), pki.MaxLinks)
	fault(len(c.Publish.KeyServers) > pki.MaxKeyServers, "publish.keyservers has %d addresses, at most %d", len(c.Publish.KeyServers), pki.MaxKeyServers)
	fault(c.Routing.ExtraHops < 0 || c.Routing.ExtraHops > 3, "extra_hops is %d, not 0 to 3", c.Routing.ExtraHops)
	fault(!(c.Lab.Loss >= 0 && c.Lab.Loss <= 1), "lab.loss is %g, not 0 to 1", c.Lab.Loss)
	fault(c.Lab.Delay < 0 || c.Lab.Delay > Duration(time.Minute), "lab.delay is not 0 to 1m")
	fault(c.Lab.Seed > math.MaxInt64, "lab.seed is too great")
	bad := c.Lab.Loss > 0 || c.Lab.Delay > 0
	fault(bad && !c.Lab.Enabled, "lab.loss and lab.delay are for a lab: they want lab.enabled = true")
	fault(c.Lab.ViewPace < 0 || c.Lab.Watch < 0, "lab.view_pace or lab.watch is negative")
	fault((c.Lab.ViewPace > 0 || c.Lab.Watch > 0) && !c.Lab.Enabled, "lab.view_pace and lab.watch are for a lab: they want lab.enabled = true")
	fault(c.Lab.Certify < 0 || c.Lab.Certify > Duration(pki.UserLifetime), "lab.certify is not 0 to %v", pki.UserLifetime)
	fault(c.Lab.Certify > 0 && !c.Lab.Enabled, "lab.certify is for a lab: it wants lab.enabled = true")
	fault(c.Lab.Death != Death{} && !c.Lab.Enabled, "lab.die_after_writes and lab.die_before_write are for a lab: they want lab.enabled = true")
	fault(c.Lab.Trace && (!c.Lab.Enabled || len(c.Publish.Links) > 0 && !onLoopback(c.Publish.Links)), "lab.trace is for a lab: it wants lab.enabled = true, and no publish.links but on loopback")
	fault(c.Lab.Enabled && !c.onLoopback(), "lab.enabled wants listen.link and listen.keyserver on a loopback address")
	return errors.Join(faults...)
}

// unpublished is a fault if nothing is published where all addresses are listened on: nobody
// can connect to 0.0.0.0. It says what to write.
func (c Config) unpublished(key, listen string, published []string) error {
	if len(published) > 0 || !Everywhere(listen) {
		return nil
	}
	_, port, _ := net.SplitHostPort(listen) // Everywhere has
	if n, _ := strconv.Atoi(port); n == 0 {
		port = "PORT"
	}
	return fmt.Errorf(`listen.%s is %q, all addresses of this machine: say which one others connect to, under [publish]: %ss = ["%s:%s"]`,
		key, listen, key, c.Domain, port)
}

// Everywhere reports whether who listens on address, host:port, listens on all addresses of
// the machine.
func Everywhere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return err == nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().WithZone("").IsUnspecified()
}

// isAddress is looser than [pki.CheckEndpoint]: these addresses are for this machine only.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	_, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && strings.Trim(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:[]%") == ""
}

func (c Config) onLoopback() bool { return onLoopback([]string{c.Listen.Link, c.Listen.KeyServer}) }

func onLoopback(addresses []string) bool {
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return false
		}
	}
	return true
}

// Text is the configuration file of c, each key with its meaning.
func (c Config) Text() string {
	return fmt.Sprintf(configText, c.Domain, c.Registration, c.Cover, c.Listen.Link, c.Listen.KeyServer, c.Listen.Metrics,
		quoted(c.Publish.Links), quoted(c.Publish.KeyServers), c.Network.Private, c.DNS.Server, c.DNS.Anchors, c.DNS.Serve, quoted(c.DNS.Nameservers), c.DNS.Update.text(), c.Routing.ExtraHops, c.Routing.FloodAll, c.labText())
}

// viewPace is the least time between two views of ours.
func (c Config) viewPace() time.Duration {
	if pace := time.Duration(c.Lab.ViewPace); pace > 0 {
		return pace
	}
	return viewPace
}

// movePace is the least time between two moves from one name.
func (c Config) movePace() time.Duration {
	if pace := time.Duration(c.Lab.ViewPace); pace > 0 {
		return pace
	}
	return movePace
}

// certify is how long what we sign for users is good.
func (c Config) certify() time.Duration {
	if life := time.Duration(c.Lab.Certify); life > 0 {
		return life
	}
	return pki.UserLifetime
}

func (c Config) labText() string {
	if !c.Lab.Enabled {
		return ""
	}
	return fmt.Sprintf(labText, c.Lab.Loss, time.Duration(c.Lab.Delay), c.Lab.Seed, time.Duration(c.Lab.ViewPace), time.Duration(c.Lab.Watch), time.Duration(c.Lab.Certify), c.Lab.Trace, c.Lab.AfterWrite, c.Lab.BeforeWrite)
}

const labText = `
[lab]
# A node of a lab may have links that are bad on purpose. Loopback only.
enabled = true
loss = %g
delay = %q
seed = %d

# It may be quicker to say what it sees of others, and to look. "0s": no quicker.
view_pace = %q
watch = %q

# What it signs for users may be good for less long. "0s": as elsewhere.
certify = %q

# It may remember, in memory, what became of which packet: the truth that no node should keep.
trace = %t

# It may kill itself right after, or right before, the write of this number that it makes
# durable, counted from its start. 0: never.
die_after_writes = %d
die_before_write = %d
`

func quoted(list []string) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

const configText = `# Configuration of a P3DO node. Unknown keys are refused.

# The domain that this node answers for.
domain = %q

# Who may register a name here: "open" (whoever asks first) or "closed" (nobody but whom
# you invite or sign yourself: p3dod user).
registration = %q

# What hides when something is sent: "off" (nothing: neither cover nor delay), "low" or
# "high". Slots then leave by a schedule, whatever there is to say, and packets wait on the
# way. p3dod status says what that costs in a day.
cover = %q

[listen]
# Where to listen, host:port. Port 0 is any free one.
link = %q
keyserver = %q

# Where Prometheus finds counters at /metrics: an address of this machine only, such as
# "127.0.0.1:4406". They name nobody. "": nowhere.
metrics = %q

[publish]
# What others connect to, host:port, if it is not what is listened on.
links = %s
keyservers = %s

[network]
# Whether to connect also to this machine and to private networks. Any domain can name
# such an address as its own: false unless all domains are in one private network, or
# several on this machine.
private = %t

[dns]
# The resolver that this node asks, for itself and for its users. "IP:PORT" over TCP,
# "tls://IP:PORT?pin=PIN" over TLS, "https://IP:PORT/dns-query?pin=PIN" over HTTPS; the pin
# is the SHA-256 of its public key in base64. Never over UDP.
server = %q

# A file of trust anchors, DS or DNSKEY records, from which signatures are verified. "": the
# keys of the root of DNS.
anchors = %q

# The node can answer for the name _p3do.DOMAIN itself, signed, if the zone of the domain
# delegates it: p3dod dns delegation prints the lines for that. Where to serve, IP:PORT (53
# for the Internet), and the names of the servers, as in ["ns1.example.org"]. "": nowhere.
serve = %q
nameservers = %s

# A name server of yours that takes updates (RFC 2136) may be kept up to date by the node
# itself: under [dns.update], server = "IP:PORT", tsig_file = "FILE" (as tsig-keygen or
# keymgr -t writes it, for its owner only), and if need be zone = "ZONE" and ttl = SECONDS.
%s
[routing]
# How many contexts are added before the last of each leg: 0 to 3. Each costs one
# flood more and hides the way better.
extra_hops = %d
# Whether packets go whole over every link, and not just the news of them over most: it costs
# as many times the traffic as you have peers.
flood_all = %t
%s`
