package preflight

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vitrine/appliance/config"
	"vitrine/installer/words"
)

// oldestSystemd is that of RHEL 7, which the unit is written for.
const oldestSystemd = 219

// manager is what runs the service.
func (h *host) manager(ctx context.Context) Row {
	if _, err := os.Stat(filepath.Join(h.root, "run/systemd/system")); err != nil {
		return managerRow("")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "--version").Output()
	if err != nil {
		out = []byte("systemd ?")
	}
	return managerRow(string(out))
}

// managerRow judges what systemctl --version says, "" where systemd does not
// run.
func managerRow(said string) Row {
	row := Row{ID: "systemd", Value: "-", Want: words.New("%d or later", oldestSystemd), Severity: OK}
	if said == "" {
		row.Severity = Info
		row.Why = words.New("systemd does not run here, as in containers: something else has to start vitrine serve, and start it anew")
		return row
	}
	version := 0
	fields := strings.Fields(said)
	if len(fields) > 1 {
		row.Value = fields[1]
		_, _ = fmt.Sscanf(fields[1], "%d", &version)
	}
	switch {
	case version == 0:
		row.Severity, row.Why = Info, words.New("the system does not tell")
	case version < oldestSystemd:
		row.Severity = Block
		row.Why, row.Fix = words.New("the unit is written for systemd %d and later", oldestSystemd), words.New("upgrade the system")
	}
	return row
}

// firewall tells whether a firewall stands before an API that others are to
// reach. It opens nothing.
func (h *host) firewall() Row {
	row := Row{ID: "firewalld", Value: "-", Want: words.New("any"), Severity: OK}
	pid := h.read("run/firewalld.pid")
	if pid == "" {
		return row
	}
	row.Value = "pid " + pid
	zones, _ := filepath.Glob(filepath.Join(h.root, "etc/firewalld/zones/*.xml"))
	for _, zone := range zones {
		text, _ := os.ReadFile(zone)
		if strings.Contains(string(text), `name="vitrine"`) {
			row.Value += ", vitrine in " + strings.TrimSuffix(filepath.Base(zone), ".xml")
			return row
		}
	}
	if !config.Loopback(h.opt.Config.HTTP.Listen) {
		row.Severity = Info
		row.Why = words.New("no zone opens the service vitrine: other machines may not reach the API")
		row.Fix = words.New("firewall-cmd --permanent --add-service=vitrine && firewall-cmd --reload (port 8080)")
	}
	return row
}

// nodes are the memory nodes of the machine.
func (h *host) nodes() Row {
	online := h.read("sys/devices/system/node/online")
	row := Row{ID: "numa", Value: online, Want: words.New("any"), Severity: OK}
	switch {
	case online == "":
		row.Value = "-"
	case strings.ContainsAny(online, ",-"):
		row.Severity = Info
		row.Why = words.New("memory of another node is slower to read, and a model may lie on all of them")
		row.Fix = words.New("where the model fits on one node, a drop-in with ExecStart=/usr/bin/numactl --cpunodebind=0 --membind=0 /usr/bin/vitrine serve")
	}
	return row
}

// dialTimeout is how long another service may take to answer.
const dialTimeout = 2 * time.Second
