package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
)

// maxTries is how often one witness is asked about one head: it may say where it is, and another
// head may come in between.
const maxTries = 3

// A Peer is a witness of our log.
type Peer struct {
	Verifier *torchwood.CosignatureVerifier
	Old      int64 // leaves of the head that it cosigned last, as far as we know
	Ask      func(context.Context, Request) (lines []byte, err error)
}

// Gather has all peers cosign a head of our log at once, and gives each signature that is good to
// take, one at a time, as it comes. prove makes the consistency proof from an older size. It
// returns when the last peer has answered or ctx ends, with how far each has come: a peer that
// does not answer costs the others nothing.
func Gather(ctx context.Context, head store.Head, prove func(old int64) (tlog.TreeProof, error), peers []Peer, take func(note.Signature)) (olds []int64, errs []error) {
	olds, errs = make([]int64, len(peers)), make([]error, len(peers))
	var asking sync.WaitGroup
	var mu sync.Mutex // held by who calls take
	for i, p := range peers {
		asking.Go(func() {
			var sig note.Signature
			if sig, olds[i], errs[i] = p.cosignature(ctx, head, prove); errs[i] == nil {
				mu.Lock()
				defer mu.Unlock()
				take(sig)
			}
		})
	}
	asking.Wait()
	return olds, errs
}

// cosignature asks from where the peer says that it is.
func (p Peer) cosignature(ctx context.Context, head store.Head, prove func(int64) (tlog.TreeProof, error)) (sig note.Signature, old int64, err error) {
	old = min(p.Old, head.Size)
	for range maxTries {
		r := Request{Old: old, Checkpoint: head.Checkpoint}
		if 0 < old && old < head.Size {
			if r.Proof, err = prove(old); err != nil {
				return sig, old, fmt.Errorf("witness: proving that our log continues: %w", err)
			}
		}
		lines, err := p.Ask(ctx, r)
		var conflict *ConflictError
		switch {
		case err == nil:
			sig, err = verifyLines(head.Checkpoint, lines, p.Verifier)
			return sig, head.Size, err
		case !errors.As(err, &conflict) || conflict.Size == old:
			return sig, old, err
		case conflict.Size > head.Size: // it has a newer one already
			return sig, conflict.Size, err
		}
		old = conflict.Size
	}
	return sig, old, &ConflictError{old}
}

// verifyLines finds the signature of a witness in what it answered.
func verifyLines(checkpoint, lines []byte, by note.Verifier) (note.Signature, error) {
	signed, err := note.Open(append(bytes.Clone(checkpoint), lines...), note.VerifierList(by))
	if err != nil {
		return note.Signature{}, fmt.Errorf("witness: what %s answered is no cosignature of it", by.Name())
	}
	return signed.Sigs[0], nil
}

// Merge puts signatures under a checkpoint, each in the place of one by the same key. What was
// under it stays, be it verified or not. Signatures for which MaxCheckpoint bytes leave no room are left out.
func Merge(checkpoint []byte, sigs ...note.Signature) ([]byte, error) {
	n, err := unverified(checkpoint)
	if err != nil {
		return nil, err
	}
	all := n.UnverifiedSigs
	for _, sig := range sigs {
		all = slices.DeleteFunc(all, func(s note.Signature) bool { return s.Name == sig.Name && s.Hash == sig.Hash })
		all = append(all, sig)
	}
	return note.Sign(&note.Note{Text: n.Text, Sigs: fitting(n.Text, all)})
}

// unverified reads a note without asking who signed it.
func unverified(checkpoint []byte) (*note.Note, error) {
	_, err := note.Open(checkpoint, note.VerifierList())
	var is *note.UnverifiedNoteError
	if errors.As(err, &is) {
		return is.Note, nil
	}
	return nil, fmt.Errorf("witness: reading signatures: %w", err)
}

// fitting leaves out what would make a checkpoint longer than MaxCheckpoint.
func fitting(text string, sigs []note.Signature) (all []note.Signature) {
	room := MaxCheckpoint - len(text) - len("\n")
	for _, sig := range sigs {
		if line := len("— ") + len(sig.Name) + len(" ") + len(sig.Base64) + len("\n"); line <= room {
			room -= line
			all = append(all, sig)
		}
	}
	return all
}

// Cosigned is a checkpoint with no signatures but that of the log, which head has, and those that
// are good of some witnesses, in their order: the first [keylog.MaxCosignatures] of them, as many as
// a [Fork] may carry, as far as MaxCheckpoint bytes go. Those under a copy that was held of the same text count, too: none is lost because the log shows it no more.
func Cosigned(checkpoint, held []byte, head store.Head, by []Peer) ([]byte, error) {
	shown, err := unverified(checkpoint)
	if err != nil {
		return nil, err
	}
	sigs := shown.UnverifiedSigs
	if was, err := unverified(held); err == nil && was.Text == shown.Text {
		sigs = slices.Concat(sigs, was.UnverifiedSigs)
	}
	good := goodBy(shown.Text, sigs, by)
	return Merge(head.Checkpoint, good[:min(len(good), keylog.MaxCosignatures)]...)
}

// goodBy is one good signature of each peer that has one, in the order of the peers.
func goodBy(text string, sigs []note.Signature, by []Peer) (good []note.Signature) {
	for _, p := range by {
		for _, sig := range sigs {
			if sig.Name == p.Verifier.Name() && sig.Hash == p.Verifier.KeyHash() && verifies(text, sig, p.Verifier) {
				good = append(good, sig)
				break
			}
		}
	}
	return good
}

func verifies(text string, sig note.Signature, by note.Verifier) bool {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	return err == nil && len(raw) > 4 && by.Verify([]byte(text), raw[4:])
}
