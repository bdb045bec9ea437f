package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/p3do/p3do/internal/secret"
)

// Limits of what a vault holds.
const (
	MaxKey         = 512       // bytes of a key
	MaxValue       = 1 << 20   // bytes of a value: 1 MiB
	MaxTransaction = 8 << 20   // bytes of the puts and deletes of one transaction, encoded: 8 MiB
	MaxLive        = 512 << 20 // bytes of all keys and values together, encoded: 512 MiB
)

// What a caller branches on.
var (
	// ErrPassphrase: the file is whole, the passphrase is not the one it was
	// sealed with.
	ErrPassphrase = errors.New("vault: wrong passphrase")
	// ErrDamaged: the file was changed, or the disk lost some of it. What a
	// crash leaves at the end is not damage; it is cut off.
	ErrDamaged = errors.New("vault: the file is damaged")
	// ErrMode: others than the owner may read the folder or the file; the
	// text says which chmod to run.
	ErrMode = errors.New("vault: open to others")
	// ErrLimit: a key, a value, a transaction or the whole vault would be
	// larger than allowed. Nothing was written.
	ErrLimit = errors.New("vault: over a limit")
	// ErrReadOnly: a Put or Delete in a View, or after the transaction.
	ErrReadOnly = errors.New("vault: transaction cannot write")
	// ErrNested: a View, Update or Close inside the function of a View or Update of
	// the same Vault. It would wait for itself for ever; it is a mistake in the
	// program, which is to use the Tx that it has.
	ErrNested = errors.New("vault: a transaction inside a transaction of the same vault")
	// ErrClosed: the Vault was closed.
	ErrClosed = errors.New("vault: closed")
)

// A Vault is an open vault. Its methods may be called from several goroutines;
// transactions of one Vault happen one after the other.
type Vault struct {
	owner   atomic.Uint64 // the goroutine that holds mu in a transaction; 0: none
	mu      sync.Mutex    // held for a whole transaction; guards all below
	folder  *folder
	root    rootKey
	salt    [saltSize]byte
	seen    position // how far the file was read: less would be a step back in time
	journal *journal // nil: the next transaction reads the file from its start
	table   table
	closed  bool
	cfg     Config
	writes  uint64 // durable ones
	swaps   error  // why the root key may be written to the swap space; nil: it is not
}

// A position is a place in the life of a vault.
type position struct {
	generation uint64
	seq        uint64 // number of the next record
}

// before reports whether p is earlier in the life of the vault than q.
func (p position) before(q position) bool {
	return p.generation < q.generation || p.generation == q.generation && p.seq < q.seq
}

// String returns the folder; keys and contents are not shown.
func (v *Vault) String() string { return "vault " + v.folder.path }

// GoString returns the same as String, for %#v.
func (v *Vault) GoString() string { return v.String() }

// Config is where a vault is, and who hears of its writes.
type Config struct {
	Dir string // the folder

	// Durable, if it is not nil, is called with the running count of durable writes since
	// the vault was opened or made, 1 for the first: the file that Create makes, each Update
	// that changes something, and each next generation of the file. It is called when the
	// write is on the disk and before whoever asked for it is answered; a program that dies
	// in it dies between two writes, with nothing done yet of what the first allows. It is
	// called while the vault's lock is held, and must not use the vault.
	Durable func(writes uint64)

	// Writing, if it is not nil, is called in the same way with the number of a write, as
	// Durable counts, right before it becomes durable: before the record is appended, or
	// before the next generation gets the file's name. A write that fails has no number: the
	// next has it.
	Writing func(write uint64)

	// Weak has Create make a vault whose passphrase costs next to nothing to try: for the tests of
	// what is in it, which open hundreds. It is of no use to anybody else.
	Weak bool
}

// Create makes the folder dir (mode 0700) unless it exists, and a new empty
// vault in it, sealed under passphrase: 1 to 1024 bytes, which Create does not
// keep. If there is a vault already the error is fs.ErrExist.
func Create(dir string, passphrase []byte) (*Vault, error) {
	return Config{Dir: dir}.Create(passphrase)
}

// Create is the function [Create] with all that a Config says.
func (c Config) Create(passphrase []byte) (*Vault, error) {
	if c.Weak {
		return c.create(passphrase, weakCost)
	}
	return c.create(passphrase, productCost)
}

func create(dir string, passphrase []byte, c cost) (*Vault, error) {
	return Config{Dir: dir}.create(passphrase, c)
}

func (c Config) create(passphrase []byte, price cost) (*Vault, error) {
	h := newHeader(price)
	root, err := deriveRoot(passphrase, h)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, folderMode); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	f, err := openFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	v := &Vault{folder: f, root: root, salt: h.salt, cfg: c}
	v.swaps = secret.Lock(v.root.b[:])
	if err := v.makeFirst(h); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return v, nil
}

// makeFirst writes the first generation, under the lock, if there is no file.
func (v *Vault) makeFirst(h header) error {
	if err := v.folder.hold(true); err != nil {
		return err
	}
	defer v.folder.release()
	if _, err := os.Lstat(v.folder.file()); err == nil {
		return fmt.Errorf("vault: %s: %w", v.folder.file(), fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("vault: %w", err)
	}
	return v.writeGeneration(h)
}

// Open opens the vault in the folder dir. Errors: fs.ErrNotExist if there is
// none, ErrMode, ErrPassphrase, ErrDamaged.
func Open(dir string, passphrase []byte) (*Vault, error) {
	return Config{Dir: dir}.Open(passphrase)
}

// Open is the function [Open] with all that a Config says.
func (c Config) Open(passphrase []byte) (*Vault, error) {
	if _, err := os.Lstat(filepath.Join(c.Dir, fileName)); err != nil {
		return nil, fmt.Errorf("vault: %w", err) // leave no lock behind where there is no vault
	}
	f, err := openFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	v := &Vault{folder: f, cfg: c}
	if err := v.unlock(passphrase); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	if err := v.View(func(*Tx) error { return nil }); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// unlock finds the root key. It takes no lock: salt and cost are the same in
// every generation, and a file is renamed into place whole.
func (v *Vault) unlock(passphrase []byte) error {
	file, h, err := openFile(v.folder.file())
	if err != nil {
		return err
	}
	defer file.Close()
	v.root, err = deriveRoot(passphrase, h.header)
	if err != nil {
		return err
	}
	v.salt, v.swaps = h.salt, secret.Lock(v.root.b[:])
	return h.check(v.root)
}

// Swaps returns why the key that opens everything may be written to the swap space of this
// machine: there is a limit to what a program may keep in memory, or no right to it. It is
// nil where the system keeps the key in memory.
func (v *Vault) Swaps() error { return v.swaps }

// Close forgets the keys and what was read. Further transactions return
// ErrClosed. There is nothing to write: every Update was durable.
func (v *Vault) Close() error {
	if v.held(goroutine()) {
		return ErrNested
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	clear(v.root.b[:])
	return errors.Join(v.forget(), v.folder.close())
}

// View calls f with a transaction that reads. What it sees does not change
// while f runs; other processes' Updates wait for it, so f should be short, and
// must not wait for another transaction of v: one of its own is ErrNested.
func (v *Vault) View(f func(tx *Tx) error) error {
	return v.transact(false, func() error {
		tx := newTx(&v.table, false)
		defer tx.end()
		return tx.outcome(f(tx))
	})
}

// Update calls f with a transaction that reads and writes. If f returns an
// error nothing is written and Update returns that error. If Update returns nil
// the transaction is durable. If it returns an error of the disk, the next
// transaction shows whether it was kept. f runs alone among all processes, so
// it should be short and wait for nothing.
func (v *Vault) Update(f func(tx *Tx) error) error {
	return v.transact(true, func() error {
		tx := newTx(&v.table, true)
		defer tx.end()
		if err := tx.outcome(f(tx)); err != nil {
			return err
		}
		return v.commit(tx.ops())
	})
}

// transact runs f under the mutex and the folder's lock, with the table up to
// date.
func (v *Vault) transact(exclusive bool, f func() error) (err error) {
	me := goroutine()
	if v.held(me) {
		return ErrNested
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.owner.Store(me)
	defer v.owner.Store(0)
	if v.closed {
		return ErrClosed
	}
	if err := v.folder.hold(exclusive); err != nil {
		return err
	}
	defer func() {
		if failed := v.folder.release(); err == nil {
			err = failed
		}
	}()
	if err := v.refresh(); err != nil {
		return errors.Join(err, v.forget())
	}
	return f()
}

// commit makes ops durable and then visible.
func (v *Vault) commit(ops []op) error {
	if len(ops) == 0 {
		return nil
	}
	if v.table.live+v.table.growth(ops) > MaxLive {
		return fmt.Errorf("%w: the vault would hold more than %d bytes", ErrLimit, MaxLive)
	}
	v.writing()
	if err := v.journal.append(body{ops: ops}); err != nil {
		return errors.Join(err, v.forget())
	}
	v.wrote()
	v.seen = v.journal.position()
	v.table.apply(ops)
	v.compactIfDue()
	return nil
}

// writing tells of a write that is about to become durable.
func (v *Vault) writing() {
	if v.cfg.Writing != nil {
		v.cfg.Writing(v.writes + 1)
	}
}

// wrote counts a write that is on the disk.
func (v *Vault) wrote() {
	v.writes++
	if v.cfg.Durable != nil {
		v.cfg.Durable(v.writes)
	}
}

// refresh brings the table to what the file says now.
func (v *Vault) refresh() error {
	if v.journal != nil {
		replaced, err := v.journal.replaced(v.folder.file())
		if err != nil {
			return err
		}
		if replaced {
			if err := v.forget(); err != nil {
				return err
			}
		}
	}
	if v.journal == nil {
		if err := v.load(); err != nil {
			return err
		}
	}
	if err := v.follow(); err != nil {
		return err
	}
	if v.journal.position().before(v.seen) {
		return fmt.Errorf("%w: an older file was put in its place", ErrDamaged)
	}
	v.seen = v.journal.position()
	return nil
}

// load opens the file and reads its snapshot.
func (v *Vault) load() error {
	file, h, err := openFile(v.folder.file())
	if err != nil {
		return err
	}
	v.journal, err = v.accept(file, h)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	return v.loadSnapshot()
}

// accept verifies the header of a file that took the place of the last one, and
// makes its folder entry durable before anything is appended to it.
func (v *Vault) accept(file *os.File, h sealedHeader) (*journal, error) {
	if h.salt != v.salt {
		return nil, fmt.Errorf("%w: another vault was put in its place", ErrDamaged)
	}
	if h.check(v.root) != nil {
		return nil, fmt.Errorf("%w: header", ErrDamaged)
	}
	if err := v.folder.sync(); err != nil {
		return nil, err
	}
	return newJournal(file, h.header, v.root)
}

// loadSnapshot reads the first transaction. It was whole before the file got
// its name, so no part of it can be torn.
func (v *Vault) loadSnapshot() error {
	size, err := v.journal.size()
	if err != nil {
		return err
	}
	for {
		t, err := v.journal.next(size)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: the snapshot is not whole", ErrDamaged)
		} else if err != nil {
			return err
		}
		v.table.apply(t.ops)
		if !t.more {
			return nil
		}
	}
}

// follow reads the transactions that were appended since the last look.
func (v *Vault) follow() error {
	size, err := v.journal.size()
	if err != nil {
		return err
	}
	for {
		t, err := v.journal.next(size)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if t.more {
			return fmt.Errorf("%w: a snapshot in the middle", ErrDamaged)
		}
		v.table.apply(t.ops)
	}
}

// forget drops what was read, so that the next transaction reads anew.
func (v *Vault) forget() error {
	j := v.journal
	v.journal, v.table = nil, table{}
	if j == nil {
		return nil
	}
	return j.close()
}
