package witness

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/p3do/p3do/keyserver/keylog"
)

// A File is a part of evidence.
type File struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

const forkReadme = `Evidence that %s.

first.checkpoint and second.checkpoint are signed notes (C2SP tlog-checkpoint), each signed by the key in the .vkey
beside it, which the .descriptor beside it names. The first descriptor is signed by the domain's key
%s, the second by
%s.
Lines below the log's signature are cosignatures of other domains (C2SP tlog-cosignature), which tell when they saw it.
%s
The .policy files are for tools that read tlog-policy (torchwood in Go: ParsePolicy, VerifyCheckpoint). The file
fork holds all of it as nodes hand it on (docs/spec/witness.md, section 5).
`

const sameSize = `Both have %d leaves, and different roots: no log has both.
`

const otherSize = `The second has %d leaves. The root of the first %d of them is in proof, with the hashes that lead from it to the
root of the second (RFC 6962, section 2.1.2; package tlog of x/mod in Go: CheckTree). It is not the root of the first.
`

// Files are the evidence for people and for other tools, by name: plain signed notes, keys,
// policies and the proof.
func (f Fork) Files() ([]File, error) {
	files := []File{{"fork", f.Marshal()}, {"README.txt", f.readme()}}
	for i, name := range []string{"first", "second"} {
		vkey, err := keylog.LogVKey(f.Domain, f.Descriptors[i].Log)
		if err != nil {
			return nil, fmt.Errorf("witness: writing evidence: %w", err)
		}
		files = append(files,
			File{name + ".checkpoint", f.Heads[i].Checkpoint},
			File{name + ".vkey", []byte(vkey + "\n")},
			File{name + ".policy", []byte("log " + vkey + "\nquorum none\n")},
			File{name + ".descriptor", f.Descriptors[i].Raw()})
	}
	if f.Heads[0].Size < f.Heads[1].Size {
		files = append(files, File{"proof", f.proofText()})
	}
	return files, nil
}

func (f Fork) readme() []byte {
	how := fmt.Sprintf(sameSize, f.Heads[0].Size)
	if f.Heads[0].Size < f.Heads[1].Size {
		how = fmt.Sprintf(otherSize, f.Heads[1].Size, f.Heads[0].Size)
	}
	return fmt.Appendf(nil, forkReadme, f, f.Descriptors[0].CA.Fingerprint(), f.Descriptors[1].CA.Fingerprint(), how)
}

// proofText is the root, then a hash of the proof on each line, all in base64.
func (f Fork) proofText() []byte {
	var b strings.Builder
	fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(f.Root[:]))
	for _, h := range f.Proof {
		fmt.Fprintln(&b, h)
	}
	return []byte(b.String())
}
