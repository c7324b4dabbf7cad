package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	metricName = regexp.MustCompile(`\b(vitrine|go|process)_[a-z_0-9]+\b`)
	helpLine   = regexp.MustCompile(`(?m)^# HELP (\S+)`)
)

// checkOps: every metric that the dashboard and the alerts name is among those
// of a running appliance, and the files are what Grafana and Prometheus read.
func checkOps(t *testing.T, metrics string) {
	t.Helper()
	var known []string
	for _, m := range helpLine.FindAllStringSubmatch(metrics, -1) {
		known = append(known, m[1], m[1]+"_bucket")
	}
	used := map[string]bool{}
	for _, file := range []string{"grafana-dashboard.json", "prometheus-rules.yml"} {
		for _, expr := range expressions(t, filepath.Join(root, "ops", file)) {
			names := metricName.FindAllString(expr, -1)
			if len(names) == 0 || strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
				t.Errorf("%s: the expression %s asks for nothing, or is cut", file, expr)
			}
			for _, name := range names {
				used[name] = true
				if !slices.Contains(known, name) {
					t.Errorf("%s asks for %s, which a running appliance does not have", file, name)
				}
			}
		}
	}
	for _, name := range known {
		if strings.HasPrefix(name, "vitrine_answers") && !used[name] && !strings.HasSuffix(name, "_bucket") {
			t.Errorf("nothing shows %s", name)
		}
	}
}

// expressions are those of a dashboard or a file of rules.
func expressions(t *testing.T, path string) (out []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".json" {
		var dashboard struct {
			UID, Title string
			Panels     []struct {
				Type, Title string
				Targets     []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(raw, &dashboard); err != nil || dashboard.UID == "" {
			t.Fatalf("%s: %v", path, err)
		}
		for _, panel := range dashboard.Panels {
			if panel.Type != "row" && len(panel.Targets) == 0 {
				t.Errorf("the panel %s asks for nothing", panel.Title)
			}
			for _, target := range panel.Targets {
				out = append(out, target.Expr)
			}
		}
		return out
	}
	for alert := range strings.SplitSeq(string(raw), "- alert: ") {
		_, expr, ok := strings.Cut(alert, "expr: ")
		if !ok {
			continue
		}
		expr, rest, _ := strings.Cut(expr, "\n")
		for _, part := range []string{"severity: ", "summary: ", "action: "} {
			if !strings.Contains(rest, part) {
				t.Errorf("the alert on %s has no %s", expr, part)
			}
		}
		out = append(out, expr)
	}
	return out
}
