package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/p3do/p3do/internal/strictjson"
	"github.com/p3do/p3do/internal/vault"
	"github.com/p3do/p3do/internal/words"
	"github.com/p3do/p3do/pki"
)

// A backup is of who somebody is, and whom she knows; never of messages. There are two:
//
//	24 words    the root, from which her keys and mailboxes follow
//	a file      the root, the certificate, the revocation key, contacts and pins
//
// The file is one of age (its format, version 1) for one passphrase, by scrypt, so that the
// program age opens it, too. In it is JSON, a savedFolder: the records of the vault under
// their own keys, but for fleeting ones. The specification is docs/spec/user.md, with vectors.
const (
	// MaxBackup is how long a backup file is, in bytes, that is read.
	MaxBackup = 64 << 20
	// backupVersion is of the JSON in the file.
	backupVersion = 2
	// restoreBatch is how many bytes of records go into one transaction at most, beside the
	// last of them.
	restoreBatch = 4 << 20
	// backupScrypt is what a try at the passphrase of a backup costs, two to this power: a
	// second or so, and 256 MiB.
	backupScrypt = 18
	// longestScrypt bounds what a hostile file may cost: two to this power, 4 s or so.
	longestScrypt = 20
	// ageFile is how a file of age begins.
	ageFile = "age-encryption"
)

var (
	// ErrBackupPassphrase: the file is not sealed under that passphrase, or its first lines
	// are damaged: with age these look the same.
	ErrBackupPassphrase = errors.New("wrong passphrase for this backup (or its first 200 bytes are damaged)")
	// ErrBackupDamaged: the file is not as it was written.
	ErrBackupDamaged = errors.New("the backup file is damaged")
	// ErrNoBackup: the file is no backup at all.
	ErrNoBackup = errors.New("this is no backup file")
)

// fleeting tells the records that a backup leaves out: messages, and what is soon fetched
// again.
func fleeting(key string) bool {
	for _, prefix := range []string{
		keyFetched, keyNext, keyScanned, prefixCard, prefixPlace, prefixServer, prefixHeld, prefixOutbox, prefixSealed, prefixSURB, prefixAsking, prefixAsked, prefixRelay,
		prefixSent, prefixCopies, prefixInbox, prefixUnread, prefixRequest, prefixTaken, prefixGot, prefixDisowned,
	} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

type savedFolder struct {
	V       int           `json:"p3do_backup"`
	Made    time.Time     `json:"made"`
	Records []savedRecord `json:"records"`
}

type savedRecord struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// BackupWords returns the 24 words from which RestoreWords makes the same identity again.
// Whoever has them is the user.
func (a *Agent) BackupWords() (string, error) {
	id, _, err := a.identity()
	if err != nil {
		return "", err
	}
	if a.self.linked() {
		return "", ErrDevice
	}
	if len(id.Root) != words.SecretSize {
		return "", errors.New("agent: your identity: its root is damaged")
	}
	return words.Secret(id.Root.array()), nil
}

// Backup writes who the user is and whom she knows, sealed under passphrase. A *BackupSizeError, before
// anything is written, if that would be too long to be read again.
func (a *Agent) Backup(w io.Writer, passphrase []byte) error {
	return a.backup(w, passphrase, backupScrypt)
}

// backup is Backup with a price for each try at the passphrase: two to the power of cost.
func (a *Agent) backup(w io.Writer, passphrase []byte, cost int) error {
	if a.self.linked() {
		return ErrDevice
	}
	saved, err := a.saved()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("agent: writing a backup: %w", err)
	}
	if sealedSize(len(raw)) > MaxBackup {
		return &BackupSizeError{len(raw)}
	}
	return sealTo(w, raw, string(passphrase), cost)
}

// sealTo writes a file of age with a price for each try at the passphrase.
func sealTo(w io.Writer, raw []byte, passphrase string, cost int) error {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("agent: sealing a file: %w", err)
	}
	recipient.SetWorkFactor(cost)
	sealed, err := age.Encrypt(w, recipient)
	if err != nil {
		return fmt.Errorf("agent: sealing a file: %w", err)
	}
	_, err = sealed.Write(raw)
	if err = errors.Join(err, sealed.Close()); err != nil {
		return fmt.Errorf("agent: writing a file: %w", err)
	}
	return nil
}

// sealedSize is how long a file of age is at most with so many bytes in it: a header for one passphrase,
// a nonce, and chunks of 64 KiB with a tag each.
func sealedSize(size int) int {
	const header, chunk, tag = 512, 64 << 10, 16
	return header + size + tag*(size/chunk+1)
}

// A BackupSizeError says that there is more to save than a backup file may hold. The 24 words hold
// whose folder it is all the same.
type BackupSizeError struct{ Size int }

func (e *BackupSizeError) Error() string {
	return fmt.Sprintf("whom you know and what is known of their keys is %d MiB long, and a backup file at most %d", e.Size>>20, MaxBackup>>20)
}

// saved is what a backup is of: the home's descriptor is in it, by which the home is found.
func (a *Agent) saved() (saved savedFolder, err error) {
	saved = savedFolder{V: backupVersion, Made: a.now().UTC().Truncate(time.Second)}
	home := prefixServer + a.self.name.Domain().String()
	err = a.vault.View(func(tx *vault.Tx) error {
		return tx.Range("", func(key string, value []byte) error {
			if key == home || !fleeting(key) {
				saved.Records = append(saved.Records, savedRecord{key, bytes.Clone(value)})
			}
			return nil
		})
	})
	return saved, err
}

// Restore makes the folder of cfg, which must have no identity, that of a backup file. It does
// not use the network. Errors: a *TakenError, ErrEarlier, ErrBackupPassphrase, ErrBackupDamaged,
// ErrNoBackup, and those of vault.Open if there is a folder.
func Restore(cfg Config, file io.Reader, passphrase []byte) (*Agent, error) {
	saved, id, err := openBackup(file, passphrase)
	if err != nil {
		return nil, err
	}
	return restore(cfg, func(a *Agent) error { return a.restored(saved, id) })
}

// RestoreWords makes the folder of cfg, which must have no identity, that of the user with
// these 24 words and, if she has a home, this name. It does not use the network: New, with the
// same name, goes on from there. Errors: a *TakenError, those of words.ParseSecret, and those
// of vault.Open if there is a folder.
func RestoreWords(cfg Config, text string, name pki.Name) (*Agent, error) {
	root, err := words.ParseSecret(text)
	if err != nil {
		return nil, err
	}
	return restore(cfg, func(a *Agent) error {
		return a.settle(identity{Name: name, Root: root[:], Keyonly: name.IsZero(), Restored: true})
	})
}

// restore does something in a folder without an identity. The folder stays if that fails: by
// then it may be somebody's who was faster.
func restore(cfg Config, do func(*Agent) error) (*Agent, error) {
	a, err := openOrCreate(cfg)
	if err != nil {
		return nil, err
	}
	id, ok, err := a.identity()
	if err == nil && ok {
		err = &TakenError{Name: id.Name, Begun: id.begun()}
	}
	if err == nil {
		err = do(a)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// restored writes the records of a backup, the identity last: without it nothing counts. If
// another program has made the folder somebody's meanwhile, it stays hers.
func (a *Agent) restored(saved savedFolder, id identity) error {
	records := slices.DeleteFunc(saved.Records, func(r savedRecord) bool { return r.Key == keyIdentity })
	for len(records) > 0 {
		err := a.vault.Update(func(tx *vault.Tx) error {
			if err := vacant(tx); err != nil {
				return err
			}
			for size := 0; len(records) > 0 && size < restoreBatch; records = records[1:] {
				size += len(records[0].Value)
				tx.Put(records[0].Key, records[0].Value)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var err error
	if a.self, err = id.self(); err != nil {
		return err
	}
	return a.vault.Update(func(tx *vault.Tx) error {
		return errors.Join(vacant(tx), save(tx, keyTwin, twin{Restored: true, Began: a.now().UTC()}), save(tx, keyIdentity, id))
	})
}

// Restored returns whose folder it is: a name, or "key:" and a fingerprint; begun says that New
// has to go on with it before it is of use.
func (a *Agent) Restored() (who string, begun bool) {
	id, _, err := a.identity()
	if id.Name.IsZero() {
		return "key:" + a.self.public.Fingerprint().String(), false
	}
	return id.Name.String(), err != nil || id.begun()
}

// openBackup opens a file and checks that there is an identity in it.
func openBackup(file io.Reader, passphrase []byte) (saved savedFolder, id identity, err error) {
	raw, err := unseal(file, passphrase)
	if err != nil {
		return savedFolder{}, identity{}, err
	}
	if err := strictjson.Unmarshal(raw, &saved); err != nil {
		return savedFolder{}, identity{}, ErrNoBackup
	}
	if saved.V < backupVersion {
		return savedFolder{}, identity{}, fmt.Errorf("agent: a backup: %w", ErrEarlier)
	}
	if saved.V != backupVersion {
		return savedFolder{}, identity{}, fmt.Errorf("agent: the backup is of version %d; this program knows %d", saved.V, backupVersion)
	}
	id, err = identityIn(saved)
	switch {
	case errors.Is(err, ErrEarlier):
		return savedFolder{}, identity{}, fmt.Errorf("agent: a backup: %w", err)
	case err != nil || len(id.Root) != rootSize:
		return savedFolder{}, identity{}, errors.Join(ErrNoBackup, err)
	}
	return saved, id, nil
}

// identityIn is whose the records are; none if they say nothing of it. No two have one key.
func identityIn(saved savedFolder) (id identity, err error) {
	keys := make(map[string]bool, len(saved.Records))
	for _, r := range saved.Records {
		if len(r.Key) == 0 || len(r.Key) > vault.MaxKey || len(r.Value) > vault.MaxValue || keys[r.Key] {
			return identity{}, errors.New("agent: a saved folder: a record without a key, too long, or there twice")
		}
		keys[r.Key] = true
		if r.Key == keyIdentity {
			id, err = parseRecord[identity](r.Value)
		}
	}
	return id, err
}

func unseal(file io.Reader, passphrase []byte) ([]byte, error) {
	key, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("agent: opening a backup: %w", err)
	}
	key.SetMaxWorkFactor(longestScrypt)
	bounded := bufio.NewReader(io.LimitReader(file, MaxBackup))
	if first, _ := bounded.Peek(len(ageFile)); string(first) != ageFile {
		return nil, ErrNoBackup
	}
	opened, err := age.Decrypt(bounded, key)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return nil, ErrBackupPassphrase
	case err != nil:
		return nil, ErrBackupDamaged
	}
	raw, err := io.ReadAll(opened)
	if err != nil {
		return nil, ErrBackupDamaged
	}
	return raw, nil
}
