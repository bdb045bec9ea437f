package keyserver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/p3do/p3do/internal/store"
	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// MaxGiven is how many bytes of answers under one checkpoint are kept, to be given again. Over it
// all are forgotten, and made again from the disk.
const MaxGiven = 16 << 20

// given are the cards with proof that were given under one checkpoint, by the number of the leaf.
// A card that is replaced or deleted has no leaf of that number in the store any more, and so is
// not found here.
type given struct {
	mu    sync.Mutex
	known map[int64]provenCard
	size  int
}

type provenCard struct {
	body []byte
	key  pki.Fingerprint
}

func (g *given) get(n int64) (provenCard, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.known[n]
	return c, ok
}

func (g *given) put(n int64, c provenCard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.size += len(c.body); g.size > MaxGiven {
		clear(g.known)
		g.size = len(c.body)
	}
	g.known[n] = c
}

// record is what is asked for with proof.
type record struct {
	kind    keylog.Kind
	subject string
	raw     []byte
	sum     [32]byte        // what its leaf commits to
	key     pki.Fingerprint // of a card
}

// proven answers with a card or descriptor and its proof. A miss has cost two look-ups in the
// store, whatever was asked for: one for the record, and one for its leaf.
// A card of another domain's user is proven by a copy, which is looked for after a miss.
func (s *Server) proven(ctx context.Context, q query) (answer, error) {
	a, err := s.provenOwn(ctx, q)
	if errors.Is(err, errMiss) && q.kind != proofOfServer {
		return s.provenCopy(ctx, Subject{Name: q.name, Key: q.fingerprint})
	}
	return a, err
}

func (s *Server) provenOwn(ctx context.Context, q query) (answer, error) {
	if s.config.Log == nil {
		return answer{}, errMiss
	}
	if q.kind == proofOfUser {
		return s.provenUser(ctx, q.name)
	}
	r, err := s.record(ctx, q)
	entry, missing := s.config.Store.Logged(ctx, uint8(r.kind), r.subject)
	if err := graver(err, missing); err != nil {
		return answer{}, err
	}
	return s.prove(ctx, r, entry)
}

func (s *Server) provenUser(ctx context.Context, name pki.Name) (answer, error) {
	entry, missing := s.config.Store.Logged(ctx, uint8(keylog.Card), name.String())
	if missing == nil {
		if c, ok := s.config.Log.under(entry.Number).given.get(entry.Number); ok && !s.revoked(name, c.key) {
			return answer{body: c.body, contentType: typeRecord}, nil
		}
	}
	u, err := s.config.Store.User(ctx, name.String())
	r, err := s.cardRecord(u, err)
	if err := graver(err, missing); err != nil {
		return answer{}, err
	}
	return s.prove(ctx, r, entry)
}

// graver is why there is no answer: a miss only if nothing has failed.
func graver(a, b error) error {
	if a = miss(a); a == nil || errors.Is(a, errMiss) && b != nil {
		return miss(b)
	}
	return a
}

// record finds what is asked for by key or domain.
func (s *Server) record(ctx context.Context, q query) (record, error) {
	if q.kind == proofOfServer {
		v, err := s.config.Store.Server(ctx, q.domain.String())
		if err == nil && v.Origin != store.Home {
			err = errMiss
		}
		return record{kind: keylog.Authority, subject: q.domain.String(), raw: v.Descriptor, sum: v.CA}, err
	}
	if q.kind == proofOfRevocation || q.kind == proofOfChallenge {
		return s.said(ctx, q)
	}
	u, err := s.config.Store.UserByFingerprint(ctx, q.fingerprint)
	return s.cardRecord(u, err)
}

// said finds a revocation or a challenge by what it says, which is the hash of a key and a name.
func (s *Server) said(ctx context.Context, q query) (record, error) {
	kind, statement := keylog.Revocation, pki.StatementRevocation
	if q.kind == proofOfChallenge {
		kind, statement = keylog.Challenge, pki.StatementChallenge
	}
	v, err := s.config.Store.StatementByID(ctx, uint8(statement), q.fingerprint)
	sum := sha256.Sum256(v.Raw)
	return record{kind: kind, subject: saidKey(sum), raw: v.Raw, sum: sum}, err
}

func (s *Server) cardRecord(u store.User, err error) (record, error) {
	var a answer
	if err == nil {
		a, err = s.cardOf(u)
	}
	if err == nil && u.Origin != store.Home {
		err = errMiss
	}
	return record{keylog.Card, u.Name, a.body, sha256.Sum256(a.body), u.Fingerprint}, err
}

// joinProven writes a record and its proof:
//
//	2  n, big endian
//	n  record
//	   proof, to the end
func joinProven(record, proof []byte) []byte {
	body := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(record)+len(proof)), uint16(len(record)))
	return append(append(body, record...), proof...)
}

// prove answers with a record and its proof.
func (s *Server) prove(ctx context.Context, r record, entry store.Logged) (answer, error) {
	if entry.Record != r.sum { // another was published between the two look-ups
		return answer{}, errBusy
	}
	under := s.config.Log.under(entry.Number)
	if entry.Number < 0 || entry.Number >= under.N { // on the disk, and to be sealed in a moment
		return answer{}, errBusy
	}
	proof, err := s.config.Log.prove(ctx, entry, under)
	if err != nil {
		return answer{}, err
	}
	body := joinProven(r.raw, proof)
	if r.kind == keylog.Card {
		under.given.put(entry.Number, provenCard{body, r.key})
	}
	return answer{body: body, contentType: typeRecord}, nil
}

// under is the checkpoint to prove leaf number n by: the newest with a quorum, or the newest of
// all if that one does not have the leaf.
func (l *Log) under(n int64) head {
	now := l.heads.Load()
	if n < now.cosigned.N {
		return now.cosigned
	}
	return now.newest
}

func (l *Log) prove(ctx context.Context, e store.Logged, under head) ([]byte, error) {
	leaves, err := l.config.Store.Leaves(ctx, e.Number, 1)
	if err != nil {
		return nil, err
	}
	if len(leaves) != 1 || len(e.Proof) != keylog.LabelProofSize {
		return nil, errors.New("keyserver: the log has lost a leaf")
	}
	leaf, err := keylog.ParseLeaf(leaves[0])
	if err != nil {
		return nil, err
	}
	way, err := tlog.ProveRecord(under.N, e.Number, l.config.Store.LogHashes(ctx))
	if err != nil {
		return nil, err
	}
	return keylog.Prove(leaf, keylog.LabelProof(e.Proof), e.Number, way, under.signed), nil
}

// splitProven reads what joinProven wrote.
func splitProven(body []byte, most int) (record, proof []byte, err error) {
	if len(body) < 2 {
		return nil, nil, ErrBadAnswer
	}
	n := int(binary.BigEndian.Uint16(body))
	if n > most || len(body) < 2+n || len(body)-2-n > keylog.MaxProofSize {
		return nil, nil, fmt.Errorf("%w: it is no record with a proof", ErrBadAnswer)
	}
	return body[2 : 2+n], body[2+n:], nil
}
