package keylog

import (
	"errors"
	"fmt"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/pki"
)

const (
	// MaxCheckpointSize is the greatest length of a signed checkpoint in bytes.
	MaxCheckpointSize = 16 << 10

	// MaxCosignatures is how many witnesses' signatures a checkpoint carries at most; a log
	// leaves out the others.
	MaxCosignatures = 32

	// MaxLeaves is the greatest size of a log.
	MaxLeaves = 1 << 40
)

var (
	// ErrCheckpoint says that a checkpoint is malformed, of another log, or not signed by the
	// log's key.
	ErrCheckpoint = errors.New("keylog: bad checkpoint")

	// ErrQuorum says that a checkpoint is the log's, and that too few witnesses cosigned it, or
	// too long ago.
	ErrQuorum = errors.New("keylog: too few witnesses cosigned")
)

// Log is what a reader knows of the log of a domain, from the domain's signed descriptor.
type Log struct {
	Domain pki.Domain
	Key    pki.LogPublic
	Labels [32]byte // public key of the labels
}

// Of returns the log that a descriptor names, if it names one.
func Of(d pki.Descriptor) (log Log, ok bool) {
	return Log{d.Domain, d.Log, d.Labels}, d.HasLog()
}

// Head is a checkpoint that was verified: at this size the log had this root.
type Head struct {
	torchwood.Checkpoint
	Sigs []note.Signature // those that were verified
}

// Sign makes a checkpoint: a signed note with the log's own signature. The same tree makes the
// same bytes.
func Sign(tree tlog.Tree, signer note.Signer) ([]byte, error) {
	c := torchwood.Checkpoint{Origin: signer.Name(), Tree: tree}
	signed, err := note.Sign(&note.Note{Text: c.String()}, signer)
	if err != nil {
		return nil, fmt.Errorf("keylog: signing checkpoint: %w", err)
	}
	return signed, nil
}

// Open takes a checkpoint of this log, under the log's key and a policy over its witnesses, such
// as a [Quorum]; nil wants none. Errors are [ErrCheckpoint] and [ErrQuorum].
func (l Log) Open(signed []byte, witnesses torchwood.Policy) (Head, error) {
	if len(signed) > MaxCheckpointSize {
		return Head{}, fmt.Errorf("%w: longer than %d bytes", ErrCheckpoint, MaxCheckpointSize)
	}
	policy, err := l.policy(witnesses)
	if err != nil {
		return Head{}, err
	}
	c, n, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return Head{}, l.why(signed, err)
	}
	if err := checkForm(c); err != nil {
		return Head{}, err
	}
	return Head{c, n.Sigs}, nil
}

// checkForm refuses what torchwood would take and no log of ours writes: extensions, and trees
// that no log of ours can have.
func checkForm(c torchwood.Checkpoint) error {
	if c.Extension != "" || c.N > MaxLeaves {
		return fmt.Errorf("%w: extension lines, or too many leaves", ErrCheckpoint)
	}
	return nil
}

// policy wants the log's own signature beside what witnesses say.
func (l Log) policy(witnesses torchwood.Policy) (torchwood.Policy, error) {
	v, err := logVerifier(l.Domain, l.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	own := []torchwood.Policy{torchwood.OriginPolicy(v.Name()), torchwood.SingleVerifierPolicy(v)}
	if witnesses != nil {
		own = append(own, witnesses)
	}
	return torchwood.ThresholdPolicy(len(own), own...), nil
}

// why tells a checkpoint that only lacks witnesses from a bad one.
func (l Log) why(signed []byte, err error) error {
	own, bad := l.policy(nil)
	if bad == nil {
		_, _, bad = torchwood.VerifyCheckpoint(signed, own)
	}
	if bad == nil {
		return fmt.Errorf("%w: %w", ErrQuorum, err)
	}
	return fmt.Errorf("%w: %w", ErrCheckpoint, err)
}

// Cosigned puts signatures of witnesses under a checkpoint, each in the place of one by the same
// key: [MaxCosignatures] of them, the newest. The log's own stays first.
func Cosigned(signed []byte, sigs ...note.Signature) ([]byte, error) {
	n, err := note.Open(signed, note.VerifierList())
	var unverified *note.UnverifiedNoteError // well formed: its keys are none of our business here
	if errors.As(err, &unverified) {
		n, err = unverified.Note, nil
	}
	if err != nil || len(n.UnverifiedSigs) == 0 {
		return nil, fmt.Errorf("%w: malformed", ErrCheckpoint)
	}
	all := n.UnverifiedSigs
	for _, sig := range sigs {
		all = slices.DeleteFunc(all, func(s note.Signature) bool { return s.Name == sig.Name && s.Hash == sig.Hash })
		all = append(all, sig)
	}
	if over := len(all) - 1 - MaxCosignatures; over > 0 {
		all = slices.Delete(all, 1, 1+over)
	}
	return note.Sign(&note.Note{Text: n.Text, Sigs: all})
}
