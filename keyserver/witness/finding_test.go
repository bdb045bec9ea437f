package witness

import (
	"bytes"
	"errors"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Evidence over two keys of one log names both, each for its own head.
func TestFindingsOverTwoKeys(t *testing.T) {
	log := newTree("a.test", 1)
	log.add(4, "a")
	held := log.head(4)
	log.describe(newTree("z.test", 7).key, must(pki.NewWitnessKey(bytes.NewReader(make([]byte, 32)))), 2)
	is := Case{Descriptor: log.descriptor, Held: held, Tree: log, Now: testNow}
	for _, x := range []Finding{
		must(is.Rollback(log.head(2))), must(is.Rollback(log.head(0))), must(is.Withheld(log.head(3), errors.New("why"))),
		must(is.Unproven([]byte("record"), nil)), must(is.Unproven([]byte("record"), []byte("proof"))),
		must(is.Stale([]byte("record"), []byte("proof"), keylog.Inclusion{Index: 1}, 3, log.leaves[3])),
	} {
		files := make(map[string][]byte)
		for _, f := range x.Files {
			files[f.Name] = f.Content
		}
		newest := must(torchwood.ParsePolicy(files["newest.policy"]))
		must(second(torchwood.VerifyCheckpoint(files["newest.checkpoint"], newest)))
		if shown := files["shown.checkpoint"]; shown != nil {
			must(second(torchwood.VerifyCheckpoint(shown, must(torchwood.ParsePolicy(files["log.policy"])))))
		}
		if proof := files["newer.proof"]; proof != nil {
			if err := torchwood.VerifyProof(newest, tlog.RecordHash(files["newer.leaf"]), proof); err != nil {
				t.Error(err)
			}
		}
		if x.Domain != log.descriptor.Domain || !bytes.Contains(files["README.txt"], []byte("word of whoever")) || bytes.Contains(files["README.txt"], []byte("%!")) {
			t.Errorf("%+v\n%s", x, files["README.txt"])
		}
	}
	if x := must((Case{Descriptor: log.descriptor, Tree: log, Now: testNow}).Withheld(log.head(3), errors.New("why"))); len(x.Files) != 6 {
		t.Errorf("without a copy there are %d files", len(x.Files))
	}
}

// second drops what comes second.
func second[A, B any](a A, _ B, err error) (A, error) { return a, err }
