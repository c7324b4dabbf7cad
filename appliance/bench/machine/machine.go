// Package machine tells on which machine a benchmark runs, with which
// configuration, how much of it others use meanwhile, and how fast its simplest
// kernel is.
//
// It owns the reading of /proc for that. It may import the report's form,
// the configuration and als, and must not know what is measured.
package machine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vitrine/appliance/bench/report"
	"vitrine/appliance/config"
)

// Fingerprint tells which machine and program this is. What cannot be read
// stays empty: a run on an odd system is still a run.
func Fingerprint(version string) report.Fingerprint {
	f := report.Fingerprint{
		CPU: runtime.GOARCH, Flags: []string{}, Cores: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0),
		Kernel: read("/proc/sys/kernel/osrelease"), Go: runtime.Version(), Version: version,
		Governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
	}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		f.CPU = model
	}
	has := strings.Fields(field("/proc/cpuinfo", "flags"))
	for _, want := range []struct{ kernel, name string }{{"avx2", "avx2"}, {"avx512f", "avx512"}, {"avx512_vnni", "vnni"}} {
		if slices.Contains(has, want.kernel) {
			f.Flags = append(f.Flags, want.name)
		}
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		f.MemoryMiB = kib >> 10
	}
	first, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	f.LoadAverage, _ = strconv.ParseFloat(first, 64)
	return f
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text))
}

// field finds "name : value" in a file of the kernel's.
func field(path, name string) string {
	for line := range strings.Lines(read(path)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ConfigHash identifies the effective configuration, the data folder aside.
func ConfigHash(file string, settings []string) (string, error) {
	c, err := config.Load(config.Sources{File: file, Set: settings})
	if err != nil {
		return "", err
	}
	c.Data.Dir = ""
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode configuration: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Watch tells how much of the machine others use.
type Watch struct {
	// Started is when.
	Started   time.Time
	busy, own time.Duration
}

// StartWatch begins to look.
func StartWatch() Watch {
	return Watch{Started: time.Now(), busy: busyTime(), own: OwnTime()}
}

// Stolen is the share of all processors, in per cent, that neither this
// process nor its ended children used since the start of the watch, the
// hypervisor's share included.
func (w Watch) Stolen() float64 {
	others := (busyTime() - w.busy) - (OwnTime() - w.own)
	capacity := time.Since(w.Started) * time.Duration(runtime.NumCPU())
	return max(0, 100*float64(others)/float64(capacity))
}

// tick is the unit of processor time in /proc, fixed for all user programs.
const tick = 10 * time.Millisecond

// busyTime is what all processors together have not been idle since boot.
func busyTime() time.Duration {
	line, _, _ := strings.Cut(read("/proc/stat"), "\n")
	busy := int64(0)
	for i, text := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal guest guest_nice;
		// guest time is in user already.
		const idle, iowait, steal = 4, 5, 8
		if i == 0 || i == idle || i == iowait || i > steal {
			continue
		}
		n, _ := strconv.ParseInt(text, 10, 64)
		busy += n
	}
	return time.Duration(busy) * tick
}

// OwnTime is the processor time of this process and its ended children.
func OwnTime() time.Duration {
	return usage(syscall.RUSAGE_SELF) + usage(syscall.RUSAGE_CHILDREN)
}

func usage(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
