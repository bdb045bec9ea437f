package node

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// An Offline is what the operator of a domain takes away from its node: the offline root, and
// the key that is to follow that of the domain's authority. It lives in one file, sealed under
// 12 words by age (its format, version 1; scrypt), so that the program age opens it, too. The
// words are 128 bits that nobody chose, so scrypt need not be dear.
type Offline struct {
	Domain pki.Domain
	Key    pki.Fingerprint // of the authority that Next is to follow; zero in a file of an earlier version
	Root   pki.OfflineRoot
	Next   pki.Successor

	// Of a change that has begun and may not have ended: whom the file will have then. What was
	// signed once must be signed the same again, or the domain would have two heirs.
	newRoot *pki.OfflineRoot
	after   *pki.Successor
	tried   bool // Next is in office in place of a key that was lost, and can still be put there again
}

const (
	offlineVersion = 1
	offlineScrypt  = 15 // log2 of the work for a try at the words: a tenth of a second
	maxOffline     = 8 << 10
)

var (
	// ErrWords is returned for an offline file that those words do not open.
	ErrWords = errors.New("node: these words do not open the offline file (or its beginning is damaged)")
	// ErrOffline is returned for an offline file that cannot be read.
	ErrOffline = errors.New("node: this is no offline file of a domain, or it is damaged")
)

// OfflinePath is where the offline file of the node in dir is, until it is taken away.
// It is beside dir, not in it.
func OfflinePath(dir string) string {
	clean := filepath.Clean(dir)
	if base := filepath.Base(clean); base == "." || base == ".." {
		if whole, err := filepath.Abs(clean); err == nil {
			clean = whole
		}
	}
	return clean + "-offline.age"
}

// NewOffline makes both keys of a domain, whose authority has that fingerprint.
func NewOffline(domain pki.Domain, key pki.Fingerprint) (Offline, error) {
	root, err := pki.NewOfflineRoot(rand.Reader)
	if err != nil {
		return Offline{}, fmt.Errorf("node: making the offline root: %w", err)
	}
	next, err := pki.NewSuccessor(rand.Reader)
	if err != nil {
		return Offline{}, fmt.Errorf("node: making a successor: %w", err)
	}
	return Offline{Domain: domain, Key: key, Root: root, Next: next}, nil
}

// promoted is the file once Next is in office for good.
func (o Offline) promoted() Offline {
	o.Key, o.Next = o.Next.Fingerprint(), *o.after
	o.after, o.tried = nil, false
	return o
}

// NewWords makes the 12 words of an offline file.
func NewWords() string {
	var secret [words.PassphraseSize]byte
	rand.Read(secret[:]) // never fails (Go 1.24)
	return words.Passphrase(secret)
}

// An offlineFile is what is sealed.
type offlineFile struct {
	Version int    `json:"p3do_offline"`
	Domain  string `json:"domain"`
	Key     string `json:"key,omitempty"`      // fingerprint
	Root    []byte `json:"root"`               // seed
	Next    []byte `json:"next"`               // seed
	NewRoot []byte `json:"new_root,omitempty"` // seed
	After   []byte `json:"after,omitempty"`    // seed
	Tried   bool   `json:"tried,omitempty"`
}

// CreateOffline writes the file where there is none, fs.ErrExist otherwise.
func CreateOffline(path, typed string, o Offline) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("node: %s: %w", path, errors.Join(fs.ErrExist, err))
	}
	return o.write(path, typed)
}

// write replaces the file: a crash leaves the old one or the new one.
func (o Offline) write(path, typed string) error {
	sealed, err := o.seal(typed)
	if err != nil {
		return err
	}
	return writeFile(path, sealed)
}

func (o Offline) seal(typed string) ([]byte, error) {
	passphrase, err := words.ParsePassphrase(typed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWords, err)
	}
	f := offlineFile{Version: offlineVersion, Domain: o.Domain.String(), Root: o.Root.Seed(), Next: o.Next.Seed(), Tried: o.tried}
	if !o.Key.IsZero() {
		f.Key = o.Key.String()
	}
	if o.newRoot != nil {
		f.NewRoot = o.newRoot.Seed()
	}
	if o.after != nil {
		f.After = o.after.Seed()
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("node: sealing the offline file: %w", err)
	}
	recipient.SetWorkFactor(offlineScrypt)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err == nil {
		_, err = w.Write(raw)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("node: sealing the offline file: %w", err)
	}
	return sealed.Bytes(), nil
}

// ReadOffline opens the file. Errors: ErrWords, ErrOffline, those of the file.
func ReadOffline(path, typed string) (Offline, error) {
	passphrase, err := words.ParsePassphrase(typed)
	if err != nil {
		return Offline{}, fmt.Errorf("%w: %w", ErrWords, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return Offline{}, fmt.Errorf("node: reading the offline file: %w", err)
	}
	defer f.Close()
	sealed, err := io.ReadAll(io.LimitReader(f, maxOffline))
	if err != nil {
		return Offline{}, fmt.Errorf("node: reading the offline file: %w", err)
	}
	return openOffline(sealed, passphrase)
}

func openOffline(sealed []byte, passphrase string) (Offline, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Offline{}, fmt.Errorf("%w: %w", ErrWords, err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	var unmatched *age.NoIdentityMatchError
	if errors.As(err, &unmatched) {
		return Offline{}, ErrWords
	}
	if err != nil {
		return Offline{}, ErrOffline
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return Offline{}, ErrOffline
	}
	return parseOffline(raw)
}

// parseOffline reads what was sealed. No error quotes it.
func parseOffline(raw []byte) (o Offline, err error) {
	var f offlineFile
	if strictjson.Unmarshal(raw, &f) != nil || f.Version != offlineVersion {
		return Offline{}, ErrOffline
	}
	o.Domain, err = pki.ParseDomain(f.Domain)
	if err == nil && f.Key != "" {
		o.Key, err = pki.ParseFingerprint(f.Key)
	}
	if err == nil {
		o.Root, err = pki.ParseOfflineRoot(f.Root)
	}
	if err == nil {
		o.Next, err = pki.ParseSuccessor(f.Next)
	}
	if err == nil && len(f.NewRoot) > 0 {
		var root pki.OfflineRoot
		root, err = pki.ParseOfflineRoot(f.NewRoot)
		o.newRoot = &root
	}
	if err == nil && len(f.After) > 0 {
		var after pki.Successor
		after, err = pki.ParseSuccessor(f.After)
		o.after, o.tried = &after, f.Tried
	}
	if err != nil {
		return Offline{}, ErrOffline
	}
	return o, nil
}
