package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/internal/dial"
)

// NewResolver returns the resolver of the node in dir, or one that asks another server (as
// [dnstxt.ParseServer] reads it; "" is none) and believes the same trust anchors. Where there is
// no node, or dir is "", those are the keys of the root of DNS.
func NewResolver(dir, server string, door dial.Func) (dnstxt.Resolver, error) {
	c := DNS{Server: server}
	if dir != "" {
		cfg, err := ReadConfig(filepath.Join(dir, ConfigFile))
		if err != nil && (server == "" || !errors.Is(err, fs.ErrNotExist)) {
			return dnstxt.Resolver{}, err
		}
		if c = cfg.DNS; server != "" {
			c.Server = server
		}
	}
	return c.resolver(dir, door)
}

// resolver is the one of a node in dir.
func (c DNS) resolver(dir string, door dial.Func) (dnstxt.Resolver, error) {
	server, err := dnstxt.ParseServer(c.Server)
	if err != nil {
		return dnstxt.Resolver{}, err
	}
	anchors := dnstxt.RootAnchors()
	if c.Anchors != "" {
		if anchors, err = readAnchors(dir, c.Anchors); err != nil {
			return dnstxt.Resolver{}, fmt.Errorf("dns.anchors: %w", err)
		}
	}
	return dnstxt.Resolver{Server: server, Dial: door, Anchors: anchors, Keys: dnstxt.NewKeyCache()}, nil
}

func readAnchors(dir, path string) (dnstxt.Anchors, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return dnstxt.Anchors{}, err
	}
	return dnstxt.ParseAnchors(string(raw))
}
