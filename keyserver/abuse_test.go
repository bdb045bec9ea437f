package keyserver

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"filippo.io/torchwood"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// Clients that do not send the rest of a body, to be signed or cosigned, are cut off when its time is over and not
// before, and others are served meanwhile.
func TestSlowBodyIsCutOff(t *testing.T) {
	w := newWorld(t, "a.test", func(c *Config) {
		c.Sign = func(context.Context, SignRequest) ([]byte, error) { return nil, errors.New("nobody sent all of it") }
		c.Witness = witness.Door{Witness: witness.New(witness.Config{})}
	})
	w.publish(t, "ann@a.test")
	hasty := New(w.server.config)
	hasty.bodyTimeout = 300 * time.Millisecond
	w.endpoint.Address = serve(t, hasty, w.cert)
	var slow []net.Conn
	began := time.Now()
	for i := range 20 {
		c, err := tls.Dial("tcp", w.endpoint.Address, &tls.Config{InsecureSkipVerify: true})
		must(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300\r\n\r\nx", []string{signTarget, witness.AddCheckpoint}[i%2])
		must(t, err)
		slow = append(slow, c)
	}
	_, err := w.client.User(t.Context(), w.endpoint, name(t, "ann@a.test"))
	must(t, err)
	for _, c := range slow {
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		answer, err := io.ReadAll(c)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() || bytes.Contains(answer, []byte(" 200 ")) {
			t.Fatalf("it was never cut off: %q, %v", answer, err)
		}
		if took := time.Since(began); took < hasty.bodyTimeout {
			t.Fatalf("it is refused after %v, whatever is to come: %q", took, answer)
		}
	}
}

// Nothing is unpacked, and nothing is packed: a small body that would be a great one is no request, and an answer is
// the same octets whatever the client would take.
func TestNothingIsCompressed(t *testing.T) {
	w := newWorld(t, "a.test", func(c *Config) {
		c.Sign = func(context.Context, SignRequest) ([]byte, error) {
			return nil, fmt.Errorf("%w: it is no request", ErrNotSigned)
		}
		c.Witness = witness.Door{Witness: witness.New(witness.Config{})}
	})
	ann := w.publish(t, "ann@a.test")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(make([]byte, 1<<20))
	must(t, errors.Join(err, z.Close()))
	if packed.Len() > maxSign {
		t.Fatalf("%d octets are too many to be sent", packed.Len())
	}
	for target, want := range map[string]int{signTarget: http.StatusForbidden, witness.AddCheckpoint: http.StatusBadRequest} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+w.endpoint.Address+target, bytes.NewReader(packed.Bytes()))
		must(t, err)
		r.Header.Set("Content-Encoding", "gzip")
		resp, err := insecure(t).Do(r)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", target, resp.Status)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+w.endpoint.Address+"/v1/user/ann@a.test", nil)
	must(t, err)
	r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	resp, err := insecure(t).Do(r)
	must(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	must(t, err)
	card, err := pki.ParseCard(got)
	if err != nil || card.Key() != ann.key.Public() || resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("%v, %v", resp.Header, err)
	}
}

// A record can be deleted, as its owner may want, and nothing of her is left to be asked for; the log, which has
// commitments only, is as whole as before, and proves what else there is.
func TestDeletedRecordLeavesTheLogWhole(t *testing.T) {
	w := newLogged(t, newCosigners(t, "b.test", "c.test"))
	ann, bob := w.publish(t, "ann@a.test"), w.publish(t, "bob@a.test")
	tree := w.sealed(t)
	before := w.leaves(t)
	db, err := sql.Open("sqlite", "file:"+w.path+"?_pragma=busy_timeout(5000)")
	must(t, err)
	defer db.Close()
	for _, table := range []string{"users WHERE name", "logged WHERE subject", "ring WHERE subject"} {
		_, err := db.Exec("DELETE FROM "+table+" = ?", "ann@a.test")
		must(t, err)
	}
	nobody := asked(w.server, "/v1/proof/user/nobody@a.test")
	for _, target := range []string{"user/ann@a.test", "proof/user/ann@a.test", "key/" + ann.key.Fingerprint().String(), "proof/key/" + ann.key.Fingerprint().String()} {
		if out := asked(w.server, "/v1/"+target); out.Code != nobody.Code || !bytes.Equal(out.Body.Bytes(), nobody.Body.Bytes()) {
			t.Errorf("%s: %d %q", target, out.Code, out.Body)
		}
	}
	_, in, err := w.client.ProvenUser(t.Context(), w.endpoint, name(t, "bob@a.test"), w.by(t, 2))
	must(t, err)
	if in.Head.Tree != tree || in.Leaf.Kind != keylog.Card {
		t.Errorf("%+v", in)
	}
	w.publish(t, "cid@a.test")
	if after := w.leaves(t); len(after) != len(before)+1 || after[0] != before[0] {
		t.Errorf("%d leaves, and there were %d", len(after), len(before))
	}
	w.readWhole(t, w.sealed(t).N)
	if _, _, err = w.client.ProvenUserByKey(t.Context(), w.endpoint, bob.key.Fingerprint(), w.by(t, 2)); err != nil {
		t.Error(err)
	}
}

// readWhole reads all leaves as torchwood does, which verifies each by the checkpoint.
func (w *logged) readWhole(t *testing.T, leaves int64) {
	t.Helper()
	tr := transport(w.endpoint.Address)
	defer tr.CloseIdleConnections()
	fetcher, err := torchwood.NewTileFetcher("https://a.test/v1/log", torchwood.WithHTTPClient(&http.Client{Transport: tr}), torchwood.WithUserAgent("test (of the log)"))
	must(t, err)
	client, err := torchwood.NewClient(fetcher)
	must(t, err)
	signed, err := fetcher.ReadEndpoint(t.Context(), "checkpoint")
	must(t, err)
	head, err := w.log.Reader().Open(signed, w.cosigners.quorum(t, 2))
	must(t, err)
	read := int64(0)
	for range client.AllEntries(t.Context(), head.Tree, 0) {
		read++
	}
	if err := client.Err(); err != nil || read != leaves {
		t.Fatalf("%d leaves of %d are read: %v", read, leaves, err)
	}
}
