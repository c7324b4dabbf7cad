package rpm

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// known219 are the directives of systemd 219 as SECTION.NAME.
func known219(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/systemd219.txt")
	if err != nil {
		t.Fatal(err)
	}
	known, section := map[string]bool{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			for _, name := range strings.Fields(line) {
				known[section+"."+name] = true
			}
		}
	}
	return known
}

// values219 are the values that 219 reads of directives which later versions
// gave more; it ignores a line with another one, so an old one must stand
// before it.
func values219() map[string][]string {
	yesNo := []string{"yes", "no", "true", "false", "0", "1"}
	return map[string][]string{
		"Service.ProtectSystem":   append([]string{"full"}, yesNo...),
		"Service.ProtectHome":     append([]string{"read-only"}, yesNo...),
		"Service.Type":            {"simple", "forking", "oneshot", "dbus", "notify", "idle"},
		"Service.Restart":         {"no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"},
		"Service.KillMode":        {"control-group", "process", "mixed", "none"},
		"Service.StandardOutput":  {"inherit", "null", "tty", "journal", "syslog", "kmsg", "journal+console", "syslog+console", "kmsg+console", "socket"},
		"Service.PrivateTmp":      yesNo,
		"Service.PrivateDevices":  yesNo,
		"Service.NoNewPrivileges": yesNo,
	}
}

// lint lists what systemd 219 would not do of a unit.
func lint(unit string, known map[string]bool) []string {
	var faults []string
	section, number := "", 0
	read := map[string]bool{} // directives that have a value which 219 reads
	for line := range strings.Lines(unit) {
		number++
		line = strings.TrimSpace(line)
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("line %d: %s", number, fmt.Sprintf(format, args...)))
		}
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		full := section + "." + name
		switch allowed := values219()[full]; {
		case !ok:
			fault("no assignment: %q", line)
		case !known[full]:
			fault("%s is not known in [%s]", name, section)
		case allowed != nil && !slices.Contains(allowed, value):
			if !read[full] {
				fault("%s=%s is ignored, and no value before it is read", name, value)
			}
			continue
		case strings.HasPrefix(name, "Exec") && !strings.HasPrefix(strings.TrimLeft(value, "-@"), "/"):
			fault("%s has no absolute path: %q", name, value)
		case name == "SystemCallFilter" && strings.Contains(value, "@"):
			fault("sets of system calls are not known")
		case name == "MemoryLimit" && strings.HasSuffix(value, "%"):
			fault("memory is limited in bytes only")
		case name == "RuntimeDirectory" && strings.Contains(value, "/"):
			fault("a runtime directory is one name")
		}
		read[full] = true
	}
	return faults
}

func TestUnit(t *testing.T) {
	known := known219(t)
	if len(known) < 200 {
		t.Fatalf("%d directives known", len(known))
	}
	text, err := os.ReadFile("vitrine.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range lint(string(text), known) {
		t.Errorf("vitrine.service: %s", fault)
	}
	for _, want := range []string{
		"\nType=notify\n", "\nWatchdogSec=", "\nExecStartPre=/usr/bin/vitrine config check\n", "\nRestartPreventExitStatus=78\n", "\nNoNewPrivileges=yes\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("vitrine.service lacks %q", strings.TrimSpace(want))
		}
	}
}

// TestLint: what el7 would drop in silence is found.
func TestLint(t *testing.T) {
	known := known219(t)
	for _, bad := range []string{
		"StateDirectory=vitrine", "DynamicUser=yes", "MemoryMax=1G", "ReadWritePaths=/x", "MemoryDenyWriteExecute=yes", "StartLimitIntervalSec=1",
		"ProtectSystem=strict", "ProtectHome=tmpfs", "Type=exec", "ExecStart=+/bin/true", "ExecStart=true", "StandardOutput=append:/x",
		"SystemCallFilter=@system-service", "MemoryLimit=80%", "RuntimeDirectory=a/b", "WantedBy=x.target", "nonsense",
	} {
		if len(lint("[Service]\n"+bad+"\n", known)) != 1 {
			t.Errorf("%s passes", bad)
		}
	}
	for _, good := range []string{"ProtectSystem=full\nProtectSystem=strict", "MemoryLimit=1G", "ExecStart=-/bin/true", "AmbientCapabilities=CAP_NET_BIND_SERVICE"} {
		if faults := lint("[Service]\n"+good+"\n", known); faults != nil {
			t.Errorf("%s: %v", good, faults)
		}
	}
}
