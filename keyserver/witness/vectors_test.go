package witness

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/golden"
	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

const vectorsFile = "../../docs/spec/vectors/witness.json"

// A vector is one row of the file.
type vector struct {
	Comment string `json:"comment"`
	Kind    string `json:"kind"`   // request, answer or fork
	Expect  string `json:"expect"` // request: accept or malformed; answer: cosigned or refused; fork: believed, or why not

	// request and answer
	Body string   `json:"body,omitempty"`
	Old  int64    `json:"old,omitempty"`
	Path []string `json:"proof,omitempty"`

	// answer: what the witness cosigned last, and what it says
	Descriptor golden.Octets `json:"descriptor,omitempty"`
	Held       string        `json:"held,omitempty"`
	Status     int           `json:"status,omitempty"`
	Text       string        `json:"text,omitempty"`

	// fork
	Fork   golden.Octets `json:"fork,omitempty"`
	Domain string        `json:"domain,omitempty"`
	Sizes  [2]int64      `json:"sizes,omitzero"`
	Reader *vectorReader `json:"reader,omitempty"`
}

type vectorReader struct {
	Authority golden.Octets `json:"authority"`     // fingerprint
	Log       golden.Octets `json:"log,omitempty"` // the key in office
	Witness   string        `json:"witness"`       // of this domain
	Key       golden.Octets `json:"witness_key"`
}

func TestVectorsAreUpToDate(t *testing.T) {
	golden.Check(t, vectorsFile, slices.Concat(requestVectors(), answerVectors(), forkVectors()))
}

func TestVectorsHold(t *testing.T) {
	var all []vector
	golden.Read(t, vectorsFile, &all)
	for _, v := range all {
		t.Run(v.Kind+" "+v.Comment, func(t *testing.T) {
			got := map[string]func(*testing.T, vector) string{"request": holdRequest, "answer": holdAnswer, "fork": holdFork}[v.Kind](t, v)
			if got != v.Expect {
				t.Errorf("%s, want %s", got, v.Expect)
			}
		})
	}
}

func holdRequest(t *testing.T, v vector) string {
	r, err := ParseRequest([]byte(v.Body))
	if err != nil {
		return "malformed"
	}
	var path []string
	for _, h := range r.Proof {
		path = append(path, h.String())
	}
	if r.Old != v.Old || !slices.Equal(path, v.Path) || !strings.HasSuffix(v.Body, string(r.Checkpoint)) {
		t.Errorf("%+v", r)
	}
	return "accept"
}

func holdAnswer(t *testing.T, v vector) string {
	d := must(pki.ParseDescriptor(v.Descriptor))
	s := must(store.Open(t.Context(), filepath.Join(t.TempDir(), "node.db")))
	defer s.Close()
	if v.Held != "" {
		must(0, s.AdvanceWitnessed(t.Context(), store.Head{}, must(HeadBy(d, []byte(v.Held)))))
	}
	lines, err := witnessOn(s, &tree{descriptor: d}).Add(t.Context(), []byte(v.Body))
	var conflict *ConflictError
	status, text := 200, ""
	switch {
	case errors.As(err, &conflict):
		status, text = 409, fmt.Sprintf("%d\n", conflict.Size)
	case err != nil:
		status = statusOf(err)
	}
	if status != v.Status || text != v.Text {
		t.Errorf("%d %q, want %d %q", status, text, v.Status, v.Text)
	}
	if len(lines) > 0 {
		return "cosigned"
	}
	return "refused"
}

func holdFork(t *testing.T, v vector) string {
	f, err := ParseFork(v.Fork)
	if err != nil {
		return "no fork"
	}
	if f.Domain.String() != v.Domain || [2]int64{f.Heads[0].Size, f.Heads[1].Size} != v.Sizes {
		t.Errorf("%s: %d and %d", f.Domain, f.Heads[0].Size, f.Heads[1].Size)
	}
	key := must(pki.ParseWitnessPublic(v.Reader.Key))
	by := Reader{
		Speaks:    func(authority pki.Fingerprint) bool { return bytes.Equal(authority[:], v.Reader.Authority) },
		Witnesses: []Peer{{Verifier: must(keylog.WitnessVerifier(domain(v.Reader.Witness), key))}},
	}
	if len(v.Reader.Log) > 0 {
		by.Log = must(pki.ParseLogPublic(v.Reader.Log))
	}
	switch err := f.Check(by); {
	case errors.Is(err, ErrAuthority):
		return "another authority"
	case errors.Is(err, ErrUnwitnessed):
		return "not cosigned in time"
	}
	return "believed"
}

// ask writes a request as C2SP tlog-witness has it.
func ask(old string, path tlog.TreeProof, checkpoint []byte) string {
	body := "old " + old + "\n"
	for _, h := range path {
		body += base64.StdEncoding.EncodeToString(h[:]) + "\n"
	}
	return body + "\n" + string(checkpoint)
}

func requestVectors() (all []vector) {
	log := newTree("a.test", 1)
	log.add(9, "a")
	way := must(tlog.ProveTree(9, 5, log))
	var path []string
	for _, h := range way {
		path = append(path, base64.StdEncoding.EncodeToString(h[:]))
	}
	good := ask("5", way, log.at(9))
	row := func(comment, body string) {
		all = append(all, vector{Comment: comment, Kind: "request", Expect: "malformed", Body: body})
	}
	all = append(all,
		vector{Comment: "from 5 leaves to 9", Kind: "request", Expect: "accept", Body: good, Old: 5, Path: path},
		vector{Comment: "the first", Kind: "request", Expect: "accept", Body: ask("0", nil, log.at(9))})
	row("no request", "")
	row("no size", strings.Replace(good, "old 5\n", "", 1))
	row("a size with a zero before it", strings.Replace(good, "old 5", "old 05", 1))
	row("a size with a sign", strings.Replace(good, "old 5", "old +5", 1))
	row("a size below zero", strings.Replace(good, "old 5", "old -5", 1))
	row("a size beyond 2^63", strings.Replace(good, "old 5", "old 9223372036854775808", 1))
	row("two spaces", strings.Replace(good, "old 5", "old  5", 1))
	row("lines that end as on another system", strings.Replace(good, "\n", "\r\n", 1))
	row("a hash that is cut", strings.Replace(good, path[0], path[0][:40], 1))
	row("a hash without its padding", strings.Replace(good, path[0], strings.TrimRight(path[0], "="), 1))
	row("64 hashes", ask("5", slices.Repeat(way[:1], 64), log.at(9)))
	row("no empty line", strings.Replace(good, "\n\n", "\n", 1))
	return all
}

func answerVectors() (all []vector) {
	log, other := newTree("a.test", 1), newTree("c.test", 2)
	log.add(10, "a")
	other.add(10, "c")
	evil := log.fork(3)
	evil.add(7, "evil")
	otherKey := *log
	otherKey.key = other.key
	row := func(comment string, held int64, body string, status int, text string) {
		v := vector{Comment: comment, Kind: "answer", Expect: "refused", Descriptor: log.descriptor.Raw(), Body: body, Status: status, Text: text}
		if held > 0 {
			v.Held = string(log.at(held))
		}
		if status == 200 {
			v.Expect = "cosigned"
		}
		all = append(all, v)
	}
	row("the first", 0, ask("0", nil, log.at(5)), 200, "")
	row("more leaves", 5, ask("5", must(tlog.ProveTree(9, 5, log)), log.at(9)), 200, "")
	row("the same head again", 5, ask("5", nil, log.at(5)), 200, "")
	row("from where nobody is", 0, ask("2", must(tlog.ProveTree(5, 2, log)), log.at(5)), 409, "0\n")
	row("from the beginning", 5, ask("0", nil, log.at(9)), 409, "5\n")
	row("fewer leaves", 5, ask("2", must(tlog.ProveTree(4, 2, log)), log.at(4)), 409, "5\n")
	row("old is greater than the size", 5, ask("5", nil, log.at(4)), 400, "")
	row("a proof beside old 0", 0, ask("0", must(tlog.ProveTree(9, 5, log)), log.at(9)), 400, "")
	row("a log that is not witnessed", 0, ask("0", nil, other.at(5)), 404, "")
	row("signed by another key", 0, ask("0", nil, otherKey.at(5)), 403, "")
	row("another tree of as many leaves", 5, ask("5", nil, evil.at(5)), 409, "5\n")
	row("another tree of more leaves", 5, ask("5", must(tlog.ProveTree(9, 5, evil)), evil.at(9)), 422, "")
	row("a proof beside the same head", 5, ask("5", must(tlog.ProveTree(9, 5, log)), log.at(5)), 422, "")
	return all
}

// forkOf writes a fork as the specification lays it out.
func forkOf(descriptors [2][]byte, heads [2][]byte, root *tlog.Hash, way tlog.TreeProof) []byte {
	raw := []byte{2}
	for _, part := range [][]byte{descriptors[0], descriptors[1], heads[0], heads[1]} {
		raw = append(binary.BigEndian.AppendUint16(raw, uint16(len(part))), part...)
	}
	if root == nil {
		return append(raw, 0)
	}
	raw = append(append(raw, 1), root[:]...)
	raw = append(raw, byte(len(way)))
	for _, h := range way {
		raw = append(raw, h[:]...)
	}
	return raw
}

func forkVectors() (all []vector) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	evil := log.fork(1)
	evil.add(6, "evil")
	later := *evil // by the next key of the log
	later.describe(newTree("z.test", 7).key, must(pki.NewWitnessKey(bytes.NewReader(make([]byte, 32)))), 2)
	b := newCosigner("b.test", 2)
	during, after := testNow.Add(time.Hour), testNow.Add(pki.DescriptorLifetime+time.Second)
	ca, strange := log.descriptor.CA.Fingerprint(), newTree("c.test", 3)
	now, next := log.descriptor.Log.Bytes(), later.descriptor.Log.Bytes()
	root, way := must(tlog.TreeHash(4, evil)), must(tlog.ProveTree(7, 4, evil))
	same, true4 := [2][]byte{log.descriptor.Raw(), nil}, must(tlog.TreeHash(4, log))
	two := [2][]byte{log.descriptor.Raw(), later.descriptor.Raw()}
	row := func(comment, expect string, raw []byte, authority pki.Fingerprint, office []byte) {
		v := vector{Comment: comment, Kind: "fork", Expect: expect, Fork: raw, Reader: &vectorReader{authority[:], office, "b.test", b.key.Public().Bytes()}}
		if expect != "no fork" {
			v.Domain, v.Sizes = "a.test", [2]int64{4, 7}
		}
		all = append(all, v)
	}
	seven := forkOf(same, [2][]byte{log.at(4), evil.at(7)}, &root, way)
	row("two heads of as many leaves", "believed", forkOf(same, [2][]byte{log.at(4), evil.at(4)}, nil, nil), ca, now)
	all[0].Sizes[1] = 4
	row("the second does not begin with the first", "believed", seven, ca, now)
	row("to a reader who knows another authority", "another authority", seven, strange.descriptor.CA.Fingerprint(), now)
	row("over a change of the log's key, and a peer cosigned the first in time", "believed",
		forkOf(two, [2][]byte{b.cosign(log.head(4), during).Checkpoint, later.at(7)}, &root, way), ca, next)
	row("over a change of the log's key, and nobody cosigned the first", "not cosigned in time",
		forkOf(two, [2][]byte{log.at(4), later.at(7)}, &root, way), ca, next)
	row("cosigned when the descriptor had ended", "not cosigned in time",
		forkOf(two, [2][]byte{b.cosign(log.head(4), after).Checkpoint, later.at(7)}, &root, way), ca, next)
	row("the log goes on from the first head", "no fork", forkOf(same, [2][]byte{log.at(1), evil.at(7)}, new(must(tlog.TreeHash(1, evil))), must(tlog.ProveTree(7, 1, evil))), ca, now)
	row("the same head twice", "no fork", forkOf(same, [2][]byte{log.at(4), log.at(4)}, nil, nil), ca, now)
	row("the root is the first head's", "no fork", forkOf(same, [2][]byte{log.at(4), evil.at(7)}, &true4, way), ca, now)
	row("the greater head first", "no fork", forkOf(same, [2][]byte{evil.at(7), log.at(4)}, &root, way), ca, now)
	row("no proof", "no fork", forkOf(same, [2][]byte{log.at(4), evil.at(7)}, nil, nil), ca, now)
	row("a descriptor that is written twice", "no fork",
		forkOf([2][]byte{log.descriptor.Raw(), log.descriptor.Raw()}, [2][]byte{log.at(4), evil.at(4)}, nil, nil), ca, now)
	row("heads of two domains", "no fork",
		forkOf([2][]byte{log.descriptor.Raw(), strange.descriptor.Raw()}, [2][]byte{log.at(4), strangeAt(strange)}, nil, nil), ca, now)
	row("an octet more", "no fork", append(bytes.Clone(seven), 0), ca, now)
	row("an octet less", "no fork", seven[:len(seven)-1], ca, now)
	row("another version", "no fork", append([]byte{1}, seven[1:]...), ca, now)
	return all
}

func strangeAt(t *tree) []byte {
	t.add(4, "c")
	return t.at(4)
}
