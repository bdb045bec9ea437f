package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A journal is one open generation of the file: it reads records one after the
// other and appends to them. Its callers hold the folder's lock.
type journal struct {
	file   *os.File
	header header
	sealer *sealer
	end    int64  // offset behind the last whole record read or written
	seq    uint64 // number of the record that begins at end; the first is 0
}

// openFile opens the sealed file and reads its header, without a key.
func openFile(path string) (*os.File, sealedHeader, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, sealedHeader{}, fmt.Errorf("vault: %w", err)
	}
	h, err := readHeader(file)
	if err != nil {
		return nil, sealedHeader{}, errors.Join(err, file.Close())
	}
	return file, h, nil
}

func readHeader(file *os.File) (sealedHeader, error) {
	info, err := file.Stat()
	if err != nil {
		return sealedHeader{}, fmt.Errorf("vault: %w", err)
	}
	if !info.Mode().IsRegular() {
		return sealedHeader{}, fmt.Errorf("vault: %s is not a regular file", file.Name())
	}
	if err := checkMode(file.Name(), info, fileMode); err != nil {
		return sealedHeader{}, err
	}
	b := make([]byte, headerSize)
	if _, err := file.ReadAt(b, 0); errors.Is(err, io.EOF) {
		return sealedHeader{}, fmt.Errorf("%w: shorter than a header", ErrDamaged)
	} else if err != nil {
		return sealedHeader{}, fmt.Errorf("vault: reading: %w", err)
	}
	return parseHeader(b)
}

// newJournal reads file, whose header is h, from its first record on.
func newJournal(file *os.File, h header, root rootKey) (*journal, error) {
	s, err := newSealer(root, h.fileID)
	if err != nil {
		return nil, err
	}
	return &journal{file: file, header: h, sealer: s, end: int64(headerSize)}, nil
}

// replaced reports whether path is another file by now: a compaction.
func (j *journal) replaced(path string) (bool, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("vault: the file is gone: %w", err)
	} else if err != nil {
		return false, fmt.Errorf("vault: %w", err)
	}
	ours, err := j.file.Stat()
	if err != nil {
		return false, fmt.Errorf("vault: %w", err)
	}
	return !os.SameFile(now, ours), nil
}

// size returns the length of the file, which never shrinks below what was read.
func (j *journal) size() (int64, error) {
	info, err := j.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("vault: %w", err)
	}
	if info.Size() < j.end {
		return 0, fmt.Errorf("%w: the file became shorter while it was open", ErrDamaged)
	}
	return info.Size(), nil
}

// next returns the body of the next record of a file of the given size, or
// io.EOF if there is none: the file ends at j.end, or what follows is a record
// that a crash left unfinished. That is so in these four cases and no other
// (docs/spec/vault.md, "Torn tail"):
//
//	fewer octets than a record head are left
//	the head verifies, and fewer octets than it announces are left
//	the head verifies, exactly as many are left, and the last 16 are zero
//	the head does not verify, and all from its tag on to the end is zero
//
// The zeros are what file systems show for blocks that were never written.
func (j *journal) next(size int64) (body, error) {
	rest := size - j.end
	if rest < int64(recordHeadSize) {
		return body{}, io.EOF
	}
	head := make([]byte, recordHeadSize)
	if err := j.read(head, j.end); err != nil {
		return body{}, err
	}
	bodySize, ok := j.sealer.openHead(j.seq, head)
	if !ok {
		return body{}, j.unwritten(j.end+nonceSize+4, size)
	}
	if rest < int64(recordHeadSize)+bodySize {
		return body{}, io.EOF
	}
	return j.readBody(head, bodySize, size)
}

func (j *journal) readBody(head []byte, bodySize, size int64) (body, error) {
	from := j.end + int64(recordHeadSize)
	to := from + bodySize
	sealed := make([]byte, bodySize)
	if err := j.read(sealed, from); err != nil {
		return body{}, err
	}
	plain, ok := j.sealer.openBody(j.seq, head, sealed)
	if !ok && to == size {
		return body{}, j.unwritten(to-tagSize, size)
	} else if !ok {
		return body{}, j.damaged()
	}
	t, err := parseBody(plain)
	if err != nil {
		return body{}, err
	}
	j.end = to
	j.seq++
	return t, nil
}

func (j *journal) read(b []byte, from int64) error {
	if _, err := j.file.ReadAt(b, from); err != nil {
		return fmt.Errorf("vault: reading: %w", err)
	}
	return nil
}

func (j *journal) damaged() error {
	return fmt.Errorf("%w: record %d at offset %d", ErrDamaged, j.seq, j.end)
}

// unwritten returns io.EOF if the file is zero from an offset to its end, no
// farther than one record, and else that the record at j.end is damaged.
func (j *journal) unwritten(from, size int64) error {
	if size-j.end > int64(maxRecordSize) {
		return j.damaged()
	}
	b := make([]byte, size-from)
	if err := j.read(b, from); err != nil {
		return err
	}
	if !allZero(b) {
		return j.damaged()
	}
	return io.EOF
}

// append writes t behind the last whole record, over a torn tail if there is
// one, and returns when it is durable. After an error the caller must read the
// file anew.
func (j *journal) append(t body) error {
	plain, err := t.marshal()
	if err != nil {
		return err
	}
	record := j.sealer.seal(j.seq, plain)
	if err := j.write(record); err != nil {
		return errors.Join(err, j.file.Truncate(j.end))
	}
	j.end += int64(len(record))
	j.seq++
	return nil
}

func (j *journal) write(record []byte) error {
	if err := j.file.Truncate(j.end); err != nil {
		return fmt.Errorf("vault: cutting: %w", err)
	}
	if _, err := j.file.WriteAt(record, j.end); err != nil {
		return fmt.Errorf("vault: writing: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("vault: syncing: %w", err)
	}
	return nil
}

func (j *journal) position() position { return position{j.header.generation, j.seq} }

func (j *journal) close() error { return j.file.Close() }
