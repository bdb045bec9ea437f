package dnstxt

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/p3do/p3do/internal/golden"
)

const vectorsFile = "../docs/spec/vectors/dnstxt.json"

// vectors is docs/spec/vectors/dnstxt.json: all that another implementation
// needs to compare itself with docs/spec/dnstxt.md.
type vectors struct {
	About    string          `json:"about"`
	Records  []recordVector  `json:"records"`
	Refusals []refusalVector `json:"refusals"`
	Queries  []queryVector   `json:"queries"`
	Answers  []answerVector  `json:"answers"`
	Proofs   proofVectors    `json:"proofs"`
}

// proofVectors are what a resolver answers, and what that proves. Sets are named by type and owner;
// each is its records and signatures as in a zone file.
type proofVectors struct {
	Domain  string              `json:"domain"`
	Time    int64               `json:"time"`    // by which signatures are judged, seconds since 1970
	Anchors []string            `json:"anchors"` // DS records
	Sets    map[string][]string `json:"sets"`    // of all cases; of what is not there, there is an empty answer
	Cases   []proofVector       `json:"cases"`
}

type proofVector struct {
	Name   string              `json:"name"`
	Sets   map[string][]string `json:"sets"`   // in place of those of all
	Result string              `json:"result"` // secure, plain or invalid
}

type recordVector struct {
	Name       string   `json:"name"`
	Text       string   `json:"text"`
	FP         string   `json:"fp"`            // hex
	FP2        string   `json:"fp2,omitempty"` // hex
	KeyServers []string `json:"ks"`
	Onion      string   `json:"o,omitempty"`
	Seconds    *int64   `json:"t,omitempty"`
	Canonical  string   `json:"canonical"`
	ZoneLine   string   `json:"zone_line"` // for a.test, TTL 3600
}

type refusalVector struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Tag  string `json:"tag"` // at fault; empty: the record as a whole
}

type queryVector struct {
	Domain  string `json:"domain"`
	ID      uint16 `json:"id"`
	Message string `json:"message"` // hex
}

type answerVector struct {
	Name    string `json:"name"`
	Domain  string `json:"domain"` // that was asked for
	ID      uint16 `json:"id"`
	Message string `json:"message"` // hex
	Result  string `json:"result"`  // record, none, invalid, not-ours
	Record  string `json:"record,omitempty"`
}

func makeVectors(t *testing.T) vectors {
	v := vectors{About: "TXT records of P3DO; docs/spec/dnstxt.md says what each means. Made by: P3DO_REWRITE=1 go test ./dnstxt -run Vectors"}
	for _, r := range []struct{ name, text string }{
		{"least", least},
		{"full", fullRecord().String()},
		{"large", largeRecord().String()},
		{"spaces and order", "v=P3DO1 ;t=0;ks=keys.a.test:8443;  " + fpA + ";k=ed25519;"},
		{"unknown tags", least + "; zz9=any = thing; zz9="},
	} {
		v.Records = append(v.Records, recordVectorOf(t, r.name, r.text))
	}
	for _, r := range refusals {
		v.Refusals = append(v.Refusals, refusalVector{r.name, r.text, r.tag})
	}
	v.Queries = []queryVector{queryVectorOf(t, "a.test", 7), queryVectorOf(t, "xn--bcher-kva.example", 0xffff)}
	query := new(dns.Msg).SetQuestion(owner, dns.TypeTXT)
	query.Id = 7
	v.Answers = []answerVector{answerVectorOf("the record", answering(query, same))}
	for _, e := range edits {
		v.Answers = append(v.Answers, answerVectorOf(e.name, answering(query, e.edit)))
	}
	v.Proofs = makeProofs()
	return v
}

func recordVectorOf(t *testing.T, name, text string) recordVector {
	r, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	line, err := r.ZoneLine(domain(t, "a.test"), 3600)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	v := recordVector{
		Name: name, Text: text, FP: hex.EncodeToString(r.Fingerprint[:]),
		KeyServers: r.KeyServers, Onion: r.Onion, Canonical: r.String(), ZoneLine: line,
	}
	if !r.Next.IsZero() {
		v.FP2 = hex.EncodeToString(r.Next[:])
	}
	if !r.Time.IsZero() {
		seconds := r.Time.Unix()
		v.Seconds = &seconds
	}
	return v
}

func queryVectorOf(t *testing.T, name string, id uint16) queryVector {
	q, err := Owner(domain(t, name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := question{id, q + ".", dns.TypeTXT}.pack(false)
	if err != nil {
		t.Fatal(err)
	}
	return queryVector{name, id, hex.EncodeToString(b)}
}

func answerVectorOf(name string, message []byte) answerVector {
	r, err := parse(question{7, owner, dns.TypeTXT}, message)
	v := answerVector{Name: name, Domain: "a.test", ID: 7, Message: hex.EncodeToString(message), Result: "record"}
	switch {
	case err == nil:
		v.Record = r.String()
	case errors.Is(err, ErrNone):
		v.Result = "none"
	case errors.Is(err, errNotOurs):
		v.Result = "not-ours"
	default:
		v.Result = "invalid"
	}
	return v
}

// TestVectors: the file says exactly what this package does. That what it does
// is right is what the other tests say.
func TestVectors(t *testing.T) {
	golden.Check(t, vectorsFile, makeVectors(t))
	var file vectors
	golden.Read(t, vectorsFile, &file)
	refused := 0
	for _, a := range file.Answers {
		if a.Result == "invalid" {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("only %d refused answers among the vectors", refused)
	}
}

func makeProofs() proofVectors {
	w, root, _, _ := newWorld()
	v := proofVectors{Domain: "a.test", Time: signedAt.Unix(), Anchors: []string{root.ds().String()}, Sets: make(map[string][]string)}
	for name := range w {
		v.Sets[name] = linesOf(w[name])
	}
	for _, tt := range chains() {
		w, _, _, _ := newWorld()
		tt.edit(w)
		made := proofVector{Name: tt.name, Sets: make(map[string][]string), Result: tt.want.String()}
		if tt.err != nil {
			made.Result = "invalid"
		}
		for name := range v.Sets { // those that were taken away
			w[name] = append([]dns.RR{}, w[name]...)
		}
		for name, set := range w {
			if lines := linesOf(set); !slices.Equal(lines, v.Sets[name]) {
				made.Sets[name] = lines
			}
		}
		v.Cases = append(v.Cases, made)
	}
	return v
}

func linesOf(set []dns.RR) []string {
	lines := make([]string, len(set))
	for i, rr := range set {
		lines[i] = rr.String()
	}
	return lines
}

// Who has nothing but the file comes to what it says.
func TestProofVectors(t *testing.T) {
	var file vectors
	golden.Read(t, vectorsFile, &file)
	anchors, err := ParseAnchors(strings.Join(file.Proofs.Anchors, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Proofs.Cases) < 20 {
		t.Errorf("%d cases", len(file.Proofs.Cases))
	}
	for _, tt := range file.Proofs.Cases {
		w := make(world)
		for _, sets := range []map[string][]string{file.Proofs.Sets, tt.Sets} {
			for name, lines := range sets {
				w[name] = nil
				for _, line := range lines {
					rr, err := dns.NewRR(line)
					if err != nil {
						t.Fatalf("%s: %v", tt.Name, err)
					}
					w[name] = append(w[name], rr)
				}
			}
		}
		var asked atomic.Int32
		r := w.resolver(t, "", &asked)
		r.Anchors, r.Now = anchors, func() time.Time { return time.Unix(file.Proofs.Time, 0) }
		got, err := r.Look(t.Context(), domain(t, file.Proofs.Domain))
		result := got.Security.String()
		if errors.Is(err, ErrInvalid) {
			result = "invalid"
		}
		if result != tt.Result {
			t.Errorf("%s: %s, %v, want %s", tt.Name, result, err, tt.Result)
		}
	}
}
