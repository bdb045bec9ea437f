package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/p3do/p3do/pki"
)

// A server that does not take the record is tried once a minute, however long that lasts, and told of
// once; a record that is another is tried at once, and no more often for that.
func TestPublishPace(t *testing.T) {
	dir := t.TempDir()
	c := DefaultConfig(parse(t, pki.ParseDomain, "a.test"))
	c.Publish.KeyServers = []string{"keys.a.test:4405"}
	c.DNS.Update = DNSUpdate{Server: "192.0.2.53:53", TSIGFile: "tsig.key", Zone: "a.test"}
	_, err := Init(dir, c, time.Now(), nil)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "tsig.key"), []byte(tsigText), 0o600))
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		tries := 0
		n := &Node{dir: dir, cfg: c, log: slog.New(slog.NewTextHandler(&log, nil)), dial: func(context.Context, string, string) (net.Conn, error) {
			tries++
			return nil, errors.New("nobody is there")
		}}
		p := &publisher{n: n, wake: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.run(ctx) }()
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if tries != 60 {
			t.Errorf("%d tries in an hour", tries)
		}
		for range 10 { // all but two of them while one try is on its way, or another is due
			p.soon()
		}
		synctest.Wait()
		if tries < 61 || tries > 62 {
			t.Errorf("%d tries after the record was another", tries)
		}
		before := tries
		time.Sleep(publishLater - time.Second)
		synctest.Wait()
		if tries != before {
			t.Errorf("%d tries within a minute of that", tries-before)
		}
		cancel()
		must(t, <-ended)
		if said := strings.Count(log.String(), "publishing the record in DNS"); said != 1 {
			t.Errorf("it is said %d times: %s", said, log.String())
		}
	})
}
