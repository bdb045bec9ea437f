package dnstxt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/p3do/p3do/pki"
)

const (
	maxPins       = 4   // of one server
	maxServerText = 512 // octets of a server's address as text
	maxPath       = 128 // octets of the path of a DoH server
)

// The ways to ask a server.
const (
	overTCP   = "tcp"   // RFC 7766
	overTLS   = "tls"   // DoT, RFC 7858
	overHTTPS = "https" // DoH, RFC 8484
)

// A Pin is the SHA-256 (32 bytes) of the SubjectPublicKeyInfo, DER, of a key
// (RFC 7858, section 4.2).
type Pin [32]byte

// String returns it as base64 (44 characters), as servers publish it.
func (p Pin) String() string { return base64.StdEncoding.EncodeToString(p[:]) }

// A Server is one DNS server and how to ask it. Its address is an IP address, since
// nobody is there to look a name up, and over TLS it is known by its key: by pins, and by
// no public CA. The zero Server is none.
type Server struct {
	over string // overTCP, overTLS or overHTTPS
	at   netip.AddrPort
	path string // of DoH
	pins []Pin  // 1 to maxPins, but none over TCP
	name string // said to the server, and in its certificate if a pin is that of an authority
}

// ParseServer reads the address of a server:
//
//	IP:PORT                                        over TCP, in clear
//	tls://IP:PORT?pin=PIN[&pin=PIN][&name=NAME]    DNS over TLS
//	https://IP:PORT/PATH?pin=PIN[&pin=PIN][&name=NAME]   DNS over HTTPS
//
// A PIN is the SHA-256 of a public key, base64 as RFC 7858 writes it: that of the server's
// key, or of an authority whose certificate the server sends along with its own. NAME is
// what the server is called, if it has to be told; an authority must have certified it, or
// without NAME the IP address. tcp:// may be written before IP:PORT.
func ParseServer(text string) (Server, error) {
	s, err := parseServer(text)
	if err != nil {
		return Server{}, fmt.Errorf("dnstxt: the DNS server %q: %w", text, err)
	}
	return s, nil
}

func parseServer(text string) (Server, error) {
	if len(text) > maxServerText {
		return Server{}, fmt.Errorf("want at most %d characters", maxServerText)
	}
	over, rest, found := strings.Cut(text, "://")
	if !found {
		over, rest = overTCP, text
	}
	rest, options, asked := strings.Cut(rest, "?")
	s := Server{over: over}
	switch over {
	case overTCP:
		if asked {
			return Server{}, errors.New("pin and name are for tls:// and https:// only")
		}
	case overTLS:
	case overHTTPS:
		address, path, _ := strings.Cut(rest, "/")
		rest, s.path = address, "/"+path
		if !isPath(s.path) {
			return Server{}, errors.New("want a path of a DNS-over-HTTPS server behind the port, such as /dns-query")
		}
	default:
		return Server{}, errors.New("want IP:PORT, tls://IP:PORT?pin=PIN or https://IP:PORT/PATH?pin=PIN")
	}
	var err error
	if s.at, err = parseAddress(rest); err != nil || over == overTCP {
		return s, err
	}
	return s, s.readOptions(options)
}

// parseAddress reads an IP address and a port, in their one spelling.
func parseAddress(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return at, errors.New("want an IP address and a port, such as 127.0.0.1:53: a name would have to be looked up")
	case at.Port() == 0 || at.Addr().Zone() != "" || at.String() != text:
		return at, errors.New("want an IP address in its short spelling, without a zone, and a port from 1 to 65535")
	}
	return at, nil
}

// isPath tells whether a path is one that needs no escapes.
func isPath(path string) bool {
	const free = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
	return len(path) > 1 && len(path) <= maxPath && strings.Trim(path, free) == "" && !strings.Contains(path, "//") && !strings.Contains(path, "/.")
}

// readOptions reads pins and the name.
func (s *Server) readOptions(text string) error {
	for option := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(option, "=")
		switch {
		case key == "pin" && len(s.pins) < maxPins:
			pin, err := parsePin(value)
			if err != nil {
				return err
			}
			s.pins = append(s.pins, pin)
		case key == "pin":
			return fmt.Errorf("want at most %d pins", maxPins)
		case key == "name" && s.name == "":
			name, err := pki.ParseDomain(value)
			if err != nil {
				return fmt.Errorf("name: %w", err)
			}
			s.name = name.String()
		case option != "":
			return fmt.Errorf("%q is not pin=PIN, or name=NAME once", option)
		}
	}
	if len(s.pins) == 0 {
		return errors.New("want pin=PIN, the SHA-256 of the server's public key: no authority is trusted without")
	}
	return nil
}

func parsePin(text string) (pin Pin, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(pin) || Pin(raw).String() != text {
		return pin, errors.New("a pin is 44 characters of base64: the SHA-256 of a public key (DER)")
	}
	return Pin(raw), nil
}

// String returns the text that ParseServer reads, in one spelling.
func (s Server) String() string {
	switch s.over {
	case "":
		return ""
	case overTCP:
		return s.at.String()
	}
	options := make([]string, 0, maxPins+1)
	for _, pin := range s.pins {
		options = append(options, "pin="+pin.String())
	}
	if s.name != "" {
		options = append(options, "name="+s.name)
	}
	return s.over + "://" + s.at.String() + s.path + "?" + strings.Join(options, "&")
}

// IsZero reports whether s is no server.
func (s Server) IsZero() bool { return s.over == "" }

// encrypted tells whether nobody on the way reads what is asked.
func (s Server) encrypted() bool { return s.over != overTCP }
