package preflight

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"vitrine/installer/words"
)

// system is the distribution and its kernel.
func (h *host) system() []Row {
	text := h.read("etc/os-release")
	id, like, version := setting(text, "ID"), setting(text, "ID_LIKE"), setting(text, "VERSION_ID")
	name := setting(text, "PRETTY_NAME")
	if name == "" {
		name = "?"
	}
	row := Row{ID: "os", Value: name, Want: words.New("RHEL, CentOS, Alma or Rocky 7 to 9, openEuler, Kylin, Anolis"), Severity: OK}
	kin := append(strings.Fields(like), id)
	major, _, _ := strings.Cut(version, ".")
	known := slices.ContainsFunc(kin, func(k string) bool {
		return slices.Contains([]string{"rhel", "centos", "fedora", "openEuler", "openeuler", "kylin", "anolis", "almalinux", "rocky"}, k)
	})
	switch {
	case !known:
		row.Severity = Info
		row.Why = words.New("the package is made for RHEL and its kin; the binary runs on any Linux")
	case slices.Contains(kin, "rhel") && slices.Contains([]string{"4", "5", "6"}, major):
		row.Severity = Block
		row.Why = words.New("this version has neither systemd nor a kernel that is new enough")
		row.Fix = words.New("use version 7 or later")
	}
	return []Row{row, h.kernel()}
}

func (h *host) kernel() Row {
	release := h.read("proc/sys/kernel/osrelease")
	row := Row{ID: "kernel", Value: release, Want: words.New("3.10 or later"), Severity: OK}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		row.Severity, row.Why = Warn, words.New("the kernel does not tell its version")
		return row
	}
	switch {
	case major < 3 || major == 3 && minor < 2:
		row.Severity = fatal
		row.Why, row.Fix = words.New("Go's runtime needs 3.2 or later"), words.New("upgrade the system")
	case major == 3 && minor < 10:
		row.Severity = Warn
		row.Why, row.Fix = words.New("nothing older than 3.10 is tested"), words.New("upgrade the system")
	}
	return row
}

// processor tells what speed can be had.
func (h *host) processor() []Row {
	info := h.read("proc/cpuinfo")
	cores := 0
	var features string
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			cores++
		case "flags", "Features":
			features = " " + strings.TrimSpace(value) + " "
		}
	}
	row := Row{ID: "cpu", Value: fmt.Sprintf("%s, %d", runtime.GOARCH, cores), Want: words.New("2 cores or more, with AVX2 and FMA"), Severity: OK}
	var best []string
	for _, f := range []string{"sse4_1", "avx2", "fma", "avx512_vnni", "asimd"} {
		if strings.Contains(features, " "+f+" ") {
			best = append(best, f)
		}
	}
	if len(best) > 0 {
		row.Value += ", " + strings.Join(best, " ")
	}
	amd64 := slices.Contains(best, "sse4_1") || !slices.Contains(best, "asimd")
	switch {
	case amd64 && !slices.Contains(best, "sse4_1"):
		row.Severity = Warn
		row.Why = words.New("without SSE4.1 plugins run on an interpreter, many times slower")
	case amd64 && !(slices.Contains(best, "avx2") && slices.Contains(best, "fma")):
		row.Severity = Warn
		row.Why = words.New("without AVX2 and FMA training and search are several times slower")
		row.Fix = words.New("on a virtual machine, let it see the processor's features (cpu mode host-passthrough)")
	case cores == 1:
		row.Severity = Warn
		row.Why = words.New("training shares the only core with the answers")
	}
	return []Row{row}
}

// Bytes a user and an item take in memory: factors of 64 float32, kept twice
// while a model is replaced, history and codes; an item also has its int8 row,
// attributes and neighbours.
const (
	userBytes = 2*64*4 + 500
	itemBytes = 2*(64*4+64) + 2000
	baseBytes = 200 << 20
)

func (h *host) memory() []Row {
	info := h.read("proc/meminfo")
	kib := func(name string) int64 {
		var n int64
		_, _ = fmt.Sscanf(setting(info, name), "%d", &n)
		return n << 10
	}
	total, available := kib("MemTotal"), kib("MemAvailable")
	for _, name := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if limit := h.number(name); limit > 0 && limit < total {
			total, available = limit, min(available, limit)
		}
	}
	need := int64(h.opt.Users)*userBytes + int64(h.opt.Items)*itemBytes + baseBytes
	row := Row{
		ID: "memory", Value: fmt.Sprintf("%s, %s free", bytes(total), bytes(available)), Severity: OK,
		Want: words.New("%s for %d users and %d items", bytes(need), h.opt.Users, h.opt.Items),
	}
	if available < need {
		row.Severity = Warn
		row.Why = words.New("everything that answers is kept in memory")
		row.Fix = words.New("say how large the shop is with --users and --items; add memory or stop what else runs")
		if total < need {
			row.Severity = Block
		}
	}
	return []Row{row}
}

func bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	default:
		return fmt.Sprintf("%d MiB", n>>20)
	}
}

// built is a time that no right clock is before.
const built = 1_735_689_600 // 2025-01-01

// clock is the date, and whether something keeps it right.
func (h *host) clock() []Row {
	now := h.opt.Now.UTC()
	date := Row{ID: "clock", Value: now.Format(time.RFC3339), Want: words.New("today"), Severity: OK}
	if now.Unix() < built {
		date.Severity = fatal
		date.Why = words.New("events are kept by date: with a clock like this they go into the wrong one, and those of others are clamped")
		date.Fix = words.New("set the clock: chronyc makestep, or date -s")
	}
	sync := Row{ID: "clock.sync", Value: "synchronized", Want: words.New("synchronized"), Severity: OK}
	const unsynchronized = 0x40
	var t syscall.Timex
	if _, err := syscall.Adjtimex(&t); err != nil {
		sync.Value, sync.Severity, sync.Why = "?", Info, words.New("the system does not tell")
	} else if t.Status&unsynchronized != 0 {
		sync.Value, sync.Severity = "unsynchronized", Warn
		sync.Why = words.New("events of several machines come into a wrong order")
		sync.Fix = words.New("run chronyd or ntpd: systemctl enable chronyd && systemctl start chronyd")
	}
	return []Row{date, sync}
}

// account is the user that the unit runs as, where the package is installed.
func (h *host) account() []Row {
	if h.read("usr/lib/systemd/system/vitrine.service") == "" {
		return nil
	}
	row := Row{ID: "user", Value: "vitrine", Want: words.New("the user vitrine"), Severity: OK}
	if !strings.Contains("\n"+h.read("etc/passwd"), "\nvitrine:") {
		row.Value, row.Severity = "-", fatal
		row.Why = words.New("the service runs as this user")
		row.Fix = words.New("yum reinstall vitrine, or: useradd -r -d /var/lib/vitrine -s /sbin/nologin vitrine")
	}
	return []Row{row}
}
