package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vitrine/internal/realservers"
)

// codeBlock is a fenced block of a page, with its language.
var codeBlock = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// TestRealHDFSChapter runs every code block of the chapter on HDFS in
// docs/OPERATIONS.md against a real cluster. The one for Spark needs a Python
// with pyspark in VITRINE_PYSPARK; without it, that block is left out.
func TestRealHDFSChapter(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, found := strings.Cut(string(page), "\n## Beside HDFS\n")
	if !found {
		t.Fatal("docs/OPERATIONS.md has no chapter Beside HDFS")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	c, err := realservers.HDFS{Dir: t.TempDir()}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	dir := shortDir(t)
	text := strings.NewReplacer("localhost:9000", c.Address, "/var/lib/vitrine", dir).Replace(chapter)
	var d *daemon
	for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
		switch language, code := block[1], block[2]; language {
		case "sh":
			for line := range strings.Lines(code) {
				line = strings.TrimSpace(line)
				if args, ok := strings.CutPrefix(line, "vitrine serve --data "+dir+" "); ok {
					d = start(t, dir, strings.Fields(args)...)
					smallShop(t, d)
					vitrine(t, "train", "--data", dir).must(t) // commits what was acknowledged
					d.copied()
					continue
				}
				args, ok := strings.CutPrefix(line, "hdfs dfs ")
				if !ok {
					t.Fatalf("no test for %q", line)
				}
				out, err := c.Run(t.Context(), "org.apache.hadoop.fs.FsShell", strings.Fields(args)...)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				t.Logf("%s\n%s", line, out)
				if strings.Contains(line, "-ls ") && !strings.Contains(out, "/events/dt=") || strings.Contains(line, "-cat ") && !strings.Contains(out, `"position":`) {
					t.Errorf("%s prints\n%s", line, out)
				}
			}
		case "toml":
			file := filepath.Join(t.TempDir(), "vitrine.toml")
			if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			vitrine(t, "config", "check", "--config", file).must(t)
		case "python":
			runSpark(t, code)
		default:
			t.Errorf("no test for a block of %s", language)
		}
	}
	d.stop()
}

// runSpark runs lines that have a session as spark.
func runSpark(t *testing.T, text string) {
	t.Helper()
	python := os.Getenv("VITRINE_PYSPARK")
	if python == "" {
		t.Log("left out, for VITRINE_PYSPARK names no Python with pyspark:", text)
		return
	}
	script := "from pyspark.sql import SparkSession\n" +
		"spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').config('spark.driver.host', '127.0.0.1').config('spark.driver.bindAddress', '127.0.0.1').getOrCreate()\n" + text
	out, err := exec.Command(python, "-c", script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "event_type") {
		t.Errorf("spark: %v\n%s", err, out)
	}
	t.Log(string(out))
}
