package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Why a witness does not cosign.
var (
	// ErrUnknownLog says that it witnesses no log of that name.
	ErrUnknownLog = errors.New("witness: this log is not witnessed here")

	// ErrSignature says that the log's key, as it is known here, has not signed the checkpoint.
	ErrSignature = errors.New("witness: not signed by the log")

	// ErrProof says that the checkpoint does not continue the head that was cosigned last, or
	// is not proven to.
	ErrProof = errors.New("witness: the checkpoint does not continue what was cosigned")
)

// A ConflictError says that the witness is not where the request takes it to be: it has cosigned
// a head of that many leaves.
type ConflictError struct{ Size int64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("witness: the last head that was cosigned has %d leaves", e.Size)
}

// Config is what a Witness is made of.
type Config struct {
	Store  *store.Store
	Signer *torchwood.CosignatureSigner

	// Log finds the descriptor that names the key by which a log signs now; false: it is not
	// witnessed.
	Log func(ctx context.Context, origin string) (pki.SignedDescriptor, bool)

	// Seen, if it is not nil, is told of each checkpoint of a leaf or more that a log has signed, when it is judged,
	// whether it is cosigned or not: one that is not may prove a fork.
	Seen func(ctx context.Context, checkpoint []byte)
}

// A Witness cosigns the heads of logs, each only if it continues the one before. Its methods
// may be called concurrently, and several processes may die in them: the state is one row in
// the store, replaced only if it still is the one that was compared with.
type Witness struct{ config Config }

// New makes a Witness.
func New(config Config) *Witness { return &Witness{config} }

// Add answers a request to cosign: with signature lines, or ErrMalformed, ErrUnknownLog,
// ErrSignature, ErrProof, *ConflictError, or what the store says.
func (w *Witness) Add(ctx context.Context, body []byte) (lines []byte, err error) {
	r, err := ParseRequest(body)
	if err != nil {
		return nil, err
	}
	head, text, err := w.open(ctx, r.Checkpoint)
	if err != nil {
		return nil, err
	}
	if r.Old > head.Size || r.Old == 0 && len(r.Proof) > 0 {
		return nil, ErrMalformed
	}
	if lines, err = w.cosign(text); err != nil {
		return nil, err
	}
	signed := head.Checkpoint
	head.Checkpoint = slices.Concat(signed, lines) // what it is worth if the log's key changes
	if err = w.advance(ctx, r, head); err != nil {
		lines = nil
	}
	if w.config.Seen != nil && head.Size > 0 {
		w.config.Seen(ctx, signed)
	}
	return lines, err
}

// open verifies a checkpoint, and keeps no signature but that of the log.
func (w *Witness) open(ctx context.Context, checkpoint []byte) (h store.Head, text string, err error) {
	origin, _, _ := strings.Cut(string(checkpoint), "\n")
	d, ok := w.config.Log(ctx, origin)
	if !ok {
		return h, "", ErrUnknownLog
	}
	verifier, err := LogVerifier(d.Domain, d.Log)
	if err != nil {
		return h, "", ErrUnknownLog
	}
	h, text, err = OpenHead(checkpoint, verifier)
	h.Descriptor = d.Raw()
	return h, text, err
}

// OpenHead verifies the checkpoint of a log. The Checkpoint of what it returns has the log's
// signature only. Errors are ErrMalformed and ErrSignature.
func OpenHead(checkpoint []byte, log note.Verifier) (h store.Head, text string, err error) {
	if len(checkpoint) > MaxCheckpoint {
		return h, "", ErrMalformed
	}
	signed, err := note.Open(checkpoint, note.VerifierList(log))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return h, "", ErrSignature
	case err != nil:
		return h, "", ErrMalformed
	}
	c, err := torchwood.ParseCheckpoint(signed.Text)
	if err != nil || c.String() != signed.Text || c.Origin != log.Name() || c.N == 0 && c.Hash != emptyRoot() || c.N > keylog.MaxLeaves {
		return h, "", ErrMalformed
	}
	alone, err := note.Sign(&note.Note{Text: signed.Text, Sigs: signed.Sigs})
	if err != nil || len(alone) > pki.MaxHeadSize {
		return h, "", ErrMalformed
	}
	return store.Head{Origin: c.Origin, Size: c.N, Root: c.Hash, Checkpoint: alone}, signed.Text, nil
}

// emptyRoot is the root of no leaves (RFC 6962, section 2.1).
func emptyRoot() tlog.Hash {
	h, _ := tlog.TreeHash(0, nil) // reads nothing
	return h
}

// advance writes the head down if it continues the one cosigned last, which is what the request
// says. What is written down already is not written again: it may be cosigned with a later time.
func (w *Witness) advance(ctx context.Context, r Request, head store.Head) error {
	held, err := w.config.Store.Witnessed(ctx, head.Origin)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	switch {
	case held.Size != r.Old:
		return &ConflictError{held.Size}
	case head.Size == 0:
		return nil // there is one tree of no leaves
	case held.Size == head.Size:
		return same(held, head, r.Proof)
	case held.Size > 0 && tlog.CheckTree(r.Proof, head.Size, head.Root, held.Size, held.Root) != nil:
		return ErrProof
	}
	err = w.config.Store.AdvanceWitnessed(ctx, held, head)
	if errors.Is(err, store.ErrOldSerial) { // another request was first
		if held, err = w.config.Store.Witnessed(ctx, head.Origin); err == nil {
			err = &ConflictError{held.Size}
		}
	}
	return err
}

func same(held, head store.Head, proof tlog.TreeProof) error {
	switch {
	case held.Root != head.Root:
		return &ConflictError{held.Size} // as C2SP tlog-witness has it
	case len(proof) > 0:
		return ErrProof
	}
	return nil
}

// cosign returns the signature line.
func (w *Witness) cosign(text string) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, w.config.Signer)
	if err != nil {
		return nil, fmt.Errorf("witness: cosigning: %w", err)
	}
	return signed[bytes.LastIndex(signed, []byte("\n\n"))+2:], nil
}
