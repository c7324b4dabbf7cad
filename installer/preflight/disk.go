package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"vitrine/installer/words"
	"vitrine/internal/disk"
)

// Space below which a data folder is tight, and below which it cannot work.
const (
	wantSpace = 10 << 30
	minSpace  = 1 << 30
)

// slowSync is a median fsync beyond which each request that writes is felt.
const slowSync = 20 * time.Millisecond

// disk is where the data folder is: what kind of disk, its space, and how long
// an fsync takes, which every 202 waits for.
func (h *host) disk() []Row {
	dir := existing(h.data)
	kind := h.diskKind(dir)
	return append([]Row{kind, h.space(dir)}, h.sync(dir)...)
}

// existing is the folder itself, or the nearest one above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func (h *host) diskKind(dir string) Row {
	fstype, source, options := h.mount(dir)
	row := Row{ID: "disk", Value: dir + ": " + fstype + " " + source, Want: words.New("a local xfs or ext4 on an SSD"), Severity: OK}
	switch {
	case slices.Contains(strings.Split(options, ","), "ro"):
		row.Severity = fatal
		row.Why, row.Fix = words.New("the file system is mounted read-only"), words.New("mount -o remount,rw, or another folder: data.dir")
	case slices.Contains([]string{"nfs", "nfs4", "cifs", "fuse.sshfs"}, fstype):
		row.Severity = Block
		row.Why, row.Fix = words.New("what is acknowledged must be on disk; over a network that is slow, and not sure"), words.New("put data.dir on a local disk")
	case slices.Contains([]string{"tmpfs", "ramfs"}, fstype):
		row.Severity = Block
		row.Why, row.Fix = words.New("this folder is memory: it is empty after the next start"), words.New("put data.dir on a local disk")
	}
	if rotational := h.blockDevice(dir, "rotational"); rotational == "1" {
		row.Value += ", rotational"
		if row.Severity == OK {
			row.Severity, row.Why = Info, words.New("a turning disk takes some 10 ms for every fsync")
		}
	}
	if level := h.blockDevice(dir, "../md/level"); level != "" {
		row.Value += ", " + level
	}
	return row
}

// mount is the file system that holds dir: the last entry of the longest
// mount point that leads to it.
func (h *host) mount(dir string) (fstype, source, options string) {
	longest := -1
	for line := range strings.Lines(h.read("proc/self/mountinfo") + "\n") {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 6 || len(g) < 2 {
			continue
		}
		point := strings.ReplaceAll(f[4], `\040`, " ")
		if inside := dir == point || point == "/" || strings.HasPrefix(dir, point+"/"); inside && len(point) >= longest {
			longest, fstype, source, options = len(point), g[0], g[1], f[5]
		}
	}
	return fstype, source, options
}

// blockDevice reads a property of the disk under dir, "" where it has none.
func (h *host) blockDevice(dir, property string) string {
	var st syscall.Stat_t
	if syscall.Stat(dir, &st) != nil {
		return ""
	}
	major, minor := st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00
	base := fmt.Sprintf("sys/dev/block/%d:%d", major, minor)
	for _, queue := range []string{"queue", "../queue"} { // a partition has that of its disk
		if value := h.read(filepath.Join(base, queue, property)); value != "" {
			return value
		}
	}
	return ""
}

func (h *host) space(dir string) Row {
	row := Row{ID: "disk.free", Want: words.New("%s or more", bytes(wantSpace)), Severity: OK}
	left, _, err := disk.Space(dir)
	if err != nil {
		row.Value, row.Severity, row.Why = err.Error(), Warn, words.New("the system does not tell")
		return row
	}
	free := int64(left)
	row.Value = bytes(free)
	switch {
	case free < minSpace:
		row.Severity = Block
		row.Why, row.Fix = words.New("events are refused when the disk is full"), words.New("make room, or put data.dir on a larger disk")
	case free < wantSpace:
		row.Severity = Warn
		row.Why, row.Fix = words.New("events are refused when the disk is full"), words.New("make room, or put data.dir on a larger disk")
	}
	return row
}

// probes is how many writes the latency is measured by.
const probes = 25

func (h *host) sync(dir string) []Row {
	row := Row{ID: "disk.fsync", Want: words.New("%s or less", slowSync), Severity: OK}
	median, worst, err := syncLatency(dir)
	if err != nil {
		row.Value = err.Error()
		row.Severity, row.Why = fatal, words.New("the data folder cannot be written")
		switch {
		case errors.Is(err, syscall.ENOSPC):
			row.Fix = words.New("make room, or put data.dir on a larger disk")
		case errors.Is(err, fs.ErrPermission):
			row.Severity, row.Fix = Warn, words.New("run this as root, or as the user of the service")
		default:
			row.Fix = words.New("mount -o remount,rw, or another folder: data.dir")
		}
		return []Row{row}
	}
	row.Value = fmt.Sprintf("%.1f ms (worst %.1f ms)", float64(median.Microseconds())/1000, float64(worst.Microseconds())/1000)
	if median > slowSync {
		row.Severity = Warn
		row.Why = words.New("whoever sends events waits for an fsync")
		row.Fix = words.New("an SSD, or a controller with a battery-backed cache")
	}
	return []Row{row}
}

func syncLatency(dir string) (median, worst time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".vitrine-preflight-")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var times []time.Duration
	for range probes {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return times[probes/2], times[probes-1], nil
}
