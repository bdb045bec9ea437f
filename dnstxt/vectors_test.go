package dnstxt

import (
	"encoding/hex"
	"errors"
	"testing"

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
