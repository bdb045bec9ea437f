package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	vrf "filippo.io/mostly-harmless/vrf-r255"

	"github.com/p3do/p3do/dnstxt"
	"github.com/p3do/p3do/mor/onion"
	"github.com/p3do/p3do/pki"
)

// vaultFile is where a user's program keeps her keys. It has no place in a node's folder.
const vaultFile = "vault"

// keySlack is how long after the turn of a period a node may still have the keys of before.
const keySlack = 2 * tendEvery

// keyFiles are the files in the key folder.
func (e *examination) keyFiles() []string {
	files, err := filepath.Glob(e.path(keysFolder, "*"))
	if err != nil {
		return nil
	}
	return files
}

// readKeys: the keys are complete, of this domain, and nobody else's (row P4b).
func (e *examination) readKeys() {
	e.readAuthority()
	e.readLink()
	e.readLogging()
	e.readZoneKey()
	e.readContexts()
	for _, path := range e.keyFiles() {
		e.readKey(path, strings.TrimSuffix(filepath.Base(path), ".new"))
	}
	if _, err := os.Stat(e.path(vaultFile)); err == nil {
		e.wrong("keys", fmt.Sprintf("mv %s SOMEWHERE", e.path(vaultFile)), "%s is a user's: it has no place in a node's folder", e.path(vaultFile))
	}
}

// readKey judges one file of the key folder by its name.
func (e *examination) readKey(path, name string) {
	_, isContext := contextName(name)
	switch period, ok := periodOf(name); {
	case isContext:
	case name == authorityFile || name == linkFile:
	case name == logFile || name == witnessFile || name == labelsFile || name == zoneFile:
	case !ok:
		e.wrong("keys", fmt.Sprintf("mv %s SOMEWHERE", path), "%s is none of a node's keys", path)
	case period+1 < pki.PeriodAt(e.now.Add(-keySlack)):
		e.wrong("keys", e.restart(), "%s should have been deleted: it opens what was sent until %s",
			path, period.End().Format(time.DateOnly))
	default:
		if _, err := e.serverKey(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.keyFault(path, fmt.Sprintf("rm %s; %s", path, e.restart()), err)
		}
	}
}

func (e *examination) serverKey(name string) (*onion.ServerPrivateKey, error) {
	raw, err := os.ReadFile(e.path(keysFolder, name))
	if err != nil {
		return nil, err
	}
	return onion.ParseServerPrivateKey(raw)
}

// keyFault reports a key that cannot be read, or not be used.
func (e *examination) keyFault(path, hint string, err error) {
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.unknown("keys", "run p3dod doctor as the user that the node runs as", "%v", err)
	case errors.Is(err, fs.ErrNotExist):
		e.wrong("keys", hint, "%s is missing", path)
	default:
		e.wrong("keys", hint, "%s: %v", path, err)
	}
}

func (e *examination) readAuthority() {
	path := e.path(keysFolder, authorityFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		e.authority, err = pki.ParseAuthority(raw)
	}
	if err != nil {
		e.authority = nil
		e.keyFault(path, fmt.Sprintf("install -m 600 COPY %s   (your copy of it; or, from the offline file: %s)", path, e.command("rotate --key ca --lost")), err)
		return
	}
	if e.cfg != nil && e.cfg.Domain != e.authority.Domain() {
		e.wrong("keys", "edit "+e.path(ConfigFile), "the keys are those of %s, the configuration says %s", e.authority.Domain(), e.cfg.Domain)
	}
}

// readLink: a node makes another one when it starts, and certifies it.
func (e *examination) readLink() {
	path := e.path(keysFolder, linkFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		e.link, err = pki.ParseLinkKey(raw)
	}
	if err != nil {
		e.keyFault(path, fmt.Sprintf("rm -f %s; %s", path, e.restart()), err)
	}
}

// readLogging: a node makes those that are missing when it starts, and says so in its descriptor.
func (e *examination) readLogging() {
	for _, of := range []struct {
		name  string
		parse func([]byte) error
	}{
		{logFile, func(raw []byte) error { _, err := pki.ParseLogKey(raw); return err }},
		{witnessFile, func(raw []byte) error { _, err := pki.ParseWitnessKey(raw); return err }},
		{labelsFile, func(raw []byte) error { _, err := vrf.NewPrivateKey(raw); return err }},
	} {
		path := e.path(keysFolder, of.name)
		raw, err := os.ReadFile(path)
		if err == nil {
			err = of.parse(raw)
		}
		if err != nil {
			e.keyFault(path, fmt.Sprintf("install -m 600 COPY %s   (your copy of it; or, for another one: rm -f %s; %s)", path, path, e.restart()), err)
		}
	}
}

// readZoneKey: a node that serves its zone has one, and the zone above names it.
func (e *examination) readZoneKey() {
	path := e.path(keysFolder, zoneFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && (!e.serves || e.cfg == nil || e.cfg.DNS.Serve == "") {
		return
	}
	if err == nil {
		_, err = dnstxt.ParseZoneKey(raw)
	}
	if err != nil {
		e.keyFault(path, fmt.Sprintf("install -m 600 COPY %s   (your copy of it; or, for another one: rm -f %s; %s, and then the DS of %s into the zone above)",
			path, path, e.restart(), e.command("dns delegation")), err)
	}
}

// readContexts: a node that has served has one, and may have others.
func (e *examination) readContexts() {
	e.readContext(FirstContext)
	files, err := os.ReadDir(e.path(keysFolder))
	if err != nil {
		return // somebody else says so
	}
	for _, f := range files {
		if name, is := contextName(f.Name()); is && name != FirstContext {
			e.readContext(name)
		}
	}
}

func (e *examination) readContext(name string) {
	path := e.path(keysFolder, contextPrefix+name)
	raw, err := os.ReadFile(path)
	if _, unserved := os.Stat(e.path(databaseFile)); unserved != nil && errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		_, err = parseContext(raw)
	}
	if err != nil {
		e.keyFault(path, fmt.Sprintf("rm -f %s; %s   (packets on the way are lost)", path, e.restart()), err)
	}
}

// promisedKeys: what our descriptor has others encrypt to can be opened here.
func (e *examination) promisedKeys() {
	if e.own == nil {
		return
	}
	for _, promised := range e.own.ServerKeys {
		if promised.Period < pki.PeriodAt(e.now) {
			continue
		}
		path := e.path(keysFolder, serverFile(promised.Period))
		key, err := e.serverKey(serverFile(promised.Period))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.wrong("keys", e.restart(), "%s is missing: what is sent to it from %s on is lost", path, promised.Period.Start().Format(time.DateOnly))
		case err == nil && [pki.ServerKeySize]byte(key.Public().Bytes()) != promised.Public:
			e.wrong("keys", e.restart(), "%s is another key than the one that our descriptor promises", path)
		}
	}
}
