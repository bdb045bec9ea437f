package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/p3do/p3do/internal/store/db"
)

const (
	readers     = 4               // connections of the read pool
	busyTimeout = 5 * time.Second // how long a connection waits for another process
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is one open database file. Make it with [Open]; the zero value is of no use.
type Store struct {
	writeDB *sql.DB
	readDB  *sql.DB
	read    *db.Queries // on readDB

	jobs    chan job      // to the writer, which alone touches the write connection
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed by the writer when it is done
	once    sync.Once
	err     error // of Close; written inside once
}

// Config is what a Store is opened with.
type Config struct {
	Path string // of the database file

	// Durable, if it is not nil, is called with the running count of durable writes since
	// Open, 1 for the first: when a commit is on the disk, and before anybody whose change
	// is in it is answered. A program that dies in it dies between two writes, with nothing
	// done yet of what the first allows. It is called by the writer's goroutine and holds up
	// all writes. What Open itself writes, to bring an older file forward, does not count.
	Durable func(writes uint64)

	// Writing, if it is not nil, is called with the number of a write, as Durable counts,
	// right before it becomes durable. A program that dies in it dies with everything done
	// that does not wait for the write. A write that fails has no number: the next has it.
	Writing func(write uint64)
}

// Open opens the database file at path, makes it (0600, its folder 0700 if that
// is missing) and brings it to the present schema. A file of a newer version is
// refused with [ErrNewer].
func Open(ctx context.Context, path string) (*Store, error) {
	return Config{Path: path}.Open(ctx)
}

// Open is the function [Open] with all that a Config says.
func (c Config) Open(ctx context.Context) (*Store, error) {
	dsn, err := prepareFile(c.Path)
	if err != nil {
		return nil, fmt.Errorf("store: opening %q: %w", c.Path, err)
	}
	s := &Store{jobs: make(chan job), closing: make(chan struct{}), stopped: make(chan struct{})}
	if err := s.connect(ctx, dsn, c); err != nil {
		s.closeDBs()
		return nil, fmt.Errorf("store: opening %q: %w", c.Path, err)
	}
	return s, nil
}

// Close waits for the writes under way and closes the file. Later calls of any
// method that writes return [ErrClosed]; a second Close returns what the first did.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closing)
		if s.stopped != nil { // a reader has no writer
			<-s.stopped
		}
		s.err = s.closeDBs()
	})
	return s.err
}

// prepareFile makes folder and file with their modes, and the file's DSN.
// SQLite gives -wal and -shm the mode of the file itself.
func prepareFile(path string) (dsn string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return "", err
	}
	q := url.Values{
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"journal_mode(wal)", "synchronous(full)", "foreign_keys(1)", "secure_delete(1)",
			"temp_store(memory)", // or savepoints spill to a file, and leave plain bytes in it
		},
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}).String(), nil
}

// connect opens both pools, migrates and starts the writer.
func (s *Store) connect(ctx context.Context, dsn string, c Config) (err error) {
	if s.writeDB, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	s.writeDB.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writeDB); err != nil {
		return err
	}
	if s.readDB, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return err
	}
	s.readDB.SetMaxOpenConns(readers)
	s.readDB.SetMaxIdleConns(readers)
	if s.read, err = db.Prepare(ctx, s.readDB); err != nil {
		return err
	}
	conn, err := s.writeDB.Conn(ctx)
	if err != nil {
		return err
	}
	q, err := db.Prepare(ctx, conn)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	go (&writer{cfg: c, conn: conn, q: q, jobs: s.jobs, closing: s.closing}).run(s.stopped)
	return nil
}

func migrate(ctx context.Context, d *sql.DB) error {
	p, err := provider(d)
	if err != nil {
		return err
	}
	has, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if has > want {
		return fmt.Errorf("%w: schema %d, known %d", ErrNewer, has, want)
	}
	_, err = p.Up(ctx)
	return err
}

// provider knows the migrations, and which of them d has seen.
func provider(d *sql.DB) (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, d, sub, goose.WithDisableGlobalRegistry(true))
}

// oneRow is the context for reading one row by its key: that takes some
// microseconds and never waits for writers, and a context that can end would
// cost a goroutine each time, more than the row itself.
func oneRow(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// closeDBs closes what connect opened; the writer must have stopped.
func (s *Store) closeDBs() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	for _, d := range []*sql.DB{s.readDB, s.writeDB} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}
