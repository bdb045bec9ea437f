package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/p3do/p3do/internal/store/db"
)

// maxBatch is how many callers one commit serves at most.
const maxBatch = 256

// job is one caller's change. It holds or fails as a whole.
type job struct {
	do   func(context.Context, *db.Queries) error
	done chan error // buffered by one
}

// write hands a change to the writer and waits until it is durable or refused.
// A ctx that ends keeps a change from being begun, never from being answered:
// who began one must learn whether it holds.
func (s *Store) write(ctx context.Context, do func(context.Context, *db.Queries) error) error {
	if s.jobs == nil {
		return ErrReader
	}
	j := job{do: do, done: make(chan error, 1)}
	select {
	case s.jobs <- j: // unbuffered: accepted means that the writer will answer
		return <-j.done
	case <-ctx.Done():
		return fmt.Errorf("store: writing: %w", ctx.Err())
	case <-s.closing:
		return ErrClosed
	}
}

// writer owns the write connection; only its goroutine touches the fields.
type writer struct {
	cfg     Config
	conn    *sql.Conn
	q       *db.Queries // prepared on conn
	jobs    <-chan job
	closing <-chan struct{}
	writes  uint64 // durable ones
}

func (w *writer) run(stopped chan<- struct{}) {
	defer close(stopped)
	defer w.conn.Close()
	defer w.q.Close()
	for {
		select {
		case j := <-w.jobs:
			w.commit(w.gather(j))
		case <-w.closing:
			return
		}
	}
}

// gather takes who waits already, and waits for nobody: whoever came during the
// last fsync shares the next.
func (w *writer) gather(first job) []job {
	batch := []job{first}
	for len(batch) < maxBatch {
		select {
		case j := <-w.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction and then answers everybody in it.
func (w *writer) commit(batch []job) {
	ctx := context.Background()
	errs := make([]error, len(batch))
	err := w.exec(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		err = w.tryAll(ctx, batch, errs)
	}
	if err == nil {
		err = w.settle(ctx)
	}
	if err != nil {
		// Nothing of the batch holds. SQLite may have rolled back by itself
		// (disk full); then this ROLLBACK fails and says nothing new.
		_ = w.exec(ctx, "ROLLBACK")
		err = fmt.Errorf("store: committing: %w", err)
	}
	for i, j := range batch {
		if err != nil && errs[i] == nil {
			errs[i] = err
		}
		j.done <- errs[i]
	}
}

// settle makes what the transaction did durable, and counts it.
func (w *writer) settle(ctx context.Context) error {
	if w.cfg.Writing != nil {
		w.cfg.Writing(w.writes + 1)
	}
	if err := w.exec(ctx, "COMMIT"); err != nil {
		return err
	}
	w.writes++
	if w.cfg.Durable != nil {
		w.cfg.Durable(w.writes)
	}
	return nil
}

// tryAll runs the jobs and notes each one's own error; fatal ends the
// transaction. A job that is alone is undone by ending it.
func (w *writer) tryAll(ctx context.Context, batch []job, errs []error) (fatal error) {
	if len(batch) == 1 {
		errs[0] = batch[0].do(ctx, w.q)
		return errs[0]
	}
	for i := range batch {
		if errs[i], fatal = w.try(ctx, batch[i]); fatal != nil {
			return fatal
		}
	}
	return nil
}

// try runs one job inside a savepoint: its own error undoes it alone, fatal
// ends the transaction.
func (w *writer) try(ctx context.Context, j job) (own, fatal error) {
	if fatal = w.exec(ctx, "SAVEPOINT job"); fatal != nil {
		return nil, fatal
	}
	if own = j.do(ctx, w.q); own != nil {
		if fatal = w.exec(ctx, "ROLLBACK TO job"); fatal != nil {
			return own, fatal
		}
	}
	return own, w.exec(ctx, "RELEASE job")
}

func (w *writer) exec(ctx context.Context, stmt string) error {
	_, err := w.conn.ExecContext(ctx, stmt)
	return err
}

// The capped tables, by their row in counters.
const (
	countCached  = "cached"
	countServers = "servers"
	countPins    = "pins"
	countPeers   = "peers"
	countMarks   = "marks"

	countInvitations = "invitations"
	countQuotas      = "quotas"
	countDeviceLists = "device lists"

	countWitnessed   = "witnessed"
	countMirrors     = "mirrors"
	countMirrorBytes = "mirror bytes"
	countCopyBytes   = "copy bytes"
)

// Numbers that are given out, by their row in counters.
const (
	countStatements  = "statements"
	countEvents      = "events"
	countListNumbers = "device list numbers"
	countDrops       = "drops"
	countAnswered    = "drops answered"
)

// count adds to a table's count and refuses to go over its cap.
func count(ctx context.Context, q *db.Queries, name string, add, limit int64) error {
	n, err := q.Count(ctx, db.CountParams{Add: add, Name: name, Room: limit - add})
	if err == nil && n == 0 {
		return ErrFull
	}
	return err
}

// notFound turns database/sql's word for "no such row" into ours.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
