package node

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver/witness"
	"github.com/p3do/p3do/pki"
)

// A description is what docs/spec/keyserver.openapi.json says of answers: by the method and a
// pattern of targets.
type description map[*regexp.Regexp]map[string]explained

// explained is what one status may come with.
type explained struct {
	types []string // none: no body
	cache string
	seen  bool
}

// describe reads the document, references and all.
func describe(t *testing.T) description {
	t.Helper()
	raw, err := os.ReadFile("../docs/spec/keyserver.openapi.json")
	must(t, err)
	type ref struct {
		Ref string `json:"$ref"`
	}
	type response struct {
		ref
		Content map[string]any
		Headers map[string]ref
	}
	var doc struct {
		Paths      map[string]map[string]struct{ Responses map[string]response }
		Components struct {
			Responses map[string]response
			Headers   map[string]struct{ Schema struct{ Const string } }
		}
	}
	must(t, json.Unmarshal(raw, &doc))
	all := make(description)
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			path = strings.NewReplacer(`\{index\}`, ".+", `\{level\}`, "[^/]+", `\{name\}`, "[^/]+", `\{hash\}`, "[^/]+", `\{domain\}`, "[^/]+", `\{fingerprint\}`, "[^/]+").Replace(regexp.QuoteMeta(path))
			statuses := make(map[string]explained)
			for status, r := range operation.Responses {
				if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
					r = doc.Components.Responses[name]
				}
				cache := doc.Components.Headers[strings.TrimPrefix(r.Headers["Cache-Control"].Ref, "#/components/headers/")].Schema.Const
				statuses[status] = explained{types: slices.Collect(maps.Keys(r.Content)), cache: cache}
			}
			all[regexp.MustCompile("^"+strings.ToUpper(method)+" "+path+"$")] = statuses
		}
	}
	return all
}

// judge holds an answer to the description of what was asked, or of a 404 if that is not described.
func (all description) judge(t *testing.T, asked string, r *http.Response) {
	t.Helper()
	for pattern, statuses := range all {
		if !pattern.MatchString(asked) {
			continue
		}
		said := fmt.Sprint(r.StatusCode)
		d, ok := statuses[said]
		typed := slices.Contains(d.types, r.Header.Get("Content-Type")) || len(d.types) == 0 && r.ContentLength <= 0
		if !ok || !typed || r.Header.Get("Cache-Control") != d.cache {
			t.Errorf("%s: %d %q, %q, which is not what is described: %+v", asked, r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"), d)
		}
		d.seen = true
		statuses[said] = d
		return
	}
	if r.StatusCode != http.StatusNotFound {
		t.Errorf("%s: %d, and nothing is described", asked, r.StatusCode)
	}
}

// TestAnswersAreDescribed: whatever a node's key server answers is in its description, and each
// answer of the description comes about, but for those of a server that has too much to do.
func TestAnswersAreDescribed(t *testing.T) {
	t.Parallel()
	m := newMesh(t, "a.test", "b.test")
	m.federate("a.test", "b.test")
	ann, left := m.user("ann@a.test"), m.user("left@a.test")
	against, end := ann.object(time.Now()), left.byRevoker()
	must(t, ann.client.Challenge(t.Context(), against.Raw()))
	must(t, ann.client.Revoke(t.Context(), end.Raw()))
	ended, said := pki.Fingerprint(end.Ends()), pki.Fingerprint(against.Says())
	head := m.nodes["a.test"].node.ownHead(m.cosignedBy("a.test", 6, 1))
	m.cosignedBy("b.test", 1, 1)
	m.mirrored("a.test", head.Size, "b.test")
	all := describe(t)
	ask := newQuestioner(t, all)

	for _, target := range []string{
		"user/ann@a.test", "user/bob@a.test", "key/" + ann.key.Fingerprint().String(), "key/" + m.authority("a.test").CA().Fingerprint().String(),
		"server/a.test", "server/z.test", "servers", "servers/a.test", "servers/A", "successions/a.test",
		"proof/user/ann@a.test", "proof/user/bob@a.test", "proof/key/" + ann.key.Fingerprint().String(), "proof/key/x", "proof/server/a.test", "proof/server/z.test",
		"proof/revocation/" + ended.String(), "proof/revocation/" + said.String(), "proof/challenge/" + said.String(), "proof/challenge/" + ended.String(),
		"log/checkpoint", fmt.Sprintf("log/tile/entries/000.p/%d", head.Size), fmt.Sprintf("log/tile/0/000.p/%d", head.Size), "log/tile/9/000", "log/nothing",
		"mirror/a.test/checkpoint", "mirror/z.test/checkpoint", fmt.Sprintf("mirror/a.test/tile/entries/000.p/%d", head.Size), "mirror/a.test/tile/0/007",
	} {
		for _, at := range []string{"a.test", "b.test"} {
			ask("GET", m.nodes[at].running.KeyServer, "/v1/"+target, nil, nil)
		}
	}
	keys := m.nodes["a.test"].running.KeyServer
	tag := ask("GET", keys, "/v1/log/checkpoint", nil, nil).Get("ETag")
	ask("GET", keys, "/v1/log/checkpoint", nil, http.Header{"If-None-Match": {tag}})
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "POST"} {
		ask(method, keys, "/v1/user/ann@a.test", []byte("x"), nil)
	}
	for _, target := range []string{"/v1/servers", "/v1/log/checkpoint"} {
		ask("GET", keys, target, []byte("a body"), nil)
	}
	asksToSign(m, ask)
	_, err := m.rotate("b.test", RoleCA)
	must(t, err)
	ask("GET", m.nodes["b.test"].running.KeyServer, "/v1/successions/b.test", nil, nil)
	asksToCosign(m, ask)
	for pattern, statuses := range all {
		for status, d := range statuses {
			if status != "429" && status != "503" && !d.seen {
				t.Errorf("%s: nobody was answered %s", pattern, status)
			}
		}
	}
}

// A question is one request, judged; it returns the header of the answer.
type questioner func(method, address, target string, body []byte, header http.Header) http.Header

func newQuestioner(t *testing.T, all description) questioner {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, // who answers is not what is looked at
	}}
	t.Cleanup(client.CloseIdleConnections)
	return func(method, address, target string, body []byte, header http.Header) http.Header {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+address+target, bytes.NewReader(body))
		must(t, err)
		maps.Copy(r.Header, header)
		out, err := client.Do(r)
		must(t, err)
		defer out.Body.Close()
		_, err = io.Copy(io.Discard, out.Body)
		must(t, err)
		all.judge(t, method+" "+target, out)
		return out.Header
	}
}

// asksToSign has somebody ask for a certificate, for another's name, and for nothing.
func asksToSign(m *mesh, ask questioner) {
	address := m.nodes["a.test"].running.KeyServer
	for _, name := range []string{"eve@a.test", "ann@a.test"} {
		ask("POST", address, "/v1/sign", newNewcomer(m.t, address, name).body, nil)
	}
	ask("POST", address, "/v1/sign", []byte{200, 1}, nil)
}

// asksToCosign has b.test asked to cosign a.test's log, in each way that it answers.
func asksToCosign(m *mesh, ask questioner) {
	t, log := m.t, m.evilLog("a.test")
	old := log.size()
	log.add(t, "one that nobody else has seen")
	proof, err := tlog.ProveTree(log.size(), old, log)
	must(t, err)
	strange := log.fork()
	strange.key, err = pki.NewLogKey(rand.Reader)
	must(t, err)
	unknown := strange.fork()
	unknown.domain = parse(t, pki.ParseDomain, "z.test")
	post := func(r []byte) { ask("POST", m.nodes["b.test"].running.KeyServer, witness.AddCheckpoint, r, nil) }
	post([]byte("no request"))
	post(witness.Request{Checkpoint: unknown.head(t)}.Marshal())
	post(witness.Request{Old: old, Proof: proof, Checkpoint: strange.head(t)}.Marshal())
	post(witness.Request{Old: old, Proof: append(proof[:len(proof):len(proof)], proof[0]), Checkpoint: log.head(t)}.Marshal())
	post(witness.Request{Old: old, Proof: proof, Checkpoint: log.head(t)}.Marshal())
	post(witness.Request{Checkpoint: log.head(t)}.Marshal())
}
