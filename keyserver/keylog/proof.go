package keylog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/pki"
)

// MaxProofSize is the greatest length of a proof in bytes.
const MaxProofSize = MaxCheckpointSize + 4096

// ErrProof says that a proof does not show what it is claimed to show.
var ErrProof = errors.New("keylog: bad proof")

// Claim is what a proof is to show: that the log has a commitment to this record.
type Claim struct {
	Kind    Kind
	Subject string   // the name, or the domain
	Record  [32]byte // SHA-256 of the record
}

// Inclusion is what a proof has shown.
type Inclusion struct {
	Leaf  Leaf
	Index int64 // of the leaf, from 0
	Head  Head  // the checkpoint in whose tree it is
}

// extra is what a proof says beside the tree: what the reader needs for the leaf and does not
// know yet. It is not signed; a wrong one makes another leaf, which is not in the tree.
//
//	1   kind
//	8   time, seconds since 1970
//	80  proof of the label
type extra struct {
	kind  Kind
	time  uint64
	label LabelProof
}

func (e extra) bytes() []byte {
	var b cryptobyte.Builder
	b.AddUint8(uint8(e.kind))
	b.AddUint64(e.time)
	b.AddBytes(e.label[:])
	return b.BytesOrPanic() // fixed lengths
}

func (e *extra) read(raw []byte) bool {
	input := cryptobyte.String(raw)
	return input.ReadUint8((*uint8)(&e.kind)) && e.kind.known() &&
		input.ReadUint64(&e.time) && e.time <= maxTime &&
		input.CopyBytes(e.label[:]) && input.Empty()
}

// Prove writes a proof (C2SP tlog-proof with extra data): that leaf is number index in the tree
// of a signed checkpoint.
func Prove(leaf Leaf, label LabelProof, index int64, way tlog.RecordProof, signed []byte) []byte {
	e := extra{leaf.Kind, uint64(leaf.Time.Unix()), label}
	return torchwood.FormatProofWithExtraData(index, e.bytes(), way, signed)
}

// Verify takes a proof of this log, if it shows what is claimed, under a policy over the log's
// witnesses, such as a [Quorum]. Errors are [ErrProof], [ErrCheckpoint] and [ErrQuorum].
func (l Log) Verify(proof []byte, claim Claim, witnesses torchwood.Policy) (Inclusion, error) {
	p, err := parseProof(proof)
	if err != nil {
		return Inclusion{}, err
	}
	if p.extra.kind != claim.Kind {
		return Inclusion{}, fmt.Errorf("%w: it is of a leaf of kind %s", ErrProof, p.extra.kind)
	}
	head, err := l.Open(p.signed, witnesses)
	if err != nil {
		return Inclusion{}, err
	}
	label, err := VerifyLabel(l.Labels, claim.Subject, p.extra.label)
	if err != nil {
		return Inclusion{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	leaf := Leaf{Kind: p.extra.kind, Time: time.Unix(int64(p.extra.time), 0).UTC(), Label: label, Record: claim.Record, Labels: l.Labels}
	if err := tlog.CheckRecord(p.way, head.N, head.Hash, p.index, leaf.Hash()); err != nil {
		return Inclusion{}, fmt.Errorf("%w: no such leaf in the tree", ErrProof)
	}
	return Inclusion{leaf, p.index, head}, nil
}

// parts is a proof as it was read; nothing in it is verified.
type parts struct {
	extra  extra
	index  int64
	way    tlog.RecordProof
	signed []byte // the checkpoint
}

// maxWay is how many hashes there are in a proof at most: the height of a tree of MaxLeaves.
const maxWay = 40

// parseProof reads what Prove wrote, in its one spelling.
func parseProof(proof []byte) (p parts, err error) {
	bad := fmt.Errorf("%w: malformed", ErrProof)
	if len(proof) > MaxProofSize {
		return p, fmt.Errorf("%w: longer than %d bytes", ErrProof, MaxProofSize)
	}
	raw, err := torchwood.ProofExtraData(proof)
	if err != nil || !p.extra.read(raw) {
		return p, bad
	}
	head, signed, _ := bytes.Cut(proof, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if len(lines) < 3 || len(lines) > 3+maxWay {
		return p, bad
	}
	index, _ := strings.CutPrefix(lines[2], "index ")
	if p.index, err = strconv.ParseInt(index, 10, 64); err != nil {
		return p, bad
	}
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return p, bad
		}
		p.way = append(p.way, hash)
	}
	p.signed = signed
	if !bytes.Equal(proof, torchwood.FormatProofWithExtraData(p.index, raw, p.way, signed)) {
		return p, bad // another spelling of the same
	}
	return p, nil
}

// Cosigners are the domains that a proof says have cosigned, without repeats, in its order and
// [MaxCosignatures] at most. Nothing is verified: it says whose keys to ask for.
func Cosigners(proof []byte) (domains []pki.Domain) {
	p, err := parseProof(proof)
	if err != nil {
		return nil
	}
	return CosignersOf(p.signed)
}

// CosignersOf are the domains that a checkpoint says have cosigned it, as Cosigners.
func CosignersOf(checkpoint []byte) (domains []pki.Domain) {
	_, sigs, _ := strings.Cut(string(checkpoint), "\n\n")
	for line := range strings.Lines(sigs) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		of, ok := strings.CutSuffix(name, "/p3do/witness")
		domain, err := pki.ParseDomain(of)
		if ok && err == nil && len(domains) < MaxCosignatures && !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	return domains
}

// IsProof reports whether raw has the form of a proof. It says nothing of what it proves.
func IsProof(raw []byte) bool {
	_, err := parseProof(raw)
	return err == nil
}

// Shorten is a proof without its last cosignatures, so that it is no longer than most bytes. The
// log's own signature stays. Nil: it is longer even so, or no proof.
func Shorten(proof []byte, most int) []byte {
	if !IsProof(proof) {
		return nil
	}
	_, checkpoint, _ := bytes.Cut(proof, []byte("\n\n"))
	text, sigs, _ := bytes.Cut(checkpoint, []byte("\n\n"))
	least := len(proof) - len(checkpoint) + len(text) + len("\n\n") + bytes.IndexByte(sigs, '\n') + 1
	for len(proof) > most {
		if len(proof) <= least {
			return nil
		}
		proof = proof[:bytes.LastIndexByte(proof[:len(proof)-1], '\n')+1]
	}
	return proof
}
