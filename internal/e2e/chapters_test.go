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

// chapter runs the code blocks of a chapter of docs/OPERATIONS.md. In them, what
// is named there is replaced. A line of a shell goes to the first of lines whose
// words it begins with; configuration is checked.
type chapter struct {
	title   string
	replace []string
	lines   []chapterLine
	python  func(t *testing.T, code string)
}

// chapterLine types a line of a shell, of which args are the words that follow
// its begin.
type chapterLine struct {
	begin string
	do    func(t *testing.T, args []string)
}

func (c *chapter) run(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n## "+c.title+"\n")
	if !found {
		t.Fatalf("docs/OPERATIONS.md has no chapter %s", c.title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := codeBlock.FindAllStringSubmatch(strings.NewReplacer(c.replace...).Replace(text), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks of code", len(blocks))
	}
	for _, block := range blocks {
		switch language, code := block[1], block[2]; language {
		case "sh":
			for line := range strings.Lines(code) {
				c.typeLine(t, strings.TrimSpace(line))
			}
		case "toml":
			file := filepath.Join(t.TempDir(), "vitrine.toml")
			if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			vitrine(t, "config", "check", "--config", file).must(t)
		case "python":
			c.python(t, code)
		default:
			t.Errorf("no test for a block of %s", language)
		}
	}
}

func (c *chapter) typeLine(t *testing.T, line string) {
	if strings.HasPrefix(line, "#") {
		return
	}
	for _, l := range c.lines {
		if rest, ok := strings.CutPrefix(line, l.begin+" "); ok {
			l.do(t, strings.Fields(rest))
			return
		}
	}
	t.Fatalf("no test for %q", line)
}

// TestRealKafkaChapter runs every code block of the chapter on Kafka in
// docs/OPERATIONS.md against the article's Kafka.
func TestRealKafkaChapter(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Version: realservers.KafkaArticle}.Start)
	cl := kafkaClient(t, b.Address)
	dir := shortDir(t)
	var d *daemon
	var hint string
	skip := filepath.Join(t.TempDir(), "skip.json")
	c := chapter{title: "Beside Kafka", replace: []string{"localhost:9092", b.Address, "/var/lib/vitrine", dir, "skip.json", skip, "1043", "0"}}
	c.lines = []chapterLine{
		{"vitrine serve --data " + dir, func(t *testing.T, args []string) {
			d = start(t, dir, args...)
			hint = d.until("the missing topic is named", func(p pipeline) bool { return strings.Contains(p.Kafka.Hint, "kafka-topics.sh") }).Kafka.Hint
		}},
		{"kafka-topics.sh", func(t *testing.T, args []string) {
			if line := "kafka-topics.sh " + strings.Join(args, " "); !strings.HasSuffix(hint, line) {
				t.Errorf("the hint is %q, the chapter says %q", hint, line)
			}
			if _, err := b.Run(t.Context(), "kafka.admin.TopicCommand", args...); err != nil {
				t.Fatal(err)
			}
			produce(t, cl, "user-events", "u1", `{"user_id":"u1","item_id":"i1","event_type":"view"}`)
			d.until("the record is read", func(p pipeline) bool { return p.Kafka.Accepted == 1 && p.Kafka.Error == "" })
			d.stop()
		}},
		{"echo", func(t *testing.T, args []string) {
			if out, err := exec.Command("sh", "-c", "echo "+strings.Join(args, " ")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}},
		{"kafka-delete-records.sh", func(t *testing.T, args []string) { // TestRealKafkaRot does it where it is needed
			if _, err := b.Run(t.Context(), "kafka.admin.DeleteRecordsCommand", args...); err != nil {
				t.Fatal(err)
			}
		}},
	}
	c.run(t)
}

// TestRealHDFSChapter runs every code block of the chapter on HDFS in
// docs/OPERATIONS.md against a real cluster. The one for Spark needs a Python
// with pyspark; without it, that block is left out.
func TestRealHDFSChapter(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	cluster := realservers.During(t, realservers.HDFS{Dir: t.TempDir()}.Start)
	dir := shortDir(t)
	var d *daemon
	c := chapter{title: "Beside HDFS", replace: []string{"localhost:9000", cluster.Address, "/var/lib/vitrine", dir}, python: runSpark}
	c.lines = []chapterLine{
		{"vitrine serve --data " + dir, func(t *testing.T, args []string) {
			d = start(t, dir, args...)
			smallShop(t, d)
			vitrine(t, "train", "--data", dir).must(t) // commits what was acknowledged
			d.copied()
		}},
		{"hdfs dfs", func(t *testing.T, args []string) {
			out, err := cluster.Run(t.Context(), "org.apache.hadoop.fs.FsShell", args...)
			if err != nil {
				t.Fatalf("hdfs dfs %s: %v", args, err)
			}
			t.Logf("hdfs dfs %s\n%s", args, out)
			if args[0] == "-ls" && !strings.Contains(out, "/events/dt=") || args[0] == "-cat" && !strings.Contains(out, `"position":`) {
				t.Errorf("hdfs dfs %s prints\n%s", args, out)
			}
		}},
	}
	c.run(t)
	d.stop()
}

// pyspark is a Python with pyspark: that of VITRINE_PYSPARK, or the one that
// make bench-peers installs; "" where there is none.
func pyspark() string {
	if python := os.Getenv("VITRINE_PYSPARK"); python != "" {
		return python
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	python := filepath.Join(cache, "vitrine", "peers", "venv", "bin", "python")
	if exec.Command(python, "-c", "import pyspark").Run() != nil {
		return ""
	}
	return python
}

// runSpark runs lines that have a session as spark.
func runSpark(t *testing.T, text string) {
	t.Helper()
	python := pyspark()
	if python == "" {
		t.Log("left out, for there is no Python with pyspark (VITRINE_PYSPARK=PYTHON, or make bench-peers):", text)
		return
	}
	script := "from pyspark.sql import SparkSession\n" +
		"spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').config('spark.ui.showConsoleProgress', 'false').config('spark.driver.host', '127.0.0.1').config('spark.driver.bindAddress', '127.0.0.1').getOrCreate()\n" + text
	out, err := exec.Command(python, "-c", script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "event_type") {
		t.Errorf("spark: %v\n%s", err, out)
	}
	t.Log(string(out))
}
