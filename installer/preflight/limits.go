package preflight

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"vitrine/installer/words"
)

const (
	wantFiles   = 65536
	wantBacklog = 1024
	wantFileMax = 262144
	maxSwapping = 30
)

// limits are what the kernel allows; "vitrine tune" raises them.
func (h *host) limits() []Row {
	tune := words.New("vitrine tune --apply")
	files := Row{ID: "nofile", Want: words.New("%d or more", wantFiles), Severity: OK}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		files.Value = strconv.FormatUint(limit.Max, 10)
		if limit.Max < wantFiles {
			files.Severity = Warn
			files.Why = words.New("each connection takes one; this is the limit here, the unit sets its own")
			files.Fix = words.New("ulimit -n %d before serve, or run the unit", wantFiles)
		}
	}
	backlog := h.atLeast("somaxconn", "proc/sys/net/core/somaxconn", wantBacklog)
	if backlog.Severity != OK {
		backlog.Why, backlog.Fix = words.New("connections that come at once are refused beyond this queue"), tune
	}
	fileMax := h.atLeast("file-max", "proc/sys/fs/file-max", wantFileMax)
	if fileMax.Severity != OK {
		fileMax.Why, fileMax.Fix = words.New("all processes together may open no more files"), tune
	}
	return []Row{files, backlog, fileMax, h.hugePages(), h.swapping()}
}

func (h *host) atLeast(id, name string, want int64) Row {
	text := h.read(name)
	row := Row{ID: id, Value: text, Want: words.New("%d or more", want), Severity: OK}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n < uint64(want) {
		row.Severity = Warn
	} else if err != nil {
		row.Value, row.Severity = "?", Info
	}
	return row
}

func (h *host) hugePages() Row {
	row := Row{ID: "thp", Value: "?", Want: words.New("any"), Severity: OK}
	if m := regexp.MustCompile(`\[(\w+)\]`).FindStringSubmatch(h.read("sys/kernel/mm/transparent_hugepage/enabled")); m != nil {
		row.Value = m[1]
	}
	if row.Value == "always" {
		row.Severity = Info
		row.Why = words.New("resident memory looks larger than what is used; answers do not suffer")
	}
	return row
}

func (h *host) swapping() Row {
	n := h.number("proc/sys/vm/swappiness")
	row := Row{ID: "swappiness", Value: fmt.Sprint(n), Want: words.New("%d or less", maxSwapping), Severity: OK}
	if n > maxSwapping && strings.Contains(h.read("proc/swaps"), "\n") {
		row.Severity = Info
		row.Why = words.New("a model that was swapped out answers late")
		row.Fix = words.New("sysctl vm.swappiness=10, if other services here agree")
	}
	return row
}
