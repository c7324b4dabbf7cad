package rpm

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scriptlets are the shell parts of the spec that run on operators' machines,
// by name.
func scriptlets(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("vitrine.spec")
	if err != nil {
		t.Fatal(err)
	}
	out, name := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "%") && !strings.HasPrefix(line, "%{") {
			name = ""
			if s := strings.TrimPrefix(strings.TrimSpace(line), "%"); slices.Contains([]string{"pre", "post", "preun", "postun", "pretrans", "posttrans"}, s) {
				name = s
			}
			continue
		}
		if name != "" {
			out[name] += line
		}
	}
	return out
}

// faultsOf lists what a scriptlet does that it must not.
func faultsOf(name, text string) []string {
	var faults []string
	for pattern, why := range map[string]string{
		`(?m)^\s*systemctl( --?[a-z-]+)* (enable|start|restart)\b`: "starts or enables what the operator did not",
		`systemd-update-helper|%systemd_|%\{`:                      "relies on a macro that el7 does not have",
		`\b(curl|wget|yum|dnf|rpm|pip|git|ssh)\b`:                  "uses the network or the package manager",
		`\b(firewall-cmd|setenforce|semanage|chcon|restorecon)\b`:  "changes the machine's protection",
		`\b(chown|chmod) -R|rm -r`:                                 "walks over data",
		`\b(userdel|groupdel)\b`:                                   "takes the user of data that stays",
		`\$\(|` + "`":                                              "has logic of its own",
		`(?m)^\s*(systemctl|getent|useradd|groupadd)[^\n]*[^:\n]$`: "can fail: end the line with || :",
	} {
		if regexp.MustCompile(pattern).MatchString(text) {
			faults = append(faults, why)
		}
	}
	if !strings.HasSuffix(strings.TrimSpace(text), "\nexit 0") {
		faults = append(faults, "does not end with exit 0")
	}
	if strings.Contains(text, " stop ") && (name != "preun" || !strings.Contains(text, `if [ "$1" = 0 ]; then`)) {
		faults = append(faults, "stops the service on an upgrade")
	}
	return faults
}

func TestScriptlets(t *testing.T) {
	all := scriptlets(t)
	for _, name := range []string{"pre", "post", "preun", "postun", "posttrans"} {
		if all[name] == "" {
			t.Fatalf("the spec has no %%%s", name)
		}
	}
	for name, text := range all {
		for _, fault := range faultsOf(name, text) {
			t.Errorf("%%%s %s:\n%s", name, fault, text)
		}
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%%%s: %s", name, out)
		}
	}
}

// TestScriptletRules: each rule finds its breach.
func TestScriptletRules(t *testing.T) {
	for _, bad := range []string{
		"systemctl enable vitrine || :\nexit 0", "systemctl start vitrine || :\nexit 0", "%systemd_post vitrine\nexit 0", "curl x || :\nexit 0",
		"firewall-cmd --add || :\nexit 0", "chown -R vitrine /var/lib/vitrine || :\nexit 0", "userdel vitrine || :\nexit 0", "x=$(id)\nexit 0",
		"systemctl daemon-reload\nexit 0", "systemctl daemon-reload || :", "systemctl stop vitrine || :\nexit 0",
	} {
		if len(faultsOf("post", "\n"+bad+"\n")) == 0 {
			t.Errorf("passes: %s", bad)
		}
	}
	if faults := faultsOf("post", "systemctl try-restart vitrine || :\nexit 0\n"); faults != nil {
		t.Error(faults)
	}
}
