package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/durable"
	"vitrine/internal/parallel"
)

// The folders under the root. Names that begin with _ are no data to Spark,
// Hive and the others.
const (
	eventsDir  = "events"
	itemsDir   = "items"
	usersDir   = "users"
	servedDir  = "served"
	stagingDir = "_staging"
	commitsDir = "_commits"

	dayPrefix  = "dt="
	filePrefix = "b"
	fileSuffix = ".parquet"
	seqDigits  = 20
)

const dayMillis = 24 * 60 * 60 * 1000

// dayOf is the number of the UTC day of a time in Unix milliseconds.
func dayOf(ms int64) int64 {
	day := ms / dayMillis
	if ms%dayMillis < 0 {
		day--
	}
	return day
}

// dayName is the partition folder of a day.
func dayName(day int64) string {
	return dayPrefix + time.UnixMilli(day*dayMillis).UTC().Format(time.DateOnly)
}

// spanName is "<first>-<last>" in digits that sort as the numbers do.
func spanName(first, last uint64) string {
	return fmt.Sprintf("%0*d-%0*d", seqDigits, first, seqDigits, last)
}

func parseSpan(name string) (first, last uint64, ok bool) {
	left, right, ok := strings.Cut(name, "-")
	if !ok || len(left) != seqDigits || len(right) != seqDigits {
		return 0, 0, false
	}
	first, err1 := strconv.ParseUint(left, 10, 64)
	last, err2 := strconv.ParseUint(right, 10, 64)
	return first, last, err1 == nil && err2 == nil && first <= last
}

func fileName(first, last uint64) string {
	return filePrefix + spanName(first, last) + fileSuffix
}

// nextName is the name of a file that takes the place of all of some that follow
// each other. What is written anew has another name, so that who copies files
// sees that one has changed: of the same range, it has a number behind that.
func nextName(files []DataFile) string {
	first, last := files[0].First, files[len(files)-1].Last
	if len(files) > 1 {
		return fileName(first, last)
	}
	name := strings.TrimSuffix(files[0].Name(), fileSuffix)
	_, text, _ := strings.Cut(name, ".")
	n, _ := strconv.ParseUint(text, 10, 64)
	return strings.TrimSuffix(fileName(first, last), fileSuffix) + "." + strconv.FormatUint(n+1, 10) + fileSuffix
}

func parseFileName(name string) (first, last uint64, ok bool) {
	name, ok = strings.CutPrefix(name, filePrefix)
	if !ok {
		return 0, 0, false
	}
	if name, ok = strings.CutSuffix(name, fileSuffix); !ok {
		return 0, 0, false
	}
	name, number, numbered := strings.Cut(name, ".")
	if numbered {
		if _, err := strconv.ParseUint(number, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	return parseSpan(name)
}

// dayFiles are the files of one partition in bus order, as paths below the root.
type dayFiles struct {
	name  string
	files []string
}

// eventFiles lists the event files whose commit ends at or before last, by
// date.
func (a *Archive) eventFiles(last uint64) ([]dayFiles, error) { return a.datedFiles(eventsDir, last) }

// datedFiles is the same for any folder with one folder a date.
func (a *Archive) datedFiles(dir string, last uint64) ([]dayFiles, error) {
	entries, err := readDir(filepath.Join(a.dir, dir))
	if err != nil {
		return nil, err
	}
	var days []dayFiles
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), dayPrefix) {
			continue
		}
		files, err := a.dataFiles(filepath.Join(dir, entry.Name()), last)
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			days = append(days, dayFiles{name: entry.Name(), files: files})
		}
	}
	return days, nil
}

// dataFiles lists the files of one folder whose commit ends at or before last,
// in bus order, as paths below the root.
func (a *Archive) dataFiles(dir string, last uint64) ([]string, error) {
	entries, err := readDir(filepath.Join(a.dir, dir))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if _, end, ok := parseFileName(entry.Name()); ok && end <= last {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	slices.Sort(files)
	return files, nil
}

// filesOf lists the files of some folders whose commit ends at or before last,
// as paths below the root.
func (a *Archive) filesOf(last uint64, folders ...string) (paths []string, err error) {
	for _, dir := range folders {
		var files []string
		if dir == eventsDir || dir == servedDir {
			var days []dayFiles
			days, err = a.datedFiles(dir, last)
			for _, day := range days {
				files = append(files, day.files...)
			}
		} else {
			files, err = a.dataFiles(dir, last)
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, files...)
	}
	return paths, nil
}

// readDir lists a folder by name; one that is not there is empty.
func readDir(dir string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list archive folder: %w", err)
	}
	return entries, nil
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// syncDirs syncs many folders at once: the file system writes one journal
// entry for all that wait.
func syncDirs(dirs []string) error {
	return parallel.Each(syncWorkers, len(dirs), func(i int) error { return durable.SyncDir(dirs[i]) })
}
