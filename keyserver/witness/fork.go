package witness

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

const (
	forkVersion = 2

	// MaxFork is the greatest length of a marshalled Fork in bytes.
	MaxFork = 1 + 2*(2+pki.MaxDescriptorSize) + 2*(2+MaxCheckpoint) + 1 + tlog.HashSize + 1 + MaxProof*tlog.HashSize
)

// ErrNoFork says that what is shown as a fork proves none.
var ErrNoFork = errors.New("witness: this proves no fork")

// A Fork is two heads of one log, each signed by a key that a descriptor of its domain names,
// that no one log can have: of as many leaves and with another root, or of which the second
// does not begin with the first. Only ParseFork and NewFork make one, so its proof holds; whom it
// convinces, Check says. Its fields are to be read only.
type Fork struct {
	Domain      pki.Domain
	Descriptors [2]pki.SignedDescriptor // which name the keys; often one twice
	Heads       [2]store.Head           // the second of as many leaves or more; with the cosignatures known

	// Of a second head of more leaves: the root of its first leaves, as many as the first head
	// has, and the proof of that.
	Root  tlog.Hash
	Proof tlog.TreeProof
}

// NewFork proves that two heads of one log, each with its descriptor, contradict each other, by
// the tree of the one with more leaves; tree is not read if they have as many. If they do not it
// is ErrNoFork. Of more cosignatures than a fork has room for those stay that convince whose peers
// are first: theirs, of a time when the descriptor was valid.
func NewFork(heads [2]store.Head, tree tlog.HashReader, first ...Peer) (f Fork, err error) {
	if heads[0].Size > heads[1].Size {
		heads[0], heads[1] = heads[1], heads[0]
	}
	f.Heads = heads
	for i, h := range heads {
		if f.Descriptors[i], err = pki.ParseDescriptor(h.Descriptor); err != nil {
			return Fork{}, fmt.Errorf("%w: %w", ErrNoFork, err)
		}
		if f.Heads[i].Checkpoint, err = evident(f.Descriptors[i], h.Checkpoint, first); err != nil {
			return Fork{}, fmt.Errorf("%w: %w", ErrNoFork, err)
		}
	}
	if small, large := f.Heads[0].Size, f.Heads[1].Size; 0 < small && small < large {
		if f.Root, err = tlog.TreeHash(small, tree); err != nil {
			return Fork{}, fmt.Errorf("witness: reading a log: %w", err)
		}
		if f.Proof, err = tlog.ProveTree(large, small, tree); err != nil {
			return Fork{}, fmt.Errorf("witness: reading a log: %w", err)
		}
	}
	return ParseFork(f.Marshal())
}

// String says it in a few words.
func (f Fork) String() string {
	if f.Heads[0].Size == f.Heads[1].Size {
		return fmt.Sprintf("%s signed two logs of %d leaves", f.Domain, f.Heads[0].Size)
	}
	return fmt.Sprintf("%s signed a log of %d leaves that does not begin with the %d leaves that it had signed",
		f.Domain, f.Heads[1].Size, f.Heads[0].Size)
}

// Marshal writes the fork as the package comment lays it out.
func (f Fork) Marshal() []byte {
	var b cryptobyte.Builder
	put := func(part []byte) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(part) })
	}
	b.AddUint8(forkVersion)
	put(f.Descriptors[0].Raw())
	if string(f.Descriptors[0].Raw()) == string(f.Descriptors[1].Raw()) {
		put(nil)
	} else {
		put(f.Descriptors[1].Raw())
	}
	put(f.Heads[0].Checkpoint)
	put(f.Heads[1].Checkpoint)
	if f.Heads[0].Size == f.Heads[1].Size {
		b.AddUint8(0)
		return b.BytesOrPanic()
	}
	b.AddUint8(1)
	b.AddBytes(f.Root[:])
	b.AddUint8(uint8(len(f.Proof)))
	for _, h := range f.Proof {
		b.AddBytes(h[:])
	}
	return b.BytesOrPanic()
}

// ParseFork reads what Marshal wrote, and verifies it by itself: both descriptors are signed by
// the authority that they name, both heads by the keys that these name, and they contradict
// each other. Cosignatures are not looked at. The caller asks Check whether it is to believe it.
func ParseFork(raw []byte) (Fork, error) {
	f, err := readFork(raw)
	if err == nil {
		err = f.check()
	}
	if err == nil && string(f.Marshal()) != string(raw) {
		err = errors.New("it is not written as it should be")
	}
	if err != nil {
		return Fork{}, fmt.Errorf("%w: %w", ErrNoFork, err)
	}
	return f, nil
}

func readFork(raw []byte) (f Fork, err error) {
	input := cryptobyte.String(raw)
	var version, proven uint8
	var descriptors, heads [2]cryptobyte.String
	if len(raw) > MaxFork || !input.ReadUint8(&version) || version != forkVersion ||
		!input.ReadUint16LengthPrefixed(&descriptors[0]) || !input.ReadUint16LengthPrefixed(&descriptors[1]) ||
		!input.ReadUint16LengthPrefixed(&heads[0]) || !input.ReadUint16LengthPrefixed(&heads[1]) ||
		!input.ReadUint8(&proven) || proven > 1 || proven == 1 && !f.readProof(&input) || !input.Empty() {
		return f, errors.New("it is malformed")
	}
	if len(descriptors[1]) == 0 {
		descriptors[1] = descriptors[0]
	}
	for i := range 2 {
		if f.Descriptors[i], err = pki.ParseDescriptor(descriptors[i]); err != nil {
			return f, err
		}
		if f.Heads[i], err = headWith(f.Descriptors[i], heads[i]); err != nil {
			return f, err
		}
	}
	f.Domain = f.Descriptors[0].Domain
	return f, nil
}

func (f *Fork) readProof(input *cryptobyte.String) bool {
	var hashes uint8
	if !input.CopyBytes(f.Root[:]) || !input.ReadUint8(&hashes) || hashes > MaxProof {
		return false
	}
	f.Proof = make(tlog.TreeProof, hashes)
	for i := range f.Proof {
		if !input.CopyBytes(f.Proof[i][:]) {
			return false
		}
	}
	return true
}

// headWith is HeadBy with the cosignatures left, which come after the log's signature.
func headWith(d pki.SignedDescriptor, checkpoint []byte) (store.Head, error) {
	h, err := HeadBy(d, checkpoint)
	if err != nil {
		return h, err
	}
	if !bytes.HasPrefix(checkpoint, h.Checkpoint) || bytes.Count(checkpoint[len(h.Checkpoint):], []byte("\n")) > keylog.MaxCosignatures {
		return h, errors.New("the log's signature is not the first, or there are too many")
	}
	h.Checkpoint = bytes.Clone(checkpoint)
	return h, nil
}

// evident is a checkpoint with the log's signature, then the cosignatures of some witnesses while the
// descriptor was valid, then others, as many as a fork has room for.
func evident(d pki.SignedDescriptor, checkpoint []byte, first []Peer) ([]byte, error) {
	h, err := HeadBy(d, checkpoint)
	if err != nil {
		return nil, err
	}
	n, err := unverified(checkpoint)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(n.UnverifiedSigs, func(s note.Signature) bool { return s.Name == h.Origin })
	counts := slices.DeleteFunc(goodBy(n.Text, others, first), func(s note.Signature) bool {
		at, ok := keylog.CosignedAt(s)
		return !ok || d.CheckTime(at) != nil
	})
	others = slices.DeleteFunc(others, func(s note.Signature) bool { return slices.Contains(counts, s) })
	sigs := slices.Concat(counts, others)
	return Merge(h.Checkpoint, sigs[:min(len(sigs), keylog.MaxCosignatures)]...)
}

// HeadBy verifies a checkpoint by the key that a descriptor names for its domain's log. What it
// returns has the log's signature only, and the descriptor.
func HeadBy(d pki.SignedDescriptor, checkpoint []byte) (store.Head, error) {
	if !d.HasLog() {
		return store.Head{}, ErrUnknownLog
	}
	verifier, err := LogVerifier(d.Domain, d.Log)
	if err != nil {
		return store.Head{}, err
	}
	h, _, err := OpenHead(checkpoint, verifier)
	h.Descriptor = d.Raw()
	return h, err
}

// check wants a contradiction.
func (f Fork) check() error {
	small, large := f.Heads[0], f.Heads[1]
	switch {
	case f.Descriptors[1].Domain != f.Domain:
		return errors.New("the heads are of two domains")
	case small.Size < 1 || small.Size > large.Size:
		return errors.New("the first head has more leaves than the second, or none")
	case small.Size == large.Size:
		if small.Root == large.Root {
			return errors.New("the heads are the same")
		}
		return nil
	case tlog.CheckTree(f.Proof, large.Size, large.Root, small.Size, f.Root) != nil:
		return errors.New("the proof is not of the second head's tree")
	case f.Root == small.Root:
		return errors.New("the second head continues the first")
	}
	return nil
}
