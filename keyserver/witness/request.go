package witness

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/keyserver/keylog"
)

const (
	// MaxProof is how many hashes a consistency proof may have, and MaxCheckpoint how many
	// bytes a checkpoint with its signatures. With that of the log alone it is a head, which
	// has pki.MaxHeadSize at most.
	MaxProof      = 63
	MaxCheckpoint = keylog.MaxCheckpointSize

	// MaxRequest is the greatest length of a request in bytes.
	MaxRequest = len("old 9223372036854775807\n") + MaxProof*(44+1) + 1 + MaxCheckpoint
)

// ErrMalformed says that a request is none.
var ErrMalformed = errors.New("witness: malformed request")

// A Request asks a witness to cosign a checkpoint.
type Request struct {
	Old        int64          // leaves of the head that the witness cosigned last; 0: none
	Proof      tlog.TreeProof // from there to the checkpoint; at most MaxProof hashes
	Checkpoint []byte         // a signed note, at most MaxCheckpoint bytes
}

// Marshal writes the body of POST add-checkpoint.
//
//	"old " size "\n"
//	hash "\n"            for each of the proof, 44 of base64
//	"\n"
//	the checkpoint
func (r Request) Marshal() []byte {
	body := fmt.Appendf(nil, "old %d\n", r.Old)
	for _, h := range r.Proof {
		body = fmt.Appendln(body, h)
	}
	return append(append(body, '\n'), r.Checkpoint...)
}

// ParseRequest reads what Marshal wrote, and nothing that it would write otherwise: else it is
// ErrMalformed.
func ParseRequest(body []byte) (Request, error) {
	head, checkpoint, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok || len(body) > MaxRequest || len(checkpoint) > MaxCheckpoint {
		return Request{}, ErrMalformed
	}
	lines := strings.Split(string(head), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || old < 0 || len(lines)-1 > MaxProof {
		return Request{}, ErrMalformed
	}
	r := Request{Old: old, Checkpoint: checkpoint}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Request{}, ErrMalformed
		}
		r.Proof = append(r.Proof, h)
	}
	if !bytes.Equal(r.Marshal(), body) {
		return Request{}, ErrMalformed
	}
	return r, nil
}
