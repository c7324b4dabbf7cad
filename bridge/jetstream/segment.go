package jetstream

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentFiles  = "*/streams/" + streamName + "/msgs/*"
	segmentSuffix = ".blk"
	// damagedSuffix behind it is the operator's word that the appliance may start
	// without what of the file cannot be read. Without it nothing is given up: what
	// a cable or a controller does not give today may be there tomorrow.
	damagedSuffix = ".damaged"
	// unreadable pages of damagedPage bytes in a row end a file that cannot be read: a
	// disk may try for seconds to read each.
	damagedPage, unreadablePages = 4096, 16
)

// segment is one file of the store.
type segment struct {
	path   string
	number int
	// damaged says that the operator has said so.
	damaged bool
}

// segments lists the files of the store below dir, in the order of the log.
func segments(dir string) ([]segment, error) {
	paths, err := filepath.Glob(filepath.Join(dir, segmentFiles))
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var out []segment
	for _, path := range paths {
		name, damaged := strings.CutSuffix(filepath.Base(path), damagedSuffix)
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if number, err := strconv.Atoi(digits); ok && err == nil { // else none of the server's
			out = append(out, segment{path, number, damaged})
		}
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return out, nil
}

// read gives the bytes of a segment. whole is false where the disk cannot give all
// of one that is known to be damaged: what is missing is zeros or, at the end, not
// there.
func (s *segment) read() (data []byte, whole bool, err error) {
	if !s.damaged {
		if data, err = os.ReadFile(s.path); err != nil {
			return nil, false, unreadable(s.path, err)
		}
		return data, true, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, false, nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, false, nil
	}
	data, whole = salvage(f, info.Size())
	return data, whole, nil
}

// unreadable is why the log cannot be opened, and how to go on without the file.
func unreadable(path string, err error) *Fault {
	var of *os.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	return &Fault{
		What: "read " + path, Err: err,
		Hint: fmt.Sprintf("look at dmesg and at who may read the file, and start again; to start without what cannot be read of it: mv '%s' '%s%s'; "+
			"what is lost then is named, and what of it came from Kafka is read again", path, path, damagedSuffix),
	}
}

// salvage reads what it can of size bytes.
func salvage(r io.ReaderAt, size int64) (data []byte, whole bool) {
	data, whole = make([]byte, size), true
	for at, bad := 0, 0; at < len(data); at += damagedPage {
		page := data[at:min(at+damagedPage, len(data))]
		if n, _ := r.ReadAt(page, int64(at)); n == len(page) {
			bad = 0
			continue
		}
		whole = false
		if bad++; bad == unreadablePages {
			return data[:at+len(page)], false
		}
	}
	return data, whole
}
