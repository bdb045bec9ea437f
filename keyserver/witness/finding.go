package witness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// The kinds of findings.
const (
	Rollback = "rollback" // an older head than one that was signed
	Omission = "omission" // a record that nothing shows to be in the log, or a head without its leaves
	Stale    = "stale"    // a record that gave way to another
	Silent   = "silent"   // nothing, for long, while the domain's node is there
)

// Kinds returns all of them.
func Kinds() []string { return []string{Rollback, Omission, Stale, Silent} }

// A Finding is what a key server showed that is not what its log says, and is no fork. What its
// files prove, and for what there is the finder's word alone, is in their README.txt.
type Finding struct {
	Domain pki.Domain `json:"domain"`
	Kind   string     `json:"kind"`
	Time   time.Time  `json:"time"`
	Words  string     `json:"words"`
	Files  []File     `json:"files"` // with which other tools verify it
}

// A Case is what findings of one log begin with.
type Case struct {
	Descriptor pki.SignedDescriptor // names the log's key
	Held       store.Head           // that was signed, and copied to
	Tree       tlog.HashReader      // of that
	Now        time.Time
}

const caseReadme = `Evidence of what the key server of %s showed.

%s
newest.checkpoint is a signed note (C2SP tlog-checkpoint), signed by the key in log.vkey, which log.descriptor names, signed
by the key of the domain, %s. It may be cosigned: a cosignature says when.
log.policy is for tools that read tlog-policy (torchwood in Go: ParsePolicy, VerifyCheckpoint, VerifyProof).
If newest.vkey is here, the log has another key since: then newest.checkpoint, and what is under it, is by that one.

%s
`

// finding adds to its files those that all findings have.
func (c Case) finding(kind, words, what, shows string, files ...File) (Finding, error) {
	d := c.Descriptor
	by, err := signedBy("log", d)
	if err != nil {
		return Finding{}, err
	}
	if files = append(files, by...); c.Held.Size > 0 {
		files = append(files, File{"newest.checkpoint", c.Held.Checkpoint})
	}
	if before, err := pki.ParseDescriptor(c.Held.Descriptor); err == nil && before.Log != d.Log {
		if by, err = signedBy("newest", before); err != nil {
			return Finding{}, err
		}
		files = append(files, by...)
	}
	files = append(files,
		File{"README.txt", fmt.Appendf(nil, caseReadme, d.Domain, what, d.CA.Fingerprint(), shows)})
	return Finding{d.Domain, kind, c.Now.UTC().Truncate(time.Second), words, files}, nil
}

// signedBy has what says who signed a head, for tools and for people.
func signedBy(name string, d pki.SignedDescriptor) ([]File, error) {
	vkey, err := keylog.LogVKey(d.Domain, d.Log)
	if err != nil {
		return nil, fmt.Errorf("witness: writing evidence: %w", err)
	}
	return []File{
		{name + ".vkey", []byte(vkey + "\n")},
		{name + ".policy", []byte("log " + vkey + "\nquorum none\n")},
		{name + ".descriptor", d.Raw()},
	}, nil
}

// Rollback is that an older head was shown.
func (c Case) Rollback(shown store.Head) (Finding, error) {
	files := []File{{"shown.checkpoint", shown.Checkpoint}}
	if shown.Size > 0 {
		proof, err := tlog.ProveTree(c.Held.Size, shown.Size, c.Tree)
		if err != nil {
			return Finding{}, fmt.Errorf("witness: writing evidence: %w", err)
		}
		files = append(files, File{"proof", hashLines(proof)})
	}
	return c.finding(Rollback, fmt.Sprintf("its key server shows %d leaves of its log, and it has signed %d", shown.Size, c.Held.Size),
		fmt.Sprintf(`It has signed a log of %d leaves, newest.checkpoint, and showed one of %d, shown.checkpoint, at %s.
The hashes in proof lead from that to the newest (RFC 6962, section 2.1.2; package tlog of x/mod in Go: CheckTree).
`, c.Held.Size, shown.Size, c.at()),
		`The files prove that the domain signed both. A head does not say when it was signed: that the older one was shown after
the newer is the word of whoever wrote this.`, files...)
}

// Withheld is that leaves under a head were not shown.
func (c Case) Withheld(shown store.Head, why error) (Finding, error) {
	if c.Held.Size == 0 {
		c.Held = shown
	}
	return c.finding(Omission, fmt.Sprintf("its key server does not show the %d leaves that it has signed", shown.Size),
		fmt.Sprintf(`It signed a log of %d leaves, shown.checkpoint, and did not show them at %s: %v.
newest.checkpoint is what of it was copied.
`, shown.Size, c.at(), why),
		`The files prove that the domain signed that head, and so has those leaves to show. That it did not is the word of whoever
wrote this: nobody signs that he is silent.`, File{"shown.checkpoint", shown.Checkpoint})
}

// Silence is that audits have had no answer since a time, which is the finder's word alone.
func (c Case) Silence(since time.Time, why error) (Finding, error) {
	words := fmt.Sprintf("its key server has not answered audits since %s, and its node is there", since.UTC().Format(time.RFC3339))
	return c.finding(Silent, words,
		fmt.Sprintf("%s. At %s: %v.\nnewest.checkpoint, if it is here, is what of its log was copied.\n", words, c.at(), why),
		`The files prove nothing of that: it is the word of whoever wrote this. Who else gets answers may know more.`)
}

// Unproven is that a record was answered which nothing shows to be in the log; proof is what came
// for a proof, nil for nothing.
func (c Case) Unproven(record, proof []byte) (Finding, error) {
	words, files := "its key server answers a record, and does not prove that it is in its log", []File{{"answer.record", record}}
	if proof != nil {
		words, files = "its key server answers a record with a proof that does not hold", append(files, File{"answer.proof", proof})
	}
	return c.finding(Omission, words,
		fmt.Sprintf("At %s %s.\nanswer.record is that record; answer.proof, if it is here, is what came for a proof (C2SP tlog-proof).\n", c.at(), words),
		`The files prove that the record was signed, and that the proof does not hold. That they were answered so, or that no proof
was, is the word of whoever wrote this: an answer is not signed.`, files...)
}

// Stale is that a record was answered, with a good proof, in whose place there is another by leaf
// number newer of the log.
func (c Case) Stale(record, proof []byte, shown keylog.Inclusion, newer int64, leaf []byte) (Finding, error) {
	way, err := tlog.ProveRecord(c.Held.Size, newer, c.Tree)
	if err != nil {
		return Finding{}, fmt.Errorf("witness: writing evidence: %w", err)
	}
	return c.finding(Stale, fmt.Sprintf("its key server answers entry %d of its log, which gave way to entry %d", shown.Index, newer),
		fmt.Sprintf(`At %s it answered entry %d of its log (answer.leaf, answer.record, answer.proof). Entry %d is of the same label
(newer.leaf, newer.proof): octets 10 to 41 of both leaves are one. The proofs are C2SP tlog-proof.
`, c.at(), shown.Index, newer),
		`The files prove that the later entry took the place of the earlier. That the earlier one was answered when the later was
there is the word of whoever wrote this: an answer is not signed.`,
		File{"answer.record", record}, File{"answer.proof", proof}, File{"answer.leaf", shown.Leaf.Bytes()},
		File{"newer.leaf", leaf}, File{"newer.proof", torchwood.FormatProof(newer, way, c.Held.Checkpoint)})
}

func (c Case) at() string { return c.Now.UTC().Format(time.RFC3339) }

// hashLines has a hash on each line, in base64.
func hashLines(hashes []tlog.Hash) []byte {
	var b strings.Builder
	for _, h := range hashes {
		fmt.Fprintln(&b, h)
	}
	return []byte(b.String())
}

// Held is a copy as it is: nothing is read elsewhere, and nothing is written.
func (c *Copy) Held() torchwood.TileReader { return heldCopy{c} }

type heldCopy struct{ *Copy }

func (h heldCopy) ReadTiles(ctx context.Context, tiles []tlog.Tile) ([][]byte, error) {
	alone := Copy{store: h.store, origin: h.origin}
	return alone.ReadTiles(ctx, tiles)
}

func (heldCopy) SaveTiles([]tlog.Tile, [][]byte) {}
