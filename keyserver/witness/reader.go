package witness

import (
	"errors"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/p3do/p3do/keyserver/keylog"
	"github.com/p3do/p3do/pki"
)

// Why a fork that proves itself does not convince a reader yet. Both may change as it learns more.
var (
	// ErrAuthority says that a descriptor in it is not by the word of the domain.
	ErrAuthority = errors.New("witness: this fork is by another authority than the domain's")

	// ErrUnwitnessed says that a head in it is by a log key that is not in office, and that none
	// of the reader's witnesses cosigned it while that key was.
	ErrUnwitnessed = errors.New("witness: a head in this fork is by a former log key, and was not cosigned while that was in office")
)

// A Reader is what one who judges a fork knows by itself.
type Reader struct {
	Speaks    func(authority pki.Fingerprint) bool // the domain's authority, or one that handed over to it by itself
	Log       pki.LogPublic                        // the log key in office; zero: not known
	Witnesses []Peer                               // whose cosignatures count: the reader's own and its peers'
}

// Check says whether a reader is to believe a fork: nil, ErrAuthority or ErrUnwitnessed. Each of
// both heads stands by itself: it is signed by the log key in office, or it was cosigned while
// its key was. So a log key that was stolen when it had left office proves nothing.
func (f Fork) Check(by Reader) error {
	for _, d := range f.Descriptors {
		if !by.Speaks(d.CA.Fingerprint()) {
			return fmt.Errorf("%w: %s, %s", ErrAuthority, f.Domain, d.CA.Fingerprint())
		}
	}
	for i, d := range f.Descriptors {
		if (by.Log.IsZero() || d.Log != by.Log) && !f.witnessed(i, by.Witnesses) {
			return fmt.Errorf("%w: %s", ErrUnwitnessed, f.Domain)
		}
	}
	return nil
}

// witnessed reports whether some witness cosigned a head while its descriptor was valid.
func (f Fork) witnessed(i int, witnesses []Peer) bool {
	for _, w := range witnesses {
		at, ok := cosignedAt(f.Heads[i].Checkpoint, w.Verifier)
		if ok && f.Descriptors[i].CheckTime(at) == nil {
			return true
		}
	}
	return false
}

// cosignedAt is the time of a witness's cosignature under a checkpoint.
func cosignedAt(checkpoint []byte, by *torchwood.CosignatureVerifier) (time.Time, bool) {
	signed, err := note.Open(checkpoint, note.VerifierList(by))
	if err != nil {
		return time.Time{}, false
	}
	return keylog.CosignedAt(signed.Sigs[0])
}
