package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

// wholeFile is the size up to which a file is read with one call instead of
// several per column.
const wholeFile = 4 << 20

// footerGuess is how much of the file's end is read at first for the footer.
const footerGuess = 16 << 10

// Info is what a file's footer tells.
type Info struct {
	Commit Commit
	Rows   int64
	Bytes  int64
	// Oldest and Newest are event times in Unix milliseconds, zeros without rows.
	Oldest, Newest int64
}

// File is an open file of the archive. It is for one goroutine.
type File struct {
	path string
	file *os.File
	pq   *parquet.File
	info Info
}

// Open opens a file and reads its footer. Bytes that are no such file give an
// error that names it.
func Open(path string) (*File, error) { return open(path, wholeFile) }

// ReadInfo reads the footer only.
func ReadInfo(path string) (Info, error) {
	f, err := open(path, 0)
	if err != nil {
		return Info{}, err
	}
	return f.info, f.Close()
}

func open(path string, whole int64) (f *File, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open parquet file: %w", err)
	}
	f = &File{path: path, file: file}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open parquet file %s: %w", path, err), file.Close())
			f = nil
		}
	}()
	defer guard(&err)
	stat, err := file.Stat()
	if err != nil {
		return f, err
	}
	size := stat.Size()
	var in io.ReaderAt = file
	if size <= whole {
		data := make([]byte, size)
		if _, err := io.ReadFull(file, data); err != nil {
			return f, err
		}
		in = bytes.NewReader(data)
	}
	if err := checkFooter(in, size); err != nil {
		return f, err
	}
	f.pq, err = parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.OptimisticRead(true), parquet.ReadBufferSize(footerGuess))
	if err != nil {
		return f, err
	}
	f.info.Bytes = size
	return f, f.readInfo()
}

// checkFooter refuses a footer longer than the file before the library
// allocates it.
func checkFooter(in io.ReaderAt, size int64) error {
	const tail, head = 8, 4
	if size < head+tail {
		return fmt.Errorf("%d bytes are too few", size)
	}
	var end [tail]byte
	if _, err := in.ReadAt(end[:], size-tail); err != nil {
		return err
	}
	if n := int64(binary.LittleEndian.Uint32(end[:4])); n > size-head-tail {
		return fmt.Errorf("footer of %d bytes in a file of %d", n, size)
	}
	return nil
}

func (f *File) readInfo() error {
	version, err := f.number(keySchema)
	if err != nil {
		return err
	}
	if version > SchemaVersion {
		return fmt.Errorf("schema version %d is newer than this program's %d", version, SchemaVersion)
	}
	if f.info.Commit.First, err = f.number(keyFirst); err != nil {
		return err
	}
	if f.info.Commit.Last, err = f.number(keyLast); err != nil {
		return err
	}
	committed, err := f.number(keyTime)
	if err != nil {
		return err
	}
	f.info.Commit.Time = int64(committed)
	f.info.Rows = f.pq.NumRows()
	leaf, ok := f.pq.Schema().Lookup("ts")
	if !ok {
		return errors.New("it has no column ts")
	}
	seen := false
	for _, group := range f.pq.Metadata().RowGroups {
		if leaf.ColumnIndex >= len(group.Columns) {
			return errors.New("a row group misses columns")
		}
		stats := group.Columns[leaf.ColumnIndex].MetaData.Statistics
		if len(stats.MinValue) != 8 || len(stats.MaxValue) != 8 {
			continue
		}
		oldest := int64(binary.LittleEndian.Uint64(stats.MinValue))
		newest := int64(binary.LittleEndian.Uint64(stats.MaxValue))
		if !seen {
			f.info.Oldest, f.info.Newest, seen = oldest, newest, true
		}
		f.info.Oldest, f.info.Newest = min(f.info.Oldest, oldest), max(f.info.Newest, newest)
	}
	return nil
}

func (f *File) number(key string) (uint64, error) {
	text, ok := f.pq.Lookup(key)
	if !ok {
		return 0, fmt.Errorf("its footer has no %s", key)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s in its footer: %w", key, err)
	}
	return n, nil
}

// Info is what the footer told.
func (f *File) Info() Info { return f.info }

// Close closes the file; a second call does nothing.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file, f.pq = nil, nil
	return err
}

// guard turns a panic into an error: the library trusts lengths inside pages,
// and one rotten file must not take the process with it.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the file is corrupt: %v", p)
	}
}
