package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// minGarbage is the least garbage worth a compaction: 1 MiB.
const minGarbage = 1 << 20

// compactIfDue writes the next generation if more than half of the file, and
// more than minGarbage, is garbage: overwritten, deleted or padding. The
// transaction is durable already, so a compaction that fails is no error of
// it: the old file stays as good as it was, the next Update tries again.
func (v *Vault) compactIfDue() {
	garbage := v.journal.end - v.table.live
	if garbage <= minGarbage || garbage <= v.journal.end/2 {
		return
	}
	old := v.journal
	if err := v.writeGeneration(old.header.next()); err != nil {
		v.forget()
		return
	}
	old.close()
}

// writeGeneration writes the table as a new file with header h, makes it
// durable, renames it into place and goes on with it. The caller holds the
// lock exclusively.
func (v *Vault) writeGeneration(h header) error {
	file, err := v.createNext()
	if err != nil {
		return err
	}
	j, err := newJournal(file, h, v.root)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if err := v.writeSnapshot(j); err != nil {
		return errors.Join(err, file.Close(), os.Remove(v.folder.next()))
	}
	v.writing()
	if err := v.moveIntoPlace(); err != nil {
		return errors.Join(err, file.Close())
	}
	v.wrote()
	v.journal = j
	v.seen = j.position()
	return nil
}

// createNext opens an empty vault.new, in place of one that a crash left.
func (v *Vault) createNext() (*os.File, error) {
	if err := os.Remove(v.folder.next()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("vault: %w", err)
	}
	file, err := os.OpenFile(v.folder.next(), os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, fileMode)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return file, nil
}

// writeSnapshot writes the header and the whole table, durably.
func (v *Vault) writeSnapshot(j *journal) error {
	if _, err := j.file.WriteAt(j.header.marshal(v.root), 0); err != nil {
		return fmt.Errorf("vault: writing: %w", err)
	}
	pieces := v.table.snapshot()
	for i, ops := range pieces {
		if err := j.append(body{more: i < len(pieces)-1, ops: ops}); err != nil {
			return err
		}
	}
	return nil
}

func (v *Vault) moveIntoPlace() error {
	if err := os.Rename(v.folder.next(), v.folder.file()); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return v.folder.sync()
}
