package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/p3do/p3do/internal/store/db"
)

// OpenReader opens an existing file for reading, beside the process that serves from it
// if there is one. It makes, migrates and changes nothing; methods that write return
// [ErrReader]. No file is fs.ErrNotExist; a file of another version than this program's is
// [ErrNewer] or [ErrOlder].
func OpenReader(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("store: opening %q: %w", path, err)
	}
	q := url.Values{"mode": {"rw"}, "_pragma": { // rw: who reads first after a crash replays the log
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "query_only(1)", "temp_store(memory)",
	}}
	s := &Store{closing: make(chan struct{})}
	if err := s.connectReader(ctx, (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}).String()); err != nil {
		return nil, errors.Join(fmt.Errorf("store: opening %q: %w", path, err), s.closeDBs())
	}
	return s, nil
}

func (s *Store) connectReader(ctx context.Context, dsn string) (err error) {
	if s.readDB, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	s.readDB.SetMaxOpenConns(readers)
	var version int
	if err := s.readDB.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version); err != nil {
		return err // is no database, as goose would say after three seconds
	}
	p, err := provider(s.readDB)
	if err != nil {
		return err
	}
	has, want, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return err
	case has > want:
		return fmt.Errorf("%w: schema %d, known %d", ErrNewer, has, want)
	case has < want:
		return fmt.Errorf("%w: schema %d, wanted %d", ErrOlder, has, want)
	}
	s.read, err = db.Prepare(ctx, s.readDB)
	return err
}

// maxFaults is how many faults Check names at most.
const maxFaults = 10

// Check has SQLite look for damage in the file (PRAGMA quick_check: pages, rows, and their
// order, but not each index entry), and returns what it found, ten faults at most. It
// reads the whole file.
func (s *Store) Check(ctx context.Context) (faults []string, err error) {
	rows, err := s.readDB.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", maxFaults))
	if err != nil {
		return nil, fmt.Errorf("store: checking: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var fault string
		if err := rows.Scan(&fault); err != nil {
			return nil, fmt.Errorf("store: checking: %w", err)
		}
		if fault != "ok" {
			faults = append(faults, fault)
		}
	}
	return faults, rows.Err()
}
